"""The lease of the registrar: one process of a centre at a time writes ``host/status``. Blocking.

A row with an expiry, on the clock of the database: a process that died holds it for `LEASE_S` at most. The
row also has the generation of the centre. Devices send again what has no receipt once a generation; it stays
the same while one registrar follows the other, and is new where there was none for `GENERATION_KEPT_S`.
"""

from agent.domain.message import new_id
from centre.database import Database

LEASE_S = 5.0
GENERATION_KEPT_S = 30.0
TABLES = """
CREATE TABLE IF NOT EXISTS lease (name TEXT PRIMARY KEY, holder TEXT, generation TEXT,
    renewed_at_s DOUBLE PRECISION);
"""
_READ = "SELECT holder, generation, renewed_at_s FROM lease WHERE name = ?"


class RegistrarLease:
    """The lease of one root of topics, as ``holder`` sees it. Each failure is an OSError."""

    def __init__(self, database: Database, root: str, holder: str) -> None:
        self._database = database
        self._name = root
        self._holder = holder

    def acquire(self) -> str | None:
        """Takes or renews the lease; the generation, or None where another process has it."""
        if self._held_by_another():
            return None
        with self._database.transaction():
            self._database.lock(f"lease {self._name}")
            if self._held_by_another():
                return None
            now_s = self._database.now_s()
            row = self._database.execute(_READ, (self._name,)).fetchone()
            kept = row is not None and 0 <= now_s - row[2] <= GENERATION_KEPT_S
            generation = str(row[1]) if row is not None and kept else new_id()
            self._database.execute(
                "INSERT INTO lease VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
                " holder = excluded.holder, generation = excluded.generation,"
                " renewed_at_s = excluded.renewed_at_s",
                (self._name, self._holder, generation, now_s),
            )
        return generation

    def renew_generation(self) -> str:
        """Begins a new generation: messages may have been lost on their way."""
        generation = new_id()
        self._database.execute(
            "UPDATE lease SET generation = ? WHERE name = ? AND holder = ?",
            (generation, self._name, self._holder),
        )
        return generation

    def release(self) -> None:
        """Another process may take it at once; the generation stays."""
        self._database.execute(
            "UPDATE lease SET renewed_at_s = renewed_at_s - ? WHERE name = ? AND holder = ?",
            (2 * LEASE_S, self._name, self._holder),
        )

    def _held_by_another(self) -> bool:
        """A row from the future, after a step of the clock, holds nothing."""
        row = self._database.execute(_READ, (self._name,)).fetchone()
        if row is None or row[0] == self._holder:
            return False
        return bool(0 <= self._database.now_s() - row[2] <= LEASE_S)
