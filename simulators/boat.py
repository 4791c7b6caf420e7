"""A boat's line: its instruments' measurements, and the AIS traffic around it. Pure."""

import math
import random
from collections.abc import Iterator
from datetime import datetime

from firmware_bridge.ais import ais
from firmware_bridge.nmea import instruments, quantities
from firmware_bridge.readings import Reading, Vessel
from simulators.world.incidents import Sender, senders
from simulators.world.river import ship_messages
from simulators.world.tracks import Motion
from simulators.world.world import World

OWN_MMSI = 413900001
OWN_EVERY_S = 5
STEERED_MPS = 0.5
"""From this speed on the bow points where the boat goes."""
CURRENT_MPS = 1.2
"""Of the river, which the log of a boat that keeps its position shows."""


def traffic_at(
    second: int,
    began: datetime,
    *,
    lat: float,
    lon: float,
    seed: int = 0,
    motion: Motion | None = None,
    world: World | None = None,
) -> list[Vessel]:
    """The AIS messages received in this second; our own transponder is included.

    Around a position are the ships of `simulators.world.incidents`; where ``motion`` is ours, those of
    ``world``.
    """
    return list(_traffic(second, began, motion or Motion(lat, lon), (lat, lon, seed), world))


def _traffic(
    second: int, began: datetime, own: Motion, around: tuple[float, float, int], world: World | None
) -> Iterator[Vessel]:
    if second % OWN_EVERY_S == 0:
        report = Vessel(mmsi=OWN_MMSI, message=18, station="class_b", own=True)
        yield Sender(report, 0, 0, own.speed_mps, own.course_deg).at(0, began, own.lat, own.lon)
    if world is not None:
        yield from ship_messages(world.ships, second)
        around = (*world.middle, world.seed)
        if not world.has_incidents:
            return
    for sender in senders(around[2]):
        yield from sender.messages(second, began, around[0], around[1])


def instruments_at(
    second: float,
    seed: int = 0,
    *,
    bottom: bool = True,
    motion: Motion | None = None,
    turn_deg_min: float = 0.0,
) -> list[Reading]:
    """The instruments' measurements; without a ``bottom`` the sounder reports no depth.

    A boat that sails heads where it goes; one that keeps its position swings.
    """
    noise = random.Random(seed * 1_000_003 + int(second))
    heading, rudder = (40 + 5 * math.sin(second / 20)) % 360, 3 * math.cos(second / 20)
    turn, water_mps = 15 * math.cos(second / 20), CURRENT_MPS
    if motion is not None and motion.speed_mps >= STEERED_MPS:
        heading, turn, water_mps = motion.course_deg, turn_deg_min, motion.speed_mps
        rudder = max(-30.0, min(30.0, turn_deg_min / 10))
    wind = 5 + math.sin(second / 50) + noise.gauss(0, 0.3)
    measured = {
        "depth_below_transducer": 6 + 2 * math.sin(second / 90) + noise.gauss(0, 0.05),
        "depth_below_surface": 6.4 + 2 * math.sin(second / 90),
        "wind_apparent_angle": (30 + 4 * math.sin(second / 15)) % 360,
        "wind_apparent_speed": wind,
        "wind_true_rel_angle": (40 + 4 * math.sin(second / 15)) % 360,
        "wind_true_rel_speed": wind - 0.8,
        "speed_through_water": max(0.0, water_mps + noise.gauss(0, 0.02)),
        "water_temperature": 18 + math.sin(second / 600),
        "heading_true": heading,
        "heading_magnetic": (heading + 5.5) % 360,
        "rudder_angle": rudder,
        "rate_of_turn": turn,
    }
    return [
        Reading(quantity=name, value=round(value, 2), unit=quantities.QUANTITIES[name][0])
        for name, value in measured.items()
        if bottom or not name.startswith("depth_")
    ]


def bytes_at(
    second: int,
    began: datetime,
    *,
    lat: float = 0.0,
    lon: float = 0.0,
    seed: int = 0,
    bottom: bool = True,
    motion: Motion | None = None,
    turn_deg_min: float = 0.0,
    world: World | None = None,
) -> bytes:
    """The bytes of the boat's line in this second: instruments, then AIS."""
    vessels = traffic_at(second, began, lat=lat, lon=lon, seed=seed, motion=motion, world=world)
    measured = instruments_at(second, seed, bottom=bottom, motion=motion, turn_deg_min=turn_deg_min)
    messages = [
        ais.encode(one, sequence=number, channel="AB"[number % 2]) for number, one in enumerate(vessels)
    ]
    return instruments.encode(*measured) + b"".join(messages)
