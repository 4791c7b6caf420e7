"""Instants that the page draws through everything: deadlines, and what a rescue is measured by."""

from collections.abc import Mapping
from typing import Any

from simulators.report.run_files import number, rows
from simulators.report.story import Story

RESCUE: Mapping[str, tuple[tuple[float, str], ...]] = {
    "person beyond railing": (
        (120.0, "2 minutes: bridge post and boat are to be there"),
        (420.0, "7 minutes: the person is to be aboard"),
    ),
}
"""By event of the world: seconds after it, as on the night of 28 November 2022."""
MAX_MARKS = 24


def marks_of(verdict: dict[str, Any], story: Story) -> list[tuple[float, str]]:
    """Second and name, in order."""
    marks: dict[float, list[str]] = {}
    for one in rows(verdict, "expectations"):
        deadline = number(one.get("deadline_s"))
        if deadline is not None and deadline < story.duration_s:
            marks.setdefault(deadline, []).append(str(one.get("name") or one.get("text")))
    found = [(t, ", ".join(names)) for t, names in marks.items()]
    for words, after in RESCUE.items():
        event = next(
            (line for line in story.log if line.kind == "world" and line.text.startswith(words)), None
        )
        if event is not None:
            found += [(event.t + later, text) for later, text in after]
    return sorted(found)[:MAX_MARKS]
