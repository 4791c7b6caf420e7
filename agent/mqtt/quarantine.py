"""What the broker does not take: it stays on disk, waits by itself, is said, and holds up nobody.

Three ways to get here: the broker refuses a message (0x87, 0x97 and their kin), has nobody to give it to
(0x10), or the connection is closed again and again while the message is under way. Such a one goes alone
after the third time, so that its guilt is clear, and then aside. Nothing is given up: what waits here is
tried again. Pure: the monotonic clock comes in with each call.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from agent.domain.message import KEEP_LATEST, Lane
from agent.outbox.rows import Key, Row

log = structlog.get_logger()

ALONE_AFTER = 3
"""In flight at so many disconnects, a message goes alone."""
ASIDE_AFTER = 5
"""And at so many, it goes aside."""
PARK_AFTER = 5
"""Refused so often, it goes aside."""
MOST = 500
"""Messages that are remembered; beyond that the oldest is judged anew when its turn comes."""
FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 3600.0

Name: TypeAlias = tuple[str, Lane, int | str]


@dataclass(slots=True)
class _Case:
    lane: Lane
    topic: str
    closed: int = 0
    refused: int = 0
    wait_s: float = FIRST_WAIT_S
    until_s: float | None = None
    why: str = ""


class Quarantine:
    """All messages under suspicion, from one connection to the next."""

    def __init__(self) -> None:
        self._cases: dict[Name, _Case] = {}

    def waits(self, row: Row, now_s: float) -> bool:
        """Whether it is not its time yet."""
        case = self._cases.get(_name(row))
        return case is not None and case.until_s is not None and now_s < case.until_s

    def alone(self, row: Row) -> bool:
        """Whether it may only go while nothing else is under way."""
        case = self._cases.get(_name(row))
        return case is not None and case.closed >= ALONE_AFTER

    def passed(self, row: Row) -> None:
        """The broker has it: nothing is held against it."""
        self._cases.pop(_name(row), None)

    def closed_on(self, row: Row, now_s: float) -> None:
        """The connection was closed while it was under way."""
        case = self._case(row)
        case.closed += 1
        if case.closed >= ASIDE_AFTER:
            self._set_aside(case, now_s, f"the connection was closed {case.closed} times while it was sent")

    def refused(self, row: Row, now_s: float, reason: str) -> bool:
        """The broker said no; True where that was once too often, and it waits by itself."""
        case = self._case(row)
        case.refused += 1
        if case.refused >= PARK_AFTER:
            self._set_aside(case, now_s, reason)
            return True
        return False

    def too_large(self, row: Row, size: int, largest: int) -> None:
        """Each connection asks anew: another broker may take more."""
        case = self._case(row)
        case.until_s = None
        if not case.why:
            log.warning("message_too_large", lane=row.lane, topic=row.topic, size=size, largest=largest)
        case.why = f"{size} bytes are more than the broker takes ({largest})"

    def due(self, lane: Lane, now_s: float) -> bool:
        """Whether the wait of one of ``lane`` is over just now; true once."""
        over = [
            case
            for case in self._cases.values()
            if case.lane == lane and case.until_s is not None and now_s >= case.until_s
        ]
        for case in over:
            case.until_s = None
        return bool(over)

    def keys(self) -> list[Key]:
        """The rows under suspicion that some store has; a status is made anew for each connection."""
        return [(epoch, lane, seq) for epoch, lane, seq in self._cases if isinstance(seq, int)]

    def forget(self, gone: Iterable[Key]) -> None:
        """They expired, or were dropped: nobody waits for them."""
        for key in gone:
            self._cases.pop(key, None)

    def troubles(self) -> dict[str, str]:
        """What is aside, one line a lane."""
        aside = [case for case in self._cases.values() if case.why]
        numbers = Counter(case.lane for case in aside)
        return {
            f"{case.lane} aside": f"{case.lane}: {numbers[case.lane]} set aside,"
            f" last {case.topic}: {case.why}"
            for case in aside
        }

    def _case(self, row: Row) -> _Case:
        case = self._cases.setdefault(_name(row), _Case(row.lane, row.topic))
        while len(self._cases) > MOST:
            del self._cases[next(iter(self._cases))]
        return case

    def _set_aside(self, case: _Case, now_s: float, why: str) -> None:
        case.why = why
        case.until_s = now_s + case.wait_s
        case.wait_s = min(case.wait_s * 2, LONGEST_WAIT_S)


def _name(row: Row) -> Name:
    """A status is made anew for each connection, and is still the same one."""
    return ("", row.lane, row.topic) if row.lane in KEEP_LATEST else row.key
