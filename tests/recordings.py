"""Real serial recordings with what a correct reader gets, from the data set beside the repository."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from firmware_bridge import protocols
from firmware_bridge.line import Ear
from firmware_bridge.readings import Fix

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "serial"
WEEKS_1024_S = 619_315_200
NEAR_DEG = 2e-6


@dataclass(frozen=True)
class Score:
    """How one recording was read."""

    name: str
    expected: int
    found: int
    reported: int
    false: int


def nmea_recordings() -> list[Path]:
    return sorted((SHARED / "nmea").glob("*.log"))


def ubx_recordings() -> list[Path]:
    return sorted((SHARED / "ubx").glob("*.log"))


def fixes(path: Path, chunk: int = 4096) -> list[Fix]:
    """The fixes with a position that our reader reports."""
    ear = Ear(protocols()[path.parent.name]())
    data = path.read_bytes()
    values: list[Any] = []
    for start in range(0, len(data), chunk):
        values += ear.hear(data[start : start + chunk])
    values += ear.pause()
    return [value for value in values if isinstance(value, Fix) and value.mode != "none"]


def score(path: Path, chunk: int = 4096) -> Score:
    """Fixes found of those expected (time modulo 1024 weeks, position), and those no receiver declared valid."""
    expected = json.loads(path.with_suffix(".expected.json").read_text())
    told = fixes(path, chunk)

    def near(fix: Fix, lat: float, lon: float) -> bool:
        assert fix.lat is not None
        assert fix.lon is not None
        return abs(fix.lat - lat) < NEAR_DEG and abs(fix.lon - lon) < NEAR_DEG

    by_time: dict[float, list[Fix]] = {}
    for fix in told:
        if fix.time is not None:
            by_time.setdefault(round(fix.time.timestamp() % WEEKS_1024_S, 2), []).append(fix)
    found = 0
    for one in expected["fixes"]:
        moment = datetime.fromisoformat(one["time"]).timestamp() % WEEKS_1024_S
        found += any(near(fix, one["lat"], one["lon"]) for fix in by_time.get(round(moment, 2), []))
    valid = expected["raw_valid"]
    false = sum(not any(near(fix, lat, lon) for _, lat, lon in valid) for fix in told)
    return Score(path.stem, len(expected["fixes"]), found, len(told), false)
