"""Messages that the broker has acknowledged and that wait for the centre's receipt: retry with backoff, and
the likely cause where no receipt comes.

A message is sent again after ``resend_after``, then with exponential backoff: a centre that is down, or a
device that may not read its topics, is not helped by the same fifty alerts each minute. A sign of life
(``online``, a receipt after silence) makes all messages due at once, critical ones first; the others are
spread over some seconds, because a whole fleet gets the same sign. The monotonic clock comes in with each
call.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

import structlog

from agent.domain.message import Lane
from agent.host.entropy import uniform
from agent.outbox.rows import Row

log = structlog.get_logger()

LONGEST_WAIT_S = 1800.0
JITTER = 0.25
SPREAD_S = 5.0
TROUBLE_AFTER_S = 30.0
TROUBLE_AFTER_RESENDS = 1.5
TROUBLE_AT_LATEST_S = 900.0
"""A receipt is missing after so long, and so many times ``resend_after``; at the latest after the last of the
three, however seldom the message is sent again."""


@dataclass(slots=True)
class _Waiting:
    lane: Lane
    rank: int
    since_s: float
    due_s: float
    group: str = ""
    """The alert of the message."""
    tries: int = 0
    in_flight: bool = False


class Receipts:
    """All messages that wait for their receipt, from one connection to the next. ``uniform`` is random."""

    def __init__(self, uniform: Callable[[float, float], float] = uniform) -> None:
        self._uniform = uniform
        self._waiting: dict[str, _Waiting] = {}
        self._resend_s = 60.0
        self._receipt_s = float("-inf")
        self._next_s = float("inf")
        self.centre: str | None = None
        """The last status of the centre: ``online`` or ``offline``; None where it sent none yet."""
        self._generation: str | None = None
        self._inbound = False
        self._malformed = False
        self._refused: str | None = None
        self.callbacks: dict[str, Callable[[], None]] = {}
        """By message id: the function to call once its receipt comes."""
        self.on_checkpoint: Callable[[bytes, Mapping[str, Any]], None] = lambda _, __: None
        """Called with each receipt that countersigns a checkpoint of the audit log, and the checkpoint."""
        self.on_refused: Callable[[str], None] = lambda _: None
        """Called with the reason for each receipt, or part of one, that deletes nothing."""
        self.open_payload: Callable[[bytes], bytes] = lambda payload: payload
        """Returns the receipt in a payload; `OrderRefused` where the centre did not sign it."""
        self.unknown = 0
        """Ids in receipts that were never handed out, or have their receipt already."""
        self.urgent = False
        """Whether messages are due after a sign of life: then no byte budget holds them."""

    def __contains__(self, message_id: str) -> bool:
        waiting = self._waiting.get(message_id)
        return waiting is not None and not waiting.in_flight

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waits(self) -> bool:
        """Whether messages wait for their receipt."""
        return bool(self._waiting)

    def connected(self, resend_s: float) -> None:
        """A new connection: all messages are handed out anew, and nothing is known about the centre."""
        self._resend_s = resend_s
        self.centre, self._inbound, self._malformed = None, False, False
        for waiting in self._waiting.values():
            waiting.in_flight = True
        self._next_s = float("inf")

    def handed_out(self, ids: Iterable[str], in_flight: Collection[str]) -> list[str]:
        """Those of ``ids`` that a receipt may be about: no centre holds a message that was not sent to it."""
        ids = list(ids)
        known = [one for one in ids if one in self._waiting or one in in_flight]
        self.unknown += (unknown := len(ids) - len(known))
        if unknown:
            self.on_refused(f"{unknown} of {len(ids)} ids were not handed out, or have their receipt")
        return known

    def await_receipt(self, row: Row, now_s: float) -> None:
        """The broker has acknowledged the message: it waits for the centre's receipt from now on."""
        waiting = self._waiting.get(row.id)
        if waiting is None:
            waiting = self._waiting[row.id] = _Waiting(row.lane, row.rank, now_s, now_s, row.group)
        waiting.in_flight = False
        waiting.due_s = now_s + self._wait_s(waiting.tries)
        self._next_s = min(self._next_s, waiting.due_s)

    def record(self, ids: Iterable[str], now_s: float) -> None:
        """The centre has the messages with these ids."""
        for message_id in ids:
            self._waiting.pop(message_id, None)
            if callback := self.callbacks.get(message_id):
                callback()
        silent_s, self._receipt_s = now_s - self._receipt_s, now_s
        if silent_s > self._resend_s:
            self._make_due(now_s, all_messages=self.centre == "offline")
        self.centre, self._malformed, self._refused = "online", False, None

    def record_inbound(self) -> None:
        """A message came down: this device may read at least some of its topics."""
        self._inbound = True

    def record_malformed(self, reason: str) -> None:
        """A receipt came that names no messages."""
        self._malformed = True
        self.on_refused(f"malformed: {reason}")

    def record_refused(self, reason: str) -> None:
        """A receipt came that the centre did not sign; only the first of its kind is logged."""
        if self._refused != reason:
            log.warning("receipt_refused", reason=reason)
        self.on_refused(reason)
        self._refused = reason

    def record_host_status(
        self, state: str, now_s: float, *, retained: bool, generation: str | None = None
    ) -> None:
        """``online`` or ``offline``. A retained status is no news: all messages are on their way already.

        Once a ``generation`` of the centre all messages are sent again, the critical ones at once, the others
        spread over ``resend_after``: the whole fleet gets the same status. Within a generation none was lost:
        those that were to wait long because the centre was offline wait no longer than others.
        """
        self.centre = state
        if state != "online":
            return
        known, self._generation = self._generation, generation
        if retained:
            return
        if generation is None or generation != known:
            self._make_due(now_s, all_messages=True, spread_s=self._resend_s)
        else:
            self._shorten(now_s)

    def mark_sent(self, message_id: str) -> None:
        """The message is sent again."""
        if waiting := self._waiting.get(message_id):
            waiting.in_flight = True

    def forget(self, message_ids: Iterable[str]) -> None:
        """These messages are not stored any more."""
        for message_id in message_ids:
            self._waiting.pop(message_id, None)

    def due(self, now_s: float, limit: int, lanes: Collection[Lane]) -> list[str]:
        """Up to ``limit`` ids of ``lanes`` that are to be sent again, the most urgent first."""
        if now_s < self._next_s or limit <= 0:
            return []
        late = [
            (one.rank, one.since_s, message_id)
            for message_id, one in self._waiting.items()
            if not one.in_flight and one.due_s <= now_s and one.lane in lanes
        ]
        found = [message_id for _, _, message_id in sorted(late)[:limit]]
        found = self._with_earlier_phases(found)
        for message_id in found:
            one = self._waiting[message_id]
            one.in_flight, one.tries = True, one.tries + 1
        if len(late) <= len(found):
            self.urgent = False
            rest = (one.due_s for one in self._waiting.values() if not one.in_flight)
            self._next_s = min(rest, default=float("inf"))
        return found

    def _with_earlier_phases(self, found: list[str]) -> list[str]:
        """``found``, each after the earlier messages of its alert that have no receipt: where a broker lost
        the first phase once more, the last one would be the first that the centre gets."""
        newest_s: dict[str, float] = {}
        for one in (self._waiting[message_id] for message_id in found):
            if one.group:
                newest_s[one.group] = max(newest_s.get(one.group, 0.0), one.since_s)
        if not newest_s:
            return found
        earlier = {
            message_id
            for message_id, one in self._waiting.items()
            if not one.in_flight and one.since_s < newest_s.get(one.group, 0.0)
        }
        # By id, too: the order of a set of texts is another one in each process.
        return sorted(
            {*found, *earlier}, key=lambda one: (self._waiting[one].rank, self._waiting[one].since_s, one)
        )

    def oldest(self) -> list[str]:
        """The ids of up to 20 messages that wait longest."""
        return nsmallest(20, self._waiting, key=lambda one: self._waiting[one].since_s)

    def trouble(self, now_s: float) -> str | None:
        """The line for ``health`` where receipts are missing, with the likely cause."""
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
        if self._refused:
            return f"its receipts are refused: {self._refused}"
        if self._malformed:
            return "the centre's receipts name no message ids (docs/centre.md)"
        if not self._inbound:
            return (
                "nothing has come down on this connection: the broker may not let this device read its"
                " topics (check its rights), or no centre is there"
            )
        if self.centre == "online":
            return "the centre is online, but gives no receipt for them"
        return "the centre gives no receipt, and its status is unknown"

    def _wait_s(self, tries: int) -> float:
        longest_s = max(LONGEST_WAIT_S, self._resend_s)
        wait_s = longest_s if self.centre == "offline" else self._resend_s * 2.0 ** min(tries, 20)
        return min(longest_s, wait_s) * self._uniform(1.0, 1.0 + JITTER)

    def _shorten(self, now_s: float) -> None:
        """No message waits longer than one that was just sent for the first time."""
        for one in self._waiting.values():
            if not one.in_flight:
                one.due_s = min(one.due_s, now_s + self._wait_s(0))
                self._next_s = min(self._next_s, one.due_s)

    def _make_due(self, now_s: float, *, all_messages: bool, spread_s: float = SPREAD_S) -> None:
        """After a sign of life no message waits out its backoff; one that was sent only once has none."""
        later_s = now_s + self._uniform(0.0, spread_s)
        for one in self._waiting.values():
            if all_messages or one.tries:
                one.tries = 0
                critical = one.lane == "alert" and one.rank == 0
                one.due_s = min(one.due_s, now_s if critical else later_s)
                self.urgent = True
        self._next_s = now_s
