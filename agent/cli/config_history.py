"""The revisions that a device keeps, as a table."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.runtime.sanitize import as_dict, as_list, printable


def history_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """One line for each revision, the newest first."""
    rows = [["revision", "state", "at", "signed by", "sha256", ""]]
    for entry in map(as_dict, as_list(result.get("revisions"))):
        revision, target = entry.get("revision"), entry.get("target")
        named = "local file" if revision is None else printable(revision)
        cells = [named + (f" of {printable(target)}" if target else "")]
        cells += [printable(entry.get(key, "")).replace("_", " ") for key in ("state", "at")]
        cells.append(", ".join(map(printable, as_list(entry.get("key_ids")))) or "-")
        rows.append([*cells, printable(entry.get("sha256", ""))[:12], printable(entry.get("reason", ""))])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
