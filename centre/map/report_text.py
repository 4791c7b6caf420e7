"""The shift report as plain text. Pure."""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo

from agent.cli.watch_board import format_age
from centre.map.export_csv import describe_entry
from centre.map.queued_alert import RANKS, QueuedAlert
from centre.map.report_data import ReportData

MOST_LINES = 200


def report_text(data: ReportData, zone: tzinfo) -> str:
    """Alerts, answers, hand-overs and forces of a shift."""
    return "\n".join(_lines(data, zone)) + "\n"


def _lines(data: ReportData, zone: tzinfo) -> Iterator[str]:
    yield f"Shift report {_at(data.begin, zone)} to {_at(data.end, zone)}"
    yield ""
    real = [alert for alert in data.alerts if alert.shown_as in ("alert", "historical")]
    others = Counter(alert.shown_as for alert in data.alerts if alert not in real)
    yield f"Alerts: {len(real)}" + "".join(f"; {kind}: {count}" for kind, count in sorted(others.items()))
    for severity in (*RANKS, ""):
        some = [alert for alert in real if (alert.severity if alert.severity in RANKS else "") == severity]
        if some:
            yield f"  {severity or 'other'}: {len(some)}, {_answers(some)}"
    open_ones = [alert for alert in real if alert.state != "ended"]
    yield from _section("Still open or in hand", (_alert_line(data, alert, zone) for alert in open_ones))
    yield from _section(
        "Critical alerts",
        (_alert_line(data, alert, zone) for alert in real if alert.severity == "critical"),
    )
    acted = (f"{entry.device} {entry.alert_id}: {describe_entry(entry, zone)}" for entry in data.entries)
    yield from _section("What officers did", acted)
    yield from _section("Forces at the end", _forces(data))


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    yield ""
    yield f"{title}: {len(found) or 'none'}"
    yield from (f"  {line}" for line in found[:MOST_LINES])
    if len(found) > MOST_LINES:
        yield f"  and {len(found) - MOST_LINES} more: see the CSV files"


def _answers(alerts: list[QueuedAlert]) -> str:
    """How many were answered, and how fast."""
    times = [
        (alert.answer.at - alert.began_at).total_seconds()
        for alert in alerts
        if alert.answer is not None and alert.answer.at is not None
    ]
    if not times:
        return "none answered"
    median, longest = statistics.median(times), max(times)
    return (
        f"{len(times)} answered, half of them within {format_age(median)}, all within {format_age(longest)}"
    )


def _alert_line(data: ReportData, alert: QueuedAlert, zone: tzinfo) -> str:
    holder = data.board.holder(alert)
    state = alert.state + (f" ({alert.end_reason})" if alert.end_reason else "")
    who = f", with {holder}" if holder else ""
    return f"{_at(alert.began_at, zone)} {alert.severity} {alert.device}: {alert.text}: {state}{who}"


def _forces(data: ReportData) -> Iterator[str]:
    counts = data.situation.forces.counts(data.end)
    yield ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in sorted(counts.items())) or "none"
    for force in sorted(data.situation.forces.all(), key=lambda one: one.device):
        link = force.link(data.end)
        troubles: list[str] = [] if link == "online" else [link]
        troubles += force.reasons if link == "degraded" else ()
        troubles += [f"blind: {zone.camera}/{zone.zone} ({zone.why})" for zone in force.blind]
        if troubles:
            yield f"{force.device}: {'; '.join(troubles)}"


def _at(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"
