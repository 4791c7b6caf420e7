"""A radar's targets over NMEA 0183: one `RadarTarget` for each sentence.

    $RATTM,01,0.65,112.3,T,12.0,220.1,T,0.10,4.2,N,name,T,,061231.00,A
           number, distance, bearing, T true or R relative, speed, course, T or R, closest, in minutes,
           unit K N S, name, status
    $RATLL,01,3206.97200,N,11844.42400,E,name,061231.00,T,

The status is T tracking, Q acquiring, L lost. Source: NMEA 0183 v4.11.
"""

from typing import Any, Literal

from firmware_bridge.nmea.sentence import number, position
from firmware_bridge.readings import RadarTarget, Value

UNITS_M = {b"K": 1000.0, b"N": 1852.0, b"S": 1609.344}
STATES: dict[bytes, Literal["tracking", "acquiring", "lost"]] = {
    b"T": "tracking",
    b"Q": "acquiring",
    b"L": "lost",
}


class RadarDecoder:
    """Sentences with a valid checksum in, targets out. ``bad`` counts sentences with invalid content."""

    framings = ("nmea",)

    def __init__(self) -> None:
        self.bad = 0

    def feed(self, sentence: bytes) -> list[Value]:
        """The target of a radar's sentence; none for other sentences."""
        kind = sentence[3:7]
        if kind not in (b"TTM,", b"TLL,") or sentence[:1] != b"$":
            return []
        fields = [field.strip() for field in sentence.partition(b"*")[0].split(b",")]
        fields += [b""] * (16 - len(fields))
        target = _ttm_fields(fields) if kind == b"TTM," else _tll_fields(fields)
        if not fields[2] or not fields[3]:  # such as a lost target
            return []
        if target is None or not fields[1].isdigit() or len(fields[1]) > 4:
            self.bad += 1
            return []
        return [RadarTarget(number=int(fields[1]), **target)]

    def pause(self) -> list[Value]:
        """Nothing is held back."""
        return []

    def replies(self) -> bytes:
        """Nothing: receive-only."""
        return b""


def _ttm_fields(fields: list[bytes]) -> dict[str, Any] | None:
    unit_m = UNITS_M.get(fields[10] or b"N")
    distance, bearing = number(fields[2], 0.0, 1000.0), number(fields[3], 0.0, 360.0)
    if unit_m is None or distance is None or bearing is None or fields[4] not in (b"T", b"R"):
        return None
    speed, course = number(fields[5], 0.0, 1000.0), number(fields[6], 0.0, 360.0)
    closest, minutes = number(fields[8], 0.0, 1000.0), number(fields[9], -1e6, 1e6)
    return {
        "distance_m": round(distance * unit_m, 1),
        "bearing_deg" if fields[4] == b"T" else "bearing_relative_deg": bearing,
        "speed_mps": None if speed is None else round(speed * unit_m / 3600, 2),
        "course_deg": course if fields[7] == b"T" else None,
        "closest_m": None if closest is None else round(closest * unit_m, 1),
        "closest_in_s": None if minutes is None else round(minutes * 60, 1),
        "name": fields[11].decode("ascii", "replace") or None,
        "state": STATES.get(fields[12]),
    }


def _tll_fields(fields: list[bytes]) -> dict[str, Any] | None:
    place = position(*fields[2:6])
    if place is None:
        return None
    return {
        "lat": round(place[0], 7),
        "lon": round(place[1], 7),
        "name": fields[6].decode("ascii", "replace") or None,
        "state": STATES.get(fields[8]),
    }
