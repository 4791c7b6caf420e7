"""The registrar: the session that writes ``host/status`` and receives retained state; in a centre of one
process, all messages. One process at a time has it (`centre.registrar_lease`)."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from agent.domain.message import encode, new_id
from agent.host.clock import monotonic_s, utc_now
from agent.mqtt.broker import Broker
from agent.mqtt.connection import WILL_DELAY_S, Connection
from agent.mqtt.dialing import open_either
from agent.runtime.sanitize import json_object
from centre.batches import SHORT_S, BatchReader, TakenOverError
from centre.intake import Intake

log = structlog.get_logger()

CLIENT_ID = "ringpost-centre"
TAKEN_OVER_WAIT_S = 60.0
POOL_WILL_DELAY_S = 30
"""Longer than the next registrar of a pool needs: it takes the session over, and nobody says ``offline``."""
ALL = ("#",)
STATE = (
    "status", "birth", "health", "position", "alerts/active", "config/reported", "telemetry/#", "media/#"
)  # fmt: skip
"""Topics below a device whose messages want no receipt: most are retained, and by a shared subscription no
retained message comes."""
RIGHTS = "write to host/status, +/receipt and +/command/+ must be allowed"


class AnotherCentreError(OSError):
    """Another centre is connected under this client id.

    Two centres that take turns each receive a part of the messages. No receipt is wrong, and each asks for
    the numbers that it lacks; still, one of them must be stopped.
    """


class Registrar:
    """One connection at a time; ``run`` ends when it is lost (OSError)."""

    def __init__(
        self,
        intake: Intake,
        broker: Broker,
        root: str,
        *,
        generation: str | None = None,
        renew: Callable[[], str] = new_id,
        pool: bool = False,
        receives: tuple[str, ...] = ALL,
        fall_back: bool = True,
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        """``generation``: that of the pool; else each process is one. ``renew`` begins a new one; it may
        block. ``pool``: another process may follow
        this one, and nobody says ``offline`` but the broker, if none does. ``receives``: topics below a
        device. ``fall_back``: to MQTT 3.1.1, where the broker refuses 5."""
        self._intake = intake
        self._broker = broker
        self._root = root
        self._pool = pool
        self._fall_back = fall_back
        self._clock = clock
        self._status = f"{root}/host/status"
        self._reader = BatchReader(broker.url, CLIENT_ID, [f"{root}/+/{one}" for one in receives], RIGHTS)
        self._others = [f"{root}/+/{one}" for one in {*ALL, *STATE} - {*receives}]
        self._instance = new_id()
        self._generation = generation or self._instance
        self._renew = renew
        self._connections = 0
        self._connection: Connection | None = None
        self.ready = asyncio.Event()

    async def run(self) -> None:
        try:
            await self._serve()
        except AnotherCentreError as error:
            log.error(
                "another_centre",
                client_id=CLIENT_ID,
                noticed=str(error),
                meaning="two centres share one session, each gets a part of the messages; stop one of them",
                again_in_s=TAKEN_OVER_WAIT_S,
            )
            await asyncio.sleep(TAKEN_OVER_WAIT_S)
            raise

    def announce(self, generation: str) -> None:
        """Says that the centre is online, under this generation."""
        self._generation = generation
        if self._connection is not None:
            online = {
                "state": "online", "at": utc_now(), "instance": self._instance, "generation": generation,
            }  # fmt: skip
            self._connection.publish(self._status, encode(online), 1, True)

    async def _serve(self) -> None:
        connection = await open_either(
            self._broker,
            CLIENT_ID,
            (self._status, encode({"state": "offline"})),
            fall_back=self._fall_back,
            will_delay_s=POOL_WILL_DELAY_S if self._pool else WILL_DELAY_S,
        )
        opened_s = self._clock()
        pictures = self._intake.pictures
        writing = asyncio.ensure_future(pictures.run()) if pictures is not None else None
        farewell: bytes | None = None if self._pool else encode({"state": "offline"})
        try:
            if connection.resumed:
                connection.unsubscribe(self._others)  # what a centre of another form left
            elif self._pool or self._connections:  # and with the session, messages that it acknowledged
                self._generation = await asyncio.to_thread(self._renew)
            connection.subscribe(self._reader.filters)
            self._connections += 1
            self._connection = connection
            self.announce(self._generation)
            self.ready.set()
            while True:
                batch = await self._reader.next(connection, self._check_alone(connection))
                if batch:
                    await self._intake.store_batch(connection, batch)
                await self._intake.check_holes(connection)
        except (AnotherCentreError, TakenOverError) as error:
            farewell = None  # the other centre is online
            raise AnotherCentreError(str(error)) from error
        except OSError:
            self._reader.count_end(connection.resumed and self._clock() - opened_s < SHORT_S)
            raise
        finally:
            self.ready.clear()
            self._connection = None
            if writing is not None:
                writing.cancel()
                await asyncio.wait([writing])
            if farewell is not None:
                connection.publish(self._status, farewell, 1, True)
            connection.close(with_will=self._pool)

    def _check_alone(self, connection: Connection) -> Callable[[Any], None]:
        def check(message: Any) -> None:
            """AnotherCentreError where another centre has announced itself since this one did.

            Most brokers close the older of two connections without a reason. The first connection of a
            process finds the retained announcement of an earlier run.
            """
            if message.topic != self._status or self._connections == 1:
                return
            status = json_object(message.payload) or {}
            if status.get("state") == "online" and status.get("instance", self._instance) != self._instance:
                connection.acknowledge(message)  # unacknowledged, it would be delivered again later
                raise AnotherCentreError(f"{message.topic} announces another instance")

        return check
