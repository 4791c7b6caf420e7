"""The checkpoints of devices, in the centre's database: what was received, and whether it continues the log.

A checkpoint is an entry `start`, `checkpoint` or `stop` of a device's audit log, as the device wrote it. The
centre can't follow the entries between two checkpoints; it sees that the device did not go back: each
checkpoint names the one before it, and nothing is named twice. The first device key that a name comes with is
its key; another one needs `CheckpointStore.accept_key`, and until then changes nothing of what is known.
Blocking; each failure is an OSError.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from agent.audit.entry import ANCHORS, Entry, parse
from agent.audit.verify import Witness
from agent.domain.message import stamp
from agent.host.clock import utc_now
from agent.runtime.atomic_files import create_private

MAX_ID, NUMBERS = 64, range(1, 2**62)
"""The longest id of a log, and the numbers that an entry may have."""
MAX_LINE = 16 * 1024
"""Characters of a checkpoint; the fields of an entry have at most 4 KiB."""

_TABLES = """
CREATE TABLE IF NOT EXISTS audit_checkpoint (device TEXT, log TEXT, n BIGINT, hash TEXT, since BIGINT,
    since_hash TEXT, device_key TEXT, received_at TEXT, line TEXT, problem TEXT,
    PRIMARY KEY (device, hash)/*rowid*/);
CREATE INDEX IF NOT EXISTS audit_since ON audit_checkpoint (device, log, since);
CREATE INDEX IF NOT EXISTS audit_device_key ON audit_checkpoint (device_key);
CREATE TABLE IF NOT EXISTS audit_accepted_key (device TEXT, device_key TEXT, accepted_at TEXT,
    PRIMARY KEY (device, device_key));
"""


class SqlConnection(Protocol):
    """A connection to a database that is no file of SQLite; it takes our statements. Each failure is an
    OSError."""

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Any: ...
    def executescript(self, script: str, /) -> object: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One stored checkpoint; ``problem``: why the centre does not countersign it."""

    device: str
    entry: Entry
    received_at: str
    problem: str | None
    is_repeat: bool = False

    @property
    def log(self) -> str:
        return str(self.entry.fields["log"])

    @property
    def device_key(self) -> str:
        return str(self.entry.fields["device_key"])

    def countersignature(self) -> dict[str, object]:
        """The field ``checkpoint`` of the receipt."""
        return {"log": self.log, "n": self.entry.n, "hash": self.entry.hash, "received_at": self.received_at}

    def witness(self) -> Witness:
        """What a verification of the device's folder is held against."""
        return Witness(self.log, self.entry.n, self.entry.hash, self.entry.at)


def parse_checkpoint(line: str) -> Entry:
    """The entry of a checkpoint. ValueError where its own key, or the device key that it names, did not sign
    it."""
    if len(line) > MAX_LINE:
        raise ValueError(f"is larger than {MAX_LINE // 1024} KiB")
    entry = parse(line.encode())
    fields = entry.fields
    key, device_key, since = entry.own_key, fields.get("device_key"), fields.get("since")
    named = isinstance(fields.get("log"), str) and len(fields["log"]) <= MAX_ID and entry.n in NUMBERS
    if entry.kind not in ANCHORS or key is None or not named:
        raise ValueError("is no checkpoint")
    if since is not None:
        number, digest = since if isinstance(since, list) and len(since) == 2 else (None, None)
        if not isinstance(number, int) or number not in NUMBERS or not isinstance(digest, str):
            raise ValueError("its field since is not [number, hash]")
    if not entry.signed_by(key) or not isinstance(device_key, str) or not entry.anchored_by(device_key):
        raise ValueError("its signatures do not match")
    return entry


