"""The epochs of a store: in each one the numbers of a lane restart at 1, while its places go on.

A store with receipts begins an epoch each time it is opened: of a file that is copied, or restored from an
image, each life has numbers of its own. A store without receipts has one epoch, where place is number.
"""

from collections.abc import Mapping

from agent.domain.message import RECEIPT_LANES, Lane
from agent.outbox.database import Database


class Epochs:
    """``current`` is the epoch of new messages."""

    def __init__(self, database: Database, current: str, *, with_receipts: bool) -> None:
        self.current = current
        self._database = database
        self._with_receipts = with_receipts
        self._begun: dict[str, list[tuple[int, str]]] = {}
        """By lane: the place before the first of each epoch, and its name; ascending."""

    def begin(self, previous: str, last_places: Mapping[str, int]) -> None:
        """Begins `current`, in a transaction. Epochs without a message are forgotten.

        ``previous``: the epoch of a file of an older agent, which has but one.
        """
        for lane in RECEIPT_LANES:
            found = self._database.rows(
                "SELECT base, epoch FROM epochs WHERE lane = ? ORDER BY base", (lane,)
            )
            begun = [(int(base), str(epoch)) for base, epoch in found]
            last = last_places.get(lane, 0)
            if not begun and previous:
                begun = [(0, previous)]
            ends = [base for base, _ in begun[1:]] + [last]
            # Rows of no epoch come from a damaged file: their numbers are those of the new one.
            base = last if begun else 0
            begun = [one for one, end in zip(begun, ends, strict=False) if self._has_rows(lane, one[0], end)]
            self._begun[lane] = [*begun, (base, self.current)]
            self._database.execute("DELETE FROM epochs WHERE lane = ?", (lane,))
            rows = [(lane, base, epoch) for base, epoch in self._begun[lane]]
            self._database.execute_many("INSERT INTO epochs VALUES (?, ?, ?)", rows)

    def number_of(self, lane: Lane, place: int) -> tuple[str, int]:
        """Epoch and number of a place."""
        for base, epoch in reversed(self._begun.get(lane, ())):
            if base < place:
                return epoch, place - base
        return self.current, place

    def base(self, lane: Lane, epoch: str) -> int | None:
        """The place before the first of ``epoch``, or None where this store does not have it."""
        if not self._with_receipts:
            return 0 if epoch == self.current else None
        return next((base for base, name in self._begun.get(lane, ()) if name == epoch), None)

    def end(self, lane: Lane, base: int, last_place: int) -> int:
        """The last place of the epoch that begins behind ``base``."""
        return next((other for other, _ in self._begun[lane] if other > base), last_place)

    def highest_numbers(self, last_places: Mapping[str, int]) -> list[tuple[Lane, str, int]]:
        """(lane, epoch, highest number given) of each epoch with messages."""
        found: list[tuple[Lane, str, int]] = []
        for lane in sorted(RECEIPT_LANES & self._begun.keys()):
            begun = self._begun[lane]
            ends = [base for base, _ in begun[1:]] + [last_places.get(lane, 0)]
            found += [
                (lane, epoch, end - base)
                for (base, epoch), end in zip(begun, ends, strict=True)
                if self._has_rows(lane, base, end)
            ]
        return found

    def _has_rows(self, lane: Lane, base: int, end: int) -> bool:
        """Whether a message is undelivered or kept at the places behind ``base`` up to ``end``."""
        return any(
            self._database.row(
                f"SELECT 1 FROM {table} WHERE lane = ? AND seq > ? AND seq <= ? LIMIT 1",  # noqa: S608  ours
                (lane, base, end),
            )
            for table in ("owed", "kept")
        )
