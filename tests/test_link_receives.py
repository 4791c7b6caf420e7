"""Messages down: handled in their order, acknowledged once done, and bounded in size."""

import json
from pathlib import Path

import pytest
import structlog

from agent.domain.message import encode
from agent.mqtt.topics import DOWN
from agent.outbox.outbox import Outbox
from agent.trust.order import sign_order
from agent.trust.signing_key import SigningKey
from tests.link_rig import SPEAKER, UP, ids, message, not_owed, run
from tests.scripted_broker import (
    PUBLISH,
    ScriptedBroker,
)
from tests.signing import CENTRE_KEY, ROOT_KEY, trust_of
from tests.waiting import play, until


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.runtime.supervisor.FIRST_WAIT_S", 0.02)


def test_a_failing_listener_stops_nothing(tmp_path: Path) -> None:
    """T4: what came down is acknowledged, so that it does not come again, and all else goes on."""

    async def fail(_topic: str, _payload: bytes, _answer_to: str | None, _retained: bool) -> None:
        raise KeyError("a bug")

    async def scene() -> None:
        async with ScriptedBroker() as broker, run(tmp_path, broker, heard=fail) as one:
            await until(lambda: broker.published)
            broker.send(f"{UP}/command/ping", b"{}", number=9)
            await until(lambda: broker.acknowledged == [9])
            await one.outbox.put(message())
            await until(lambda: ids(broker.published))
            assert len(broker.connects) == 1

    play(scene)


def test_a_topic_that_is_no_text_ends_no_listener(tmp_path: Path) -> None:
    """A broker that checks nothing: what comes after it is heard all the same."""
    came: list[str] = []

    async def hear(topic: str, _payload: bytes, _answer_to: str | None, _retained: bool) -> None:
        came.append(topic)

    async def scene() -> None:
        async with ScriptedBroker() as broker, run(tmp_path, broker, heard=hear):
            await until(lambda: broker.published)
            broker.send_raw(PUBLISH, b"\0\3d/\xff\0\7\0{}", flags=2)
            broker.send(f"{UP}/command/ping", b"{}", number=9)
            await until(lambda: 9 in broker.acknowledged)
            assert came == ["command/ping"]
            assert len(broker.connects) == 1

    play(scene)


def test_what_the_disk_did_not_take_is_not_acknowledged(tmp_path: Path) -> None:
    async def fail(_topic: str, _payload: bytes, _answer_to: str | None, _retained: bool) -> None:
        raise OSError("no space left on device")

    async def scene() -> None:
        async with ScriptedBroker() as broker, run(tmp_path, broker, heard=fail) as one:
            await until(lambda: broker.published)
            broker.send(f"{UP}/config/desired", b"{}", number=9)
            broker.send(f"{UP}/receipt", b"not JSON", number=10)
            await until(lambda: broker.acknowledged)
            assert broker.acknowledged == [10]
            assert one.task is not None
            assert not one.task.done()

    play(scene)


def test_listening_and_sending_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """T6: what is heard is answered through the outbox, while hundreds of messages go up."""
    outboxes: list[Outbox] = []

    async def answer(_topic: str, _payload: bytes, _answer_to: str | None, _retained: bool) -> None:
        await outboxes[0].put(message("result"))

    async def scene() -> None:
        given = [message() for _ in range(300)]
        async with ScriptedBroker() as broker, run(tmp_path, broker, heard=answer, owed=given) as one:
            outboxes.append(one.outbox)
            await until(lambda: broker.published)
            for number in range(1, 101):
                broker.send(f"{UP}/command/ping", b"{}", number=number)
                await one.outbox.put(message())
            await until(lambda: len(ids(broker.published, "command/result")) == 100)
            await until(lambda: len(ids(broker.published)) == 400)
            assert broker.acknowledged == list(range(1, 101))

    play(scene)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_packet_that_is_too_large_ends_receipts_once_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    """A broker that heeds no Maximum Packet Size gives what is retained at each subscription, or keeps it in
    the session. The next connection has neither, and all goes on but pushes."""
    monkeypatch.setattr("agent.mqtt.connection.MOST_PACKET", 5000)

    async def scene() -> None:
        async with ScriptedBroker() as broker:
            subscribe = broker._subscribe

            def give(rest: bytes) -> None:
                before = len(broker.subscribed)
                subscribe(rest)
                if f"{UP}/config/desired" in broker.subscribed[before:]:
                    broker.send(f"{UP}/config/desired", b"x" * 6000)

            monkeypatch.setattr(broker, "_subscribe", give)
            async with run(tmp_path, broker, protocol=protocol, owed=[message()]) as one:
                await until(lambda: one.link.troubles)
                assert one.link.troubles == {
                    "config": f"pushes are not received: the broker sent {broker_bytes(protocol)} bytes at once"
                }
                assert [connect.clean_start for connect in broker.connects] == [False, True]
                await until(lambda: len(broker.subscribed) > len(DOWN) + 1)
                assert f"{UP}/receipt" in broker.subscribed[len(DOWN) + 1 :]
                assert f"{UP}/config/desired" not in broker.subscribed[len(DOWN) + 1 :]
                await until(lambda: len(ids(broker.published)) >= 1)

    play(scene)


