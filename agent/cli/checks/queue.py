"""What waits in the outbox for the centre: read only, also while the agent runs."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agent.cli.checks.finding import Finding, failed, ok, skipped, warning
from agent.cli.checks.target import Target, user_name
from agent.host.clock import boot_id, since_boot_s
from agent.outbox.database import Database
from agent.runtime.error_text import describe_error
from agent.runtime.sanitize import as_dict

FILES = ("alerts.db", "telemetry-????????.db", "media-????????.db")
OLD_ALERT_S = 600.0


@dataclass
class Waiting:
    """Undelivered messages by lane, critical alerts among them, and the age of the oldest alert."""

    lanes: Counter[str] = field(default_factory=Counter)
    critical: int = 0
    oldest_s: float | None = None


def check_queue(target: Target) -> Iterator[Finding]:
    """What waits, how long, and which files were damaged."""
    folder = target.folder
    if not folder.is_dir():
        yield skipped(f"{folder} does not exist yet: the agent makes it")
        return
    try:
        damaged = sorted(path.name for path in folder.glob("*.corrupt-*") if path.suffix != ".db-wal")
        files = [path for pattern in FILES for path in sorted(folder.glob(pattern))]
        if not os.access(folder, os.R_OK | os.X_OK):
            raise PermissionError(13, "Permission denied", str(folder))
        waiting = Waiting()
        for path in files:
            add_waiting(path, waiting, running=target.agent is not None)
    except PermissionError as error:
        owner = user_name(target.agent_uid)
        yield skipped(describe_error(error), f"sudo -u {owner} ringpost doctor {target.file}")
        return
    except OSError as error:
        yield failed(describe_error(error), "start the agent: it saves what can be read")
        return
    if damaged:
        text = f"damaged files were set aside: {', '.join(damaged[:3])}"
        yield warning(text, "the card or disk may be failing: replace it")
    yield from _describe(waiting, target)


def _describe(waiting: Waiting, target: Target) -> Iterator[Finding]:
    text = ", ".join(f"{count} {lane}" for lane, count in sorted(waiting.lanes.items()) if count)
    if not text:
        yield ok("nothing waits")
        return
    text = f"waits: {text}"
    if waiting.critical:
        text += f"; {waiting.critical} of it critical"
    if waiting.oldest_s is not None:
        text += f"; the oldest alert for {describe_age(waiting.oldest_s)}"
    late = waiting.oldest_s is not None and waiting.oldest_s > OLD_ALERT_S
    link = as_dict(target.fresh_health.get("link"))
    if target.agent is None:
        yield warning(text, "start the agent: sudo systemctl start ringpost") if late else ok(text)
    elif late and link.get("broker"):
        yield failed(
            f"{text}; the broker is connected but gives no receipts",
            "is the centre running? call the control room",
        )
    elif late:
        yield failed(text, "the broker is not reached: see the check of the broker")
    else:
        yield ok(text)


def add_waiting(path: Path, waiting: Waiting, *, running: bool) -> None:
    """Counts the rows of one file. OSError where it can't be read.

    A file that an agent writes is opened read-only. Otherwise a copy is read: a reader of the original would
    leave index files of its own, which the agent may not be able to open.
    """
    if running:
        _count(path, waiting)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for ending in ("", "-wal"):
            part = path.with_name(path.name + ending)
            if part.exists():
                shutil.copyfile(part, copy.with_name(copy.name + ending))
        _count(copy, waiting)


def _count(path: Path, waiting: Waiting) -> None:
    database = Database.open_read_only(path)
    try:
        for lane, count in database.rows("SELECT lane, count(*) FROM owed GROUP BY lane"):
            waiting.lanes[str(lane)] += int(count)
        if not path.name.startswith("alerts"):
            return
        columns = {str(row[1]) for row in database.rows("PRAGMA table_info(owed)")}
        if "rank" in columns:
            critical = "SELECT count(*) FROM owed WHERE lane = 'alert' AND rank = 0"
            waiting.critical = int(database.row(critical)[0])
        oldest = "SELECT min(made_s) FROM owed WHERE lane = 'alert' AND boot = ?"
        (made_s,) = database.row(oldest, (boot_id(),))
        if made_s is not None:
            waiting.oldest_s = max(0.0, since_boot_s() - float(made_s))
    finally:
        database.close()


def describe_age(seconds: float) -> str:
    """``90`` becomes "2 min"; for people."""
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"
