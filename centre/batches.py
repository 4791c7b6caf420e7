"""Received messages in batches: what one connection of a centre waits for, and how it ends."""

from collections.abc import Callable, Sequence
from typing import Any

import structlog

from agent.mqtt.connection import Connection

log = structlog.get_logger()

BATCH = 200
REFUSED = 0x80
"""Reason codes from here on are failures."""
SHORT_S, SHORT_ONES = 10.0, 3


class TakenOverError(OSError):
    """Another process connected under the client id of this connection."""


class BatchReader:
    """The messages of one session of a centre, from one connection to the next."""

    def __init__(self, address: str, client_id: str, filters: Sequence[str], rights: str) -> None:
        """``rights``: what the broker must let this client publish to, in words."""
        self._address = address
        self.client_id = client_id
        self.filters = filters
        self._rights = rights
        self._refused: set[str] = set()
        self._short = 0

    async def next(self, connection: Connection, check: Callable[[Any], None] = lambda _: None) -> list[Any]:
        """Received messages, up to `BATCH`; waits up to 1 s for the first. ``check`` sees each of them.

        OSError where the connection is lost, or the broker refuses a subscription.
        """
        batch: list[Any] = []
        event = await connection.event(1.0)
        while event is not None:
            match event:
                case ("message", message):
                    check(message)
                    batch.append(message)
                case ("subscribed", _, codes) if any(code.value >= REFUSED for code in codes):
                    raise OSError(
                        f"{self._address}: not allowed to subscribe to {', '.join(self.filters)}:"
                        f" the broker's access rights for {self.client_id} are too narrow"
                    )
                case ("published", _, code) if code.value >= REFUSED and str(code) not in self._refused:
                    self._refused.add(str(code))
                    log.error("publish_refused", reason=str(code).lower(), right=self._rights)
                case ("lost", reason):
                    if self.client_id in reason:
                        raise TakenOverError(reason)
                    raise OSError(f"{self._address}: connection lost: {reason}")
            event = await connection.event(0) if len(batch) < BATCH and connection.pending() else None
        return batch

    def count_end(self, short: bool) -> None:
        """Logs once that several connections in a row were short: another process may be taking turns."""
        self._short = self._short + 1 if short else 0
        if self._short == SHORT_ONES:
            log.error(
                "connections_are_short",
                client_id=self.client_id,
                lost=f"{SHORT_ONES} in a row, each within {SHORT_S:g} s",
                meaning="is another centre connected to this broker, under the same client id?",
            )
