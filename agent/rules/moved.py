"""A fixed post is no longer where it was surveyed: carried off, washed away, or its receiver led astray."""

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
from agent.rules.position_rule import FRESH_S, freshness, heard_before_s, no_position, position_loss
from firmware_bridge.readings import Fix
from firmware_bridge.wgs84 import Plane

FAR = 10
"""Who is this many limits away is told without waiting for the window."""
BACK = 0.8
"""It is over once the distance is back below this share of the limit."""
SAMPLES = 120
"""So many fixes of a window are looked at."""


class Moved(SourceRule):
    """A finding while the median of a post's fixes lies too far from where it was surveyed for ``hold``.

    Too far is ``further_than_m``, or three times the fixes' own scatter where that is more. The median over
    ``window`` is not impressed by reflections that come and go; whoever is carried off by ten times the
    limit is told by the fixes of the last ``hold`` alone. Fixes that don't hold are not looked at.
    """

    value_kind: ClassVar[str | None] = "fix"

    kind: Literal["moved"] = "moved"
    further_than_m: float = Field(default=25.0, gt=0, le=100_000)
    hold: Duration = timedelta(seconds=60)
    window: Duration = timedelta(minutes=10)
    lat: float | None = Field(default=None, ge=-90, le=90)
    lon: float | None = Field(default=None, ge=-180, le=180)
    """Where it should be: as surveyed in ``place``, if not set."""
    lost_after: Duration | None = timedelta(minutes=10)
    """Without a position that holds for so long nobody can tell, and that is told too."""

    def resolve(self, site: Site) -> Self:
        rule = super().resolve(site)
        lat, lon = (rule.lat, rule.lon) if rule.lat is not None else (site.lat, site.lon)
        if lat is None or lon is None:
            raise ValueError("nobody knows where the post should be: set place.lat and place.lon")
        return rule.model_copy(update={"lat": lat, "lon": lon})

    @property
    def rediscovery_time(self) -> timedelta:
        return self.hold + self.window + (self.lost_after or timedelta(0))

    def start(self) -> Evaluator:
        return self.resume({})

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        lat, lon = self.lat, self.lon
        assert lat is not None  # noqa: S101  `resolve` has seen to it
        assert lon is not None  # noqa: S101
        post = Plane(lat, lon)
        seen: deque[tuple[float, float, float]] = deque()  # when, metres to the east and to the north
        held = hold_timer(self.hold)
        window_s, hold_s = self.window.total_seconds(), self.hold.total_seconds()
        every_s = window_s / SAMPLES
        lost = position_loss(self.source, self.lost_after)
        spoke, fresh_s = freshness(), FRESH_S
        found = active.get(self.source)
        away, known, inherited = False, False, found is not None
        heard_s: float | None = None
        doubt: str | None = None

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            nonlocal away, known, inherited, heard_s, doubt, found, fresh_s
            now_s, heard = observation.mono_s, None
            if isinstance(observation.value, Fix) and observation.source == self.source:
                heard, doubt, fresh_s = accepted_fix(observation), observation.doubt, spoke(now_s)
            elif not isinstance(observation.value, Tick):
                return
            yield from lost(heard is not None, found.point if found else None, doubt, observation)
            if heard is None:
                if found is not None:
                    heard_s = heard_before_s(found, observation) if heard_s is None else heard_s
                    if now_s - heard_s > fresh_s:
                        text = found.text.partition("; ")[0]
                        yield replace(found, text=f"{text}; {no_position(now_s - heard_s, doubt)}")
                return
            heard_s = now_s
            if seen and now_s - seen[-1][0] < every_s:
                return
            seen.append((now_s, *post.metres(*heard.position)))
            while now_s - seen[0][0] > window_s:
                seen.popleft()
            recent = [one for one in seen if now_s - one[0] <= hold_s]
            limit_m = max(self.further_than_m, 3 * _scatter(list(seen)))
            off_m, recent_m = math.hypot(*_middle(list(seen))), math.hypot(*_middle(recent))
            known = known or now_s - seen[0][0] >= window_s / 2
            was = away or inherited
            away = (known or was) and off_m > limit_m * (BACK if was else 1)
            away = away or recent_m > FAR * self.further_than_m
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
    return median(one[1] for one in seen), median(one[2] for one in seen)


def _scatter(seen: list[tuple[float, float, float]]) -> float:
    """One sigma of how far the fixes lie from their middle, by the median, which outliers don't move."""
    east, north = _middle(seen)
    spread = (median(abs(one[1] - east) for one in seen), median(abs(one[2] - north) for one in seen))
    return 1.4826 * math.hypot(*spread)
