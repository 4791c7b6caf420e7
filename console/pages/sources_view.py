"""What the page *Sources* says of the values of each source. Pure."""

import binascii
from dataclasses import dataclass
from typing import Any

from agent.runtime.sanitize import as_dict
from console.pages.source_store import KnownValue, SourceStore
from console.pages.words import NONE, Kind, Translate, age_text, as_number, number_text, shown_value
from console.web.session import Session

ELSEWHERE = frozenset({"vessel", "drone", "radar_target", "sighting", "view", "tick"})
"""Kinds that have a table or a page of their own."""
MOST_ROWS = 80


@dataclass(frozen=True, slots=True)
class ValueRow:
    """A value in words. ``kind`` "doubt": stale, or in doubt; ``note`` says why."""

    key: str
    name: str
    text: str
    age: str
    rate: str
    kind: Kind
    note: str


@dataclass(frozen=True, slots=True)
class SourceGroup:
    """A source with its values."""

    name: str
    kind: str
    note: str
    fresh: Kind
    rows: tuple[ValueRow, ...]


def groups(store: SourceStore, session: Session, now_s: float) -> list[SourceGroup]:
    """All sources, by name."""
    found = []
    for name, values in store.sources():
        shown = [value for value in values if value.kind not in ELSEWHERE][:MOST_ROWS]
        newest = min(values, key=lambda value: value.age_s(now_s))
        counts = _counts(values, session.t)
        note = " · ".join((session.t("newest value {age} ago", age=age_text(newest.age_s(now_s))), *counts))
        stale = any(value.is_stale(now_s) for value in values if value.kind not in ELSEWHERE)
        rows = tuple(_row(value, session, now_s) for value in shown)
        found.append(SourceGroup(name, newest.source_kind, note, "doubt" if stale else "good", rows))
    return found


def _counts(values: list[KnownValue], t: Translate) -> list[str]:
    words = {"vessel": t("vessels"), "drone": t("drones"), "radar_target": t("radar targets")}
    counts = {kind: sum(value.kind == kind for value in values) for kind in words}
    return [f"{count} {words[kind]}" for kind, count in counts.items() if count]


def _row(value: KnownValue, session: Session, now_s: float) -> ValueRow:
    t, stale = session.t, value.is_stale(now_s)
    note = t("stale") if stale else t("in doubt: {why}", why=value.doubt) if value.doubt else ""
    return ValueRow(
        f"{value.kind}/{value.key}",
        value.key.replace("_", " ") or kind_words(t).get(value.kind, value.kind),
        _text(value, session),
        age_text(value.age_s(now_s)),
        NONE if value.rate_hz is None else f"{number_text(value.rate_hz)} /s",
        "doubt" if stale or value.doubt else "good",
        note,
    )


def kind_words(t: Translate) -> dict[str, str]:
    """Kinds of values in plain words."""
    return {
        "fix": t("position"), "gnss_state": t("state of the receiver"), "line_state": t("line"),
        "board_state": t("board"), "camera_state": t("camera"), "status_text": t("message"),
    }  # fmt: skip


def _text(value: KnownValue, session: Session) -> str:
    fields, t = value.fields, session.t
    if value.kind == "reading":
        return quantity_text(fields.get("value"), str(fields.get("unit", "")), session)
    if value.kind == "switch":
        return t("on") if fields.get("on") else t("off")
    if value.kind == "fix":
        place = value.place
        where = NONE if place is None else f"{place[0]:.6f}, {place[1]:.6f}"
        error = as_number(fields.get("error_m"))
        return f"{fields.get('mode')} · {where}" + ("" if error is None else f" ±{session.distance(error)}")
    if value.kind == "line_state":
        return _line_text(fields, t)
    return shown_value({name: one for name, one in fields.items() if name not in ("kind", "name")})


def _line_text(fields: dict[str, Any], t: Translate) -> str:
    good, bad = (sum(map(int, as_dict(fields.get(name)).values())) for name in ("good", "bad"))
    text = t("{good} packets, {bad} damaged, {lost} lost", good=good, bad=bad, lost=fields.get("lost", 0))
    parts = (text, f"{fields['baud']} baud" if fields.get("baud") else "", str(fields.get("trouble") or ""))
    return " · ".join(filter(None, parts))


