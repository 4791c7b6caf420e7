"""The connection against a scripted broker: what it says, what it heeds, and how it ends."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.host.clock import NEVER_BEFORE, certainly_past
from agent.mqtt import connect_threads
from agent.mqtt.broker import Broker
from agent.mqtt.connect_threads import MOST_CONNECTING
from agent.mqtt.connection import USER_TIMEOUT_S, Connection, UnsupportedProtocolError
from agent.mqtt.dialing import is_reachable, open_either, open_first
from agent.mqtt.inflight_window import ALERT_SLOTS, COUNT, FIRST_BYTES, LEAST_BYTES, MOST_BYTES, Window
from agent.mqtt.paho_packets import MOST_PACKET, MOST_PROPERTIES, without_long_properties
from agent.runtime.supervisor import BusyError
from firmware_bridge.secret import Secret
from tests.scripted_broker import (
    CUT,
    MAXIMUM_PACKET_SIZE,
    NO_SUBSCRIBERS,
    NOT_AUTHORIZED,
    RECEIVE_MAXIMUM,
    SESSION_EXPIRY,
    SILENT,
    SUCCESS,
    WILL_DELAY,
    ScriptedBroker,
)
from tests.waiting import until

WILL = "ringpost/v1/d/status", b'{"state":"offline"}'


async def opened(broker: ScriptedBroker, **fields: Any) -> Connection:
    connection = Connection(Broker(url=broker.url, **fields), "d", WILL)
    await connection.open()
    return connection


async def heard(connection: Connection, what: str, within_s: float = 60.0) -> tuple[Any, ...]:
    """The next event of this kind."""
    async with asyncio.timeout(within_s):
        while True:
            event = await connection.event(1.0)
            if event is not None and event[0] == what:
                return event


@pytest.mark.parametrize(("protocol", "level"), [("5", 5), ("3.1.1", 4)])
def test_it_asks_for_its_session_and_leaves_a_will(protocol: str, level: int) -> None:
    """T10: clean_start is never what paho makes of it, and the session is kept for a week."""

    async def scene() -> None:
        async with ScriptedBroker() as broker:
            connection = await opened(broker, protocol=protocol)
            said = broker.connects[0]
            assert (said.client_id, said.level, said.clean_start) == ("d", level, False)
            assert said.will == WILL
            if level == 5:
                assert said.properties[SESSION_EXPIRY] >= 24 * 3600
                assert 0 < said.will_properties[WILL_DELAY] < said.properties[SESSION_EXPIRY]
            connection.close()

    asyncio.run(scene())


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_visit_leaves_no_session_behind(protocol: str) -> None:
    async def scene() -> None:
        async with ScriptedBroker() as broker:
            one = Broker(url=broker.url, protocol=protocol)  # type: ignore[arg-type]  # parametrised
            connection = Connection(one, "d", None, session_expiry_s=0)
            await connection.open()
            said = broker.connects[0]
            assert said.clean_start
            assert said.properties.get(SESSION_EXPIRY, 0) == 0
            connection.close()

    asyncio.run(scene())


@pytest.mark.parametrize("code", [0x84, 0x01])
def test_a_broker_that_refuses_version_5_is_spoken_to_in_3_1_1(code: int) -> None:
    """MQTT 5 refuses with 0x84, a broker that knows no 5 with the 0x01 of 3.1.1."""

    async def scene() -> None:
        async with ScriptedBroker(admit=lambda number: code if number % 2 else SUCCESS) as broker:
            plain = Broker(url=broker.url)
            (await open_either(plain, "d", None, session_expiry_s=0)).close()
            assert [one.level for one in broker.connects] == [5, 4]
            with pytest.raises(UnsupportedProtocolError, match="does not support MQTT 5"):
                await open_either(plain, "d", None, fall_back=False)

    asyncio.run(scene())


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_the_broker_says_to_a_subscription_is_told(protocol: str) -> None:
    async def scene() -> None:
        async with ScriptedBroker() as broker:
            connection = await opened(broker, protocol=protocol)
            number = connection.subscribe(["a/+", "b"])
            event = await heard(connection, "subscribed")
            assert (event[1], [code.value for code in event[2]]) == (number, [1, 1])
            connection.close()

    asyncio.run(scene())


@pytest.mark.parametrize(("protocol", "options"), [("5", 5), ("3.1.1", 1)])
def test_what_it_says_itself_does_not_come_back(protocol: str, options: int) -> None:
    async def scene() -> None:
        async with ScriptedBroker() as broker:
            connection = await opened(broker, protocol=protocol)
            connection.subscribe(["a/+", "b"])
            async with asyncio.timeout(60):
                while len(broker.subscribed) < 2:
                    await connection.event(0.01)
            connection.close()
            assert broker.subscribed_with == [options] * 2

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("with_will", "protocol", "goodbyes"),
    [(False, "5", [0]), (False, "3.1.1", [0]), (True, "5", [4]), (True, "3.1.1", [])],
)
def test_leaving_for_good_keeps_the_will_back(with_will: bool, protocol: str, goodbyes: list[int]) -> None:
    """Reason 0x04 makes the broker publish the will; MQTT 3.1.1 does so where nobody says goodbye."""

    async def scene() -> None:
        async with ScriptedBroker() as broker:
            connection = await opened(broker, protocol=protocol)
            connection.close(with_will=with_will)
            await until(lambda: broker._writer is None or broker._writer.is_closing())
            assert broker.goodbyes == goodbyes

    asyncio.run(scene())


def test_the_limits_of_the_broker_are_read() -> None:
    """T3c, T17: paho reads neither."""

    async def scene() -> None:
        async with ScriptedBroker(limits={RECEIVE_MAXIMUM: 5, MAXIMUM_PACKET_SIZE: 2000}) as broker:
            connection = await opened(broker)
            assert (connection.receive_maximum, connection.largest) == (5, 2000)
            connection.close()

    asyncio.run(scene())


@pytest.mark.parametrize("code", [0x00, NO_SUBSCRIBERS, NOT_AUTHORIZED, 0x97, 0x99])
def test_the_reason_of_an_acknowledgement_is_told(code: int) -> None:
    """T7, T8: paho calls each of them published."""

    async def scene() -> None:
        async with ScriptedBroker(answer=lambda _: code) as broker:
            connection = await opened(broker)
            number = connection.publish("t", b"x", 1, False)
            event = await heard(connection, "published")
            assert (event[1], event[2].value) == (number, code)
            connection.close()

    asyncio.run(scene())


def test_every_number_is_known_before_its_acknowledgement_is_told() -> None:
    """T5: paho's callback may run before publish() has returned; ours are read afterwards."""

    async def scene() -> None:
        async with ScriptedBroker() as broker:
            connection = await opened(broker)
            for _ in range(300):
                number = connection.publish("t", b"x", 1, False)
                assert (await heard(connection, "published"))[1] == number
            connection.close()

    asyncio.run(scene())


