"""A GNSS receiver as a function of time: fix, sky, RF status, and its faults. Pure."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal, TypeAlias

from firmware_bridge.epoch import ROLLOVER, Satellite
from firmware_bridge.gnss import ubx_encoder
from firmware_bridge.nmea import gnss_encoder
from firmware_bridge.readings import Fix, GnssState
from firmware_bridge.wgs84 import metres_per_degree
from simulators.world.gnss_error import ERROR_M, circle_at, fix_of
from simulators.world.tracks import Motion

Protocol: TypeAlias = Literal["nmea", "ubx"]
FIRST = {"GP": 1, "GL": 65, "GA": 1, "GB": 1}
JUMP_M = 2000.0
PULL_MPS = 5.0
"""The speed at which a spoofer moves the position."""
JAM_DB = 16
JAMMED_S = 20.0
"""A jammed receiver keeps a poor fix for this long."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """The content of one epoch. ``leap``: its time is sent as 23:59:60."""

    fix: Fix
    sky: tuple[Satellite, ...]
    state: GnssState
    leap: bool = False

    def encode(self, protocol: Protocol) -> bytes:
        """The epoch on the wire."""
        if protocol == "ubx":
            return ubx_encoder.encode(self.fix, self.sky, self.state)
        return gnss_encoder.encode(self.fix, self.sky, leap=self.leap)


def epoch_at(
    began: datetime, second: float, *, lat: float, lon: float, seed: int = 0, speed_mps: float = 0.0
) -> Epoch:
    """The epoch of a good receiver under an open sky, on a circle at ``speed_mps``, or stationary."""
    return epoch_of(circle_at(second, lat=lat, lon=lon, speed_mps=speed_mps), began, second, seed=seed)


def epoch_of(
    motion: Motion,
    began: datetime,
    second: float,
    *,
    seed: int = 0,
    heave_m: float = 0.0,
    error_m: float = ERROR_M,
) -> Epoch:
    """The epoch of a good receiver at ``motion``, under an open sky; ``error_m``: its 1 sigma."""
    sky = sky_at(second, seed)
    fix = fix_of(motion, began, second, seed=seed, heave_m=heave_m, error_m=error_m)
    used = sum(one.used for one in sky)
    return Epoch(
        replace(fix, satellites=used),
        sky,
        GnssState(jamming="ok", spoofing="none", antenna="ok", jamming_pct=2.0),
    )


def sky_at(second: float, seed: int = 0) -> tuple[Satellite, ...]:
    """Some thirty satellites that rise, pass and set; those above 8 degrees are used."""
    satellites = []
    for talker, count in (("GP", 12), ("GL", 9), ("GA", 9), ("GB", 10)):
        for number in range(count):
            pass_s, begin, highest, rises = _orbit(seed, talker, number)
            phase = (second / pass_s + begin) % 1  # below the horizon for a quarter of it
            elevation = round(highest * math.sin(math.pi * phase / 0.75))
            if elevation < 1:
                continue
            azimuth = round((rises + 150 * phase) % 360)
            flicker = random.Random(f"{seed} {talker} {number} {int(second)}").gauss(0, 1)
            cn0 = round(min(50.0, 30 + 16 * math.sin(math.radians(elevation)) + flicker))
            used = elevation > 8
            satellites.append(
                Satellite(
                    talker, FIRST[talker] + number, elevation, azimuth, cn0 if elevation > 4 else None, used
                )
            )
    return tuple(satellites)


@lru_cache(maxsize=8192)
def _orbit(seed: int, talker: str, number: int) -> tuple[float, float, float, float]:
    """The time of a pass, its phase at second 0, the highest elevation, and the azimuth where it rises."""
    orbit = random.Random(f"{seed} {talker} {number}")
    pass_s = 6 * 3600 * orbit.uniform(0.9, 1.1)
    return pass_s, orbit.random(), orbit.uniform(25, 85), orbit.uniform(0, 360)


def _no_fix(epoch: Epoch) -> Epoch:
    """The receiver lost the satellites; its clock continues."""
    sky = tuple(replace(one, used=False) for one in epoch.sky)
    return replace(epoch, fix=Fix(mode="none", time=epoch.fix.time), sky=sky)


def _moved(epoch: Epoch, north_m: float) -> Epoch:
    assert epoch.fix.lat is not None  # noqa: S101  only a fix with a position is moved
    return replace(
        epoch, fix=replace(epoch.fix, lat=epoch.fix.lat + north_m / metres_per_degree(epoch.fix.lat)[1])
    )


def _jam(epoch: Epoch, since_s: float, _: Epoch) -> Epoch:
    """Signals drown in noise: first the fix degrades, then it is lost."""
    weak = tuple(
        replace(one, cn0_dbhz=max(10, one.cn0_dbhz - JAM_DB), used=False)
        for one in epoch.sky
        if one.cn0_dbhz is not None
    )
    state = replace(epoch.state, jamming="critical", jamming_pct=90.0)
    if since_s > JAMMED_S:
        return replace(_no_fix(epoch), sky=weak, state=state)
    return replace(epoch, fix=replace(epoch.fix, satellites=4, hdop=9.5, error_m=70.0), sky=weak, state=state)


def _spoof(epoch: Epoch, since_s: float, _: Epoch) -> Epoch:
    """The position moves slowly, by signals that are stronger than real ones and all equal."""
    alike = tuple(replace(one, cn0_dbhz=47) for one in epoch.sky)
    state = replace(epoch.state, spoofing="indicated")
    return replace(_moved(epoch, PULL_MPS * since_s), sky=alike, state=state)


def _timed(epoch: Epoch, by: timedelta) -> Epoch:
    at = epoch.fix.time
    return replace(epoch, fix=replace(epoch.fix, time=None if at is None else at + by))


def _leap(epoch: Epoch) -> Epoch:
    at = epoch.fix.time
    if at is None:
        return epoch
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return replace(epoch, fix=replace(epoch.fix, time=midnight), leap=True)


FAULTS: dict[str, Callable[[Epoch, float, Epoch], Epoch | None]] = {
    "silence": lambda *_: None,
    "no_fix": lambda now, *_: _no_fix(now),
    "cold": lambda now, *_: replace(now, fix=Fix(mode="none"), sky=()),
    "frozen": lambda _now, _since_s, first: first,
    "stuck": lambda now, _since_s, first: replace(now, fix=replace(first.fix, time=now.fix.time)),
    "jump": lambda now, *_: _moved(now, JUMP_M),
    "jam": _jam,
    "spoof": _spoof,
    "antenna": lambda now, *_: replace(_no_fix(now), sky=(), state=replace(now.state, antenna="open")),
    "rollover": lambda now, *_: _timed(now, -ROLLOVER),
    "date_back": lambda now, *_: _timed(now, -timedelta(days=1)),
    "leap_second": lambda now, *_: _leap(now),
}
"""Each fault: from an epoch, the seconds since the fault began, and the first faulty epoch, to the epoch
sent.

``cold`` has lost its time as well. ``frozen`` repeats the epoch with its time; ``stuck`` only the
position."""
