"""Real serial recordings with what a correct reader gets, from the data set beside the repository.

What must be told is gpsd's own output; what may be told is what the receiver itself declared valid, found by
other readers than ours: the data set's own, pyubx2, and for boats a split at commas.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias

from firmware_bridge.catalogue import protocols
from firmware_bridge.readings import Fix
from firmware_bridge.serial.line_decoder import LineDecoder

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "serial"
WEEKS_1024_S = 619_315_200
NEAR_DEG = 2e-6
AMENDED = {("ublox-aek-4t", "2007-12-23T23:11:19.999Z"): "2007-12-23T23:11:23.999Z"}
"""Times that gpsd had wrong. Before the receiver told it the leap seconds of 2007, 14, it took today's 18;
but NAV-TIMEUTC of that very epoch says 23:11:24 less 1.000869 ms."""

Place: TypeAlias = tuple[float | None, float, float]
"""Second of the day where it is known, latitude, longitude."""


@dataclass(frozen=True)
class Score:
    """How one recording was read. ``reported``: fixes with a position that we tell; ``false``: those that
    the receiver did not declare valid at that time; ``twice``: those of an epoch told just before."""

    name: str
    expected: int
    found: int
    reported: int
    false: int
    twice: int


def nmea_recordings() -> list[Path]:
    return sorted((SHARED / "nmea").glob("*.log"))


def gnss_recordings(folder: Path = SHARED) -> list[Path]:
    """All that fixes may be looked for in: receivers, boats, and protocols that we do not speak."""
    folders = ("nmea", "ubx", "boat", "foreign")
    return [path for name in folders for path in sorted((folder / name).glob("*.log"))]


def expectation(path: Path) -> Any:
    """What ``.expected.json`` says of a recording."""
    beside = path.with_suffix(".expected.json")
    beside = beside if beside.exists() else path.with_name(path.name + ".expected.json")
    return json.loads(beside.read_text())


def fixes(path: Path, chunk: int = 4096) -> list[Fix]:
    """The fixes with a position that our reader reports, whatever the protocol."""
    return fixes_in(path.read_bytes(), chunk)


def fixes_in(data: bytes, chunk: int = 4096) -> list[Fix]:
    ear = LineDecoder([*protocols()["nmea"](), *protocols()["ubx"]()])
    values: list[Any] = []
    for start in range(0, len(data), chunk):
        values += ear.feed(data[start : start + chunk])
    values += ear.pause()
    return [value for value in values if isinstance(value, Fix) and value.mode != "none"]


def score(path: Path, chunk: int = 4096) -> Score:
    """What must be told and what may be, against what is."""
    wanted, valid = list(wanted_of(path)), valid_in(path)
    told = fixes(path, chunk)
    found = sum(any(one(fix) for fix in told) for one in wanted)
    false = sum(not any(_is(place, fix) for place in valid) for fix in told)
    times = [fix.time and round(fix.time.timestamp(), 1) for fix in told]
    twice = sum(time is not None and time in times[max(0, at - 3) : at] for at, time in enumerate(times))
    return Score(path.stem, len(wanted), found, len(told), false, twice)


def wanted_of(path: Path) -> Iterator[Callable[[Fix], bool]]:
    """Each fix that must be told, as a test of fixes. What we do not speak must give none."""
    told = expectation(path)
    if path.parent.name == "foreign":
        return
    for one in told.get("fixes", ()):
        moment = datetime.fromisoformat(AMENDED.get((path.stem, one["time"]), one["time"])).timestamp()
        yield partial(_is_at, moment, one["lat"], one["lon"])
    if "fixes" not in told:
        for place in {place[0]: place for place in valid_in(path)}.values():
            yield partial(_is, place)


@cache
def valid_in(path: Path) -> tuple[Place, ...]:
    """What the receiver declared valid."""
    told = expectation(path)
    stated = [tuple(one) for one in told["raw_valid"]] if "raw_valid" in told else _nmea_valid(path)
    return (*stated, *_ubx_valid(path))


def _nmea_valid(path: Path) -> Iterator[Place]:
    for line in path.read_text("ascii", "replace").splitlines():
        fields = line.split("*")[0].split(",")
        first = {"RMC": 3, "GGA": 2, "GLL": 1}.get(fields[0][3:6])
        flag, clock = {"RMC": (2, 1), "GGA": (6, 1), "GLL": (6, 5)}.get(fields[0][3:6], (0, 0))
        if first and len(fields) > 6 and fields[flag] in ("A", "1", "2", "3", "4", "5"):
            lat, lon = (
                (int(float(text) / 100) + float(text) % 100 / 60) * (-1 if side in "SW" else 1)
                for text, side in zip(
                    fields[first : first + 4 : 2], fields[first + 1 : first + 4 : 2], strict=True
                )
            )
            time = fields[clock]
            yield int(time[:2]) * 3600 + int(time[2:4]) * 60 + float(time[4:]), lat, lon


def _ubx_valid(path: Path) -> Iterator[Place]:
    """What pyubx2 reads of NAV-PVT, and of NAV-POSLLH and NAV-SOL where SOL or STATUS says so."""
    from pyubx2 import UBXReader
    from pyubx2.exceptions import UBXParseError

    data = path.read_bytes()
    good: set[Any] = set()
    places: list[tuple[Any, Place]] = []
    at = -1
    while (at := data.find(b"\xb5\x62\x01", at + 1)) >= 0:
        try:
            message: Any = UBXReader.parse(
                data[at : at + 8 + int.from_bytes(data[at + 4 : at + 6], "little")]
            )
        except UBXParseError:
            continue
        if message.identity == "NAV-PVT" and message.gnssFixOk and message.fixType in (2, 3, 4, 5):
            moment = message.hour * 3600 + message.min * 60 + message.second + message.nano / 1e9
            places.append((None, (moment % 86400, message.lat, message.lon)))
        elif message.identity == "NAV-POSLLH":
            places.append((message.iTOW, (None, message.lat, message.lon)))
        elif message.identity == "NAV-SOL" and message.gpsfixOK and message.gpsFix in (2, 3, 4, 5):
            good.add(message.iTOW)
            places.append((message.iTOW, (None, *_ecef(message.ecefX, message.ecefY, message.ecefZ))))
        elif message.identity == "NAV-STATUS" and message.gpsFixOk and message.gpsFix in (2, 3, 4, 5):
            good.add(message.iTOW)
    return (place for epoch, place in places if epoch is None or epoch in good)


def _ecef(x_cm: float, y_cm: float, z_cm: float) -> tuple[float, float]:
    """Latitude and longitude on WGS-84, by iteration."""
    x, y, z = x_cm / 100, y_cm / 100, z_cm / 100
    squared = 6.69437999014e-3
    across = math.hypot(x, y)
    lat = math.atan2(z, across * (1 - squared))
    for _ in range(8):
        radius = 6378137 / math.sqrt(1 - squared * math.sin(lat) ** 2)
        height = across / math.cos(lat) - radius
        lat = math.atan2(z, across * (1 - squared * radius / (radius + height)))
    return math.degrees(lat), math.degrees(math.atan2(y, x))


def _is_at(moment: float, lat: float, lon: float, fix: Fix) -> bool:
    """Whether it is that fix; weeks are counted modulo 1024, as old receivers do."""
    if fix.time is None:
        return False
    apart_s = (fix.time.timestamp() - moment + WEEKS_1024_S / 2) % WEEKS_1024_S - WEEKS_1024_S / 2
    return abs(apart_s) < 0.05 and _near(fix, lat, lon)


def _near(fix: Fix, lat: float, lon: float) -> bool:
    assert fix.lat is not None
    assert fix.lon is not None
    return abs(fix.lat - lat) < NEAR_DEG and abs(fix.lon - lon) < NEAR_DEG


def _is(place: Place, fix: Fix) -> bool:
    """Whether it is that place, and within a second of when it was so: some receivers' sentences differ."""
    second, lat, lon = place
    if not _near(fix, lat, lon):
        return False
    if second is None or fix.time is None:
        return True
    return (fix.time.timestamp() - second + 1.01) % 86400 <= 2.02
