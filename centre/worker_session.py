"""The session of one worker: its share of the messages that want a receipt, by shared subscription.

It has no last will: that one worker is gone says nothing about the centre.
"""

import asyncio
from collections.abc import Callable

from agent.host.clock import monotonic_s
from agent.mqtt.broker import Broker
from agent.mqtt.dialing import open_either
from centre.batches import BATCH, SHORT_S, BatchReader
from centre.intake import Intake
from centre.message_store import NUMBERED

GROUP = "ringpost-centre"
SESSION_EXPIRY_S = 10
"""Longer than a restart, so that it gets what was on its way; shorter than the devices' ``resend_after``:
some brokers go on giving its share to a worker that is gone, until its session ends."""
RECEIVE_MOST = 2 * BATCH
RIGHTS = "write to +/receipt must be allowed"


class WorkerSession:
    """One connection at a time; ``run`` ends when it is lost (OSError). MQTT 5 only."""

    def __init__(
        self, intake: Intake, broker: Broker, root: str, name: str, clock: Callable[[], float] = monotonic_s
    ) -> None:
        filters = [f"$share/{GROUP}/{root}/+/{topic}" for topic in NUMBERED]
        self._intake = intake
        self._broker = broker
        self._clock = clock
        self._reader = BatchReader(broker.url, f"ringpost-centre-{name}", filters, RIGHTS)
        self.ready = asyncio.Event()

    async def run(self) -> None:
        connection = await open_either(
            self._broker,
            self._reader.client_id,
            None,
            session_expiry_s=SESSION_EXPIRY_S,
            fall_back=False,
            receive_most=RECEIVE_MOST,
        )
        opened_s, expiry_s = self._clock(), 0
        try:
            connection.subscribe(self._reader.filters)
            self.ready.set()
            while True:
                if batch := await self._reader.next(connection):
                    await self._intake.store_batch(connection, batch)
        except OSError:
            self._reader.count_end(connection.resumed and self._clock() - opened_s < SHORT_S)
            expiry_s = SESSION_EXPIRY_S
            raise
        finally:
            self.ready.clear()
            connection.close(session_expiry_s=expiry_s)  # at its end at once: the others get its share
