"""Real recordings of boats and of AIS, with what a correct reader gets: see `tests.recordings`."""

import gzip
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from firmware_bridge.ais.transponder import FIELD_DECODERS, STATUS
from firmware_bridge.catalogue import protocols
from firmware_bridge.readings import Fix, Reading, Vessel
from firmware_bridge.serial.line_decoder import LineDecoder
from tests.recordings import SHARED, Score, expectation

POSITIONS = frozenset({1, 2, 3, 4, 9, 11, 18, 19, 27})
"""Messages whose positions gpsd and pyais were held against each other for."""
NAMES = {"water_temp_C": "water_temperature", "position": "position"}
FROM_FIXES = {"course_over_ground_true": "course_deg", "speed_over_ground": "speed_mps"}
"""What a GNSS receiver's VTG says is told in its fix."""
ROUNDING = 0.011


def boat_recordings(folder: Path = SHARED) -> list[Path]:
    """Those of which quantities are known."""
    return [path for path in sorted((folder / "boat").glob("*.log")) if _quantities(path)]


def ais_recordings(folder: Path = SHARED) -> list[Path]:
    """Those in which AIS is heard."""
    paths = [path for name in ("ais", "nmea", "boat") for path in sorted((folder / name).glob("*.log"))]
    return [path for path in paths if "ais" in expectation(path)]


def heard(path: Path, chunk: int = 4096) -> list[Any]:
    """Everything that NMEA 0183 says in a recording."""
    ear = LineDecoder(protocols()["nmea"]())
    data = path.read_bytes()
    values = [value for at in range(0, len(data), chunk) for value in ear.feed(data[at : at + chunk])]
    return values + ear.pause()


def ais_score(path: Path) -> Score:
    """Position reports by type, sender and place to four digits, each as often as it is expected."""
    wanted: Counter[tuple[int, int, float, float]] = Counter()
    for kind, mmsi, lat, lon, count in expectation(path)["ais"]["position_reports"]:
        wanted[kind, mmsi, lat, lon] += count
    told: Counter[tuple[int, int, float, float]] = Counter()
    for vessel in heard(path):
        if isinstance(vessel, Vessel) and vessel.message in POSITIONS:
            lat, lon = (91.0, 181.0) if vessel.lat is None else (vessel.lat, vessel.lon or 0.0)
            told[vessel.message, vessel.mmsi, round(lat, 4), round(lon, 4)] += 1
    return Score(path.stem, wanted.total(), (wanted & told).total(), told.total(), (told - wanted).total(), 0)


def boat_score(path: Path) -> Iterator[tuple[str, int, int]]:
    """(quantity, values expected, values told) where first, last, least, most and mean agree too; else 0."""
    values = heard(path)
    for name, wanted in _quantities(path).items():
        told = _told(name, values)
        yield name, wanted["n"], len(told) if _agree(wanted, told) else 0


def _quantities(path: Path) -> dict[str, Any]:
    expected = expectation(path)
    found: dict[str, Any] = expected.get("boat", expected).get("quantities", {})
    return {name: one for name, one in found.items() if name != "position"}


def _told(name: str, values: list[Any]) -> list[float]:
    quantity = NAMES.get(name) or name.rpartition("_")[0]
    told = [one.value for one in values if isinstance(one, Reading) and one.quantity == quantity]
    if told or quantity not in FROM_FIXES:
        return told
    numbers = [getattr(one, FROM_FIXES[quantity]) for one in values if isinstance(one, Fix)]
    return [number for number in numbers if number is not None]


def _agree(wanted: dict[str, Any], told: list[float]) -> bool:
    if not told:
        return False
    ours = {
        "first": told[0], "last": told[-1], "min": min(told), "max": max(told), "mean": sum(told) / len(told)
    }  # fmt: skip
    return all(math.isclose(wanted[key], one, abs_tol=ROUNDING) for key, one in ours.items())


FIELDS = (
    "mmsi", "lat", "lon", "error_m", "alt_m", "speed_mps", "course_deg", "heading_deg", "status", "imo",
    "length_m", "beam_m", "draught_m", "destination", "eta", "virtual", "off_position", "time", "text",
)  # fmt: skip
"""Compared field by field; names and types of ship only where the message itself tells them."""
TELLS_NAME = (5, 19, 21, 24)


def gpsd_says(path: Path) -> list[dict[str, Any]]:
    """What gpsd printed of a recording's AIS, for the messages that we read, in our words."""
    beside = next(path.parent.glob(path.name + "*.chk*"))
    said = gzip.decompress(beside.read_bytes()) if beside.suffix == ".gz" else beside.read_bytes()
    reports = [json.loads(line) for line in said.splitlines() if line.startswith(b'{"class":"AIS"')]
    return [_ours(one) for one in reports if one["type"] in FIELD_DECODERS and _possible(one)]


