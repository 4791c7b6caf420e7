"""What the broker has acknowledged and the centre has given no receipt for: when it is sent again, and what
is wrong where none comes.

A message is repeated after ``resend_after``, then ever more seldom: a centre that is dead, or a device that
may not hear it, is not helped by the same fifty alerts each minute. A sign of life (``online``, a receipt
after silence) brings everything back at once, what is critical first; the rest is spread over some seconds,
because a whole fleet hears the same sign. Pure: the monotonic clock comes in with each call.
"""

import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from heapq import nsmallest

from agent.domain.message import Lane
from agent.outbox.rows import Row

LONGEST_WAIT_S = 1800.0
JITTER = 0.25
SPREAD_S = 5.0
TROUBLE_AFTER_S = 30.0
TROUBLE_AFTER_RESENDS = 1.5
TROUBLE_AT_LATEST_S = 900.0
"""Without a receipt for so long, and so many times ``resend_after``, it is a trouble; at the latest after
this, however seldom it is sent again."""


@dataclass(slots=True)
class _Waiting:
    lane: Lane
    rank: int
    since_s: float
    due_s: float
    tries: int = 0
    under_way: bool = False


class Receipts:
    """All messages that wait for their receipt, from one connection to the next."""

    def __init__(self, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._uniform = uniform
        self._waiting: dict[str, _Waiting] = {}
        self._resend_s = 60.0
        self._receipt_s = float("-inf")
        self._next_s = float("inf")
        self.centre: str | None = None
        """What the centre last said of itself: ``online``, ``offline``; None where it said nothing yet."""
        self._heard = False
        self._old_form = False
        self.wanted: dict[str, Callable[[], None]] = {}
        """By id, what is called once its receipt is here."""
        self.called = False
        """Whether a sign of life has called for what is sent again: then no budget holds it."""

    def __contains__(self, message_id: str) -> bool:
        waiting = self._waiting.get(message_id)
        return waiting is not None and not waiting.under_way

    def __len__(self) -> int:
        return len(self._waiting)

    def connected(self, resend_s: float) -> None:
        """A new connection: all that is owed is handed out anew, and nothing is known of who listens."""
        self._resend_s = resend_s
        self.centre, self._heard, self._old_form = None, False, False
        for waiting in self._waiting.values():
            waiting.under_way = True
        self._next_s = float("inf")

    def acknowledged(self, row: Row, now_s: float) -> None:
        """The broker has it: from now on the centre's receipt is waited for."""
        waiting = self._waiting.get(row.id)
        if waiting is None:
            waiting = self._waiting[row.id] = _Waiting(row.lane, row.rank, now_s, now_s)
        waiting.under_way = False
        waiting.due_s = now_s + self._wait_s(waiting.tries)
        self._next_s = min(self._next_s, waiting.due_s)

    def received(self, ids: Iterable[str], now_s: float) -> None:
        """The centre has these."""
        for message_id in ids:
            self._waiting.pop(message_id, None)
            if tell := self.wanted.get(message_id):
                tell()
        silent_s, self._receipt_s = now_s - self._receipt_s, now_s
        if silent_s > self._resend_s:
            self._again(now_s, all_of_them=self.centre == "offline")
        self.centre, self._old_form = "online", False

    def heard(self) -> None:
        """Something came down: this device may read at least some of its topics."""
        self._heard = True

    def old_form(self) -> None:
        """A receipt came that names no messages."""
        self._old_form = True

    def centre_said(self, state: str, now_s: float, *, retained: bool) -> None:
        """``online`` or ``offline``. What is retained is no news: all that is owed is on its way already."""
        self.centre = state
        if state == "online" and not retained:
            self._again(now_s, all_of_them=True)

    def handed(self, message_id: str) -> None:
        """It is under way once more."""
        if waiting := self._waiting.get(message_id):
            waiting.under_way = True

    def forget(self, message_ids: Iterable[str]) -> None:
        """They are not owed any more."""
        for message_id in message_ids:
            self._waiting.pop(message_id, None)

    def due(self, now_s: float, limit: int, lanes: Collection[Lane]) -> list[str]:
        """Up to ``limit`` ids of ``lanes`` that are to be sent again, what is most urgent first."""
        if now_s < self._next_s or limit <= 0:
            return []
        late = [
            (one.rank, one.since_s, message_id)
            for message_id, one in self._waiting.items()
            if not one.under_way and one.due_s <= now_s and one.lane in lanes
        ]
        found = [message_id for _, _, message_id in sorted(late)[:limit]]
        for message_id in found:
            one = self._waiting[message_id]
            one.under_way, one.tries = True, one.tries + 1
        if len(late) == len(found):
            self.called = False
            rest = (one.due_s for one in self._waiting.values() if not one.under_way)
            self._next_s = min(rest, default=float("inf"))
        return found

    def oldest(self) -> list[str]:
        """Some that wait longest."""
        return nsmallest(20, self._waiting, key=lambda one: self._waiting[one].since_s)

    def trouble(self, now_s: float) -> str | None:
        """What is wrong where receipts don't come, with its likely cause."""
        if not self._waiting:
            return None
        oldest_s = now_s - min(one.since_s for one in self._waiting.values())
        count = len(self._waiting)
        if self.centre == "offline":
            return f"the centre says that it is offline; {count} alerts and results wait for its receipt"
        patience_s = min(TROUBLE_AFTER_RESENDS * self._resend_s, TROUBLE_AT_LATEST_S)
        if oldest_s <= max(TROUBLE_AFTER_S, patience_s):
            return None
        return f"{count} alerts and results have no receipt, the oldest for {oldest_s:.0f} s: {self._cause()}"

    def _cause(self) -> str:
        if self._old_form:
            return "the centre's receipts name no message ids (docs/centre.md)"
        if not self._heard:
            return (
                "nothing has come down on this connection: the broker may not let this device read its"
                " topics (check its rights), or no centre is there"
            )
        if self.centre == "online":
            return "the centre is online, but gives no receipt for them"
        return "the centre gives no receipt, and has not said whether it is there"

    def _wait_s(self, tries: int) -> float:
        longest_s = max(LONGEST_WAIT_S, self._resend_s)
        wait_s = longest_s if self.centre == "offline" else self._resend_s * 2.0 ** min(tries, 20)
        return min(longest_s, wait_s) * self._uniform(1.0, 1.0 + JITTER)

    def _again(self, now_s: float, *, all_of_them: bool) -> None:
        """A sign of life: nobody needs to wait out a long back-off. What was sent but once has none."""
        later_s = now_s + self._uniform(0.0, SPREAD_S)
        for one in self._waiting.values():
            if all_of_them or one.tries:
                one.tries = 0
                critical = one.lane == "alert" and one.rank == 0
                one.due_s = min(one.due_s, now_s if critical else later_s)
                self.called = True
        self._next_s = now_s
