"""The broker in the loop: the table of checks, and its unkindness."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.host.network import use_network
from agent.host.threads import use_threads
from simulators.virtual.broker import VirtualBroker
from simulators.virtual.host import InlineThreads, virtual_loop
from simulators.virtual.loop import run_on_virtual_loop
from simulators.virtual.mqtt_packets import Publish
from simulators.virtual.network import VirtualNetwork
from simulators.virtual.topic_filters import FilterTree, is_valid, matches
from tests.broker_checks import CHECKS, Check, Clients, received

ADDRESS = ("127.0.0.1", 1883)
URL = "mqtt://127.0.0.1:1883"


def play(check: Callable[[Clients, VirtualBroker], Awaitable[None]]) -> None:
    async def main() -> None:
        broker = VirtualBroker(virtual_loop(), seed=1)
        use_threads(InlineThreads(virtual_loop()))
        use_network(VirtualNetwork(broker.route("client"), {ADDRESS: broker}))
        clients = Clients(URL)
        await check(clients, broker)
        clients.close()

    run_on_virtual_loop(main)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_broker_in_the_loop_does_what_agents_rely_on(check: Check) -> None:
    play(lambda clients, _: check(clients))


def test_a_session_expires() -> None:
    async def check(clients: Clients, _: VirtualBroker) -> None:
        (await clients.connect("away", "s/#", expiry_s=60)).close()
        await asyncio.sleep(61)
        assert not (await clients.connect("away", expiry_s=60)).resumed

    play(check)


def test_a_delayed_will_comes_in_time() -> None:
    async def check(clients: Clients, _: VirtualBroker) -> None:
        watch = await clients.connect("watch", "wills/#")
        (await clients.connect("lost", will=b"gone", expiry_s=60)).close(with_will=True)
        await asyncio.sleep(4.5)
        assert not watch.pending()
        await asyncio.sleep(1)
        assert [body for _, body, _ in await received(watch)] == [b"gone"]

    play(check)


def test_a_shared_subscription_gives_each_message_to_one_member() -> None:
    async def check(clients: Clients, broker: VirtualBroker) -> None:
        members = [await clients.connect(name, protocol="3.1.1") for name in ("one", "two")]
        for member in members:
            member.subscribe(["$share/group/x/#"])
            await received(member)
        for number in range(4):
            broker.inject(Publish("x/a", b"%d" % number, qos=1), "desk")
        found = [[body for _, body, _ in await received(member)] for member in members]
        assert found == [[b"0", b"2"], [b"1", b"3"]]
        members[0].close()  # its session ends; what waits for it goes to the other
        await asyncio.sleep(0.1)
        broker.inject(Publish("x/a", b"4", qos=1), "desk")
        assert [body for _, body, _ in await received(members[1])] == [b"4"]

    play(check)


def test_a_message_expires() -> None:
    async def check(clients: Clients, broker: VirtualBroker) -> None:
        (await clients.connect("away", "e/#", expiry_s=600)).close()
        broker.inject(Publish("e/a", b"old", qos=1, properties={2: 10}), "desk")
        await asyncio.sleep(11)
        broker.inject(Publish("e/a", b"new", qos=1, properties={2: 10}), "desk")
        back = await clients.connect("away", expiry_s=600)
        assert [body for _, body, _ in await received(back)] == [b"new"]

    play(check)


@pytest.mark.parametrize(
    ("how", "code", "arrives"),
    [("drop_after_acknowledgement", 0, False), ("quota", 0x97, False), ("reorder", 0, True)],
)
def test_a_broker_is_unkind_to_messages(how: str, code: int, arrives: bool) -> None:
    async def check(clients: Clients, broker: VirtualBroker) -> None:
        one = await clients.connect("one", "x/#")
        broker.set_unkind(how, 1.0)
        assert await clients.publish("x/a", b"1") == code
        broker.set_unkind(how, 0.0)
        await asyncio.sleep(3)
        assert bool(await received(one)) == arrives
        assert broker.struck(how) == broker.struck(how, "client") == 1
        assert broker.struck(how, "another") == 0

    play(check)


def test_messages_of_one_publisher_keep_their_order() -> None:
    async def check(clients: Clients, broker: VirtualBroker) -> None:
        one, publisher = await clients.connect("one", "x/#"), await clients.connect("publisher")
        broker.set_unkind("reorder", 0.5)
        for number in range(20):
            publisher.publish("x/a", b"%d" % number, 1, False)
        await asyncio.sleep(60)
        assert [int(body) for _, body, _ in await received(one)] == list(range(20))

    play(check)


def test_a_late_will_comes_after_the_client_is_back() -> None:
    async def check(clients: Clients, broker: VirtualBroker) -> None:
        watch = await clients.connect("watch", "wills/#")
        broker.set_unkind("late_will", 1.0)
        (await clients.connect("flaky", will=b"gone", expiry_s=60)).close(with_will=True)
        await clients.connect("flaky", expiry_s=60)
        await asyncio.sleep(40)
        assert [body for _, body, _ in await received(watch)] == [b"gone"]

    play(check)


def test_a_broker_refuses_connections() -> None:
    async def check(clients: Clients, broker: VirtualBroker) -> None:
        broker.set_unkind("refuse", 1.0)
        with pytest.raises(OSError, match="unavailable"):
            await clients.connect("one")

    play(check)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("closed", "refused"), ("reset", "reset"), ("unreachable", "No route|not reachable|unreachable"),
        ("half_open", "answer|time"), ("tls_expired", "expired"), ("auth_revoked", "authori"),
    ],
)  # fmt: skip
def test_a_cut_ends_the_connection_and_refuses_new_ones(how: str, error: str) -> None:
    async def check(clients: Clients, broker: VirtualBroker) -> None:
        one = await clients.connect("one")
        broker.cut("client", how)
        event: Any = await one.event(1)
        assert (event is None) == (how == "half_open")
        with pytest.raises(OSError, match=error):
            await clients.connect("two")
        assert broker.struck(how, "client") > 0
        broker.mend("client")
        await clients.connect("three")

    play(check)


def test_a_shaped_link_is_slow_and_keeps_the_order() -> None:
    async def check(clients: Clients, broker: VirtualBroker) -> None:
        one = await clients.connect("one", "x/#")
        broker.shape("client", latency_s=0.5, jitter_s=0.2, bytes_per_s=1000, slice_bytes=7)
        began_s = virtual_loop().now_s
        publisher = await clients.connect("publisher")
        for number in range(5):
            publisher.publish("x/a", b"%d" % number, 1, False)
        await asyncio.sleep(30)
        assert [int(body) for _, body, _ in await received(one)] == list(range(5))
        assert virtual_loop().now_s - began_s > 1
        assert broker.struck("shape", "client") > 0

    play(check)


LEVELS = st.lists(st.sampled_from(["a", "b", "+", "#", "", "$x"]), min_size=1, max_size=4).map("/".join)


@given(LEVELS, LEVELS)
def test_the_tree_finds_what_matches(topic_filter: str, topic: str) -> None:
    if not is_valid(topic_filter) or set(topic) & set("+#"):
        return
    tree: FilterTree[str, str] = FilterTree()
    assert tree.add(topic_filter, "key", "value")
    assert list(tree.find(topic)) == ([("key", "value")] if matches(topic_filter, topic) else [])
    assert tree.remove(topic_filter, "key")
    assert list(tree.find(topic)) == []
