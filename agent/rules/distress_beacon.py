"""A beacon calls for help over AIS: somebody overboard, a life raft, a vessel that sinks."""

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
MOST = 2000
"""So many at a time are kept in mind, the first: whoever floods us with more is not heard, and ends none."""


class DistressBeacon(SourceRule):
    """A finding for each beacon at its first message, until it was silent for ``over_after``.

    Beacons that are only tested are told with ``tests``, safety messages of anybody with ``texts``.
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
        heard: OrderedDict[str, tuple[datetime, float, float]] = OrderedDict()  # since, and when last
        points = {key: found.point for key, found in active.items() if found.point is not None}
        before = {key: (found.since, found.since_s or 0.0) for key, found in active.items()}

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            value, now_s = observation.value, observation.mono_s
            heard.update({key: (*since, now_s) for key, since in before.items()})
            before.clear()
            if isinstance(value, Vessel) and observation.source == self.source:
                text = self._text(value)
                if text is None:
                    return
                key = str(value.mmsi) if value.distress else f"{value.mmsi} text"
                if key not in heard and len(heard) >= MOST:
                    return
                since, since_s, _ = heard.pop(key, (observation.at, now_s, now_s))
                heard[key] = (since, since_s, now_s)
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
                for key, (_, _, last_s) in list(heard.items()):
                    if now_s - last_s > self.over_after.total_seconds():
                        del heard[key]
                        points.pop(key, None)
                        yield Cleared(key, f"not heard for {human_duration(now_s - last_s)}")

        return evaluate

    def _text(self, vessel: Vessel) -> str | None:
        """What to tell; None where there is nothing."""
        if vessel.distress is not None and (self.tests or not vessel.test):
            test = "test of a " if vessel.test else ""
            said = f": {vessel.text}" if vessel.text else ""
            return f"{test}{WORDS[vessel.distress]} {vessel.mmsi}{'' if test else ' active'}{said}"
        if self.texts and vessel.text and vessel.distress is None:
            return f"safety message of {vessel_name(vessel)}: {vessel.text}"
        return None