@pytest.mark.parametrize("name", ["command/ping", "command/+", "alert/ack"])
def test_what_is_too_large_on_another_topic_ends_the_connection_twice_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whoever may send commands may leave a large one there retained: receipts and alerts go on."""
    monkeypatch.setattr("agent.mqtt.connection.MOST_PACKET", 5000)

    async def scene() -> None:
        async with ScriptedBroker() as broker:
            subscribe = broker._subscribe

            def give(rest: bytes) -> None:
                before = len(broker.subscribed)
                subscribe(rest)
                filter_ = "command/+" if name.startswith("command") else name
                if f"{UP}/{filter_}" in broker.subscribed[before:]:
                    broker.send(f"{UP}/{name}", b"x" * 6000)

            monkeypatch.setattr(broker, "_subscribe", give)
            async with run(tmp_path, broker, protocol="3.1.1", owed=[message()]) as one:
                await until(lambda: len(broker.connects) == 3 and one.link.troubles)
                await until(lambda: broker.subscribed[-2:] == [f"{UP}/receipt", SPEAKER.host_status])
                assert "pushes, commands and answers are not received" in one.link.troubles["config"]
                await one.outbox.put(another := message())
                await until(lambda: another.id in ids(broker.published))
                assert len(broker.connects) == 3
                assert len(ids(broker.published)) >= 2

    play(scene)


def broker_bytes(protocol: str) -> int:
    """A PUBLISH without its fixed header: topic, number, properties, payload."""
    return 2 + len(f"{UP}/config/desired") + 2 + (protocol == "5") + 6000


def test_a_receipt_of_the_old_form_deletes_nothing_and_is_logged_once(
    tmp_path: Path,
) -> None:
    """Numbers name other messages once a store was restored from an image."""

    async def scene() -> None:
        one = message()
        async with ScriptedBroker() as broker, run(tmp_path, broker, owed=[one]) as link:
            await until(lambda: ids(broker.published))
            sent = json.loads(broker.payloads("/alert")[0])
            old = encode({"epoch": sent["epoch"], "lane": "alert", "received": [[1, 2**62]]})
            for number in (1, 2, 3):
                broker.send(f"{UP}/receipt", old, number=number)
            await until(lambda: broker.acknowledged == [1, 2, 3])
            assert await link.owed("alert") == 1
            broker.send(f"{UP}/receipt", encode({"ids": [one.id]}), number=4)
            await until(lambda: not_owed(link, "alert"))

    with structlog.testing.capture_logs() as logs:
        play(scene)
    (said,) = [entry for entry in logs if entry["event"] == "receipt_malformed"]
    assert said["reason"] == "ids: Field required"
    assert '"ids"' in said["right"]


@pytest.mark.parametrize(
    ("comes", "cause"),
    [
        ([], "check its rights"),
        ([("command/ping", b"{}")], "its status is unknown"),
        ([(None, b'{"state":"online"}')], "is online, but gives no receipt"),
        ([("receipt", b'{"received":[[1,9]]}')], "name no message ids"),
        ([(None, b'{"state":"offline"}')], "the centre says that it is offline"),
    ],
)
def test_a_device_without_receipts_says_so_and_the_likely_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comes: list[tuple[str | None, bytes]], cause: str
) -> None:
    """A deaf device said that it is well: the broker grants a subscription that its rights then deny."""
    monkeypatch.setattr("agent.mqtt.receipts.TROUBLE_AFTER_S", 0.1)

    async def scene() -> None:
        one = message()
        async with (
            ScriptedBroker() as broker,
            run(tmp_path, broker, owed=[one], resend_after="0.2s") as link,
        ):
            await until(lambda: ids(broker.published))
            assert "receipts" not in link.link.troubles
            for topic, payload in comes:
                broker.send(f"{UP}/{topic}" if topic else SPEAKER.host_status, payload)
            await until(lambda: cause in link.link.troubles.get("receipts", ""))
            broker.send(f"{UP}/receipt", encode({"ids": [one.id]}), number=9)
            await until(lambda: "receipts" not in link.link.troubles)

    play(scene)


def test_a_forged_or_over_broad_receipt_deletes_nothing(tmp_path: Path) -> None:
    """The broker may write what it likes to the device's topics; only the centre's key counts."""

    async def scene() -> None:
        one, other = message(), message()
        async with ScriptedBroker() as broker, run(tmp_path, broker, owed=[one]) as link:
            link.link.receipts.open_payload = trust_of(SPEAKER.device).open_receipt
            await until(lambda: ids(broker.published))
            stranger = SigningKey.generate()
            body = {"ids": [one.id]}
            for number, forged in enumerate(
                (
                    encode(body),
                    sign_order("receipt", SPEAKER.device, body, [stranger]),
                    sign_order("receipt", SPEAKER.device, body, [ROOT_KEY, stranger])[:-3],
                    sign_order("receipt", "another", body, [CENTRE_KEY]),
                    sign_order("receipt", SPEAKER.device, {"ids": [other.id]}, [CENTRE_KEY]),
                ),
                1,
            ):
                broker.send(f"{UP}/receipt", forged, number=number)
            await until(lambda: link.link.receipts.unknown == 1)
            await link.outbox.put(other)
            await until(lambda: len(ids(broker.published)) == 2)
            assert await link.owed("alert") == 2
            both = {"ids": [one.id, other.id]}
            broker.send(f"{UP}/receipt", sign_order("receipt", SPEAKER.device, both, [CENTRE_KEY]), number=9)
            await until(lambda: not_owed(link, "alert"))

    play(scene)
