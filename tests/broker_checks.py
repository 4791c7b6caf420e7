"""What a broker must do for agents and centres: played against the broker in the loop and against mosquitto."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection

QUIET_S = 0.3
"""Nothing comes for so long: nothing will."""
WITHIN_S = 5.0


class Clients:
    """Connections to one broker, by client id."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._open: list[Connection] = []

    async def connect(
        self, client_id: str, *topics: str, will: bytes | None = None, expiry_s: int = 0, protocol: Any = "5",
        receive_most: int = 65_535,
    ) -> Connection:  # fmt: skip
        connection = Connection(
            Broker(url=self._url, protocol=protocol), client_id, None if will is None else (f"wills/{client_id}", will),
            session_expiry_s=expiry_s, receive_most=receive_most,
        )  # fmt: skip
        await connection.open()
        self._open.append(connection)
        if topics:
            connection.subscribe(topics)
            while (event := await connection.event(WITHIN_S)) is None or event[0] != "subscribed":
                assert event is not None
        return connection

    async def publish(self, topic: str, body: bytes, *, qos: int = 1, retain: bool = False) -> Any:
        """By a client of its own; the code of the PUBACK."""
        connection = await self.connect("publisher")
        connection.publish(topic, body, qos, retain)
        event = await connection.event(WITHIN_S) if qos else None
        connection.close()
        return event[2].value if event else None

    def close(self) -> None:
        for connection in self._open:
            connection.close()


async def received(
    connection: Connection, *, acknowledge: bool = True, within_s: float = QUIET_S
) -> list[tuple[str, bytes, bool]]:
    """Topic, payload and retain flag of all that comes until it is quiet; the first ``within_s``."""
    found: list[tuple[str, bytes, bool]] = []
    while (event := await connection.event(QUIET_S if found else within_s)) is not None:
        if event[0] == "message":
            message = event[1]
            found.append((message.topic, message.payload, message.retain))
            if acknowledge:
                connection.acknowledge(message)
    return found


async def a_message_reaches_a_wildcard(clients: Clients) -> None:
    one, other = await clients.connect("a", "x/+/z"), await clients.connect("b", "x/#")
    none = await clients.connect("c", "x/y")
    assert await clients.publish("x/y/z", b"1") < 0x80
    assert await received(one) == await received(other) == [("x/y/z", b"1", False)]
    assert await received(none) == []


async def a_retained_message_comes_to_later_subscribers_until_it_is_cleared(clients: Clients) -> None:
    await clients.publish("r/a", b"1", retain=True)
    await clients.publish("r/a", b"2", retain=True)
    late = await clients.connect("late", "r/+")
    assert await received(late) == [("r/a", b"2", True)]
    await clients.publish("r/a", b"", retain=True)
    assert await received(await clients.connect("later", "r/#")) == []


async def a_session_keeps_what_comes_meanwhile(clients: Clients) -> None:
    away = await clients.connect("away", "s/#", expiry_s=60)
    away.close()
    for number in range(3):
        await clients.publish("s/a", b"%d" % number)
    await clients.publish("s/a", b"unimportant", qos=0)
    back = await clients.connect("away", expiry_s=60)
    assert back.resumed
    assert [body for _, body, _ in await received(back)][:3] == [b"0", b"1", b"2"]


async def a_session_ends_with_a_clean_start(clients: Clients) -> None:
    (await clients.connect("clean", "s/#", expiry_s=60)).close()
    await clients.publish("s/a", b"1")
    back = await clients.connect("clean")
    assert not back.resumed
    assert await received(back) == []


async def an_unacknowledged_message_comes_again(clients: Clients) -> None:
    first = await clients.connect("again", "u/#", expiry_s=60)
    await clients.publish("u/a", b"1")
    assert len(await received(first, acknowledge=False)) == 1
    first.close()
    assert [body for _, body, _ in await received(await clients.connect("again", expiry_s=60))] == [b"1"]


async def a_will_comes_when_a_client_is_lost(clients: Clients) -> None:
    watch = await clients.connect("watch", "wills/lost")
    (await clients.connect("lost", will=b"gone")).close(with_will=True)
    found = await received(watch, within_s=8.0)  # mosquitto waits for its delay, though its session has ended
    assert [body for _, body, _ in found] == [b"gone"]


async def a_will_does_not_come_after_a_goodbye(clients: Clients) -> None:
    watch = await clients.connect("watch", "wills/polite")
    (await clients.connect("polite", will=b"gone")).close()
    assert await received(watch) == []


async def a_delayed_will_does_not_come_where_the_client_is_back(clients: Clients) -> None:
    watch = await clients.connect("watch", "wills/flaky")
    (await clients.connect("flaky", will=b"gone", expiry_s=60)).close(with_will=True)
    assert await received(watch) == []
    await clients.connect("flaky", will=b"gone", expiry_s=60)
    assert await received(watch) == []


async def ones_own_messages_do_not_come_back(clients: Clients) -> None:
    one = await clients.connect("own", "o/#")
    one.publish("o/a", b"1", 1, False)
    assert await received(one) == []


async def in_3_1_1_ones_own_messages_come_back(clients: Clients) -> None:
    one = await clients.connect("own", "o/#", protocol="3.1.1")
    one.publish("o/a", b"1", 1, False)
    assert [body for _, body, _ in await received(one)] == [b"1"]


async def versions_understand_each_other(clients: Clients) -> None:
    old = await clients.connect("old", "v/#", protocol="3.1.1")
    await clients.publish("v/a", b"1")
    assert [body for _, body, _ in await received(old)] == [b"1"]


async def no_more_are_in_flight_than_the_client_takes(clients: Clients) -> None:
    slow = await clients.connect("slow", "f/#", receive_most=2)
    for number in range(5):
        await clients.publish("f/a", b"%d" % number)
    first = []
    while (event := await slow.event(QUIET_S)) is not None:
        first.append(event[1])
    assert [one.payload for one in first] == [b"0", b"1"]
    for one in first:
        slow.acknowledge(one)
    assert [body for _, body, _ in await received(slow)] == [b"2", b"3", b"4"]


async def a_second_client_takes_the_name_over(clients: Clients) -> None:
    first = await clients.connect("twin", "t/#", expiry_s=60)
    second = await clients.connect("twin", expiry_s=60)
    event = await first.event(WITHIN_S)
    assert event is not None
    assert event[0] == "lost"
    await clients.publish("t/a", b"1")
    assert [body for _, body, _ in await received(second)] == [b"1"]


async def overlapping_filters_deliver_once(clients: Clients) -> None:
    one = await clients.connect("overlap", "l/#", "l/+")
    await clients.publish("l/a", b"1")
    assert len({body for _, body, _ in await received(one)}) == 1


Check: TypeAlias = Callable[[Clients], Awaitable[None]]
CHECKS: tuple[Check, ...] = (
    a_message_reaches_a_wildcard,
    a_retained_message_comes_to_later_subscribers_until_it_is_cleared,
    a_session_keeps_what_comes_meanwhile,
    a_session_ends_with_a_clean_start,
    an_unacknowledged_message_comes_again,
    a_will_comes_when_a_client_is_lost,
    a_will_does_not_come_after_a_goodbye,
    a_delayed_will_does_not_come_where_the_client_is_back,
    ones_own_messages_do_not_come_back,
    in_3_1_1_ones_own_messages_come_back,
    versions_understand_each_other,
    no_more_are_in_flight_than_the_client_takes,
    a_second_client_takes_the_name_over,
    overlapping_filters_deliver_once,
)
