"""Ships around a boat that keeps its position, and what happens to them. Pure: of a seed and a second.

Passing ships, one on a collision course, moored ones of which one breaks loose, a boat of class B, a buoy, a
shore station, and later a man-overboard beacon.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from firmware_bridge.readings import Vessel
from firmware_bridge.wgs84 import Plane
from simulators.world.tracks import Motion

COLLIDES_S, TORN_LOOSE_S, OVERBOARD_S = 150, 0, 30
"""The time of collision, the time at which a ship breaks loose, and the start of the beacon."""
STATIC_EVERY_S = 360
TEXT_EVERY_S = 60
COLLIDER, DRIFTER, BEACON = 413000100, 413000300, 972413001
NAMES = ("CHANG HE", "JIN LING", "XIN HUA", "SU ZHOU HAO", "HAI FENG", "WU CHANG", "DA TONG", "LU ZHOU")


@dataclass(frozen=True, slots=True)
class Sender:
    """An AIS sender: its static data, its position at second 0 in metres from us, and its movement."""

    report: Vessel
    east_m: float
    north_m: float
    speed_mps: float = 0.0
    course_deg: float = 0.0
    every_s: int = 10
    first_s: int = 0
    moves_from_s: int = 0

    def messages(self, second: int, began: datetime, lat: float, lon: float) -> Iterator[Vessel]:
        """Its messages in this second."""
        since_s = second - self.first_s
        if since_s < 0:
            return
        if since_s % self.every_s == 0:
            yield self.at(second, began, lat, lon)
        if (
            self.report.name
            and self.report.station in ("class_a", "class_b")
            and since_s % STATIC_EVERY_S == 1
        ):
            kind = 5 if self.report.station == "class_a" else 24
            yield replace(self.report, message=kind, status=None)
        if self.report.distress and since_s % TEXT_EVERY_S == 2:
            yield replace(self.report, message=14, status=None, text=f"{self.report.distress.upper()} ACTIVE")

    @property
    def kind(self) -> str:
        """Of the truth: a vessel, a buoy, a shore station, or a beacon."""
        return {"aid": "buoy", "base_station": "shore_station", "beacon": "beacon"}.get(
            self.report.station or "", "vessel"
        )

    def motion(self, second: float, lat: float, lon: float) -> Motion | None:
        """Where it is; None before its first message."""
        if second < self.first_s:
            return None
        moves_s = max(0.0, second - self.moves_from_s)
        course = math.radians(self.course_deg)
        east = self.east_m + self.speed_mps * moves_s * math.sin(course)
        north = self.north_m + self.speed_mps * moves_s * math.cos(course)
        moves = self.speed_mps if moves_s or not self.moves_from_s else 0.0
        return Motion(*Plane(lat, lon).position(east, north), moves, self.course_deg)

    def at(self, second: float, began: datetime, lat: float, lon: float) -> Vessel:
        """Its position report."""
        motion = self.motion(max(second, self.first_s), lat, lon)
        assert motion is not None  # noqa: S101  not before its first message
        report = replace(
            self.report,
            lat=motion.lat,
            lon=motion.lon,
            name=self.report.name if self.report.station == "aid" else None,
            callsign=None,
            ship_type=None,
        )
        if report.station == "base_station":
            return replace(report, time=began.replace(microsecond=0) + timedelta(seconds=int(second)))
        if report.station == "aid":
            return report
        return replace(report, speed_mps=motion.speed_mps, course_deg=self.course_deg)


def senders(seed: int = 0) -> tuple[Sender, ...]:
    """All senders around, by a seed."""
    chance = random.Random(seed)
    names = iter(chance.sample(NAMES, len(NAMES)))
    beacon = Vessel(mmsi=BEACON, message=1, station="beacon", distress="mob", status="beacon_active")
    buoy = Vessel(mmsi=994130003, message=21, station="aid", name="CHANNEL 14", aid="port_hand_mark")
    small = Vessel(mmsi=413000400, message=18, station="class_b", name="XIAO YU", ship_type="pleasure_craft")
    collider = _ship(COLLIDER, next(names), "cargo")
    drifter = _ship(DRIFTER, next(names), "tanker", status="moored", heading_deg=0.0)
    found = [
        _passing(collider, chance.uniform(-20, 20), COLLIDES_S, 5.0, round(chance.uniform(0, 359), 1)),
        Sender(drifter, -900, 700, 0.9, 90.0, moves_from_s=TORN_LOOSE_S),
        Sender(beacon, 300, -250, 0.6, 80.0, first_s=OVERBOARD_S),
        Sender(Vessel(mmsi=4130002, message=4, station="base_station"), 2500, 1800),
        Sender(buoy, 400, 300, every_s=30, first_s=3),
        Sender(small, 1200, -600, 2.0, 20.0, every_s=15, first_s=4),
    ]
    for number in range(4):
        ship = _ship(413000500 + number, next(names), chance.choice(("cargo", "passenger", "tug")))
        aside, course = chance.choice((-1, 1)) * chance.uniform(700, 1500), chance.choice((80.0, 260.0))
        speed = round(chance.uniform(2.5, 7), 1)
        found.append(_passing(ship, aside, chance.uniform(-100, 200), speed, course, first_s=number))
    for number in range(2):
        moored = _ship(413000600 + number, next(names), "cargo", status="moored", heading_deg=81.0)
        found.append(
            Sender(moored, -1000 - 120 * number, 720, course_deg=81.0, every_s=60, first_s=5 + number)
        )
    return tuple(found)


def _passing(
    ship: Vessel, aside_m: float, when_s: float, speed_mps: float, course_deg: float, first_s: int = 0
) -> Sender:
    """A ship that passes at this distance to one side at that second, heading where its bow points."""
    course = math.radians(course_deg)
    back_m = speed_mps * when_s
    east = aside_m * math.cos(course) - back_m * math.sin(course)
    north = -aside_m * math.sin(course) - back_m * math.cos(course)
    ship = replace(ship, heading_deg=float(round(course_deg)))
    return Sender(ship, east, north, speed_mps, course_deg, first_s=first_s)


def _ship(
    mmsi: int,
    name: str,
    ship_type: str,
    status: str = "under_way_using_engine",
    heading_deg: float | None = None,
) -> Vessel:
    return Vessel(
        mmsi=mmsi, message=1, station="class_a", name=name, callsign=f"B{mmsi % 10_000}", ship_type=ship_type,
        status=status, heading_deg=heading_deg, error_m=10.0,
    )  # fmt: skip