class CheckpointStore:
    """The table of checkpoints in the database of a centre."""

    def __init__(self, path: Path | SqlConnection | None, *, read_only: bool = False) -> None:
        """``path``: a file of SQLite; None: in memory; or a connection to another database."""
        self._lock = threading.Lock()
        self._db: Any
        try:
            if path is not None and not isinstance(path, Path):
                self._db = path
            elif path is None:
                self._db = sqlite3.connect(":memory:", isolation_level=None)
            elif read_only:
                path.stat()  # a clear error where it is absent
                self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=10)
            else:
                create_private(path)
                self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
                self._db.execute("PRAGMA synchronous=FULL")
            if not read_only:
                self._db.executescript(_TABLES)
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def keep(self, device: str, line: str, received_at: str | None = None) -> Checkpoint:
        """Stores a checkpoint; the stored one where it is a repeat.

        ValueError where it is none, or not signed; then nothing is stored.
        """
        entry = parse_checkpoint(line)
        try:
            with self._lock:
                self._db.execute("BEGIN IMMEDIATE")  # another worker may judge one of this device
                try:
                    found = self._keep(device, entry, line, received_at)
                    self._db.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error, OSError):
                        self._db.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            raise OSError(f"the database refused a checkpoint: {error}") from error
        return found

    def _keep(self, device: str, entry: Entry, line: str, received_at: str | None) -> Checkpoint:
        if (known := self._find(device, entry.hash)) is not None:
            return known
        now = received_at or stamp(utc_now())
        found = Checkpoint(device, entry, now, self._problem(device, entry))
        since, since_hash = entry.fields.get("since") or (0, "")
        row = (
            device, found.log, entry.n, entry.hash, since, since_hash, found.device_key, now, line,
            found.problem,
        )  # fmt: skip
        self._db.execute("INSERT INTO audit_checkpoint VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return found

    def accept_key(self, device: str, device_key: str) -> None:
        """A person has seen that ``device`` has this key now: its box was replaced, or it was renamed."""
        try:
            with self._lock:
                row = (device, device_key, stamp(utc_now()))
                self._db.execute(
                    "INSERT INTO audit_accepted_key VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row
                )
        except sqlite3.Error as error:
            raise OSError(f"the database refused the key: {error}") from error

    def accepted_keys(self) -> list[tuple[str, str]]:
        """Device and key of each `accept_key`."""
        try:
            return list(self._db.execute("SELECT device, device_key FROM audit_accepted_key").fetchall())
        except sqlite3.Error as error:
            if "no such table" in str(error):
                return []
            raise OSError(f"the database can't be read: {error}") from error

    def all(self, device: str | None = None) -> Iterator[Checkpoint]:
        """All checkpoints, or those of a device, in the order in which they were received."""
        columns = "SELECT device, line, received_at, problem FROM audit_checkpoint"
        where, values = (" WHERE device = ?", (device,)) if device is not None else ("", ())
        try:
            rows = self._db.execute(f"{columns}{where} ORDER BY rowid", values).fetchall()
        except sqlite3.Error as error:
            if "no such table" in str(error):
                return
            raise OSError(f"the database can't be read: {error}") from error
        for name, line, received_at, problem in rows:
            try:
                entry = parse(str(line).encode())
            except ValueError as error:
                raise OSError(f"{name}: a stored checkpoint is damaged: {error}") from error
            yield Checkpoint(name, entry, received_at, problem)

    def _find(self, device: str, digest: str) -> Checkpoint | None:
        row = self._db.execute(
            "SELECT line, received_at, problem FROM audit_checkpoint WHERE device = ? AND hash = ?",
            (device, digest),
        ).fetchone()
        return None if row is None else Checkpoint(device, parse(row[0].encode()), row[1], row[2], True)

    def _problem(self, device: str, entry: Entry) -> str | None:
        """Why this checkpoint does not continue what the device has sent before."""
        log, device_key = str(entry.fields["log"]), str(entry.fields["device_key"])
        since, since_hash = entry.fields.get("since") or (0, "")
        if (problem := self._problem_of_key(device, device_key)) is not None:
            return problem
        newest = self._db.execute(
            "SELECT log, n FROM audit_checkpoint WHERE device = ? AND device_key = ?"
            " ORDER BY rowid DESC LIMIT 1",
            (device, device_key),
        ).fetchone()
        same_log = self._db.execute(
            "SELECT max(n) FROM audit_checkpoint WHERE device = ? AND log = ? AND device_key = ?",
            (device, log, device_key),
        ).fetchone()[0]
        if newest is not None and same_log is None:
            return f"the audit log began anew after entry {newest[1]} of log {newest[0]}: it was deleted"
        here = self._db.execute(
            "SELECT n, hash FROM audit_checkpoint"
            " WHERE device = ? AND log = ? AND device_key = ? AND n IN (?, ?)",
            (device, log, device_key, entry.n, since),
        ).fetchall()
        if any(n == entry.n for n, _ in here):
            return f"entry {entry.n} differs from the one received before: the log was rewritten"
        if any(n == since and digest != since_hash for n, digest in here):
            return f"entry {since} differs from the one received before: the log was rewritten"
        sibling = self._db.execute(
            "SELECT n FROM audit_checkpoint"
            " WHERE device = ? AND log = ? AND device_key = ? AND since = ? LIMIT 1",
            (device, log, device_key, since),
        ).fetchone()
        if sibling is not None:
            return (
                f"the log goes on from entry {since} as it did before entry {sibling[0]}:"
                f" its tail was cut, or an older copy was put back (received up to entry {same_log})"
            )
        trouble = entry.fields.get("trouble")
        return f"the device found its own log damaged: {trouble}"[:300] if trouble else None

    def _problem_of_key(self, device: str, device_key: str) -> str | None:
        """Why a checkpoint under this device key is not one of ``device``."""
        if (device, device_key) in self.accepted_keys():
            return None
        first = self._db.execute(
            "SELECT device_key FROM audit_checkpoint WHERE device = ? AND problem IS NULL"
            " ORDER BY rowid LIMIT 1",
            (device,),
        ).fetchone()
        if first is not None:
            same = first[0] == device_key
            return (
                None
                if same
                else "is signed with another device key than before: another device, or a forgery"
            )
        other = self._db.execute(
            "SELECT device FROM audit_checkpoint WHERE device_key = ? AND device <> ? AND problem IS NULL"
            " LIMIT 1",
            (device_key, device),
        ).fetchone()
        if other is not None:
            return f"has the device key of {other[0]}: a copied data folder, a new name, or a replay"
        return None
