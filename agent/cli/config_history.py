"""The revisions that a device keeps, as a table."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.runtime.sanitize import as_dict, as_list, printable


def history_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """One line for each revision, the newest first."""
    rows = [["revision", "state", "at", "signed by", "sha256"]]
    for entry in map(as_dict, as_list(result.get("revisions"))):
        keys = ", ".join(map(printable, as_list(entry.get("key_ids")))) or "-"
        revision = entry.get("revision")
        rows.append(
            [
                "local file" if revision is None else printable(revision),
                printable(entry.get("state", "")),
                printable(entry.get("at", "")),
                keys,
                printable(entry.get("sha256", ""))[:12],
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