def test_a_dead_link_is_noticed_by_the_kernel() -> None:
    """T13: TCP_USER_TIMEOUT is set; paho alone needs twice the keep-alive."""

    async def scene() -> None:
        async with ScriptedBroker() as broker:
            connection = await opened(broker)
            sock: Any = connection._client.socket()
            timeout_ms = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert timeout_ms == USER_TIMEOUT_S * 1000
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            connection.close()

    asyncio.run(scene())


def test_what_is_published_after_the_loss_is_never_sent() -> None:
    """T1: paho queues it in memory and says nothing; the connection is over, and so is its client."""

    async def scene() -> None:
        async with ScriptedBroker() as broker:
            connection = await opened(broker)
            broker.cut()
            await heard(connection, "lost")
            connection.publish("t", b"too late", 1, False)
            connection.close()
            again = await opened(broker)
            again.publish("t", b"now", 1, False)
            await heard(again, "published")
            assert broker.payloads("t") == [b"now"]
            again.close()

    asyncio.run(scene())


def test_closing_waits_for_nobody() -> None:
    """T12: paho's loop_stop() blocks while anything is unacknowledged."""

    async def scene() -> None:
        async with ScriptedBroker(answer=lambda _: SILENT) as broker:
            connection = await opened(broker)
            for _ in range(50):
                connection.publish("t", b"x", 1, False)
            connection.close()

    asyncio.run(asyncio.wait_for(scene(), 120))


