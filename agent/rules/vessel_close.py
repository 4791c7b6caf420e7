"""A vessel comes too close, or will if both keep course and speed (CPA)."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Literal, Self

from pydantic import Field

from agent.domain.contracts import SourceRule
from agent.domain.durations import Duration, human_duration
from agent.domain.findings import Cleared, Evaluator, Finding, Point
from agent.domain.geometry import LatLon
from agent.domain.observations import Observation, Tick
from agent.domain.references import SourceReference
from agent.domain.site import Site
from agent.positioning.closest_approach import (
    Approach,
    Kinematics,
    closest_approach,
    kinematics_of,
    vessel_name,
)
from agent.positioning.fix_quality import accepted_fix
from agent.positioning.vessel_traffic import VesselTrack, VesselTraffic
from firmware_bridge.readings import Vessel

OWN_FRESH_S, OWN_LOST_S = 15.0, 120.0
"""Our own position begins nothing once it is older; after so long all that was told is worthless."""
VESSEL_FRESH_S = 45.0
"""Who was not heard for longer is told with the age of what is known."""
LEAVES_AT = 1.5
"""Who came within a distance has left at this many times of it."""
LIES_LONGER = 3
"""A vessel at anchor reports every three minutes: what lies still is believed so many times longer."""
LEAST_M_PER_DEGREE = 110_500.0
"""A degree of latitude is nowhere shorter."""
NOT_VESSELS = frozenset({"base_station", "aid", "aircraft", "beacon"})


class VesselClose(SourceRule):
    """A finding for each vessel that comes nearer than ``distance_m`` within the time ``within``.

    ``own`` names the source that says where we are, a receiver or our own transponder; a post that doesn't
    move is ``at`` a position, by itself its surveyed one. A vessel that is slower than ``least_speed_mps``
    lies, and is passed over; so are those in ``ignore``.
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
    """A vessel that was not heard for longer decides nothing."""
    ignore: tuple[int, ...] = ()
    """MMSI numbers of our own fleet, say."""

    def resolve(self, site: Site) -> Self:
        rule = super().resolve(site)
        if rule.own is not None or rule.at is not None:
            return rule
        if site.lat is None or site.lon is None:
            raise ValueError(
                "close to what? set own to the source that says where we are, or at, or place.lat"
            )
        return rule.model_copy(update={"at": (site.lat, site.lon)})

    @property
    def rediscovery_time(self) -> timedelta:
        return self.within + self.fresh

    def source_references(self) -> tuple[SourceReference, ...]:
        heard = super().source_references()
        if self.own is None:
            return heard
        return (*heard, SourceReference("own", self.own, ("fix", "vessel")))

    def start(self) -> Evaluator:
        return self.resume({})

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        traffic = VesselTraffic()
        told: dict[int, tuple[datetime, float]] = {}
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
                if not self._passed_over(value, own_mmsi):
                    track = traffic.add_report(value, now_s, keep=told)
                if track is not None:
                    if value.mmsi in before and own is not None:  # told by a judge before, and heard again
                        told[value.mmsi] = before.pop(value.mmsi)
                    yield from self._judge(track, own, told, observation)
            elif isinstance(value, Tick):
                for track in list(traffic.tracks.values()):
                    if now_s - track.motion.at_s > self._believed_s(track):
                        traffic.forget(track.vessel.mmsi)
                    else:
                        yield from self._judge(track, own, told, observation)
                for mmsi in [mmsi for mmsi in told if mmsi not in traffic.tracks]:
                    del told[mmsi]
                    yield Cleared(str(mmsi), "it is not heard any more")

        return evaluate

    def _passed_over(self, vessel: Vessel, own_mmsi: int | None) -> bool:
        return (
            bool(vessel.own)
            or vessel.mmsi == own_mmsi
            or vessel.mmsi in self.ignore
            or vessel.station in NOT_VESSELS
        )

    def _believed_s(self, track: VesselTrack) -> float:
        still = track.motion.speed_mps < max(self.least_speed_mps, 0.5)
        return self.fresh.total_seconds() * (LIES_LONGER if still else 1)

    def _judge(
        self,
        track: VesselTrack,
        own: Kinematics | None,
        told: dict[int, tuple[datetime, float]],
        seen: Observation,
    ) -> Iterable[Finding | Cleared]:
        mmsi, now_s = track.vessel.mmsi, seen.mono_s
        own_age_s = 0.0 if own is None or self.own is None else now_s - own.at_s
        if own is None or own_age_s > OWN_LOST_S or (own_age_s > OWN_FRESH_S and mmsi not in told):
            if told.pop(mmsi, None) is not None:
                yield Cleared(str(mmsi), "our own position is not known")
            return
        if mmsi not in told and self._out_of_reach(track.motion, own, now_s):
            return
        slack = LEAVES_AT if mmsi in told else 1.0
        found = closest_approach(own, track.motion, now_s, self.within.total_seconds() * slack)
        speed = track.vessel.speed_mps
        lies = speed is not None and speed < self.least_speed_mps / slack
        if found.closest_m < self.distance_m * slack and not lies:
            since = told.setdefault(mmsi, (seen.at, now_s))
            text = _text(track.vessel, found)
            if own_age_s > OWN_FRESH_S:
                text += f"; our own position is {human_duration(own_age_s)} old"
            if (age_s := now_s - track.motion.at_s) > VESSEL_FRESH_S:
                text += f"; last heard {human_duration(age_s)} ago"
            yield self._finding(track.vessel, text, since)
        elif told.pop(mmsi, None) is not None:
            yield Cleared(str(mmsi))

    def _out_of_reach(self, motion: Kinematics, own: Kinematics, now_s: float) -> bool:
        """Whether it lies too far north or south to come near in time; quick, for most are far away."""
        within_s = self.within.total_seconds()
        reach_m = self.distance_m + motion.speed_mps * (now_s - motion.at_s + within_s)
        reach_m += own.speed_mps * (now_s - own.at_s + within_s)
        return abs(motion.lat - own.lat) * LEAST_M_PER_DEGREE > reach_m

    def _finding(self, vessel: Vessel, text: str, since: tuple[datetime, float]) -> Finding:
        return Finding(
            key=str(vessel.mmsi),
            text=text,
            since=since[0],
            since_s=since[1],
            source=self.source,
            label=vessel.ship_type,
            point=Point(vessel.lat or 0.0, vessel.lon or 0.0, vessel.error_m, "ais"),
        )


def _text(vessel: Vessel, found: Approach) -> str:
    name, now = vessel_name(vessel), f"{found.range_m:.0f} m away, bearing {found.bearing_deg:03.0f}"
    if found.range_m - found.closest_m > 0.1 * found.range_m:
        return f"{name} comes within {found.closest_m:.0f} m in {human_duration(found.seconds)}; now {now}"
    return f"{name} is {now}"


def _own(observation: Observation) -> Kinematics | None:
    """Our own motion, from a fix that holds or from our transponder."""
    value, at_s = observation.value, observation.mono_s
    if isinstance(value, Vessel):
        return kinematics_of(value, at_s) if value.own else None
    heard = accepted_fix(observation)
    if heard is None:
        return None
    course_deg = heard.fix.course_deg
    speed_mps = heard.fix.speed_mps if course_deg is not None else None
    return Kinematics(*heard.position, speed_mps or 0.0, course_deg or 0.0, at_s)
