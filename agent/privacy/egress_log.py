"""The list of all pictures that left: why, to whom, under which flag. No entry, no picture.

One JSON object a line in ``egress.jsonl``; a full file is renamed ``egress.1.jsonl`` and so on. ``before`` is
the sha256 of the line before, so that a line that was changed or taken out shows.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.domain.message import encode

MOST_BYTES = 1_000_000
KEPT = 4


class EgressLog:
    """Append-only; blocking, for one thread."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._path = folder / "egress.jsonl"
        self._most_bytes = most_bytes
        self._before: str | None = None

    def note(self, fields: Mapping[str, Any]) -> str:
        """On disk on return; gives the sha256 of the line. OSError where it can't be written."""
        if self._before is None:
            self._before = self._last()
        line = encode({**fields, "before": self._before})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists() and self._path.stat().st_size + len(line) >= self._most_bytes:
            self._turn()
        with self._path.open("ab") as file:
            if file.tell() and not self._ends_whole():
                file.write(b"\n")
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._before = hashlib.sha256(line).hexdigest()
        return self._before

    def _turn(self) -> None:
        for number in range(KEPT, 0, -1):
            older = self._path.with_suffix(f".{number}.jsonl")
            newer = self._path if number == 1 else self._path.with_suffix(f".{number - 1}.jsonl")
            if newer.exists():
                newer.replace(older)

    def _ends_whole(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def _last(self) -> str:
        """The sha256 of the last line that is there; empty for the first."""
        for path in (self._path, self._path.with_suffix(".1.jsonl")):
            try:
                lines = path.read_bytes().splitlines()
            except FileNotFoundError:
                continue
            if lines:
                return hashlib.sha256(lines[-1]).hexdigest()
        return ""
