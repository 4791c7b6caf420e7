"""A fixed post is not where it was surveyed: carried off, washed away, or its receiver is spoofed."""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from statistics import median
from typing import ClassVar, Literal, Self

from pydantic import Field

from agent.domain.contracts import SourceRule
from agent.domain.durations import Duration
from agent.domain.findings import Cleared, Evaluator, Finding, Point
from agent.domain.observations import Observation, Tick
from agent.domain.site import Site
from agent.positioning.fix_quality import accepted_fix
from agent.rules.hold_timer import hold_timer
from agent.rules.position_rule import FRESH_S, freshness_timer, heard_before_s, no_position, position_loss
from firmware_bridge.readings import Fix
from firmware_bridge.wgs84 import Plane

FAR_FACTOR = 10
"""At this multiple of the limit the finding does not wait for the window."""
CLEAR_SHARE = 0.8
"""The finding clears once the distance is below this share of the limit."""
SAMPLES = 120
"""So many fixes of a window are used."""


class Moved(SourceRule):
    """A finding while the median of a post's fixes has been too far from its surveyed place for ``hold``.

    Too far is ``further_than_m``, or three times the scatter of the fixes if that is more. The median over
    ``window`` suppresses passing multipath errors; at ten times the limit the fixes of the last ``hold``
    suffice. Only accepted fixes are used.
    """

    value_kind: ClassVar[str | None] = "fix"

    kind: Literal["moved"] = "moved"
    further_than_m: float = Field(default=25.0, gt=0, le=100_000)
    hold: Duration = timedelta(seconds=60)
    window: Duration = timedelta(minutes=10)
    lat: float | None = Field(default=None, ge=-90, le=90)
    lon: float | None = Field(default=None, ge=-180, le=180)
    """The place where it should be; as surveyed in ``place``, if not set."""
    lost_after: Duration | None = timedelta(minutes=10)
    """Without an accepted fix for so long the missing position is a finding of its own."""

    def resolve(self, site: Site) -> Self:
        rule = super().resolve(site)
        lat, lon = (rule.lat, rule.lon) if rule.lat is not None else (site.lat, site.lon)
        if lat is None or lon is None:
            raise ValueError("the place where the post should be is unknown: set place.lat and place.lon")
        return rule.model_copy(update={"lat": lat, "lon": lon})

    @property
    def rediscovery_time(self) -> timedelta:
        return self.hold + self.window + (self.lost_after or timedelta(0))

    def start(self) -> Evaluator:
        return self.resume({})

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        lat, lon = self.lat, self.lon
        assert lat is not None  # noqa: S101  `resolve` has set it
        assert lon is not None  # noqa: S101
        post = Plane(lat, lon)
        seen: deque[tuple[float, float, float]] = deque()  # time, metres to the east and to the north
        held = hold_timer(self.hold)
        window_s, hold_s = self.window.total_seconds(), self.hold.total_seconds()
        every_s = window_s / SAMPLES
        lost = position_loss(self.source, self.lost_after)
        on_fix, fresh_s = freshness_timer(), FRESH_S
        found = active.get(self.source)
        away, known, inherited = False, False, found is not None
        heard_s: float | None = None
        doubt: str | None = None

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            nonlocal away, known, inherited, heard_s, doubt, found, fresh_s
            now_s, accepted = observation.mono_s, None
            if isinstance(observation.value, Fix) and observation.source == self.source:
                accepted, doubt, fresh_s = accepted_fix(observation), observation.doubt, on_fix(now_s)
            elif not isinstance(observation.value, Tick):
                return
            yield from lost(accepted is not None, found.point if found else None, doubt, observation)
            if accepted is None:
                if found is not None:
                    heard_s = heard_before_s(found, observation) if heard_s is None else heard_s
                    if now_s - heard_s > fresh_s:
                        text = found.text.partition("; ")[0]
                        yield replace(found, text=f"{text}; {no_position(now_s - heard_s, doubt)}")
                return
            heard_s = now_s
            if seen and now_s - seen[-1][0] < every_s:
                return
            seen.append((now_s, *post.metres(*accepted.position)))
            while now_s - seen[0][0] > window_s:
                seen.popleft()
            recent = [sample for sample in seen if now_s - sample[0] <= hold_s]
            limit_m = max(self.further_than_m, 3 * _scatter(list(seen)))
            off_m, recent_m = math.hypot(*_middle(list(seen))), math.hypot(*_middle(recent))
            known = known or now_s - seen[0][0] >= window_s / 2
            was = away or inherited
            away = (known or was) and off_m > limit_m * (CLEAR_SHARE if was else 1)
            away = away or recent_m > FAR_FACTOR * self.further_than_m
            since = held(away, observation)
            if not away:
                if known or (found is not None and not inherited):
                    found, inherited = None, False
                    yield Cleared(self.source)
            elif since is not None:
                middle = post.position(*_middle(recent))
                inherited = inherited and not known
                found = Finding(
                    key=self.source,
                    memo={"heard": observation.at.isoformat()},
                    text=f"{self.source} is {recent_m:.0f} m from where the post was surveyed",
                    since=since[0],
                    since_s=since[1],
                    source=self.source,
                    point=Point(
                        round(middle[0], 7),
                        round(middle[1], 7),
                        round(_scatter(recent), 1),
                        "gnss",
                    ),
                )
                yield found

        return evaluate


def _middle(seen: list[tuple[float, float, float]]) -> tuple[float, float]:
    return median(sample[1] for sample in seen), median(sample[2] for sample in seen)


def _scatter(seen: list[tuple[float, float, float]]) -> float:
    """The scatter of the fixes around their median, as one sigma, robust against outliers."""
    east, north = _middle(seen)
    spread = (
        median(abs(sample[1] - east) for sample in seen),
        median(abs(sample[2] - north) for sample in seen),
    )
    return 1.4826 * math.hypot(*spread)
