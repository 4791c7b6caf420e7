"""Traffic on a river: ships along its line, and what they send over AIS. Pure: of a seed and a second."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from firmware_bridge.readings import Vessel
from firmware_bridge.wgs84 import Plane, Position
from simulators.world.tracks import Motion, Track

HALF_LENGTH_M = 5_000.0
"""Of the straight line where no file gives one."""
ASIDE_M = (60.0, 180.0)
"""How far ships keep to starboard of the river's line."""
FIRST_MMSI = 413_700_000
STATIC_EVERY_S = 360
TYPES: tuple[tuple[str, float, float, int, int], ...] = (
    ("cargo", 2.5, 4.5, 90, 16),
    ("tanker", 2.5, 4.0, 100, 17),
    ("tug", 2.0, 5.0, 30, 9),
    ("passenger", 4.0, 7.0, 45, 10),
    ("fishing", 1.5, 3.5, 15, 4),
)
"""Type, slowest and fastest speed in m/s, length and beam in metres."""
NAMES = ("AN DA", "BAI LU", "CHANG FENG", "DONG SHAN", "FU YUAN", "GUANG MING", "HE XIE", "JIANG YUN")


@dataclass(frozen=True, slots=True)
class Ship:
    """A ship that sails up and down along its own track."""

    report: Vessel
    track: Track
    lead_s: float
    """How long it has sailed at second 0."""

    def at(self, second: float) -> Motion:
        return self.track.at(second + self.lead_s)

    def interval_s(self, speed_mps: float) -> int:
        """Between two position reports: of class A by speed (ITU-R M.1371), of class B 30 s."""
        if self.report.station == "class_b":
            return 30
        return 10 if speed_mps < 14 * 1852 / 3600 else 6


def straight_line(lat: float, lon: float, course_deg: float) -> tuple[Position, Position]:
    """A river of 10 km through a position."""
    course, plane = math.radians(course_deg), Plane(lat, lon)
    east, north = HALF_LENGTH_M * math.sin(course), HALF_LENGTH_M * math.cos(course)
    return plane.position(-east, -north), plane.position(east, north)


def make_ships(line: Sequence[Position], count: int, seed: int) -> tuple[Ship, ...]:
    """``count`` ships along the river; every seventh is of class B."""
    chance = random.Random(f"river {seed}")
    return tuple(_ship(number, line, chance) for number in range(count))


def ship_messages(ships: Sequence[Ship], second: int) -> Iterator[Vessel]:
    """The AIS messages that the ships send in this second."""
    for number, ship in enumerate(ships):
        motion = ship.at(second)
        phase = second + 7 * number
        if phase % ship.interval_s(motion.speed_mps) == 0:
            yield position_report(ship, motion)
        if phase % STATIC_EVERY_S == 1:
            kind = 5 if ship.report.station == "class_a" else 24
            yield replace(ship.report, message=kind, status=None, error_m=None)


def position_report(ship: Ship, motion: Motion) -> Vessel:
    """The position report of a ship at this instant."""
    return replace(
        ship.report,
        name=None, callsign=None, ship_type=None, length_m=None, beam_m=None, destination=None,
        lat=motion.lat,
        lon=motion.lon,
        speed_mps=motion.speed_mps,
        course_deg=motion.course_deg,
        heading_deg=float(round(motion.course_deg) % 360),
    )  # fmt: skip


def _ship(number: int, line: Sequence[Position], chance: random.Random) -> Ship:
    ship_type, slowest, fastest, length_m, beam_m = chance.choice(TYPES)
    station: Literal["class_a", "class_b"] = "class_b" if number % 7 == 6 else "class_a"
    downstream = chance.random() < 0.5
    track = Track(
        _aside(line if downstream else line[::-1], chance.uniform(*ASIDE_M)),
        speeds_mps=(round(chance.uniform(slowest, fastest), 1),),
        turn_radius_m=300,
        mps2=0.05,
        returns=True,
    )
    report = Vessel(
        mmsi=FIRST_MMSI + number, message=1 if station == "class_a" else 18, station=station,
        status="under_way_using_engine" if station == "class_a" else None,
        name=f"{NAMES[number % len(NAMES)]} {number + 1}", callsign=f"BR{number:04d}", ship_type=ship_type,
        length_m=length_m, beam_m=beam_m, error_m=10.0,
    )  # fmt: skip
    return Ship(report, track, chance.uniform(0.05, 0.9) * track.duration_s)


def _aside(line: Sequence[Position], aside_m: float) -> list[Position]:
    """The line, moved to starboard; kept to straight legs."""
    plane = Plane(*line[0])
    points = [plane.metres(*position) for position in line]
    moved = []
    for number, (east, north) in enumerate(points):
        (back_e, back_n), (to_e, to_n) = points[max(0, number - 1)], points[min(len(points) - 1, number + 1)]
        far = math.hypot(to_e - back_e, to_n - back_n)
        moved.append(
            plane.position(east + aside_m * (to_n - back_n) / far, north - aside_m * (to_e - back_e) / far)
        )
    return moved
