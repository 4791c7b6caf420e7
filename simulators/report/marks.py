"""Instants that the page draws through everything: deadlines, and what a rescue is measured by."""

from collections.abc import Mapping
from typing import Any

from simulators.report.run_files import number, rows
from simulators.report.story import Story

RESCUE: Mapping[str, tuple[tuple[float, str], ...]] = {
    "person_beyond_railing": (
        (120.0, "2 minutes: bridge post and boat are to be there"),
        (420.0, "7 minutes: the person is to be aboard"),
    ),
}
"""By event of the world: seconds after it, as on the night of 28 November 2022."""
MAX_MARKS = 24


def marks_of(verdict: dict[str, Any], story: Story) -> list[tuple[float, str]]:
    """Second and name, in order: deadlines of expectations, and those of a rescue."""
    marks: dict[float, list[str]] = {}
    for one in rows(verdict, "expectations"):
        deadline = number(one.get("deadline_s"))
        if deadline is not None:
            t = deadline + (number(one.get("cause_s")) or 0.0)
            marks.setdefault(t, []).append(str(one.get("name") or one.get("text")))
    for t, text in rescue_of(story)[2]:
        marks.setdefault(t, []).insert(0, text)
    found = [(t, ", ".join(names)) for t, names in marks.items() if 0 <= t < story.duration_s]
    return sorted(found)[:MAX_MARKS]


def rescue_of(story: Story) -> tuple[float | None, str, list[tuple[float, str]]]:
    """When and to whom it happened, and by when who is to be where; of a run without a rescue nothing."""
    for t, event, who in story.facts:
        if event in RESCUE:
            return t, who, [(t + later, text) for later, text in RESCUE[event]]
    return None, "", []
