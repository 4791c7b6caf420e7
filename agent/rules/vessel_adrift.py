"""A vessel is adrift: under way without steerage, or off its berth or anchorage."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from agent.domain.contracts import SourceRule
from agent.domain.durations import Duration
from agent.domain.findings import Cleared, Evaluator, Finding, Point
from agent.domain.observations import Observation, Tick
from agent.positioning.closest_approach import vessel_name
from agent.positioning.vessel_traffic import VesselTrack, VesselTraffic
from agent.rules.hold_timer import Since, hold_timer
from firmware_bridge.readings import Vessel
from firmware_bridge.wgs84 import distance_m

WORKING_STATUSES = frozenset(
    {"fishing", "restricted_maneuverability", "towing_astern", "pushing_ahead", "aground"}
)
"""Vessels at work go sideways on purpose."""
STATIONARY_STATUSES = {"moored": "was moored", "at_anchor": "lay at anchor"}
STATIONS = frozenset({"class_a", "class_b"})

HoldTimer: TypeAlias = Callable[[bool, Observation], Since | None]


class VesselAdrift(SourceRule):
    """A finding for each vessel that has drifted for ``hold``. It drifts when it moves between the speeds
    ``least_mps`` and ``most_mps`` and

    - reports that it is not under command, or
    - has a course more than ``off_course_deg`` from its heading, or
    - reports that it is moored or at anchor, and is ``moored_m`` or ``anchor_m`` from where it first did,
      unless its course follows its heading: many crews forget to change the status when they leave.
    """

    value_kind: ClassVar[str | None] = "vessel"
    flood_label: ClassVar[str | None] = "vessels adrift"

    kind: Literal["vessel_adrift"] = "vessel_adrift"
    least_mps: float = Field(default=0.25, ge=0, le=10)
    most_mps: float = Field(default=1.5, gt=0, le=10)
    off_course_deg: float = Field(default=45, gt=0, lt=180)
    moored_m: float = Field(default=50, gt=0, le=5000)
    anchor_m: float = Field(default=250, gt=0, le=5000)
    hold: Duration = timedelta(seconds=60)
    forget: Duration = timedelta(minutes=15)
    """A vessel that was silent for so long is forgotten."""
    ignore: tuple[int, ...] = ()
    """MMSI numbers of vessels that drift on purpose, such as work boats."""

    @model_validator(mode="after")
    def _some_speed_is_left(self) -> Self:
        if self.least_mps >= self.most_mps:
            raise ValueError(f"least_mps {self.least_mps:g} leaves no speed below most_mps {self.most_mps:g}")
        return self

    @property
    def rediscovery_time(self) -> timedelta:
        return self.hold + self.forget

    def start(self) -> Evaluator:
        return self.resume({})

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        traffic = VesselTraffic()
        homes: dict[int, tuple[str, float, float]] = {}  # by MMSI: status, and position when first reported
        holds: dict[int, HoldTimer] = {}
        reported = {int(key) for key in active}
        for key, found in active.items():
            if found.memo is not None:
                homes[int(key)] = (found.memo["status"], found.memo["lat"], found.memo["lon"])

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            value, now_s = observation.value, observation.mono_s
            if isinstance(value, Tick):
                for mmsi, known in list(traffic.tracks.items()):
                    if now_s - known.motion.at_s > self.forget.total_seconds():
                        traffic.forget(mmsi)
                for mmsi in [mmsi for mmsi in holds if mmsi not in traffic.tracks]:
                    del holds[mmsi]
                    homes.pop(mmsi, None)
                    if mmsi in reported:
                        reported.discard(mmsi)
                        yield Cleared(str(mmsi), "it is not heard any more")
                return
            if not isinstance(value, Vessel) or observation.source != self.source or self._ignored(value):
                return
            track = traffic.add_report(value, now_s, keep=reported)
            if track is None:
                return
            drift = self._drifts(track, homes)
            held = holds.setdefault(value.mmsi, hold_timer(self.hold))
            since = held(drift is not None, observation)
            if drift is not None and since is not None:
                reported.add(value.mmsi)
                yield self._finding(track.vessel, drift, since, homes.get(value.mmsi))
            elif drift is None and value.mmsi in reported:
                reported.discard(value.mmsi)
                yield Cleared(str(value.mmsi))

        return evaluate

    def _ignored(self, vessel: Vessel) -> bool:
        return bool(vessel.own) or vessel.mmsi in self.ignore or vessel.station not in STATIONS

    def _drifts(self, track: VesselTrack, homes: dict[int, tuple[str, float, float]]) -> str | None:
        """How the vessel drifts, as text; None if it does not."""
        vessel, motion = track.vessel, track.motion
        status, speed = vessel.status, vessel.speed_mps
        if status not in STATIONARY_STATUSES:
            homes.pop(vessel.mmsi, None)
        if speed is not None and speed > self.most_mps:
            homes.pop(vessel.mmsi, None)  # whatever its status, it is under way
            return None
        off_deg = _off_course(vessel)
        if status in STATIONARY_STATUSES:
            home = homes.get(vessel.mmsi)
            if home is None or home[0] != status:
                home = homes[vessel.mmsi] = (status, motion.lat, motion.lon)
            away_m = distance_m(home[1:], (motion.lat, motion.lon))
            limit_m = self.moored_m if status == "moored" else self.anchor_m
            leaves = off_deg is not None and off_deg <= self.off_course_deg and (speed or 0) >= self.least_mps
            if away_m > limit_m and not leaves:
                return f"is {away_m:.0f} m from where it {STATIONARY_STATUSES[status]}"
            return None
        if speed is None or speed < self.least_mps or status in WORKING_STATUSES:
            return None
        if status == "not_under_command":
            return f"is not under command, and moves at {speed:.1f} m/s"
        if off_deg is not None and off_deg > self.off_course_deg:
            return f"drifts at {speed:.1f} m/s, {off_deg:.0f} degrees off its heading"
        return None

    def _finding(
        self, vessel: Vessel, drift: str, since: Since, home: tuple[str, float, float] | None
    ) -> Finding:
        return Finding(
            key=str(vessel.mmsi),
            text=f"{vessel_name(vessel)} {drift}",
            since=since[0],
            since_s=since[1],
            source=self.source,
            label=vessel.ship_type,
            point=Point(vessel.lat or 0.0, vessel.lon or 0.0, vessel.error_m, "ais"),
            memo=home and {"status": home[0], "lat": home[1], "lon": home[2]},
        )


def _off_course(vessel: Vessel) -> float | None:
    """The angle between course and heading, in degrees; None where unknown."""
    if vessel.course_deg is None or vessel.heading_deg is None:
        return None
    return abs((vessel.course_deg - vessel.heading_deg + 180) % 360 - 180)
