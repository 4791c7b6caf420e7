"""Groups of undelivered alerts, such as the phases of one alert: they keep their order despite their rank."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from agent.domain.message import LAST_RANK
from agent.outbox.database import Database

VALUES_PER_STATEMENT = 500


def chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """``values`` in pieces that fit into one statement."""
    for start in range(0, len(values), VALUES_PER_STATEMENT):
        yield values[start : start + VALUES_PER_STATEMENT]


class AlertGroups:
    """For each group with undelivered alerts: their number, the least urgent rank, and the first place."""

    def __init__(self, database: Database) -> None:
        self._database = database
        found = database.rows(
            "SELECT grp, count(*), max(rank), min(seq) FROM owed"
            " WHERE lane = 'alert' AND grp != '' AND rank < ? GROUP BY grp",
            (LAST_RANK,),
        )
        self._groups: dict[str, tuple[int, int, int]] = {
            str(group): (count, rank, first) for group, count, rank, first in found
        }

    def promote_earlier(self, added: Sequence[tuple[str, int, int]]) -> list[tuple[int, int]]:
        """Gives earlier alerts of a group the rank of a more urgent later one, in its transaction.

        ``added`` holds (group, rank, place); the result (rank, first place) of each promotion.
        """
        promoted = []
        worst = {group: self._groups[group][1] for group, _, _ in added if group in self._groups}
        for group, rank, place in added:
            if worst.get(group, rank) > rank:
                values = (group, rank, place, LAST_RANK)
                # The condition is ours; values are bound.
                where = "lane = 'alert' AND grp = ?1 AND rank > ?2 AND seq < ?3 AND rank < ?4"
                (first,) = self._database.row(f"SELECT min(seq) FROM owed WHERE {where}", values)  # noqa: S608
                self._database.execute(f"UPDATE owed SET rank = ?2 WHERE {where}", values)  # noqa: S608
                if first is not None:
                    promoted.append((rank, int(first)))
            worst[group] = rank
        return promoted

    def add(self, added: Sequence[tuple[str, int, int]]) -> None:
        """Counts ``added``, after its transaction."""
        for group, rank, place in added:
            count, _, first = self._groups.get(group, (0, rank, place))
            self._groups[group] = (count + 1, rank, first)

    def groups_of(self, column: str, values: Sequence[Any]) -> list[str]:
        """The group of each undelivered alert whose ``column`` is one of ``values``."""
        found: list[str] = []
        for some in chunks(values):
            marks = ",".join("?" * len(some))
            rows = self._database.rows(
                f"SELECT grp FROM owed WHERE lane = 'alert' AND {column} IN ({marks})"  # noqa: S608  ours
                f" AND grp != '' AND rank < {LAST_RANK}",
                some,
            )
            found += [str(group) for (group,) in rows]
        return found

    def remove(self, groups: Iterable[str]) -> None:
        """One alert of each of ``groups`` has left the store."""
        for group in groups:
            count, worst, first = self._groups.get(group, (1, 0, 0))
            if count <= 1:
                self._groups.pop(group, None)
            else:
                self._groups[group] = (count - 1, worst, first)

    def may_have_earlier(self, group: str, place: int) -> bool:
        """Whether an alert of ``group`` at ``place`` or before may still be undelivered."""
        return group in self._groups and self._groups[group][2] <= place
