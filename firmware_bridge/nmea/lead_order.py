"""Learns whether a sentence without a time leads the next NMEA epoch. Pure."""

from collections import Counter
from typing import TypeAlias

MAX_VOTES = 6
"""The limit of votes for each order."""


MAX_REPEATS = 8


REPEAT_TOLERANCE = {b"RMC": 0.0051, b"GGA": 0.051}
"""The tolerance of a value repeated from these sentences, which may have a digit more or less."""


OrderKey: TypeAlias = tuple[bytes, bytes, int]


class LeadOrder:
    """Whether a sentence without a time leads the next epoch, by the position sentence that it follows.

    A key is that position sentence, its own kind, and its index among those that follow. Each piece of
    evidence is a vote; without votes, a kind that led an epoch when first received leads every epoch.
    """

    def __init__(self) -> None:
        self._votes: Counter[OrderKey] = Counter()
        self._first: dict[OrderKey, bool] = {}
        self._after = b""
        self._behind: list[OrderKey] = []
        self._parted = False  # a pause followed the last position
        self._claims: list[tuple[OrderKey, bytes, float, float]] = []

    def on_position(self, kind: bytes, *, same_epoch: bool) -> None:
        """A position sentence arrived; within one epoch, the sentences before it have led no other."""
        if same_epoch:
            for key in self._behind:
                self._votes[key] = -MAX_VOTES
        self._after, self._behind, self._parted = kind, [], False

    def on_pause(self) -> None:
        """The line was silent: earlier sentences belonged to the previous epoch."""
        self._parted = True
        for key in self._behind:
            self.vote(key, leads=False)

    def key(self, kind: bytes) -> OrderKey:
        """A sentence without a time arrived: its key."""
        key = self._after, kind, len(self._behind)
        self._behind.append(key)
        if self._parted:
            self.vote(key, leads=True)
        return key

    def leads(self, key: OrderKey, likely: bool) -> bool:
        """Whether the sentence leads the next epoch; ``likely``: the answer without votes."""
        votes = self._votes[key]
        return votes > 0 or (votes == 0 and self._first.setdefault(key, likely))

    def vote(self, key: OrderKey, *, leads: bool) -> None:
        """Counts one vote, within `MAX_VOTES`."""
        self._votes[key] = max(-MAX_VOTES, min(MAX_VOTES, self._votes[key] + (1 if leads else -1)))

    def note_repeat(self, key: OrderKey, kind: bytes, value: float, before: float | None) -> None:
        """The sentence repeats ``value`` of the sentence ``kind``, which was ``before`` in the previous
        epoch.
        """
        if before is not None and len(self._claims) < MAX_REPEATS:
            self._claims.append((key, kind, value, before))

    def resolve_repeats(self, kind: bytes, value: float) -> None:
        """``kind`` has ``value`` in the next epoch: votes by which of both values was repeated."""
        for key, _, claimed, before in [claim for claim in self._claims if claim[1] == kind]:
            was, will = (abs(claimed - other) <= REPEAT_TOLERANCE[kind] for other in (before, value))
            if was != will:
                self.vote(key, leads=will)
        self._claims = [claim for claim in self._claims if claim[1] != kind]
