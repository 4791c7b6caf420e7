"""The reference centre: one MQTT session over all devices, under one client id.

``docs/centre.md`` has the rules of a centre in forty lines, for those who build a real one.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from agent.domain.message import ROOT, encode, new_id
from agent.host.clock import monotonic_s, utc_now
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.mqtt.dialing import open_either
from agent.runtime.sanitize import json_object
from agent.trust.signing_key import SigningKey
from centre.intake import Intake, OnStored

log = structlog.get_logger()

CLIENT_ID = "ringpost-centre"
BATCH = 200
TAKEN_OVER_WAIT_S = 60.0
SHORT_S, SHORT_ONES = 10.0, 3
REFUSED = 0x80
"""Reason codes from here on are failures."""


class AnotherCentreError(OSError):
    """Another centre is connected under this client id.

    Two centres that take turns each receive a part of the messages. No receipt is wrong, and each asks for
    the numbers that it lacks; still, one of them must be stopped.
    """


class Centre:
    """One connection at a time; ``run`` ends when it is lost (OSError)."""

    def __init__(
        self,
        db: Path,
        broker: Broker,
        root: str = ROOT,
        on_stored: OnStored | None = None,
        pictures: Path | None = None,
        *,
        fall_back: bool = True,
        key: SigningKey | None = None,
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        """``fall_back``: to MQTT 3.1.1, where the broker refuses 5. ``key`` signs the receipts.

        OSError where ``db`` can't be opened.
        """
        self.intake = Intake(db, root, on_stored, pictures, clock, key)
        self._broker = broker
        self._root = root
        self._fall_back = fall_back
        self._clock = clock
        self._refused: set[str] = set()
        self._instance = new_id()
        self._connections = self._short = 0
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

    async def _serve(self) -> None:
        status = f"{self._root}/host/status"
        will = status, encode({"state": "offline"})
        connection = await open_either(self._broker, CLIENT_ID, will, fall_back=self._fall_back)
        opened_s = self._clock()
        pictures = self.intake.pictures
        writing = asyncio.ensure_future(pictures.run()) if pictures is not None else None
        farewell: bytes | None = encode({"state": "offline"})
        try:
            connection.subscribe([f"{self._root}/+/#"])
            self._connections += 1
            online = {"state": "online", "at": utc_now(), "instance": self._instance}
            connection.publish(status, encode(online), 1, True)
            self.ready.set()
            while True:
                batch = await self._batch(connection)
                if batch:
                    await self.intake.store_batch(connection, batch)
                await self.intake.check_holes(connection)
        except AnotherCentreError:
            farewell = None  # the other centre is online
            raise
        except OSError:
            self._count_short(connection.resumed and self._clock() - opened_s < SHORT_S)
            raise
        finally:
            self.ready.clear()
            if writing is not None:
                writing.cancel()
                await asyncio.wait([writing])
            if farewell is not None:
                connection.publish(status, farewell, 1, True)
            connection.close()

    def close(self) -> None:
        self.intake.close()

    def _count_short(self, short: bool) -> None:
        """Logs once that several connections in a row were short: another centre may take turns with this."""
        self._short = self._short + 1 if short else 0
        if self._short == SHORT_ONES:
            log.error(
                "connections_are_short",
                client_id=CLIENT_ID,
                lost=f"{SHORT_ONES} in a row, each within {SHORT_S:g} s",
                meaning="is another centre connected to this broker, under the same client id?",
            )

    async def _batch(self, connection: Connection) -> list[Any]:
        """Received messages, up to `BATCH`; waits up to 1 s for the first."""
        batch: list[Any] = []
        event = await connection.event(1.0)
        while event is not None:
            match event:
                case ("message", message):
                    if self._is_another(message):
                        connection.acknowledge(message)  # unacknowledged, it would be delivered again later
                        raise AnotherCentreError(f"{message.topic} announces another instance")
                    batch.append(message)
                case ("subscribed", _, codes) if any(code.value >= REFUSED for code in codes):
                    raise OSError(
                        f"{self._broker.url}: not allowed to subscribe to {self._root}/+/#:"
                        f" the broker's access rights for {CLIENT_ID} are too narrow"
                    )
                case ("published", _, code) if code.value >= REFUSED and str(code) not in self._refused:
                    self._refused.add(str(code))
                    log.error(
                        "publish_refused",
                        reason=str(code).lower(),
                        right="write to host/status, +/receipt and +/command/+ must be allowed",
                    )
                case ("lost", reason):
                    if CLIENT_ID in reason:
                        raise AnotherCentreError(reason)
                    raise OSError(f"{self._broker.url}: connection lost: {reason}")
            event = await connection.event(0) if len(batch) < BATCH and connection.pending() else None
        return batch

    def _is_another(self, message: Any) -> bool:
        """Whether another centre has announced itself since this one did.

        Most brokers close the older of two connections without a reason. The first connection of a process
        finds the retained announcement of an earlier run.
        """
        if message.topic != f"{self._root}/host/status" or self._connections == 1:
            return False
        status = json_object(message.payload) or {}
        return status.get("state") == "online" and status.get("instance", self._instance) != self._instance
