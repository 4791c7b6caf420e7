"""The access log of the pages: who logged in, from where, and who was refused.

It has a chain of its own, ``<data>/console``: the chain of the agent has one writer, the agent.
``ringpost audit list --data <data>/console`` prints it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.audit.audit_log import AuditLog
from agent.audit.chain_files import ChainFiles

FOLDER = "console"


class AccessRecord:
    """Entries are written by a thread; a disk that refuses stops nobody. Without ``folder``: nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._log = None if folder is None else AuditLog(ChainFiles(folder))

    def note(self, kind: str, *, who: Sequence[str] = (), **fields: Any) -> None:
        """Writes an entry; ``who`` are ids of signing keys."""
        if self._log is not None:
            self._log.append(
                kind, who=who, **{key: value for key, value in fields.items() if value is not None}
            )

    def tick(self) -> None:
        """Writes what is due: call it every few seconds."""
        if self._log is not None:
            self._log.tick()

    def close(self) -> None:
        """Waits for what is not written yet. Blocking."""
        if self._log is not None:
            self._log.close()
