"""Between the outbox and the centre's brokers: what is owed goes up, what comes down is heard.

`Link.run` is one connection, from greeting to loss; the supervisor makes the next.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog

from agent.alerts.latency import LatencyLedger
from agent.domain.message import Message, encode, stamp
from agent.mqtt.broker import Broker
from agent.mqtt.byte_budget import Budget
from agent.mqtt.connection import SESSION_EXPIRY_S, Connection
from agent.mqtt.dialing import answers, open_first
from agent.mqtt.envelope import Envelope
from agent.mqtt.quarantine import Quarantine
from agent.mqtt.receipts import Receipts
from agent.mqtt.sender import ConnectionSender, Heard
from agent.mqtt.subscriptions import Subscriptions
from agent.outbox.outbox import Outbox
from agent.runtime.kernel_clock import certainly_past, kernel_clock

log = structlog.get_logger()

LAST_WORD_WITHIN_S = 3.0
SHORT_S, SHORT_ONES = 60.0, 4
"""So many connections in a row that ended so soon: two devices under one name (a cloned card) take
the connection from each other, most brokers end the older one without a word, and alerts come late."""
RETURN_AFTER_S, RETURN_AT_LAST_S = 60.0, 3600.0
"""On a fallback, the first broker is looked for this often; ever more seldom where going back failed."""
CLOCK = "clock"
PREFIX = "prefix"
RETAINED = ("status", "birth", "health", "position", "alerts/active", "config/reported")
PUSHES = "config/desired"
DOWN = ("receipt", "alert/ack", PUSHES, "command/+")
NARROW_S = 3600.0
"""After a packet that was too large one connection of this length has no session, and hears less: what waits
there for it, or is retained, would end each connection."""
NARROW = ((), (PUSHES,), (PUSHES, "alert/ack", "command/+"))
"""What it does not hear: no pushes, and where that was not enough, nothing but the centre's own words."""
NOT_HEARD = ("", "pushes are", "pushes, commands and answers are")


