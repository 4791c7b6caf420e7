"""The meaning of AIS message fields: pyais' messages to `Vessel`, and back. Pure.

Values that the standard calls "not available" are absent: latitude 91, longitude 181, speed 102.3 knots,
course 360, heading 511, turn -128, status 15, type 0. A position out of range rejects the message, but not a
distress beacon's position report: a beacon also counts without a position.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from firmware_bridge.readings import Vessel
from firmware_bridge.units import KNOT_MPS

Fields: TypeAlias = dict[str, Any]
Station: TypeAlias = Literal["class_a", "class_b", "base_station", "aid", "aircraft", "beacon"]

STATIONS: dict[int, Station] = {
    1: "class_a", 2: "class_a", 3: "class_a", 4: "base_station", 5: "class_a", 9: "aircraft", 11: "class_a",
    18: "class_b", 19: "class_b", 21: "aid", 24: "class_b",
}  # fmt: skip
"""The kind of sender of each message type."""
LONG_RANGE = 27
SPEED = 102.3
UNKNOWN_SPEED = {9: 1023.0, LONG_RANGE: 63.0}
"""Knots that mean "not available"; in most messages `SPEED`."""
STATUS = (
    "under_way_using_engine", "at_anchor", "not_under_command", "restricted_maneuverability",
    "constrained_by_draught", "moored", "aground", "fishing", "under_way_sailing", None, None,
    "towing_astern", "pushing_ahead", None, "beacon_active", None,
)  # fmt: skip
"""By its number."""
BEACON_ACTIVE, BEACON_TEST = 14, 15
BEACONS: dict[int, Literal["sart", "mob", "epirb"]] = {970: "sart", 972: "mob", 974: "epirb"}
"""By the first three digits of the MMSI."""
BEACON_POSITIONS = (1, 2, 3)
"""A beacon's position reports: ITU-R M.1371 has beacons send message 1, and 14 for text."""
SHIP_TYPES = {
    30: "fishing", 31: "towing", 32: "towing", 33: "dredging", 34: "diving", 35: "military", 36: "sailing",
    37: "pleasure_craft", 50: "pilot", 51: "search_and_rescue", 52: "tug", 53: "port_tender",
    54: "anti_pollution", 55: "law_enforcement", 58: "medical", 59: "noncombatant",
}  # fmt: skip
SHIP_TENS = {2: "wing_in_ground", 4: "high_speed_craft", 6: "passenger", 7: "cargo", 8: "tanker", 9: "other"}
STATIC = ("name", "callsign", "ship_type", "length_m", "beam_m", "mothership")
"""Fields that a sender does not change from one message to the next."""

_TEST = re.compile(r"\bTEST\b").search


