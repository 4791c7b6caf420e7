"""A vessel is too close, or will be if both keep course and speed (CPA)."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Literal, Self

from pydantic import Field

from agent.domain.contracts import SourceRule
from agent.domain.durations import Duration, human_duration
from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.geometry import LatLon
from agent.domain.observations import Observation, Tick
from agent.domain.references import SourceReference
from agent.domain.site import Site
from agent.positioning.closest_approach import (
    Approach,
    Kinematics,
    closest_approach,
    kinematics_of,
    reported_point,
    vessel_name,
)
from agent.positioning.fix_quality import accepted_fix
from agent.positioning.vessel_traffic import VesselTrack, VesselTraffic
from firmware_bridge.readings import Vessel

OWN_FRESH_S, OWN_LOST_S = 15.0, 120.0
"""An own position older than the first starts no finding; older than the second, all findings are cleared."""
VESSEL_FRESH_S = 45.0
"""For a report older than this the text contains its age."""
EXIT_FACTOR = 1.5
"""A vessel that came within the distance has left at this multiple of it."""
ANCHORED_FACTOR = 3
"""A vessel at anchor reports every three minutes only: the reports of stationary vessels are valid longer."""
LEAST_M_PER_DEGREE = 110_500.0
"""The least length of a degree of latitude."""
NOT_VESSELS = frozenset({"base_station", "aid", "aircraft", "beacon"})


class VesselClose(SourceRule):
    """A finding for each vessel that comes nearer than ``distance_m`` within the time ``within``.

    ``own`` names the source of our own position, a receiver or our own transponder; a fixed post is ``at`` a
    position, by default its surveyed one. Vessels slower than ``least_speed_mps`` count as stationary and are
    ignored, as are those in ``ignore``.
    """

    value_kind: ClassVar[str | None] = "vessel"
    flood_label: ClassVar[str | None] = "vessels too close"

    kind: Literal["vessel_close"] = "vessel_close"
    own: str | None = None
    at: LatLon | None = None
    distance_m: float = Field(default=100, gt=0, le=10_000)
    within: Duration = timedelta(minutes=6)
    least_speed_mps: float = Field(default=0.5, ge=0, le=50)
    fresh: Duration = timedelta(minutes=2)
    """A vessel without a report for longer is dropped."""
    ignore: tuple[int, ...] = ()
    """MMSI numbers, for example of our own fleet."""

    def resolve(self, site: Site) -> Self:
        rule = super().resolve(site)
        if rule.own is not None or rule.at is not None:
            return rule
        if site.lat is None or site.lon is None:
            raise ValueError(
                "no reference position: set own to the source of our position, or at, or place.lat"
            )
        return rule.model_copy(update={"at": (site.lat, site.lon)})

    @property
    def rediscovery_time(self) -> timedelta:
        return self.within + self.fresh

    def source_references(self) -> tuple[SourceReference, ...]:
        references = super().source_references()
        if self.own is None:
            return references
        return (*references, SourceReference("own", self.own, ("fix", "vessel")))

    def start(self) -> Evaluator:
        return self.resume({})

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        traffic = VesselTraffic()
        reported: dict[int, tuple[datetime, float]] = {}
        before = {int(key): (found.since, found.since_s or 0.0) for key, found in active.items()}
        own: Kinematics | None = None if self.at is None else Kinematics(*self.at, 0.0, 0.0, 0.0)
        own_mmsi: int | None = None

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            nonlocal own, own_mmsi
            value, now_s = observation.value, observation.mono_s
            if self.own is not None and observation.source == self.own:
                own = _own(observation) or own
            if isinstance(value, Vessel) and observation.source == self.source:
                if value.own:
                    own_mmsi = value.mmsi
                track = None
                if not self._ignored(value, own_mmsi):
                    track = traffic.add_report(value, now_s, keep=reported)
                if track is not None:
                    if value.mmsi in before and own is not None:  # active before a restart
                        reported[value.mmsi] = before.pop(value.mmsi)
                    yield from self._evaluate(track, own, reported, observation)
            elif isinstance(value, Tick):
                for track in list(traffic.tracks.values()):
                    if now_s - track.motion.at_s > self._valid_s(track):
                        traffic.forget(track.vessel.mmsi)
                    else:
                        yield from self._evaluate(track, own, reported, observation)
                for mmsi in [mmsi for mmsi in reported if mmsi not in traffic.tracks]:
                    del reported[mmsi]
                    yield Cleared(str(mmsi), "it is not heard any more")

        return evaluate

    def _ignored(self, vessel: Vessel, own_mmsi: int | None) -> bool:
        return (
            bool(vessel.own)
            or vessel.mmsi == own_mmsi
            or vessel.mmsi in self.ignore
            or vessel.station in NOT_VESSELS
        )

    def _valid_s(self, track: VesselTrack) -> float:
        still = track.motion.speed_mps < max(self.least_speed_mps, 0.5)
        return self.fresh.total_seconds() * (ANCHORED_FACTOR if still else 1)

    def _evaluate(
        self,
        track: VesselTrack,
        own: Kinematics | None,
        reported: dict[int, tuple[datetime, float]],
        seen: Observation,
    ) -> Iterable[Finding | Cleared]:
        mmsi, now_s = track.vessel.mmsi, seen.mono_s
        own_age_s = 0.0 if own is None or self.own is None else now_s - own.at_s
        if own is None or own_age_s > OWN_LOST_S or (own_age_s > OWN_FRESH_S and mmsi not in reported):
            if reported.pop(mmsi, None) is not None:
                yield Cleared(str(mmsi), "our own position is not known")
            return
        if mmsi not in reported and self._out_of_reach(track.motion, own, now_s):
            return
        slack = EXIT_FACTOR if mmsi in reported else 1.0
        found = closest_approach(own, track.motion, now_s, self.within.total_seconds() * slack)
        speed = track.vessel.speed_mps
        stationary = speed is not None and speed < self.least_speed_mps / slack
        if found.closest_m < self.distance_m * slack and not stationary:
            since = reported.setdefault(mmsi, (seen.at, now_s))
            text = _text(track.vessel, found)
            if own_age_s > OWN_FRESH_S:
                text += f"; our own position is {human_duration(own_age_s)} old"
            if (age_s := now_s - track.motion.at_s) > VESSEL_FRESH_S:
                text += f"; last heard {human_duration(age_s)} ago"
            yield self._finding(track.vessel, text, since, age_s)
        elif reported.pop(mmsi, None) is not None:
            yield Cleared(str(mmsi))

    def _out_of_reach(self, motion: Kinematics, own: Kinematics, now_s: float) -> bool:
        """Whether it is too far north or south to come near in time: a fast check, as most are far."""
        within_s = self.within.total_seconds()
        reach_m = self.distance_m + motion.speed_mps * (now_s - motion.at_s + within_s)
        reach_m += own.speed_mps * (now_s - own.at_s + within_s)
        return abs(motion.lat - own.lat) * LEAST_M_PER_DEGREE > reach_m

    def _finding(self, vessel: Vessel, text: str, since: tuple[datetime, float], age_s: float) -> Finding:
        return Finding(
            key=str(vessel.mmsi),
            text=text,
            since=since[0],
            since_s=since[1],
            source=self.source,
            label=vessel.ship_type,
            point=reported_point(vessel, age_s),
        )


def _text(vessel: Vessel, found: Approach) -> str:
    name, now = vessel_name(vessel), f"{found.range_m:.0f} m away, bearing {found.bearing_deg:03.0f}"
    if found.range_m - found.closest_m > 0.1 * found.range_m:
        return f"{name} comes within {found.closest_m:.0f} m in {human_duration(found.seconds)}; now {now}"
    return f"{name} is {now}"


def _own(observation: Observation) -> Kinematics | None:
    """Our own course and speed, from an accepted fix or from our transponder."""
    value, at_s = observation.value, observation.mono_s
    if isinstance(value, Vessel):
        return kinematics_of(value, at_s) if value.own else None
    accepted = accepted_fix(observation)
    if accepted is None:
        return None
    course_deg = accepted.fix.course_deg
    speed_mps = accepted.fix.speed_mps if course_deg is not None else None
    return Kinematics(*accepted.position, speed_mps or 0.0, course_deg or 0.0, at_s)
