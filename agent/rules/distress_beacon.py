"""A distress beacon on AIS: man overboard, life raft, sinking vessel; or a distress call by radio (DSC)."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from agent.domain.contracts import SourceRule
from agent.domain.durations import Duration, human_duration
from agent.domain.escalation import Severity
from agent.domain.findings import Cleared, Evaluator, Finding, Point
from agent.domain.observations import Observation, Tick
from agent.positioning.closest_approach import vessel_name
from firmware_bridge.readings import Vessel

WORDS = {
    "sart": "search and rescue transmitter",
    "mob": "man-overboard beacon",
    "epirb": "emergency position beacon",
    "dsc": "distress call by radio (DSC) of",
}
MAX_BEACONS = 2000
"""So many beacons are tracked at a time, the first ones: a flood of forged beacons ends none of them."""


class DistressBeacon(SourceRule):
    """A finding for each beacon from its first message until it has been silent for ``over_after``.

    ``tests`` includes beacons under test, ``texts`` the safety messages of all stations.
    """

    value_kind: ClassVar[str | None] = "vessel"
    flood_label: ClassVar[str | None] = "distress calls"

    kind: Literal["distress_beacon"] = "distress_beacon"
    severity: Severity = "critical"
    over_after: Duration = timedelta(minutes=10)
    tests: bool = False
    texts: bool = False

    @property
    def rediscovery_time(self) -> timedelta:
        return self.over_after

    def start(self) -> Evaluator:
        return self.resume({})

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        active_beacons: OrderedDict[str, tuple[datetime, float, float]] = OrderedDict()  # start, last message
        points = {key: found.point for key, found in active.items() if found.point is not None}
        before = {key: (found.since, found.since_s or 0.0) for key, found in active.items()}

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            value, now_s = observation.value, observation.mono_s
            active_beacons.update({key: (*since, now_s) for key, since in before.items()})
            before.clear()
            if isinstance(value, Vessel) and observation.source == self.source:
                text = self._text(value)
                if text is None:
                    return
                key = str(value.mmsi) if value.distress else f"{value.mmsi} text"
                if key not in active_beacons and len(active_beacons) >= MAX_BEACONS:
                    return
                since, since_s, _ = active_beacons.pop(key, (observation.at, now_s, now_s))
                active_beacons[key] = (since, since_s, now_s)
                if value.lat is not None and value.lon is not None:
                    points[key] = Point(value.lat, value.lon, value.error_m, "ais")
                yield Finding(
                    key=key,
                    text=text,
                    since=since,
                    since_s=since_s,
                    source=self.source,
                    label=value.distress,
                    point=points.get(key),
                )
            elif isinstance(value, Tick):
                for key, (_, _, last_s) in list(active_beacons.items()):
                    if now_s - last_s > self.over_after.total_seconds():
                        del active_beacons[key]
                        points.pop(key, None)
                        yield Cleared(key, f"not heard for {human_duration(now_s - last_s)}")

        return evaluate

    def _text(self, vessel: Vessel) -> str | None:
        """The text of the finding; None where there is none."""
        if vessel.distress is not None and (self.tests or not vessel.test):
            test = "test of a " if vessel.test else ""
            message = f": {vessel.text}" if vessel.text else ""
            return f"{test}{WORDS[vessel.distress]} {vessel.mmsi}{'' if test else ' active'}{message}"
        if self.texts and vessel.text and vessel.distress is None:
            return f"safety message of {vessel_name(vessel)}: {vessel.text}"
        return None
