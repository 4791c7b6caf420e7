"""Whether a sentence without a time leads the next NMEA epoch, learnt from the line. Pure."""

from collections import Counter
from typing import TypeAlias

MAX_VOTES = 6
"""More votes than this count no more."""


MAX_REPEATS = 8


REPEAT_TOLERANCE = {b"RMC": 0.0051, b"GGA": 0.051}
"""What repeats a number of these sentences may have a digit more or less."""


OrderKey: TypeAlias = tuple[bytes, bytes, int]


class LeadOrder:
    """Whether a sentence without a time leads the next epoch, by the sentence of a position it comes after.

    A key is that sentence, its own kind, and its place among those behind it. Of evidence each piece is a
    vote; without any, what led an epoch when it was heard first leads all of them.
    """

    def __init__(self) -> None:
        self._votes: Counter[OrderKey] = Counter()
        self._first: dict[OrderKey, bool] = {}
        self._after = b""
        self._behind: list[OrderKey] = []
        self._parted = False  # a pause was there behind the last position
        self._claims: list[tuple[OrderKey, bytes, float, float]] = []

    def on_position(self, kind: bytes, *, same_epoch: bool) -> None:
        """A sentence with a position came; in the same epoch, what stands before it has not led another."""
        if same_epoch:
            for key in self._behind:
                self._votes[key] = -MAX_VOTES
        self._after, self._behind, self._parted = kind, [], False

    def on_pause(self) -> None:
        """The line was quiet: what came before belonged to the epoch before."""
        self._parted = True
        for key in self._behind:
            self.vote(key, leads=False)

    def key(self, kind: bytes) -> OrderKey:
        """A sentence without a position came."""
        key = self._after, kind, len(self._behind)
        self._behind.append(key)
        if self._parted:
            self.vote(key, leads=True)
        return key

    def leads(self, key: OrderKey, likely: bool) -> bool:
        """Whether it leads the next epoch; ``likely`` at first sight."""
        votes = self._votes[key]
        return votes > 0 or (votes == 0 and self._first.setdefault(key, likely))

    def vote(self, key: OrderKey, *, leads: bool) -> None:
        self._votes[key] = max(-MAX_VOTES, min(MAX_VOTES, self._votes[key] + (1 if leads else -1)))

    def note_repeat(self, key: OrderKey, kind: bytes, value: float, before: float | None) -> None:
        """It repeats ``value`` of the sentence ``kind``, which said ``before`` in the epoch before."""
        if before is not None and len(self._claims) < MAX_REPEATS:
            self._claims.append((key, kind, value, before))

    def resolve_repeats(self, kind: bytes, value: float) -> None:
        """``kind`` says ``value`` in the next epoch: which of both was repeated?"""
        for key, _, claimed, before in [claim for claim in self._claims if claim[1] == kind]:
            was, will = (abs(claimed - one) <= REPEAT_TOLERANCE[kind] for one in (before, value))
            if was != will:
                self.vote(key, leads=will)
        self._claims = [claim for claim in self._claims if claim[1] != kind]
