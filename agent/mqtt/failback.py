"""When to leave a fallback broker: once the first one is reachable again."""

import asyncio
from datetime import datetime

import structlog

from agent.mqtt.broker import Broker
from agent.mqtt.dialing import is_reachable

log = structlog.get_logger()

FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 3600.0
"""On a fallback the first broker is probed this often; with backoff where going back failed."""


class Failback:
    """Keeps its backoff from one connection to the next."""

    def __init__(self) -> None:
        self._wait_s = FIRST_WAIT_S

    async def first_reachable(self, broker: Broker, connected: Broker, past: datetime) -> None:
        """Returns once the first broker is reachable; never where ``connected`` is the first."""
        if connected.url == broker.url:
            self._wait_s = FIRST_WAIT_S
            await asyncio.Event().wait()
        wait_s = self._wait_s
        self._wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        while True:
            await asyncio.sleep(wait_s)
            if await is_reachable(broker, past):
                log.info("failing_back", broker=broker.url)
                return
