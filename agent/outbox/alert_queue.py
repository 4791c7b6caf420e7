"""The order in which alerts are handed out: by rank, then new before old, then by age.

Old alerts are those from before the last `rewind`, usually the last connection. Alerts of one group keep
their order.
"""

from collections.abc import Callable, Sequence

from agent.domain.message import LAST_RANK
from agent.outbox.rows import Row
from agent.outbox.sqlite_store import Store


class AlertQueue:
    """Hands out the alerts of several stores, each once after a `rewind`."""

    def __init__(self) -> None:
        self._floor: dict[str, int] = {}
        """By epoch of a store: alerts up to this place are old."""
        self._old: dict[tuple[str, int], int] = {}
        """By epoch and rank: the place up to which all alerts were handed out."""
        self._new: dict[tuple[str, int], int] = {}
        """By epoch and rank: the place up to which new alerts were handed out."""
        self._ahead: set[tuple[str, int]] = set()
        """(epoch of the store, place) of alerts that were handed out before older ones of their rank."""

    def opened(self, store: Store) -> None:
        """All alerts that are in ``store`` by now are old."""
        self._floor[store.epoch] = store.last("alert")

    def rewind(self, stores: Sequence[Store]) -> None:
        """Hands out all alerts again; those that are in ``stores`` by now are old."""
        self._old.clear()
        self._new.clear()
        self._ahead.clear()
        self._floor = {store.epoch: store.last("alert") for store in stores}

    def restart_resends(self, store: Store) -> None:
        """Rows that the centre has asked for again are behind the place that was read."""
        self._old.pop((store.epoch, LAST_RANK), None)

    def apply_promotions(self, store: Store) -> None:
        """Alerts that a more urgent one of their group has promoted are handed out before it."""
        promoted, store.promoted = store.promoted, []
        for rank, place in promoted:
            key = (store.epoch, rank)
            for places in (self._old, self._new):
                places[key] = min(place - 1, places.get(key, 0))

    def due(
        self, stores: Sequence[Store], limit: int, most_rank: int, failed: Callable[[Store, OSError], None]
    ) -> list[Row]:
        """Up to ``limit`` alerts up to ``most_rank``. ``failed`` takes the error of one store."""
        rows: list[Row] = []
        for rank in range(min(most_rank, LAST_RANK) + 1):
            unread = [
                store for store in stores if self._old.get((store.epoch, rank), 0) < store.last_of_rank(rank)
            ]
            for read in (self._read_new, self._read_old) if unread else ():
                for store in unread:
                    if len(rows) >= limit:
                        return rows
                    try:
                        rows += read(store, rank, limit - len(rows))
                    except OSError as error:
                        failed(store, error)
        return rows

    def _read_new(self, store: Store, rank: int, limit: int) -> list[Row]:
        """New alerts while old ones of the rank are left, but for those that belong behind an old one."""
        floor, key = self._floor.get(store.epoch, 0), (store.epoch, rank)
        if self._old.get(key, 0) >= floor:
            return []
        while found := store.due("alert", max(floor, self._new.get(key, 0)), limit, rank):
            self._new[key] = found[-1].place
            rows = [row for row in found if not (row.group and store.has_earlier_of_group(row.group, floor))]
            rows = [row for row in rows if (store.epoch, row.place) not in self._ahead]
            self._ahead |= {(store.epoch, row.place) for row in rows}
            if rows:
                return rows
        return []

    def _read_old(self, store: Store, rank: int, limit: int) -> list[Row]:
        """From the oldest on, all alerts that were not handed out ahead."""
        key = (store.epoch, rank)
        while found := store.due("alert", self._old.get(key, 0), limit, rank):
            self._old[key] = found[-1].place
            rows = [row for row in found if (store.epoch, row.place) not in self._ahead]
            self._ahead -= {(store.epoch, row.place) for row in found}
            if rows:
                return rows
        return []
