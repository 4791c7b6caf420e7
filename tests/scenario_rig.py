"""A small scenario and hand-made records for the tests of scenarios."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from simulators.run_record import RunRecord
from simulators.scenario.loader import parse
from simulators.scenario.model import Scenario

POST = """
schema: ringpost-scenario/1
name: post
clock: {clock}
duration: 60s
devices:
  post-1:
    config:
      kind: watch_point
      place: {{ring: inner_city, domain: ground, site: demo, post: square, lat: 32.0, lon: 118.0}}
      sources:
        gnss: {{kind: nmea, port: "{{folder}}/gnss"}}
        board: {{kind: sensor_board, port: "{{folder}}/board"}}
      rules:
        panic: {{kind: switch, source: board, name: panic_button, severity: critical}}
        quiet: {{kind: silence, source: gnss, after: 5s}}
"""


def scenario_of(more: str, clock: str = "real") -> Scenario:
    """The post with the lines ``more``. BadConfig."""
    return parse(POST.format(clock=clock) + more, name="s.yaml", base=Path("/nonexistent"))


def record_of(
    messages: Iterable[tuple[float, str, dict[str, Any]]] = (), device: str = "post-1"
) -> RunRecord:
    """A record of ``(second, topic, body)`` of one device, each with its own id and number, all committed and
    with receipt; the device stands at 32, 118."""
    record = RunRecord(lambda: 0.0)
    record.truth.append({"t": 0.0, "device": device, "lat": 32.0, "lon": 118.0})
    for number, (second, topic, body) in enumerate(messages, 1):
        whole = {"id": f"m{number}", "epoch": "e", "seq": number, **body}
        record.messages.append({"t": second, "device": device, "topic": topic, "body": whole})
        record.events.append({"t": second, "device": device, "event": "committed", "id": whole["id"]})
        record.events.append({"t": second, "device": device, "event": "receipt", "ids": [whole["id"]]})
    return record


def alert(phase: str, rule: str = "panic", alert_id: str = "a1", **fields: Any) -> dict[str, Any]:
    """The body of an alert message, at the place of the post."""
    point = {"lat": 32.0, "lon": 118.0, "how": "surveyed"}
    content = {"alert_id": alert_id, "rule": rule, "phase": phase, "severity": "critical", "point": point}
    return {"alert": {**content, **fields}}
