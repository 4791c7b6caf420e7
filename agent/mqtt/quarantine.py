"""Messages that the broker does not take: each stays on disk, waits by itself, and holds up no other.

A message comes here in three ways: the broker refuses it (0x87, 0x97 and similar codes), it is larger than
the broker takes, or the connection is closed again and again while it is in flight. Such a suspect goes alone
after the third time, so that the cause is clear, and then into quarantine. No message is given up: each one
is retried with exponential backoff. Pure: the monotonic clock comes in with each call.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from agent.domain.message import LATEST_LANES, Lane
from agent.outbox.rows import Key, Row

log = structlog.get_logger()

ALONE_AFTER = 3
"""In flight at so many disconnects, a message goes alone."""
QUARANTINE_AFTER = 5
"""And at so many, or refused so often, it is quarantined."""
MOST = 500
"""Suspects that are remembered; beyond that the oldest is forgotten, and judged anew when its turn comes."""
FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 3600.0

SuspectKey: TypeAlias = tuple[str, Lane, int | str]


@dataclass(slots=True)
class _Suspect:
    lane: Lane
    topic: str
    disconnects: int = 0
    refusals: int = 0
    wait_s: float = FIRST_WAIT_S
    retry_at_s: float | None = None
    reason: str = ""


class Quarantine:
    """All suspects, from one connection to the next."""

    def __init__(self) -> None:
        self._suspects: dict[SuspectKey, _Suspect] = {}

    @property
    def suspects(self) -> int:
        """How many messages the broker did not take so far."""
        return len(self._suspects)

    def is_waiting(self, row: Row, now_s: float) -> bool:
        """Whether the message waits for its retry."""
        suspect = self._suspects.get(_key(row))
        return suspect is not None and suspect.retry_at_s is not None and now_s < suspect.retry_at_s

    def must_go_alone(self, row: Row) -> bool:
        """Whether the message may be sent only while no other is in flight."""
        suspect = self._suspects.get(_key(row)) if self._suspects else None
        return suspect is not None and suspect.disconnects >= ALONE_AFTER

    def clear(self, row: Row) -> None:
        """The broker has taken the message: it is no suspect any more."""
        self._suspects.pop(_key(row), None)

    def record_disconnect(self, row: Row, now_s: float) -> None:
        """The connection was closed while the message was in flight."""
        suspect = self._suspect(row)
        suspect.disconnects += 1
        if suspect.disconnects >= QUARANTINE_AFTER:
            reason = f"the connection was closed {suspect.disconnects} times while it was sent"
            self._back_off(suspect, now_s, reason)

    def record_refusal(self, row: Row, now_s: float, reason: str) -> bool:
        """The broker refused the message; True where it is quarantined from now on."""
        suspect = self._suspect(row)
        suspect.refusals += 1
        if suspect.refusals >= QUARANTINE_AFTER:
            self._back_off(suspect, now_s, reason)
            return True
        return False

    def record_too_large(self, row: Row, size: int, largest: int) -> None:
        """The message has more bytes than the broker takes. Each connection tries anew: another broker may
        take more."""
        suspect = self._suspect(row)
        suspect.retry_at_s = None
        if not suspect.reason:
            log.warning("message_too_large", lane=row.lane, topic=row.topic, size=size, largest=largest)
        suspect.reason = f"{size} bytes are more than the broker takes ({largest})"

    def take_due(self, lane: Lane, now_s: float) -> bool:
        """Whether the wait of a message of ``lane`` is over; true once for each wait."""
        due = [
            suspect
            for suspect in self._suspects.values()
            if suspect.lane == lane and suspect.retry_at_s is not None and now_s >= suspect.retry_at_s
        ]
        for suspect in due:
            suspect.retry_at_s = None
        return bool(due)

    def keys(self) -> list[Key]:
        """The suspects that a store has; a status is made anew for each connection."""
        return [(epoch, lane, seq) for epoch, lane, seq in self._suspects if isinstance(seq, int)]

    def forget(self, keys: Iterable[Key]) -> None:
        """These messages expired, or were dropped."""
        for key in keys:
            self._suspects.pop(key, None)

    def troubles(self) -> dict[str, str]:
        """The quarantined messages, one line for each lane."""
        quarantined = [suspect for suspect in self._suspects.values() if suspect.reason]
        counts = Counter(suspect.lane for suspect in quarantined)
        return {
            f"{suspect.lane} aside": f"{suspect.lane}: {counts[suspect.lane]} set aside,"
            f" last {suspect.topic}: {suspect.reason}"
            for suspect in quarantined
        }

    def _suspect(self, row: Row) -> _Suspect:
        suspect = self._suspects.setdefault(_key(row), _Suspect(row.lane, row.topic))
        while len(self._suspects) > MOST:
            del self._suspects[next(iter(self._suspects))]
        return suspect

    def _back_off(self, suspect: _Suspect, now_s: float, reason: str) -> None:
        suspect.reason = reason
        suspect.retry_at_s = now_s + suspect.wait_s
        suspect.wait_s = min(suspect.wait_s * 2, LONGEST_WAIT_S)


def _key(row: Row) -> SuspectKey:
    """A status is made anew for each connection, and is still the same suspect."""
    return ("", row.lane, row.topic) if row.lane in LATEST_LANES else row.key
