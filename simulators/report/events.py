"""Events and facts of a run in words for people."""

from typing import Any

from simulators.report.devices import Words
from simulators.run_record import Fields

SKIPPED = frozenset({"t", "event", "device", "part", "kind", "fault", "lat", "lon"})


def describe_event(event: str, entry: Fields) -> Words | None:
    """A line for an event of events.ndjson; None where it is none for people."""
    what = str(entry.get("part") or "")
    if event in ("fault_began", "fault_effect", "fault_ended"):
        kind, name = str(entry.get("kind", "")), f"fault {entry.get('fault', '')}".strip()
        text = {
            "fault_began": f"{name} begins: {kind}",
            "fault_effect": f"{name} takes effect: {kind}",
            "fault_ended": f"{name} ends: {kind}",
        }[event]
        return Words("fault", text + _more(entry), "warning" if event != "fault_ended" else "good")
    if event in ("killed", "died", "stopped", "started"):
        level = "critical" if event == "died" else "info"
        return Words("part", f"{what or 'device'} {event}{_more(entry)}", level)
    return Words("action", event.replace("_", " ") + _more(entry))


def describe_fact(entry: Fields) -> Words | None:
    """A line for an event of the world in truth.ndjson; None for a position."""
    event = entry.get("event")
    if not isinstance(event, str):
        return None
    return Words("world", event.replace("_", " ") + _more(entry), "critical")


def _more(entry: Fields) -> str:
    """The other fields: ``(object man, camera cam1)``."""
    said = [f"{key} {_short(value)}" for key, value in entry.items() if key not in SKIPPED]
    return f" ({', '.join(said)})" if said else ""


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"
