"""Whether a sentence without a time leads the next NMEA epoch, learnt from the line. Pure."""

from collections import Counter
from typing import TypeAlias

CERTAIN = 6
"""More votes than this count no more."""


CLAIMS = 8


REPEATED = {b"RMC": 0.0051, b"GGA": 0.051}
"""What repeats a number of these sentences may have a digit more or less."""


_Key: TypeAlias = tuple[bytes, bytes, int]


class _Order:
    """Whether a sentence without a time leads the next epoch, by the sentence of a position it comes after.

    A key is that sentence, its own kind, and its place among those behind it. Of evidence each piece is a
    vote; without any, what led an epoch when it was heard first leads all of them.
    """

    def __init__(self) -> None:
        self._votes: Counter[_Key] = Counter()
        self._first: dict[_Key, bool] = {}
        self._after = b""
        self._behind: list[_Key] = []
        self._parted = False  # a pause was there behind the last position
        self._claims: list[tuple[_Key, bytes, float, float]] = []

    def position(self, kind: bytes, *, same_epoch: bool) -> None:
        """A sentence with a position came; in the same epoch, what stands before it has not led another."""
        if same_epoch:
            for key in self._behind:
                self._votes[key] = -CERTAIN
        self._after, self._behind, self._parted = kind, [], False

    def pause(self) -> None:
        """The line was quiet: what came before belonged to the epoch before."""
        self._parted = True
        for key in self._behind:
            self.vote(key, leads=False)

    def key(self, kind: bytes) -> _Key:
        """A sentence without a position came."""
        key = self._after, kind, len(self._behind)
        self._behind.append(key)
        if self._parted:
            self.vote(key, leads=True)
        return key

    def leads(self, key: _Key, likely: bool) -> bool:
        """Whether it leads the next epoch; ``likely`` at first sight."""
        votes = self._votes[key]
        return votes > 0 or (votes == 0 and self._first.setdefault(key, likely))

    def vote(self, key: _Key, *, leads: bool) -> None:
        self._votes[key] = max(-CERTAIN, min(CERTAIN, self._votes[key] + (1 if leads else -1)))

    def claim(self, key: _Key, kind: bytes, value: float, before: float | None) -> None:
        """It repeats ``value`` of the sentence ``kind``, which said ``before`` in the epoch before."""
        if before is not None and len(self._claims) < CLAIMS:
            self._claims.append((key, kind, value, before))

    def shows(self, kind: bytes, value: float) -> None:
        """``kind`` says ``value`` in the next epoch: which of both was repeated?"""
        for key, _, claimed, before in [claim for claim in self._claims if claim[1] == kind]:
            was, will = (abs(claimed - one) <= REPEATED[kind] for one in (before, value))
            if was != will:
                self.vote(key, leads=will)
        self._claims = [claim for claim in self._claims if claim[1] != kind]