def we_say(path: Path) -> list[dict[str, Any]]:
    """The same of what we tell."""
    told = []
    for one in heard(path):
        if isinstance(one, Vessel):
            fields = {name: getattr(one, name) for name in FIELDS} | {"type": one.message}
            if one.message in TELLS_NAME:
                fields |= {"name": one.name, "callsign": one.callsign, "ship": one.ship_type is not None}
            if one.time is not None:
                fields["time"] = f"{one.time:%Y-%m-%dT%H:%M:%SZ}"
            told.append(_rounded(fields))
    return told


def gpsd_recordings(folder: Path = SHARED) -> list[Path]:
    """AIS of which gpsd's own output is there."""
    paths = [*ais_recordings(folder), *sorted((folder / "ais").glob("*.aivdm"))]
    return [path for path in paths if any(path.parent.glob(path.name + "*.chk*"))]


def same_report(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two reports tell the same in every field, to what gpsd's scales allow."""
    return all(
        math.isclose(value, other[name], abs_tol=1.1e-4 if name in ("lat", "lon") else 2e-3)
        if isinstance(value, float) and other[name] is not None
        else value == other[name]
        for name, value in one.items()
    )


def _possible(gpsd: dict[str, Any]) -> bool:
    """gpsd prints positions beyond the poles; we refuse such a message."""
    places = 600 if gpsd["type"] == 27 else 600_000
    scale = 1 if gpsd["scaled"] else places
    return abs(gpsd.get("lat", 0)) <= 91 * scale and abs(gpsd.get("lon", 0)) <= 181 * scale


def _ours(gpsd: dict[str, Any]) -> dict[str, Any]:
    """gpsd's field names, scales and signs of absence in ours."""
    kind, scaled = gpsd["type"], gpsd["scaled"]
    tenth, degree = (1, 1) if scaled else (0.1, 1 / (600 if kind == 27 else 600_000))
    whole = kind in (9, 27)
    ours: dict[str, Any] = dict.fromkeys(FIELDS) | {"mmsi": gpsd["mmsi"], "type": kind}
    lat, lon = gpsd.get("lat", 91 / degree) * degree, gpsd.get("lon", 181 / degree) * degree
    if lat != 91 and lon != 181:
        ours |= {"lat": lat, "lon": lon, "error_m": 10.0 if gpsd["accuracy"] and kind != 27 else None}
    speed = gpsd.get("speed", 1023) * (1 if whole else tenth)
    if speed < (63 if kind == 27 else 1023 if whole else 102.25):
        ours["speed_mps"] = speed * 1852 / 3600
    course = gpsd.get("course", 3600) * (1 if kind == 27 else tenth)
    ours["course_deg"] = course if course < 360 else None
    ours["heading_deg"] = heading if (heading := gpsd.get("heading", 511)) < 360 else None
    ours["alt_m"] = gpsd.get("alt")
    ours["status"] = STATUS[gpsd["status"]] if "status" in gpsd else None
    ours["imo"] = gpsd.get("imo") or None
    ours["length_m"] = gpsd.get("to_bow", 0) + gpsd.get("to_stern", 0) or None
    ours["beam_m"] = gpsd.get("to_port", 0) + gpsd.get("to_starboard", 0) or None
    ours["draught_m"] = gpsd.get("draught", 0) * tenth or None
    ours["destination"], ours["text"] = gpsd.get("destination") or None, gpsd.get("text")
    eta, time = gpsd.get("eta", "00-00T24:60Z"), gpsd.get("timestamp", "T24:60:60Z")
    ours["eta"] = None if "00-" in eta or "-00T" in eta or "T24" in eta or ":60" in eta else eta
    ours["time"] = None if "T24" in time else time
    if kind == 21:
        ours["virtual"] = gpsd["virtual_aid"]
        ours["off_position"] = gpsd["off_position"] if gpsd["second"] < 60 else None
    if kind in TELLS_NAME:
        ours["name"] = gpsd.get("shipname") or gpsd.get("name") or None
        ours["callsign"] = gpsd.get("callsign") or None
        ours["ship"] = 19 < gpsd.get("shiptype", 0) < 100 and gpsd["shiptype_text"] not in (
            "Reserved",
            "Spare",
        )
    return _rounded(ours)


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    """To what gpsd prints."""
    return {name: round(one, 4) if isinstance(one, float) else one for name, one in fields.items()}
