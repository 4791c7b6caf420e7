"""A message in one line for people."""

from typing import Any

from agent.domain.message import stamp
from agent.host.clock import utc_now
from agent.runtime.sanitize import printable
from centre.sequence_gaps import format_ranges

HOLE = "centre/hole"
"""Holes in the numbers of a device are shown under this topic; it never goes over the wire."""


def line(device: str, topic: str, body: dict[str, Any]) -> str:
    """A message in one line for people."""
    when = str(body.get("at") or stamp(utc_now()))
    try:
        summary = _summary(topic, body)
    except (TypeError, ValueError, AttributeError, KeyError):
        summary = "(malformed)"
    mark = " (simulated)" if body.get("simulated") is True else ""
    return printable(f"{when} {device}{mark} {topic:9} {summary}")


def _summary(topic: str, body: dict[str, Any]) -> str:
    if topic == "alert":
        alert = body.get("alert", {})
        return f"{alert.get('phase', '?'):6} {alert.get('severity', '?'):8} {alert.get('text', '')}"
    if topic == HOLE:
        why = f": {body['why']}" if body.get("why") else ""
        return (
            f"{body['lane']} {format_ranges(body['ranges'])} of epoch {body['epoch']}: {body['state']}{why}"
        )
    if topic == "position":
        where = f"{body['lat']:.5f} {body['lon']:.5f}" if "lat" in body else "unknown"
        return f"{where} ({body.get('mode')}, {body.get('source')})"
    if topic == "health":
        return ", ".join(f"{part['part']} {part.get('running')}" for part in body["parts"])
    if topic == "birth":
        return f"{body.get('kind')}, ringpost {body['software']['ringpost']}"
    return f"{body.get('state', '')} {'; '.join(body.get('reasons', []))}".strip()
