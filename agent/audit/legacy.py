"""The egress log of earlier versions: ``egress.jsonl`` in the data folder, hash-chained but not signed."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.audit.findings import Report

FILES = ("egress.4.jsonl", "egress.3.jsonl", "egress.2.jsonl", "egress.1.jsonl", "egress.jsonl")
"""Oldest first."""


def read_legacy(data_folder: Path) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Each line, and its fields where it can be read. OSError."""
    for name in FILES:
        try:
            lines = (data_folder / name).read_bytes().splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            try:
                fields = json.loads(line)
            except ValueError:
                fields = None
            yield line, fields if isinstance(fields, dict) else None


def verify_legacy(data_folder: Path) -> Report | None:
    """Whether each line names the one before; None where there is no such log.

    It has no signatures: a changed line shows only where the hashes after it were not made anew.
    """
    report, before = Report(), None
    for number, (line, fields) in enumerate(read_legacy(data_folder), 1):
        report.entries, report.last, report.first = number, number, 1
        if fields is not None and before is not None and fields.get("before") != before:
            report.add("does not name the line before it: one was changed or removed", number)
        before = report.head = hashlib.sha256(line).hexdigest()
    if before is None:
        return None
    report.notes.append("an older format without signatures: it shows careless changes only")
    return report