class Link:
    """Between the outbox and the broker. ``run`` is one connection, from greeting to loss."""

    def __init__(
        self,
        speaker: Envelope,
        outbox: Outbox,
        greet: Callable[[int], Sequence[Message]],
        heard: Heard,
        latency: LatencyLedger | None = None,
    ) -> None:
        self._speaker = speaker
        self._outbox = outbox
        self._greet = greet
        self._heard = heard
        self._latency = latency or LatencyLedger()
        self._up = asyncio.Event()
        self._aside = Quarantine()
        self._receipts = Receipts()
        self._budget = Budget(None, 0.0)
        self._courier: ConnectionSender | None = None
        self._subscriptions: Subscriptions | None = None
        self._narrow = 0
        self._too_large = 0
        self._taken_s, self._short = 0.0, 0
        self.past = certainly_past(outbox.recall(CLOCK))
        """An instant before which no clock is right."""
        self._prefix = (outbox.recall(PREFIX) or b"").decode(errors="replace")
        self._return_after_s = RETURN_AFTER_S
        self._encrypted = False
        self.taken: str | None = None
        """The address of the broker that it is at."""
        self.last_word: Message | None = None
        """Said before the connection is closed on purpose."""

    @property
    def troubles(self) -> Mapping[str, str]:
        """What the broker does not take, in words for ``health``."""
        held = {str(lane): text for lane, text in self._courier.held.items()} if self._courier else {}
        silent = self._receipts.trouble(time.monotonic()) if self.taken else None
        told = self._subscriptions.trouble if self._subscriptions and self.taken else None
        deaf = {"subscriptions": told} if told else {}
        if silent:
            deaf["receipts"] = silent
        if self._short >= SHORT_ONES and self.taken and time.monotonic() - self._taken_s < SHORT_S:
            deaf["connection"] = (
                f"{self._short} connections in a row ended within {SHORT_S:g} s: does the link break, or is"
                f" another device connected under the name {self._speaker.device!r}?"
            )
        if self._narrow and self.taken:
            not_heard = NOT_HEARD[self._narrow]
            deaf["config"] = f"{not_heard} not heard: the broker sent {self._too_large} bytes at once"
        return {**held, **self._aside.troubles(), **deaf}

    def fields(self) -> dict[str, Any]:
        """How the link does, for ``health``: which broker, and what an acknowledgement takes there."""
        if self.taken is None or self._courier is None:
            return {"connections": self._outbox.session}
        usual_s = self._courier.acknowledged_within_s
        fields: dict[str, Any] = {"broker": self.taken, "connections": self._outbox.session}
        return fields if usual_s is None else fields | {"acknowledged_ms": round(usual_s * 1000, 1)}

    async def reached(self) -> None:
        """Returns once the broker has acknowledged something on the present connection."""
        await self._up.wait()

    @property
    def well(self) -> bool:
        """Whether a broker is reached, and receipts come where some are due."""
        return self.taken is not None and self._receipts.trouble(time.monotonic()) is None

    async def receipted(self, message_id: str) -> None:
        """Returns once the centre's receipt for this message is here."""
        there = asyncio.Event()
        self._receipts.wanted[message_id] = there.set
        try:
            await there.wait()
        finally:
            del self._receipts.wanted[message_id]

    async def run(self, broker: Broker) -> None:
        """Connects, greets, and sends what is owed until the connection is lost (OSError) or cancelled."""
        if self._budget.bytes_per_hour != broker.bytes_per_hour:
            self._budget = Budget(broker.bytes_per_hour, time.monotonic())
        while True:
            await self._be_connected(broker)

    @property
    def saving(self) -> bool:
        """Whether telemetry waits for the byte budget: what is said from now on should be less."""
        return self._courier is not None and "telemetry" in self._courier.saving

    async def _be_connected(self, broker: Broker) -> None:
        """One connection; returns only to go back from a fallback to the first broker."""
        session = await self._outbox.next_session()
        connection, taken = await self._open(broker, session)
        courier = self._courier = ConnectionSender(
            connection,
            taken,
            self._speaker,
            self._outbox,
            self._heard,
            self._up,
            self._aside,
            self._latency,
            self._budget,
            self._receipts,
        )
        for_good = False
        carrying = asyncio.ensure_future(self._carry(connection, courier, session))
        back = asyncio.ensure_future(self._better_anew(broker, taken))
        naming = asyncio.ensure_future(self._remember_name())
        try:
            self.taken, self._encrypted = taken.url, taken.encrypted
            self._taken_s = time.monotonic()
            log.info("link_up", broker=taken.url, session=session)
            done, _ = await asyncio.wait([carrying, back], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
        except OSError:
            courier.lost(closed=not connection.died)
            early = not connection.died and time.monotonic() - self._taken_s < SHORT_S
            self._short = self._short + 1 if early else 0
            raise
        except asyncio.CancelledError:
            await _ended(carrying)
            for_good = await self._say_last_word(courier)
            raise
        finally:
            back.cancel()
            naming.cancel()
            await _ended(carrying)
            if connection.too_large is None:
                self._narrow = 0
            else:
                self._too_large = connection.too_large
                self._narrow = min(self._narrow + 1, len(NARROW) - 1)
            self._up.clear()
            self.taken = None
            courier.end()
            connection.close(for_good=for_good)

    async def _open(self, broker: Broker, session: int) -> tuple[Connection, Broker]:
        """The first of the brokers, in their order, that takes us. OSError says what each of them said."""
        status = {
            "schema": "status/1",
            "device": self._speaker.device,
            "session": session,
            "state": "offline",
            "connected_at": stamp(datetime.now(UTC)),
        }
        will = f"{self._speaker.prefix}/status", encode(status)
        expiry_s = 0 if self._narrow else SESSION_EXPIRY_S
        return await open_first(
            broker.in_order, self._speaker.device, will, self.past, session_expiry_s=expiry_s
        )

    async def _carry(self, connection: Connection, courier: ConnectionSender, session: int) -> None:
        # What came at once may stand there retained, and would come again.
        names = [*(name for name in DOWN if name not in NARROW[self._narrow]), self._speaker.host_status]
        topics = [*(f"{self._speaker.prefix}/{name}" for name in names[:-1]), names[-1]]
        self._subscriptions = courier.subscriptions = Subscriptions(connection, topics, names)
        self._subscriptions.begin()
        if self._prefix not in ("", self._speaker.prefix):
            log.info("old_name_cleared", was=self._prefix)
            for topic in RETAINED:  # what stands there under the name that this device had before
                connection.publish(f"{self._prefix}/{topic}", b"", 1, True)
        self._outbox.rewind()
        await self._outbox.put_within(*self._greet(session), remember=self._remember())
        await courier.carry()

    async def _remember_name(self) -> None:
        """Once the broker has acknowledged something, it has also read what came before that."""
        await self._up.wait()
        if self._prefix != self._speaker.prefix:
            self._prefix = self._speaker.prefix
            with suppress(OSError):
                await self._outbox.put(remember={PREFIX: self._prefix.encode()})

    def _remember(self) -> dict[str, bytes]:
        """The time, where the clock is right: should it fail one day, it is at least later than this.

        Only where the broker's certificate was valid at this time: a clock that is set wrong gets no further.
        """
        now = datetime.now(UTC)
        good = self._encrypted and now > self.past and kernel_clock()[0]
        return {CLOCK: stamp(now).encode()} if good else {}

    async def _say_last_word(self, courier: ConnectionSender) -> bool:
        """Whether it was said, and nobody needs the last will."""
        if self.last_word is None:
            return False
        with suppress(OSError):  # and so TimeoutError
            async with asyncio.timeout(LAST_WORD_WITHIN_S):
                await self._outbox.put_within(self.last_word)
                await courier.drain("status")
                return True
        return False

    async def _better_anew(self, broker: Broker, taken: Broker) -> None:
        """Returns when another connection would be better than this one."""
        if self._narrow:
            await asyncio.sleep(NARROW_S)
        else:
            await self._first_is_back(broker, taken)

    async def _first_is_back(self, broker: Broker, taken: Broker) -> None:
        """Returns once the first broker answers, where we are on a fallback."""
        if taken.url == broker.url:
            self._return_after_s = RETURN_AFTER_S
            await asyncio.Event().wait()
        wait_s = self._return_after_s
        self._return_after_s = min(wait_s * 2, RETURN_AT_LAST_S)
        while True:
            await asyncio.sleep(wait_s)
            if await answers(broker, self.past):
                log.info("link_returns", broker=broker.url)
                return


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancels ``task``, and waits until it has ended."""
    task.cancel()
    await asyncio.wait([task])
