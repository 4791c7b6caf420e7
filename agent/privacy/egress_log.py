"""The egress log: each picture that left, with reason, recipient and grant. No entry, no picture.

One JSON object a line in ``egress.jsonl``; a full file is rotated to ``egress.1.jsonl`` and so on. ``before``
is the SHA-256 of the previous line, so that a changed or removed line is detected.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.domain.message import encode

MAX_BYTES = 1_000_000
"""Size at which the file is rotated."""
MAX_ROTATED = 4
"""Rotated files that are kept."""


class EgressLog:
    """Append-only; blocking, for one thread."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = folder / "egress.jsonl"
        self._max_bytes = max_bytes
        self._previous_hash: str | None = None

    def append(self, fields: Mapping[str, Any]) -> str:
        """Writes one entry, on disk on return. Returns the SHA-256 of its line. OSError where that fails."""
        if self._previous_hash is None:
            self._previous_hash = self._last_line_hash()
        line = encode({**fields, "before": self._previous_hash})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists() and self._path.stat().st_size + len(line) >= self._max_bytes:
            self._rotate()
        with self._path.open("ab") as file:
            if file.tell() and not self._ends_with_newline():
                file.write(b"\n")
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._previous_hash = hashlib.sha256(line).hexdigest()
        return self._previous_hash

    def _rotate(self) -> None:
        for number in range(MAX_ROTATED, 0, -1):
            older = self._path.with_suffix(f".{number}.jsonl")
            newer = self._path if number == 1 else self._path.with_suffix(f".{number - 1}.jsonl")
            if newer.exists():
                newer.replace(older)

    def _ends_with_newline(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def _last_line_hash(self) -> str:
        """The SHA-256 of the newest line, across rotated files; empty where there is none."""
        for path in (self._path, self._path.with_suffix(".1.jsonl")):
            try:
                lines = path.read_bytes().splitlines()
            except FileNotFoundError:
                continue
            if lines:
                return hashlib.sha256(lines[-1]).hexdigest()
        return ""
