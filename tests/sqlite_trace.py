"""Records the statements that SQLite runs and the calls on files beside it, in their order. Needs no strace."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FULL = 2
SYNCHRONOUS = {"OFF": 0, "0": 0, "NORMAL": 1, "1": 1, "FULL": FULL, "2": FULL, "EXTRA": 3, "3": 3}
_PRAGMA = re.compile(r"PRAGMA (?:\w+\.)?synchronous\s*=\s*(\w+)", re.IGNORECASE)
_BEGIN = re.compile(r"(?:BEGIN|SAVEPOINT)\b", re.IGNORECASE)
_WRITE = re.compile(r"(?:INSERT|REPLACE|UPDATE|DELETE)\b", re.IGNORECASE)


@dataclass
class Trace:
    """A commit in WAL mode survives a power cut at once under ``synchronous=FULL``; under NORMAL it survives
    with the next commit under FULL of the same file."""

    events: list[tuple[str, str]] = field(default_factory=list)
    """(file name, statement, or the name of a call: fsync, replace, unlink, close) in their order."""
    durable: list[tuple[str, str]] = field(default_factory=list)
    """(file name, statement) of all writes that no power cut can undo."""
    unsafe: dict[str, list[str]] = field(default_factory=dict)
    """By file name: statements that are committed and not yet durable."""
    closed_at: dict[str, int] = field(default_factory=dict)
    """By file name: ``synchronous`` of its last connection as it closed."""

    def is_durable(self, text: str, file: str) -> bool:
        return any(name == file and text.lower() in statement.lower() for name, statement in self.durable)


class _Connection(sqlite3.Connection):
    """A connection that reports to a trace."""

    def follow(self, trace: Trace, name: str) -> None:
        self.trace, self.name = trace, name
        self.level = FULL  # as SQLite begins; a damaged file could not be asked
        self.open = False
        self.writes: list[str] = []
        self.set_trace_callback(self._ran)

    def _ran(self, statement: str) -> None:
        if found := _PRAGMA.match(statement):
            self.level = SYNCHRONOUS[found[1].upper()]
        elif _BEGIN.match(statement):
            self.open = True
        elif statement.upper().startswith("ROLLBACK"):
            self.open, self.writes = False, []
        elif statement.upper().startswith(("COMMIT", "END")):
            self.open = False
            self._commit()
        elif _WRITE.match(statement):
            self.writes.append(statement)
            if not self.open:
                self._commit()

    def _commit(self) -> None:
        writes, self.writes = self.writes, []
        self.trace.events += [(self.name, one) for one in writes]
        waiting = self.trace.unsafe.setdefault(self.name, [])
        waiting += writes
        if self.level >= FULL:
            self.trace.durable += [(self.name, statement) for statement in waiting]
            waiting.clear()

    def close(self) -> None:
        super().close()
        if hasattr(self, "trace"):
            self.trace.closed_at[self.name] = self.level
            self.trace.events.append((self.name, "close"))


@contextmanager
def traced() -> Iterator[Trace]:
    """Traces every connection to a file that is opened meanwhile, and ``os.fsync``, ``replace``, ``unlink``."""
    trace, connect = Trace(), sqlite3.connect
    fsync, replace, unlink = os.fsync, os.replace, os.unlink
    with connect(":memory:") as fresh:
        assert fresh.execute("PRAGMA synchronous").fetchone() == (FULL,)

    def connect_traced(path: Any, *given: Any, **named: Any) -> sqlite3.Connection:
        if str(path) == ":memory:":
            return connect(path, *given, **named)
        connection = connect(path, *given, factory=_Connection, **named)
        connection.follow(trace, Path(path).name)
        return connection

    def fsync_traced(file: int) -> None:
        fsync(file)
        trace.events.append((Path(f"/proc/self/fd/{file}").readlink().name, "fsync"))

    def replace_traced(source: Any, target: Any) -> None:
        trace.events.append((Path(target).name, "replace"))
        replace(source, target)

    def unlink_traced(path: Any, **named: Any) -> None:
        trace.events.append((Path(path).name, "unlink"))
        unlink(path, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect_traced)
        patch.setattr(os, "fsync", fsync_traced)
        patch.setattr(os, "replace", replace_traced)
        patch.setattr(os, "unlink", unlink_traced)
        yield trace
