"""The access log of a centre: who looked at which picture, in an audit log beside the database.

Several processes may write it, one after the other: each opens it for one entry.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.audit.chain_files import ChainFiles
from agent.audit.chain_state import LogInUseError
from agent.audit.draft import make_draft
from agent.audit.entry import Entry
from agent.host.clock import monotonic_s

WAIT_S = 10.0
"""How long another process may have the log open."""


def access_log_folder(db: Path) -> Path:
    """The folder of the access log of a centre's database."""
    return db.with_name(f"{db.name}-audit")


def log_access(folder: Path, kind: str, *, who: Sequence[str] = (), **fields: Any) -> Entry:
    """Writes one entry, on disk on return. Blocking. OSError where it can't be written."""
    files, until_s = ChainFiles(folder), monotonic_s() + WAIT_S
    while True:
        try:
            files.open()
            break
        except LogInUseError:
            if monotonic_s() > until_s:
                raise
            time.sleep(0.02)
    try:
        return files.commit([make_draft(kind, who, fields)])[-1]
    finally:
        files.close()
