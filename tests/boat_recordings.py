"""Real recordings of boats and of AIS, with what a correct reader gets: see `tests.recordings`."""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from firmware_bridge import protocols
from firmware_bridge.line import Ear
from firmware_bridge.readings import Fix, Reading, Vessel
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
    ear = Ear(protocols()["nmea"]())
    data = path.read_bytes()
    values = [value for at in range(0, len(data), chunk) for value in ear.hear(data[at : at + chunk])]
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
