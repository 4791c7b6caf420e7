"""Alerts and actions as CSV, which no spreadsheet takes for a formula. Pure."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import TypeAlias

from centre.map.action_entry import ActionEntry
from centre.map.queued_alert import QueuedAlert
from centre.map.report_data import ReportData

Cell: TypeAlias = str | int | float | datetime | None
FORMULA = "=+-@\t\r\n|%＝＋－＠"
"""A text that begins with one of these is a formula, or the call of a program, to some spreadsheet."""
STEPS = ("frame_to_detection", "detection_to_finding", "finding_to_outbox", "device_to_centre")
ALERT_COLUMNS = (
    *(
        "device",
        "alert_id",
        "shown_as",
        "severity",
        "kind",
        "rule",
        "text",
        "zone",
        "ring",
        "domain",
        "site",
        "post",
    ),
    *("began_at", "received_at", "state", "ended_why", "lat", "lon", "error_m", "how", "pictures"),
    *(f"{step}_ms" for step in STEPS),
    *(
        "answered_by",
        "answer",
        "answered_at",
        "answered_after_s",
        "answer_reason",
        "escalation",
        "holder",
        "actions",
    ),
)
ENTRY_COLUMNS = ("n", "at", "kind", "device", "alert_id", "role", "key_ids", "text", "fields", "sha256")


def safe_cell(value: Cell, zone: tzinfo) -> str | int | float:
    """A cell: a text that could be a formula gets an apostrophe in front."""
    match value:
        case None:
            return ""
        case datetime():
            return value.astimezone(zone).isoformat(timespec="milliseconds")
        case str():
            text = "".join(letter if letter.isprintable() else " " for letter in value)
            return f"'{text}" if text.lstrip()[:1] in FORMULA and text.strip() else text
        case _:
            return value


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]], zone: tzinfo) -> str:
    """The table, with a byte order mark for spreadsheets; all texts in quotation marks."""
    found = io.StringIO()
    writer = csv.writer(found, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([safe_cell(cell, zone) for cell in row])
    return "\ufeff" + found.getvalue()


def alerts_csv(data: ReportData, zone: tzinfo) -> str:
    """One row for each alert: what, where, its ledger, and who did what."""
    return to_csv(ALERT_COLUMNS, (_alert_row(data, alert, zone) for alert in data.alerts), zone)


def _alert_row(data: ReportData, alert: QueuedAlert, zone: tzinfo) -> list[Cell]:
    force, point, answer = data.situation.forces.get(alert.device), alert.point, alert.answer
    place: list[Cell] = [None] * 4 if force is None else [force.ring, force.domain, force.site, force.post]
    answered_s = None
    if answer is not None and answer.at is not None:
        answered_s = round((answer.at - alert.began_at).total_seconds(), 1)
    return [
        alert.device, alert.alert_id, alert.shown_as, alert.severity, alert.kind, alert.rule, alert.text,
        alert.zone, *place, alert.began_at, alert.received_at, alert.state, alert.end_reason,
        *([None] * 4 if point is None else [point.lat, point.lon, point.error_m, point.how]),
        len(alert.pictures), *(alert.steps_ms.get(step) for step in STEPS),
        *([None] * 3 if answer is None else [answer.role, answer.action, answer.at]), answered_s,
        None if answer is None else answer.reason, alert.escalation, data.board.holder(alert),
        "; ".join(describe_entry(entry, zone) for entry in data.board.of(alert.key)),
    ]  # fmt: skip


def describe_entry(entry: ActionEntry, zone: tzinfo) -> str:
    """An entry in one line: when, which role, what."""
    fields = entry.fields
    at = entry.at.astimezone(zone).strftime("%H:%M:%S")
    match entry.kind:
        case "answer":
            what = f"sent {fields.get('action')}"
        case "hand_over":
            what = f"handed over to {fields.get('to')}"
        case "call_out":
            what = f"called out {fields.get('to')} ({fields.get('command')})"
        case "result":
            why = f" ({fields.get('reason')})" if fields.get("reason") else ""
            what = f"result of entry {fields.get('of')}: {fields.get('state')}{why}"
        case _:
            what = "noted"
    return f"{at} {entry.role} {what}" + (f": {entry.text}" if entry.text else "")


def actions_csv(entries: Iterable[ActionEntry], zone: tzinfo) -> str:
    """One row for each entry of the map."""
    rows = (
        [
            entry.n, entry.at, entry.kind, entry.device, entry.alert_id, entry.role, " ".join(entry.key_ids),
            entry.text, ", ".join(f"{key} {value}" for key, value in entry.fields.items()), entry.digest,
        ]
        for entry in entries
    )  # fmt: skip
    return to_csv(ENTRY_COLUMNS, rows, zone)