def vessel_of(kind: int, message: Any, payload: bytes, own: bool) -> Vessel | None:
    """The vessel of one message; None where its content is invalid. ``payload`` is pyais' input."""
    mmsi = int(message.mmsi)
    if not 0 < mmsi <= 999_999_999:
        return None
    fields: Fields = {"station": STATIONS.get(kind), "own": True if own else None}
    if hasattr(message, "lat"):
        where = _position(message.lat, message.lon)
        if where is None and not (kind in BEACON_POSITIONS and _is_distress_beacon(mmsi, message)):
            return None
        where = where or {}
        fields |= where
        if where and message.accuracy and kind != LONG_RANGE:
            fields["error_m"] = 10.0
    fields |= FIELD_DECODERS[kind](message)
    if kind == 21:  # pyais drops the spaces between a long name and its extension
        fields["name"] = _text(_letters(payload, 43, 163) + _letters(payload, 272))
    if _is_distress_beacon(mmsi, message):
        fields |= {"station": "beacon", "distress": BEACONS.get(mmsi // 1_000_000, "sart")}
        status = getattr(message, "status", None)
        if _TEST(fields.get("text") or "") or (kind != 14 and status == BEACON_TEST):
            fields["test"] = True
    return Vessel(mmsi=mmsi, message=kind, **fields)


def _is_distress_beacon(mmsi: int, message: Any) -> bool:
    """Whether the sender is a distress beacon, by its number or its status."""
    return mmsi // 1_000_000 in BEACONS or getattr(message, "status", None) == BEACON_ACTIVE


def _position(lat: float, lon: float) -> Fields | None:
    if lat == 91 or lon == 181 or lat == lon == 0:
        return {}
    if abs(lat) > 90 or abs(lon) > 180:
        return None
    return {"lat": lat, "lon": lon}


def _moving(message: Any) -> Fields:
    """Movement, as far as it is available; pyais gives knots."""
    known: Fields = {}
    if message.speed < UNKNOWN_SPEED.get(message.msg_type, SPEED):
        known["speed_mps"] = round(message.speed * KNOT_MPS, 3)
    if message.course < 360:
        known["course_deg"] = message.course
    if getattr(message, "heading", 511) < 360:
        known["heading_deg"] = float(message.heading)
    turn = getattr(message, "turn", None)
    if type(turn) is float:  # else pyais' word for "not available"
        known["turn_deg_min"] = turn + 0.0
    if hasattr(message, "status"):
        known["status"] = STATUS[int(message.status)]
    if hasattr(message, "alt") and message.alt < 4095:
        known["alt_m"] = float(message.alt)
    return known


def _time(message: Any) -> Fields:
    try:
        clock = (message.month, message.day, message.hour, message.minute, message.second)
        return {"time": datetime(message.year, *clock, tzinfo=UTC)}
    except ValueError:
        return {}


def _static(message: Any) -> Fields:
    """Name, type and size; an empty field or 0 was never entered."""
    known: Fields = {
        "name": _text(getattr(message, "shipname", "")),
        "callsign": _text(getattr(message, "callsign", "")),
        "ship_type": _ship_type(int(getattr(message, "ship_type", 0) or 0)),
        "mothership": getattr(message, "mothership_mmsi", 0) or None,
    }
    return known | _size(message)


def _size(message: Any) -> Fields:
    if not hasattr(message, "to_bow"):
        return {}
    sides = (message.to_bow + message.to_stern, message.to_port + message.to_starboard)
    return {"length_m": sides[0] or None, "beam_m": sides[1] or None}


def _voyage(message: Any) -> Fields:
    known = _static(message) | {
        "imo": message.imo or None,
        "draught_m": message.draught or None,
        "destination": _text(message.destination),
    }
    if 1 <= message.month <= 12 and 1 <= message.day <= 31 and message.hour < 24 and message.minute < 60:
        known["eta"] = f"{message.month:02d}-{message.day:02d}T{message.hour:02d}:{message.minute:02d}Z"
    return known


def _aid(message: Any) -> Fields:
    return _size(message) | {
        "aid": message.aid_type.name.lower() if message.aid_type else None,
        "virtual": bool(message.virtual_aid),
        "off_position": bool(message.off_position) if message.second < 60 else None,
    }


def _safety(message: Any) -> Fields:
    return {"text": _text(message.text)}


FIELD_DECODERS: dict[int, Callable[[Any], Fields]] = {
    1: _moving, 2: _moving, 3: _moving, 4: _time, 5: _voyage, 9: _moving, 11: _time, 14: _safety, 18: _moving,
    19: lambda message: _moving(message) | _static(message), 21: _aid, 24: _static, 27: _moving,
}  # fmt: skip
"""The fields of each message type beside its sender and its position."""


def _text(text: str | None) -> str | None:
    """A text ends at the first @."""
    return (text or "").partition("@")[0].strip() or None


def _letters(payload: bytes, start: int, end: int | None = None) -> str:
    """Six-bit letters from one bit of a payload to another."""
    bits = "".join(f"{one - 48 - 8 * (one > 87):06b}" for one in payload)[start:end]
    codes = [int(bits[at : at + 6], 2) for at in range(0, len(bits) - 5, 6)]
    return "".join(chr(code + 64 if code < 32 else code) for code in codes)


def _ship_type(number: int) -> str | None:
    return SHIP_TYPES.get(number) or (SHIP_TENS.get(number // 10) if number < 100 else None)


def fields_of(vessel: Vessel) -> list[Fields]:
    """The messages for ``vessel`` as pyais takes them: two for type 24, else one."""
    from pyais.constants import NavAid

    kind = vessel.message
    if kind not in FIELD_DECODERS:
        raise ValueError(f"AIS message {kind} is not supported; known: {', '.join(map(str, FIELD_DECODERS))}")
    known = vessel.lat is not None and vessel.lon is not None
    unknown_speed, unknown_course = UNKNOWN_SPEED.get(kind, SPEED), 511.0 if kind == LONG_RANGE else 360.0
    fields: Fields = {
        "msg_type": kind, "mmsi": vessel.mmsi, "second": 0,
        "lat": vessel.lat if known else 91.0, "lon": vessel.lon if known else 181.0,
        "accuracy": vessel.error_m is not None,
        "speed": unknown_speed if vessel.speed_mps is None else vessel.speed_mps / KNOT_MPS,
        "course": unknown_course if vessel.course_deg is None else vessel.course_deg,
        "heading": 511 if vessel.heading_deg is None else round(vessel.heading_deg),
        "turn": -128.0 if vessel.turn_deg_min is None else vessel.turn_deg_min,
        "status": BEACON_TEST if vessel.status is None else STATUS.index(vessel.status),
        "alt": 4095 if vessel.alt_m is None else round(vessel.alt_m),
        "shipname": vessel.name or "", "callsign": vessel.callsign or "", "imo": vessel.imo or 0,
        "ship_type": _ship_number(vessel.ship_type), "draught": vessel.draught_m or 0,
        "to_bow": vessel.length_m or 0, "to_starboard": vessel.beam_m or 0,
        "destination": vessel.destination or "", "text": vessel.text or "",
        "name": (vessel.name or "")[:20], "name_ext": (vessel.name or "")[20:],
        "aid_type": NavAid[vessel.aid.upper()] if vessel.aid else 0,
        "virtual_aid": bool(vessel.virtual), "off_position": bool(vessel.off_position),
    }  # fmt: skip
    for name in ("speed", "course"):  # pyais truncates where the standard rounds
        fields[name] = round(fields[name], 0 if kind == LONG_RANGE or (kind, name) == (9, "speed") else 1)
        fields[name] += 0.001
    if kind in (4, 5, 11):
        fields |= _moment(vessel)
    if kind == 24:
        return [fields | {"partno": 0}, fields | {"partno": 1, "mothership_mmsi": vessel.mothership or 0}]
    return [fields]


def _moment(vessel: Vessel) -> Fields:
    """The time of a base station, or a ship's estimated time of arrival."""
    at = vessel.time
    if at is not None and vessel.message != 5:
        clock = [at.year, at.month, at.day, at.hour, at.minute, at.second]
    else:
        clock = [0, *map(int, re.findall(r"\d+", vessel.eta or "00-00T24:60Z")), 60]
    return dict(zip(("year", "month", "day", "hour", "minute", "second"), clock, strict=True))


def _ship_number(word: str | None) -> int:
    for number in (*SHIP_TYPES, *(10 * tens for tens in SHIP_TENS)):
        if word is not None and _ship_type(number) == word:
            return number
    return 0
