"""Events and facts of a run in words for people."""

from typing import Any

from simulators.report.devices import Words
from simulators.run_record import Fields

SKIPPED = frozenset(
    {"t", "event", "device", "part", "kind", "fault", "lat", "lon", "object", "speed_mps", "course_deg"}
)
FOR_MACHINES = frozenset({"began", "on_disk", "at_centre"})
"""Events that say nothing to people."""
WORLD = {
    "person_comes": ("comes", "info"),
    "person_arrived": ("is there", "info"),
    "person_beyond_railing": ("is beyond the railing", "critical"),
    "person_in_water": ("is in the water", "critical"),
    "person_aboard": ("is aboard", "good"),
    "person_leaves": ("leaves", "info"),
    "track_begins": ("sets out", "info"),
    "track_ends": ("is at the end of its way", "good"),
}
"""By event of the world: words after who it is about, and the level."""
_FAULT = {"fault_began": "begins", "fault_effect": "takes effect", "fault_ended": "ends"}


def describe_event(event: str, entry: Fields) -> Words | None:
    """A line for an event of events.ndjson; None where it is none for people."""
    what = str(entry.get("part") or "device")
    if event in FOR_MACHINES:
        return None
    if event in _FAULT:
        level = "good" if event == "fault_ended" else "warning"
        return Words("fault", f"fault {entry.get('kind', '')} {_FAULT[event]}{_more(entry)}", level)
    if event in ("killed", "died", "stopped", "started", "restarted"):
        if entry.get("power") is False:
            return Words("part", f"{what} loses its power", "warning")
        level = "critical" if event == "died" else "info"
        return Words("part", f"{what} {event}{_more(entry)}", level)
    return Words("action", event.replace("_", " ") + _more(entry))


def describe_fact(entry: Fields) -> Words | None:
    """A line for an event of the world in truth.ndjson; None for a position."""
    event = entry.get("event")
    if not isinstance(event, str):
        return None
    words, level = WORLD.get(event, (event.replace("_", " "), "info"))
    who = str(entry.get("object") or "")
    return Words("world", f"{who} {words}{_more(entry)}".strip(), level)


def _more(entry: Fields) -> str:
    """The other fields: ``(object man, camera cam1)``."""
    said = [f"{key} {_short(value)}" for key, value in entry.items() if key not in SKIPPED]
    return f" ({', '.join(said)})" if said else ""


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"
