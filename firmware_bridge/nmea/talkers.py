"""Several receivers on one wire: whose a sentence is, and which of them is told. Pure.

A talker is no receiver: one that hears several systems says GP, GL, GA and GN in turn. Two talkers that say
the same sentence of one epoch with another content are two receivers, such as those of a plotter and an AIS
transponder behind a multiplexer; so are two of which time and again one has a fix and the other none. Each
then has its epochs for itself, so that one that is blind does not refuse what another knows, and only one is
told.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from firmware_bridge.nmea.fixes import FixAssembler
from firmware_bridge.nmea.sentence import DAY_MS
from firmware_bridge.readings import Fix, Value

MIN_TURNS = 3
"""So often two talkers must take turns where their times don't show that they speak of one epoch."""
MIN_DENIALS = 2
"""So often one must have no fix while the other has one, where they never say the same sentence."""
SYSTEMS = frozenset({b"GP", b"GL", b"GA", b"GB", b"BD", b"GQ", b"QZ", b"GI", b"IR", b"GN"})
"""Talkers that one receiver of several systems uses in turn."""
FRESH_MS = 3000
"""A receiver holds so long after its last position, by the clock of the one that would be told instead;"""
FRESH_FIXES, SILENT_FIXES = 3, 20
"""so many fixes of others, where they have no time; and it is silent after so many."""


@dataclass(slots=True)
class LastSentence:
    """Who said a kind of sentence last, of which time and what, and how often two took turns since."""

    talker: bytes
    ms: int | None
    content: list[bytes]
    before: bytes = b""
    turns: int = 0


@dataclass(slots=True, eq=False)
class ReceiverStream:
    """One receiver's sentences. ``at`` is the time of every other when this one had its last position, and
    ``others`` counts their fixes since it said anything."""

    fixes: FixAssembler
    ms: int | None = None
    at: "dict[ReceiverStream, int | None] | None" = None
    others: int = 0

    def has_position(self, beside: "ReceiverStream") -> bool:
        """Whether it has a position: its last fix, not long ago as ``beside`` sees it, or its next."""
        if self.fixes.epoch.positions and not (self.fixes.epoch.rejected or self.fixes.epoch.reported):
            return True
        if self.at is None:
            return False
        since_ms = self.at.get(beside)
        if since_ms is None or beside.ms is None:
            return self.others <= FRESH_FIXES
        return (beside.ms - since_ms) % DAY_MS <= FRESH_MS


class ReceiverStreams:
    """One stream for all, until talkers contradict that; then one for each of those that do."""

    def __init__(self, make: Callable[[], FixAssembler]) -> None:
        self._make = make
        self._shared = ReceiverStream(make())
        self._own: dict[bytes, ReceiverStream] = {}
        self._said: dict[bytes, LastSentence] = {}  # by kind of sentence
        self._last: tuple[bytes, int | None] = b"", None
        self._seer: tuple[bytes, int] = b"", 0  # who last had a fix, and how often one was said
        self._denials: dict[bytes, tuple[int, int]] = {}  # so often none had one, and when last
        self._ms: dict[bytes, int | None] = {}  # what each talker said last
        self._told: ReceiverStream | None = None

    def __iter__(self) -> Iterator[ReceiverStream]:
        yield self._shared
        yield from (stream for stream in self._own.values() if stream is not self._shared)

    def stream(self, talker: bytes) -> ReceiverStream:
        """Whose a sentence of ``talker`` is; who has none of his own speaks for the receiver of GN."""
        if not self._own:
            return self._shared
        return self._own.get(talker) or self._own.get(b"GN") or self._told or self._shared

    def rival(
        self,
        talker: bytes,
        kind: bytes,
        ms: int | None,
        content: list[bytes],
        valid: bool | None,
        blank: bool,
    ) -> bytes | None:
        """Notes who says a sentence of a position; the talker beside whom he must be another receiver."""
        denied = None if valid is None else self._denying_talker(talker, valid, blank)
        mixed = self._last[0] if self._interleaved(talker, kind, ms) else None
        self._last, self._ms[talker] = (talker, ms), ms
        said = self._said.get(kind)
        if mixed is not None and said is not None and said.talker == talker:
            said.ms, said.content, said.turns = ms, content, 0
        if mixed is not None and not self._separate(talker, mixed):
            return mixed
        if denied is not None:
            return denied
        if said is None:
            self._said[kind] = LastSentence(talker, ms, content)
            return None
        other = said.talker
        if other == talker:
            said.ms, said.content, said.turns = ms, content, 0
            return None
        if content == said.content and ms is not None:
            return None
        said.turns = said.turns + 1 if said.before == talker else 1
        rivals = said.turns >= MIN_TURNS - (ms is None or said.ms is None) or (
            ms is not None and ms == said.ms
        )
        said.talker, said.ms, said.content, said.before = talker, ms, content, other
        return other if rivals and not self._separate(talker, other) else None

    def _denying_talker(self, talker: bytes, valid: bool, blank: bool) -> bytes | None:
        """The talker who had a fix each time between the last times that this one had none.

        Of the systems of one receiver RMC and GGA may judge differently, but both have the position then.
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
        """Whether another time was said by another talker amid an epoch of this one."""
        other, other_ms = self._last
        known = ms is not None and other_ms is not None and ms == self._ms.get(talker)
        return known and kind != b"GLL" and other not in (b"", talker) and other_ms != ms

    def _separate(self, talker: bytes, other: bytes) -> bool:
        """Whether both have streams of their own; that of one system is its receiver's."""
        if talker in SYSTEMS and other not in SYSTEMS and talker not in self._own:
            return bool(self._own) and self.stream(talker) is not self.stream(other)
        return talker in self._own and other in self._own

    def separate(self, talker: bytes, other: bytes) -> bool:
        """Gives both a stream of their own; whether the new one's sentences are in the other's epoch yet."""
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
        """What is to be told of a stream's values: of several receivers only one's fixes."""
        if not self._own:
            self._told = stream
            return values
        return [value for value in values if not isinstance(value, Fix) or self._passes(stream, value)]

    def _passes(self, stream: ReceiverStream, fix: Fix) -> bool:
        others, best = [other for other in self if other is not stream], self._told
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
            passes = passes or richer  # such as one that says a date
        if passes:
            self._told = stream
        return passes
