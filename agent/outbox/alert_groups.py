"""The groups of alerts that are owed."""

import sqlite3
from collections.abc import Iterable, Sequence

from agent.domain.message import LAST_RANK


class _Groups:
    """Of each group of which alerts are owed: how many, the worst rank among them, and the first place."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        found = db.execute(
            "SELECT grp, count(*), max(rank), min(seq) FROM owed"
            " WHERE lane = 'alert' AND grp != '' AND rank < ? GROUP BY grp",
            (LAST_RANK,),
        )
        self._here: dict[str, tuple[int, int, int]] = {str(one[0]): (one[1], one[2], one[3]) for one in found}

    def raise_earlier(self, added: Sequence[tuple[str, int, int]]) -> list[tuple[int, int]]:
        """Within the transaction that adds (group, rank, place): earlier ones of the group come first."""
        raised = []
        worst = {group: self._here[group][1] for group, _, _ in added if group in self._here}
        for group, rank, place in added:
            if worst.get(group, rank) > rank:
                values = (group, rank, place, LAST_RANK)
                where = "lane = 'alert' AND grp = ?1 AND rank > ?2 AND seq < ?3 AND rank < ?4"
                (first,) = self._db.execute(f"SELECT min(seq) FROM owed WHERE {where}", values).fetchone()  # noqa: S608
                self._db.execute(f"UPDATE owed SET rank = ?2 WHERE {where}", values)  # noqa: S608
                if first is not None:
                    raised.append((rank, int(first)))
                worst[group] = rank
            else:
                worst[group] = rank
        return raised

    def add(self, added: Sequence[tuple[str, int, int]]) -> None:
        """After that transaction."""
        for group, rank, place in added:
            count, _, first = self._here.get(group, (0, rank, place))
            self._here[group] = (count + 1, rank, first)

    def leave(self, groups: Iterable[str]) -> None:
        for group in groups:
            count, worst, first = self._here.get(group, (1, 0, 0))
            if count <= 1:
                self._here.pop(group, None)
            else:
                self._here[group] = (count - 1, worst, first)

    def first(self, group: str, place: int) -> int:
        return self._here[group][2] if group in self._here else place
