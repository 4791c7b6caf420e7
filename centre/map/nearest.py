"""The forces nearest to an alert: ranked by the time that each needs, with why others are left out. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from centre.map.force import Force
from centre.map.queued_alert import QueuedAlert
from centre.map.settings import MapSettings
from centre.map.waterway import Landing, Waterway
from firmware_bridge.wgs84 import distance_m

NO_POSITION = "no position"
THERE_M, MAX_ERROR_M = 50.0, 200.0
"""Who is this close is there; plus the errors of both positions, as far as they are small."""


@dataclass(frozen=True, slots=True)
class NearForce:
    """A force that can go, the soonest first."""

    force: Force
    by: str
    """``water``, ``air``, ``road``, ``foot``, ``stays``."""
    straight_m: float
    way_m: float
    """Along the river, or the straight line with the detour of its kind."""
    eta_s: float
    """Seconds from now; 0 where it is there."""
    there: bool
    error_m: float
    """Of both positions together."""
    drone: int | None = None
    """The system number of a drone that is in the air already."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A force that can't go, or can't be known to."""

    force: Force
    straight_m: float | None
    why: str


@dataclass(frozen=True, slots=True)
class MinuteMark:
    """One of the minutes after an alert. ``left_s`` is negative once it is over."""

    minutes: float
    left_s: float
    there: tuple[str, ...]
    """Devices that are there now."""
    should: tuple[str, ...]
    """Devices that can be there by then if they leave now, the soonest first; none once it is over."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """``place``: None where neither the alert nor its device has a position."""

    place: tuple[float, float] | None
    error_m: float | None
    ranked: tuple[NearForce, ...]
    left_out: tuple[LeftOut, ...]
    marks: tuple[MinuteMark, ...]


def alert_place(alert: QueuedAlert, device: Force | None) -> tuple[tuple[float, float] | None, float | None]:
    """Where an alert is, and within how many metres: its own point, else the position of its device."""
    if alert.point is not None:
        return (alert.point.lat, alert.point.lon), alert.point.error_m
    if device is None or device.coordinates is None:
        return None, None
    return device.coordinates, None if device.position is None else device.position.error_m


def nearest(
    alert: QueuedAlert,
    forces: Iterable[Force],
    settings: MapSettings,
    water: Waterway,
    now: datetime,
    most: int = 20,
) -> Nearest:
    """The forces for an alert: the ``most`` soonest, as many that are left out, and the minutes."""
    forces = list(forces)
    device = next((force for force in forces if force.device == alert.device), None)
    place, error_m = alert_place(alert, device)
    if place is None:
        return Nearest(None, None, (), (), _marks(alert, (), settings.minutes, now))
    goal = _Goal(place, error_m or 0.0, settings, water, now)
    left_s = max(_left_s(alert, minutes, now) for minutes in settings.minutes)
    ranked: list[NearForce] = []
    left_out: list[LeftOut] = []
    for straight_m, force in _by_distance(forces, place):
        why = _unknown(force, now)
        if why is not None or straight_m is None:
            left_out.append(LeftOut(force, straight_m, why or NO_POSITION))
            continue
        latest_s = max(left_s, goal.horizon_s(ranked, most))
        if goal.least_s(force, straight_m) > latest_s:
            continue  # it can be neither among the soonest nor there in time
        found = goal.reach(force, straight_m)
        if isinstance(found, str):
            left_out.append(LeftOut(force, straight_m, found))
        else:
            ranked.append(found)
    ranked.sort(key=lambda one: (one.eta_s, one.way_m, one.force.device))
    soonest = tuple(ranked[:most])
    return Nearest(
        place, error_m, soonest, tuple(left_out[:most]), _marks(alert, ranked, settings.minutes, now)
    )


def _by_distance(forces: Iterable[Force], place: tuple[float, float]) -> list[tuple[float | None, Force]]:
    """The forces with their straight distance, the nearest first; those without a position last."""
    found = [
        (None if force.coordinates is None else distance_m(force.coordinates, place), force)
        for force in forces
    ]
    return sorted(found, key=lambda one: (one[0] is None, one[0] or 0.0, one[1].device))


def _unknown(force: Force, now: datetime) -> str | None:
    """Why nobody can tell where the force is, or reach it."""
    link = force.link(now)
    if link not in ("online", "degraded"):
        return {"silent": f"silent for {force.silence_s(now):.0f} s", "unknown": "never heard of"}.get(
            link, link
        )
    if force.coordinates is None:
        return NO_POSITION
    if force.stale(now) and force.position is not None:
        return f"position is {force.position.age_s(now):.0f} s old"
    if force.position is not None and force.position.quality == "low":
        return f"position is doubtful{': ' + force.position.why if force.position.why else ''}"
    return None


class _Goal:
    """Where to, with what is known of the water there."""

    def __init__(
        self,
        place: tuple[float, float],
        error_m: float,
        settings: MapSettings,
        water: Waterway,
        now: datetime,
    ) -> None:
        self._place, self._error_m, self._settings, self._water = place, error_m, settings, water
        self._now = now
        self._landing: Landing | None = water.landing(place) if water else None
        self._distances = {} if self._landing is None else water.distances(self._landing)

    def least_s(self, force: Force, straight_m: float) -> float:
        """The time that the force needs at least."""
        speed = self._settings.speed(force.kind)
        return 0.0 if force.drones else speed.ready_s + straight_m / speed.mps

    @staticmethod
    def horizon_s(ranked: Sequence[NearForce], most: int) -> float:
        """The time of the last of the ``most`` soonest so far."""
        return math.inf if len(ranked) < most else sorted(one.eta_s for one in ranked)[most - 1]

    def reach(self, force: Force, straight_m: float) -> NearForce | str:
        """How the force gets there; or why it does not."""
        speed = self._settings.speed(force.kind)
        own_m = 0.0 if force.position is None else force.position.error_m or 0.0
        error_m = math.hypot(own_m, self._error_m)
        if straight_m <= THERE_M + min(error_m, MAX_ERROR_M):
            return NearForce(force, speed.by, straight_m, straight_m, 0.0, True, error_m)
        if speed.by == "air" and (flying := self._flying(force)) is not None:
            air_m, system = flying
            if air_m / speed.mps < speed.ready_s + straight_m * speed.detour / speed.mps:
                there = air_m <= THERE_M + min(self._error_m, MAX_ERROR_M)
                eta_s = 0.0 if there else air_m / speed.mps
                return NearForce(force, speed.by, air_m, air_m, eta_s, there, error_m, system)
        if speed.by == "stays":
            return "does not move"
        way_m = self._by_water(force, straight_m) if speed.by == "water" else straight_m * speed.detour
        if isinstance(way_m, str):
            return way_m
        eta_s = speed.ready_s + way_m / speed.mps
        return NearForce(force, speed.by, straight_m, way_m, eta_s, False, error_m)

    def _flying(self, force: Force) -> tuple[float, int] | None:
        """Distance and number of the nearest drone of a station that is in the air."""
        drones = (one for one in force.drones.values() if one.flying and not one.stale(self._now))
        return min(
            ((distance_m((one.lat, one.lon), self._place), one.system) for one in drones), default=None
        )

    def _by_water(self, force: Force, straight_m: float) -> float | str:
        if self._landing is None or force.coordinates is None:
            return straight_m
        shore_m = self._settings.shore_m
        if self._landing.off_m > shore_m + self._error_m:
            return f"the alert is {self._landing.off_m:.0f} m from the water"
        start = self._water.landing(force.coordinates)
        if start.off_m > 10 * shore_m:
            return f"{start.off_m:.0f} m from a river that the map knows"
        way_m = self._water.way_m(start, self._landing, self._distances)
        if math.isinf(way_m):
            return "no water leads there"
        return max(straight_m, way_m + start.off_m + self._landing.off_m)


def _left_s(alert: QueuedAlert, minutes: float, now: datetime) -> float:
    """Seconds until so many minutes after the alert began."""
    return (alert.began_at + timedelta(minutes=minutes) - now).total_seconds()


def _marks(
    alert: QueuedAlert, ranked: Sequence[NearForce], minutes: Iterable[float], now: datetime
) -> tuple[MinuteMark, ...]:
    """Counted from when the alert began."""
    there = tuple(one.force.device for one in ranked if one.there)
    found = []
    for mark in minutes:
        left_s = _left_s(alert, mark, now)
        should = tuple(one.force.device for one in ranked if left_s >= 0 and one.eta_s <= left_s)
        found.append(MinuteMark(mark, round(left_s, 1), there, should))
    return tuple(found)
