"""Several receivers on one wire: the receiver of each sentence, and which receiver is reported. Pure.

A talker is not a receiver: a receiver of several systems sends as GP, GL, GA and GN in turn. Two talkers are
two receivers where they send the same sentence of one epoch with different content, such as those of a
plotter and an AIS transponder behind a multiplexer; also where repeatedly one has a fix and the other none.
Each receiver then has its own epochs, so that one without a fix does not reject the fix of another, and only
one is reported.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from firmware_bridge.nmea.fixes import FixAssembler
from firmware_bridge.nmea.sentence import DAY_MS
from firmware_bridge.readings import Fix, Value

MIN_TURNS = 3
"""Two talkers must alternate this often where their times don't show that they report one epoch."""
MIN_DENIALS = 2
"""One talker must lack a fix this often while the other has one, where they never send the same sentence."""
SYSTEMS = frozenset({b"GP", b"GL", b"GA", b"GB", b"BD", b"GQ", b"QZ", b"GI", b"IR", b"GN"})
"""Talkers that one receiver of several systems uses in turn."""
FRESH_MS = 3000
"""A receiver is kept for this long after its last position, by the clock of the receiver that would
replace it."""
FRESH_FIXES, SILENT_FIXES = 3, 20
"""Without times it is kept for `FRESH_FIXES` fixes of others; after `SILENT_FIXES` it counts as silent."""


@dataclass(slots=True)
class LastSentence:
    """The last sentence of a kind: its talker, time and content, and how often two talkers have alternated
    since.
    """

    talker: bytes
    ms: int | None
    content: list[bytes]
    before: bytes = b""
    turns: int = 0


@dataclass(slots=True, eq=False)
class ReceiverStream:
    """One receiver's sentences. ``at`` is the time of every other stream at this one's last position, and
    ``others`` counts the others' fixes since this one's last sentence.
    """

    fixes: FixAssembler
    ms: int | None = None
    at: "dict[ReceiverStream, int | None] | None" = None
    others: int = 0

    def has_position(self, beside: "ReceiverStream") -> bool:
        """Whether it has a position: its last fix, recent by the clock of ``beside``, or its next."""
        if self.fixes.epoch.positions and not (self.fixes.epoch.rejected or self.fixes.epoch.reported):
            return True
        if self.at is None:
            return False
        since_ms = self.at.get(beside)
        if since_ms is None or beside.ms is None:
            return self.others <= FRESH_FIXES
        return (beside.ms - since_ms) % DAY_MS <= FRESH_MS