def quantity_text(number: object, unit: str, session: Session) -> str:
    """A quantity in the units of the session."""
    value = as_number(number)
    if value is None:
        return NONE
    match unit:
        case "m":
            return session.distance(value)
        case "m/s":
            return session.speed(value)
        case "degC":
            return session.temperature(value)
        case "deg":
            return f"{value:.0f}°"
        case "percent":
            return f"{number_text(value)} %"
        case "Pa":
            return f"{value / 100:.0f} hPa"
    return number_text(value, unit)


@dataclass(frozen=True, slots=True)
class Gauge:
    """One instrument of a boat."""

    name: str
    text: str
    kind: Kind
    note: str
    turn_deg: float | None
    """The direction of its needle."""


def gauges(store: SourceStore, session: Session, now_s: float) -> list[Gauge]:
    """Heading, wind, depth, speed and water, where an instrument gives them; the first that is fresh."""
    found = []
    readings = {}
    for value in sorted(store.of_kind("reading"), key=lambda one: one.age_s(now_s), reverse=True):
        readings[value.key] = value
    for name, keys in _instruments(session.t).items():
        chosen = next((readings[key] for key in keys if key in readings), None)
        if chosen is not None:
            unit, number = str(chosen.fields.get("unit", "")), chosen.fields.get("value")
            stale = chosen.is_stale(now_s)
            note = f"{session.t('stale')} {age_text(chosen.age_s(now_s))}" if stale else chosen.source
            turn = as_number(number) if unit == "deg" else None
            text = quantity_text(number, unit, session)
            found.append(Gauge(name, text, "doubt" if stale else "good", note, turn))
    return found


def _instruments(t: Translate) -> dict[str, tuple[str, ...]]:
    return {
        t("Heading"): ("heading_true", "heading_magnetic"),
        t("Course"): ("course_over_ground_true",),
        t("Speed over ground"): ("speed_over_ground",),
        t("Speed through water"): ("speed_through_water",),
        t("Wind from"): ("wind_true_ground_direction", "wind_direction_true"),
        t("Wind angle"): ("wind_true_rel_angle", "wind_apparent_angle"),
        t("Wind speed"): ("wind_true_ground_speed", "wind_true_rel_speed", "wind_apparent_speed"),
        t("Depth"): ("depth_below_keel", "depth_below_surface", "depth_below_transducer"),
        t("Water"): ("water_temperature",),
        t("Air"): ("air_temperature",),
        t("Pressure"): ("air_pressure",),
        t("Rudder"): ("rudder_angle",),
    }


def drone_fields(fields: dict[str, Any], session: Session) -> list[tuple[str, str]]:
    """The state of a drone as names and texts; what it does not report is left out."""
    t = session.t
    distance, speed = session.distance, session.speed
    numbers = {name: as_number(one) for name, one in fields.items()}

    def number(name: str, form: Any) -> str | None:
        value = numbers.get(name)
        return None if value is None else str(form(value))

    rows = (
        (t("Vehicle"), fields.get("vehicle")),
        (t("Mode"), fields.get("mode")),
        (t("Armed"), None if fields.get("armed") is None else t("yes") if fields["armed"] else t("no")),
        (t("Height above home"), number("height_m", distance)),
        (t("Speed"), number("speed_mps", speed)),
        (t("Heading"), number("heading_deg", lambda value: f"{value:.0f}°")),
        (t("Battery"), number("battery_pct", lambda value: f"{value:.0f} %")),
        (t("Voltage"), number("battery_v", lambda value: f"{value:.1f} V")),
        (t("Fix"), fields.get("fix")),
        (t("Satellites"), number("satellites", lambda value: f"{value:.0f}")),
        (t("Lost messages"), number("loss_pct", lambda value: f"{value:.1f} %")),
    )
    return [(name, str(text)) for name, text in rows if text is not None]


def hex_lines(data: bytes, start: int = 0) -> list[str]:
    """Bytes as lines of 16: offset, hex and text."""
    lines = []
    for at in range(0, len(data), 16):
        piece = data[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
        lines.append(f"{start + at:08x}  {binascii.hexlify(piece, ' ').decode():<47}  {text}")
    return lines