def test_a_message_down_is_acknowledged_when_we_say_so() -> None:
    async def scene() -> None:
        async with ScriptedBroker() as broker:
            connection = await opened(broker)
            broker.send("t", b"do it", number=7)
            _, message = await heard(connection, "message")
            await connection.event(0.05)
            assert (message.payload, broker.acknowledged) == (b"do it", [])
            connection.acknowledge(message)
            async with asyncio.timeout(60):
                while broker.acknowledged != [7]:
                    await connection.event(0.01)
            connection.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    "packet",
    [
        (15, b""),
        (3, b"\0"),
        (3, b"\0\x09t"),
        (4, b"\0\1\x55"),
        (14, b"\x55"),
        (9, b"\0\1\0\x55"),
        (4, b"\0\1\x87\4\x1f\0\1\xff"),
    ],
)
def test_a_packet_that_can_not_be_ends_the_connection_and_nothing_else(packet: tuple[int, bytes]) -> None:
    async def scene() -> None:
        errors: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        async with ScriptedBroker() as broker:
            connection = await opened(broker)
            broker.send_raw(*packet, flags=2)
            await heard(connection, "lost")
            connection.close()
        assert errors == []

    asyncio.run(asyncio.wait_for(scene(), 120))


def test_a_session_taken_over_names_the_cause() -> None:
    """T11: two devices with one name."""

    async def scene() -> None:
        async with ScriptedBroker() as broker:
            connection = await opened(broker)
            broker.disconnect(0x8E)
            assert (await heard(connection, "lost"))[1] == "another device connected under the name 'd'"
            connection.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("admit", "said"),
    [
        (lambda _: 0x87, "refused: not authorized"),
        (lambda _: 0x86, "refused: bad user name or password"),
        (lambda _: CUT, "closed by the broker"),
        (lambda _: SILENT, "took the connection, but does not speak MQTT"),
    ],
)
def test_each_refusal_is_one_clear_line(
    admit: Callable[[int], int], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.mqtt.connection.CONNECT_WITHIN_S", 0.3)

    async def scene() -> str:
        async with ScriptedBroker(admit=admit) as broker:
            connection = Connection(Broker(url=broker.url), "d", None)
            with pytest.raises(OSError, match=f"127.0.0.1:{broker.port}") as caught:
                await connection.open()
            connection.close()
            return str(caught.value)

    assert said in asyncio.run(scene())


def test_nobody_there_is_one_clear_line() -> None:
    async def scene() -> str:
        async with ScriptedBroker() as broker:
            gone = Broker(url=broker.url)
        connection = Connection(gone, "d", None)
        with pytest.raises(OSError, match="no broker listens there") as caught:
            await connection.open()
        connection.close()
        assert not await is_reachable(gone, NEVER_BEFORE)
        return str(caught.value)

    assert "\n" not in asyncio.run(scene())


def test_no_file_is_read_on_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that hangs, or 150 authorities on a slow machine, would hold up everything."""
    went_on = threading.Event()

    def read(*_: Any) -> str:
        if not went_on.wait(60):
            raise AssertionError("the loop waited for it")
        raise FileNotFoundError(2, "No such file or directory", "/certs/here.pem")

    async def scene() -> None:
        for broker, method in (
            (Broker(url="mqtt://127.0.0.1:1", username="u", password={"file": tmp_path}), (Secret, "read")),
            (Broker(url="mqtts://127.0.0.1:1"), (Broker, "tls")),
        ):
            with monkeypatch.context() as patched:
                patched.setattr(*method, read)
                for connects in (True, False):
                    went_on.clear()
                    asyncio.get_running_loop().call_later(0.01, went_on.set)
                    if not connects:
                        assert not await is_reachable(broker, NEVER_BEFORE)
                        continue
                    connection = Connection(broker, "d", None)
                    with pytest.raises(OSError, match=r"^/certs/here\.pem: No such file or directory$"):
                        await connection.open()
                    connection.close()

    asyncio.run(scene())


def test_a_password_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"\xff\xfe")
    broker = Broker(url="mqtt://127.0.0.1:1", username="u", password={"file": tmp_path / "password"})

    async def scene() -> None:
        with pytest.raises(OSError, match=r"broker\.password is not UTF-8 text"):
            await Connection(broker, "d", None).open()

    asyncio.run(scene())


def test_who_gives_up_while_it_connects_leaves_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would live on under this device's name, and take the session from the next one."""
    begun, go, done = threading.Event(), threading.Event(), threading.Event()
    connect = Connection._connect

    def slowly(self: Connection, *args: Any) -> None:
        begun.set()
        go.wait(60)
        try:
            connect(self, *args)
        finally:
            done.set()

    monkeypatch.setattr(Connection, "_connect", slowly)

    async def scene() -> None:
        async with ScriptedBroker() as broker:
            connection = Connection(Broker(url=broker.url), "d", None)
            opening = asyncio.ensure_future(connection.open())
            await asyncio.to_thread(begun.wait, 5)
            opening.cancel()
            await asyncio.wait([opening])
            connection.close()
            go.set()
            await asyncio.to_thread(done.wait, 5)
            sock = connection._client.socket()
            assert sock is None or sock.fileno() == -1

    asyncio.run(asyncio.wait_for(scene(), 120))


CERTIFICATE = {"ca": Path("ca.pem"), "cert": Path("d.pem"), "key": {"file": "d.key"}}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"url": "http://broker"}, "is not a valid broker URL"),
        ({"url": "mqtts://u:p@broker"}, "carries a password"),
        ({"url": "mqtts://broker:99999"}, "1 to 65535"),
        ({"url": "mqtt://broker"}, "not encrypted"),
        ({"url": "mqtts://a", "fallbacks": ["mqtt://127.0.0.1"]}, "all mqtt:// or all mqtts://"),
        ({"url": "mqtts://a", "fallbacks": ["b"]}, "is not a valid broker URL"),
        ({"url": "mqtts://a", "cert": Path("d.pem")}, "go together"),
        ({"url": "mqtts://a", "cert": Path("d.pem"), "key": {"env": "KEY"}}, "key is a file"),
        ({"url": "mqtt://127.0.0.1", **CERTIFICATE}, "need mqtts://"),
        ({"url": "mqtts://a", "backlog_per_s": 0}, "greater than 0"),
    ],
)
def test_a_wrong_broker_is_refused_in_words(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Broker(**fields)


def test_brokers_come_in_order_with_the_same_certificates() -> None:
    broker = Broker(url="mqtts://a", fallbacks=("mqtts://b:1", "mqtts://c"), **CERTIFICATE)  # type: ignore[arg-type]
    assert [one.address for one in broker.in_order] == [("a", 8883), ("b", 1), ("c", 8883)]
    assert {one.cert for one in broker.in_order} == {Path("d.pem")}


@pytest.mark.parametrize(
    ("remembered", "past"),
    [
        (None, NEVER_BEFORE),
        (b"", NEVER_BEFORE),
        (b"\xff\xfe", NEVER_BEFORE),
        (b"yesterday", NEVER_BEFORE),
        (b"2030-01-01T00:00:00", NEVER_BEFORE),
        (b"1999-01-01T00:00:00Z", NEVER_BEFORE),
        (b"2030-01-01T00:00:00.000Z", datetime(2030, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_is_certainly_past(remembered: bytes | None, past: datetime) -> None:
    assert certainly_past(remembered) == past


# The window: pure.


@pytest.mark.parametrize(
    ("receive_maximum", "count", "total"),
    [(65_535, COUNT, COUNT + ALERT_SLOTS), (20, 18, 20), (5, 3, 5), (2, 1, 2), (1, 1, 1)],
)
def test_the_window_stays_within_what_the_broker_takes(receive_maximum: int, count: int, total: int) -> None:
    window = Window(receive_maximum)
    assert (window.count, window.total) == (count, total)


def drained(
    rate_bps: float, round_trip_s: float, seconds: float = 60.0, size: int = 800
) -> tuple[int, float]:
    """A link of this rate, kept full: the window that comes of it, and how long an alert waits in it."""
    window, now_s, link_free_s, sent, flying = Window(), 0.0, 0.0, 0, []
    while now_s < seconds:
        while sum(one[0] for one in flying) < window.bytes and len(flying) < window.count:
            link_free_s = max(link_free_s, now_s) + size * 8 / rate_bps
            flying.append((size, now_s, link_free_s + round_trip_s))
            sent += 1
        _, sent_s, done_s = flying.pop(0)
        now_s = max(now_s, done_s)
        window.learn(size, now_s - sent_s, now_s, full=True)
    return window.bytes, link_free_s - now_s


@pytest.mark.parametrize(
    ("rate_bps", "round_trip_s", "waits_s"),
    [(64_000, 0.05, 1.0), (9_600, 0.3, 2.0), (64_000, 0.7, 1.0), (2_000_000, 0.05, 1.0)],
)
def test_an_alert_never_waits_long_behind_the_window(
    rate_bps: float, round_trip_s: float, waits_s: float
) -> None:
    window_bytes, wait_s = drained(rate_bps, round_trip_s)
    assert LEAST_BYTES <= window_bytes <= MOST_BYTES
    assert wait_s <= waits_s


def test_a_fast_link_is_filled() -> None:
    assert drained(1e8, 0.1, seconds=20)[0] > 4 * FIRST_BYTES


def oversized() -> bytes:
    """The head of a PUBLISH of 200 MB, and a little of what follows."""
    return bytes([0x32, 0x80, 0x84, 0xAF, 0x5F]) + b"\0\1t\0\1" + b"x" * 4000


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_packet_that_is_too_large_ends_the_connection_before_it_is_read(protocol: str) -> None:
    async def scene() -> None:
        async with ScriptedBroker() as broker:
            connection = await opened(broker, protocol=protocol)
            assert broker._writer is not None
            broker._writer.write(oversized())
            _, reason = await heard(connection, "lost")
            assert "bytes at once" in reason
            assert connection.oversized_bytes is not None
            assert connection.oversized_bytes > MOST_PACKET
            assert len(connection._client._in_packet["packet"]) == 0
            connection.close()

    asyncio.run(asyncio.wait_for(scene(), 120))


def test_a_message_of_the_largest_size_is_taken() -> None:
    async def scene() -> None:
        async with ScriptedBroker() as broker:
            connection = await opened(broker)
            assert broker.connects[0].properties[MAXIMUM_PACKET_SIZE] == MOST_PACKET
            broker.send("t", b"x" * (MOST_PACKET - 100))
            _, message = await heard(connection, "message")
            assert len(message.payload) == MOST_PACKET - 100
            connection.close()

    asyncio.run(asyncio.wait_for(scene(), 120))


def publish_packet(qos: int, properties: bytes, payload: bytes, topic: bytes = b"a/b") -> bytes:
    """A PUBLISH without its fixed header."""
    size, length = len(properties), b""
    while size >= 128:
        length, size = length + bytes([size % 128 | 128]), size // 128
    number = b"\0\7" if qos else b""
    return struct.pack("!H", len(topic)) + topic + number + length + bytes([size]) + properties + payload


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("size", [0, 10, 127, 128, 1021, 1022, 20_000, 60_000])
def test_long_properties_of_a_message_are_left_out_and_all_else_stays(qos: int, size: int) -> None:
    answer_to = b"\x08" + struct.pack("!H", size) + b"r" * size
    packet = publish_packet(qos, answer_to, b"payload")
    left = publish_packet(qos, b"", b"payload") if len(answer_to) > MOST_PROPERTIES else packet
    assert without_long_properties(0x30 | qos << 1, packet) == left


@pytest.mark.parametrize(
    "packet", [b"", b"\0", b"\0\1a", b"\xff\xff", b"\0\1a\xff\xff\xff\xff\xff", b"\0\1a\xff\xff\xff\x7f"]
)
def test_a_packet_that_is_cut_off_is_no_trouble(packet: bytes) -> None:
    without_long_properties(0x30, packet)


def test_a_flood_with_long_response_topics_takes_no_time() -> None:
    """Letters are read one by one: counted are the reads, as no speed is asserted."""

    async def scene() -> None:
        async with ScriptedBroker() as broker:
            connection = await opened(broker)
            for size in (60_000, 100):
                rest = publish_packet(1, b"\x08" + struct.pack("!H", size) + b"r" * size, b"{}")
                broker.send_raw(3, rest, flags=2)
                _, message = await heard(connection, "message")
                assert getattr(message.properties, "ResponseTopic", None) == (
                    "r" * size if size < 1000 else None
                )
                assert message.payload == b"{}"
            connection.close()

    asyncio.run(asyncio.wait_for(scene(), 120))


def test_no_memory_ends_the_connection_and_makes_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with ScriptedBroker() as broker:
            connection = await opened(broker)
            reads = []

            def full() -> int:
                reads.append(1)
                raise MemoryError

            monkeypatch.setattr(connection._client, "loop_read", full)
            broker.send("t", b"x")
            assert (await heard(connection, "lost"))[1] == "no memory for what the broker sends"
            broker.send("t", b"x")
            await connection.event(0.2)
            assert reads == [1]
            connection.close()

    asyncio.run(asyncio.wait_for(scene(), 120))


@pytest.fixture
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A resolver that does not answer for ``dead.example``, as one behind a dead link."""
    free, find = threading.Event(), socket.getaddrinfo

    def hang(host: Any, *rest: Any, **more: Any) -> Any:
        if host == "dead.example":
            free.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return find(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr("agent.mqtt.connect_threads.OPEN_WITHIN_S", 0.2)
    monkeypatch.setattr("agent.mqtt.connect_threads._connecting", [])
    yield free
    free.set()


DEAD = "mqtt://dead.example"


def test_a_name_that_hangs_does_not_hold_up_the_fallback(slow_names: threading.Event) -> None:
    async def scene() -> None:
        async with ScriptedBroker() as broker:
            brokers = Broker(url=DEAD, insecure=True, fallbacks=(broker.url,)).in_order
            connection, taken = await open_first(brokers, "d", None, NEVER_BEFORE)
            assert taken.url == broker.url
            assert not await is_reachable(Broker(url=DEAD, insecure=True), NEVER_BEFORE)
            connection.close()

    asyncio.run(asyncio.wait_for(scene(), 120))


@pytest.mark.parametrize("code", [0x9C, 0x9D])
def test_a_broker_that_refers_to_another_of_ours_is_followed_there_and_nowhere_else(code: int) -> None:
    async def scene() -> None:
        async with (
            ScriptedBroker() as second,
            ScriptedBroker() as third,
            ScriptedBroker(admit=lambda _: code) as first,
        ):
            own = Broker(url=first.url, fallbacks=(second.url, third.url)).in_order
            first.refers_to = third.url.removeprefix("mqtt://")
            connection, taken = await open_first(own, "d", None, NEVER_BEFORE)
            assert (taken.url, second.connects) == (third.url, [])
            connection.close()
            first.refers_to = "evil.example:8883"
            connection, taken = await open_first(own, "d", None, NEVER_BEFORE)
            assert taken.url == second.url
            connection.close()
            with pytest.raises(BusyError, match=r"evil\.example:8883"):
                await open_first(own[:1], "d", None, NEVER_BEFORE)

    asyncio.run(asyncio.wait_for(scene(), 120))


@pytest.mark.parametrize(("code", "busy"), [(0x89, True), (0x97, True), (0x9F, True), (0x87, False)])
def test_a_broker_that_asks_for_patience_is_told_from_one_that_refuses(code: int, busy: bool) -> None:
    async def scene() -> None:
        async with ScriptedBroker(admit=lambda _: code) as broker:
            with pytest.raises(OSError, match="refused") as caught:
                await open_first([Broker(url=broker.url)], "d", None, NEVER_BEFORE)
            assert isinstance(caught.value, BusyError) == busy

    asyncio.run(asyncio.wait_for(scene(), 120))


def test_names_that_hang_take_no_thread_of_others_and_are_bounded(slow_names: threading.Event) -> None:
    """Each attempt is left behind; what else is done aside, such as reading a card, goes on."""

    async def scene() -> list[str]:
        dead, said = Broker(url=DEAD, insecure=True), []
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        for _ in range(MOST_CONNECTING + 3):
            connection = Connection(dead, "d", None)
            with pytest.raises(OSError, match=r"dead\.example") as caught:
                await connection.open()
            said.append(str(caught.value))
            connection.close()
            assert await asyncio.to_thread(lambda: 7) == 7
        return said

    said = asyncio.run(asyncio.wait_for(scene(), 120))
    assert said[0] == "dead.example:1883 does not answer"
    assert f"{MOST_CONNECTING} earlier attempts hang" in said[-1]
    assert threading.active_count() < MOST_CONNECTING + 20
    assert all(thread.daemon for thread in connect_threads._connecting)  # none of them keeps the process


def test_after_names_have_hung_others_are_tried_again(slow_names: threading.Event) -> None:
    async def scene() -> None:
        for _ in range(MOST_CONNECTING + 1):
            assert not await is_reachable(Broker(url=DEAD, insecure=True), NEVER_BEFORE)
        slow_names.set()
        for thread in list(connect_threads._connecting):
            await asyncio.to_thread(thread.join, 5)
        async with ScriptedBroker() as broker:
            assert await is_reachable(Broker(url=broker.url), NEVER_BEFORE)

    asyncio.run(asyncio.wait_for(scene(), 120))


def test_an_instant_far_ahead_is_not_believed() -> None:
    """A clock that was set to 2099 once must not end TLS for as long as the data folder lives."""
    assert certainly_past(b"2099-01-01T00:00:00Z") == NEVER_BEFORE
    assert certainly_past(b"2031-01-01T00:00:00Z") == datetime(2031, 1, 1, tzinfo=UTC)