class ReceiverStreams:
    """One stream for all talkers until they contradict that; then one for each talker that does."""

    def __init__(self, make: Callable[[], FixAssembler]) -> None:
        self._make = make
        self._shared = ReceiverStream(make())
        self._own: dict[bytes, ReceiverStream] = {}
        self._last_by_kind: dict[bytes, LastSentence] = {}  # by kind of sentence
        self._last: tuple[bytes, int | None] = b"", None
        self._seer: tuple[bytes, int] = b"", 0  # the talker of the last fix, and the number of fixes
        self._denials: dict[
            bytes, tuple[int, int]
        ] = {}  # the number of reports without a fix, and the last one
        self._ms: dict[bytes, int | None] = {}  # the last time of each talker
        self._reported: ReceiverStream | None = None

    def __iter__(self) -> Iterator[ReceiverStream]:
        yield self._shared
        yield from (stream for stream in self._own.values() if stream is not self._shared)

    def stream(self, talker: bytes) -> ReceiverStream:
        """The stream of ``talker``; a talker without its own belongs to the receiver of GN."""
        if not self._own:
            return self._shared
        return self._own.get(talker) or self._own.get(b"GN") or self._reported or self._shared

    def rival(
        self,
        talker: bytes,
        kind: bytes,
        ms: int | None,
        content: list[bytes],
        valid: bool | None,
        blank: bool,
    ) -> bytes | None:
        """Records a position sentence; returns the talker that must be another receiver."""
        denied = None if valid is None else self._denying_talker(talker, valid, blank)
        mixed = self._last[0] if self._interleaved(talker, kind, ms) else None
        self._last, self._ms[talker] = (talker, ms), ms
        last = self._last_by_kind.get(kind)
        if mixed is not None and last is not None and last.talker == talker:
            last.ms, last.content, last.turns = ms, content, 0
        if mixed is not None and not self._separate(talker, mixed):
            return mixed
        if denied is not None:
            return denied
        if last is None:
            self._last_by_kind[kind] = LastSentence(talker, ms, content)
            return None
        other = last.talker
        if other == talker:
            last.ms, last.content, last.turns = ms, content, 0
            return None
        if content == last.content and ms is not None:
            return None
        last.turns = last.turns + 1 if last.before == talker else 1
        rivals = last.turns >= MIN_TURNS - (ms is None or last.ms is None) or (
            ms is not None and ms == last.ms
        )
        last.talker, last.ms, last.content, last.before = talker, ms, content, other
        return other if rivals and not self._separate(talker, other) else None

    def _denying_talker(self, talker: bytes, valid: bool, blank: bool) -> bytes | None:
        """The talker that had a fix each time between the last reports of no fix by this one.

        Of the systems of one receiver RMC and GGA may differ in validity, but both have the position then.
        """
        if valid:
            self._seer, self._denials[talker] = (talker, self._seer[1] + 1), (0, 0)
            return None
        seer, serial = self._seer
        count, before = self._denials.get(talker, (0, 0))
        if seer in (b"", talker) or serial == before or not (blank or not {talker, seer} <= SYSTEMS):
            return None
        self._denials[talker] = count + 1, serial
        return seer if count + 1 >= MIN_DENIALS and not self._separate(talker, seer) else None

    def _interleaved(self, talker: bytes, kind: bytes, ms: int | None) -> bool:
        """Whether another talker reported another time within an epoch of this one."""
        other, other_ms = self._last
        known = ms is not None and other_ms is not None and ms == self._ms.get(talker)
        return known and kind != b"GLL" and other not in (b"", talker) and other_ms != ms

    def _separate(self, talker: bytes, other: bytes) -> bool:
        """Whether both have their own streams; a talker of one system shares its receiver's stream."""
        if talker in SYSTEMS and other not in SYSTEMS and talker not in self._own:
            return bool(self._own) and self.stream(talker) is not self.stream(other)
        return talker in self._own and other in self._own

    def separate(self, talker: bytes, other: bytes) -> bool:
        """Gives both their own streams; whether the new one's sentences are still in the other's epoch."""
        if talker in self._own and other in self._own:
            return False
        if not self._own:
            self._own[other] = self._shared
        stays = self.stream(other)
        self._own.setdefault(other, stays)
        fresh = ReceiverStream(self._make())
        fresh.fixes.copy_date(stays.fixes)
        self._own[talker] = fresh
        return True

    def selected(self, stream: ReceiverStream, values: list[Value]) -> list[Value]:
        """The values to report: of several receivers the fixes of only one."""
        if not self._own:
            self._reported = stream
            return values
        return [value for value in values if not isinstance(value, Fix) or self._passes(stream, value)]

    def _passes(self, stream: ReceiverStream, fix: Fix) -> bool:
        others, best = [other for other in self if other is not stream], self._reported
        stream.ms, stream.others = stream.fixes.reported_ms, 0
        for other in others:
            other.others += 1
        if fix.mode == "none":
            stream.at = None
            passes = best in (None, stream) or (best is not None and best.others > SILENT_FIXES)
            passes = passes and not any(other.has_position(stream) for other in others)
        else:
            stream.at = {other: other.ms for other in others}
            passes = best is None or best is stream or not best.has_position(stream)
            richer = best is not None and stream.fixes.reported_kinds > best.fixes.reported_kinds
            passes = passes or richer  # such as a receiver that sends a date
        if passes:
            self._reported = stream
        return passes
