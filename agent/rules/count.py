"""There are too many in a zone, or too few: a crowd, an unmanned gate."""

import statistics
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from agent.domain.durations import Duration
from agent.domain.findings import Evaluator, Finding
from agent.domain.observations import Observation, SeenObject
from agent.rules.camera_rule import CameraRule, detection_delay_s
from agent.rules.hold_timer import hold_timer
from agent.rules.presence import Presence, plural
from models.detection import Box

RECENT_S, OVER_S, LEAST_LOOKS = 0.45, 1.0, 3
"""How many there are is the median, over the second and so many looks at least, of those who were seen within
the first: who is missed in a look is counted, who has left is not."""
NEWS, SETTLED_S = 2, 3.0
"""Another number is told where it differs by so many, or has been above or below the one told for so long."""
SETTLES_S = 10.0
"""After a restart it takes so long until all who are there are certain."""
MOST_BEYOND = 100
"""So many more, or fewer, are told apart in what an answer was to."""


class Count(CameraRule):
    """A finding while there have been more than ``more_than``, or fewer than ``fewer_than``, for ``hold``.

    Counted is who is seen, as the median of the looks of a second: ``grace`` only says for how long one who
    is out of sight is taken to be the same.
    It is over once the number is back by ``hysteresis``, so that one who comes and goes is one alert.
    """

    kind: Literal["count"] = "count"
    zone: str
    where: str | None = None
    """What people call the zone; its name, if not set."""
    more_than: int | None = Field(default=None, ge=0)
    fewer_than: int | None = Field(default=None, ge=1)
    hysteresis: int = Field(default=0, ge=0)
    hold: Duration = timedelta(seconds=10)

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.more_than is None and self.fewer_than is None:
            raise ValueError("a count needs more_than, fewer_than, or both")
        if self.more_than is not None and self.hysteresis > self.more_than:
            raise ValueError(f"with hysteresis {self.hysteresis} it would never be over: lower it")
        low = -1 if self.fewer_than is None else self.fewer_than + self.hysteresis
        if self.more_than is not None and low > self.more_than - self.hysteresis:
            raise ValueError("more_than and fewer_than leave no number that is fine")
        return self

    @property
    def rediscovery_time(self) -> timedelta:
        return self.hold

    @property
    def zone_name(self) -> str:
        return self.zone

    def start(self) -> Evaluator:
        return self.resume({})

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        crossed = next(iter(active), None)
        first_s: float | None = None
        so = {"more": hold_timer(self.hold), "fewer": hold_timer(self.hold)}
        seen_now = _median()
        steadily = _told()

        def broken(number: int) -> str | None:
            """Which limit is broken; the one that was broken before is only left by the hysteresis."""
            slack = self.hysteresis
            if self.more_than is not None and number > self.more_than - (slack if crossed == "more" else 0):
                return "more"
            if self.fewer_than is not None and number < self.fewer_than + (
                slack if crossed == "fewer" else 0
            ):
                return "fewer"
            return None

        def decide(there: list[Presence], observation: Observation) -> Finding | None:
            nonlocal crossed, first_s
            first_s = observation.mono_s if first_s is None else first_s
            seen = [one for one in there if observation.mono_s - one.last_s <= RECENT_S]
            number = seen_now(len(seen), observation.mono_s)
            limit = broken(number)
            if limit is None and active and observation.mono_s - first_s < SETTLES_S:
                return None  # a fresh judge is not yet sure of anybody
            crossed = limit
            since = {limit: held(crossed == limit, observation) for limit, held in so.items()}
            begun = since[crossed] if crossed else None
            if crossed is None or begun is None:
                steadily(None, observation.mono_s)
                return None
            number = steadily(number, observation.mono_s) or 0
            return Finding(
                key=crossed,
                text=self._text(number, crossed),
                since=begun[0],
                since_s=begun[1],
                source=self.camera,
                zone=self.zone,
                label=self.labels[0],
                count=number,
                score=max((one.best for one in seen), default=None),
                box=_around(seen),
                presences=frozenset(range(min(self._beyond(number, crossed), MOST_BEYOND))),
                latency_s=detection_delay_s(observation),
            )

        return self.evaluator(self.tracker(self._here), decide)

    def _here(self, thing: SeenObject) -> bool:
        return self.zone in thing.zones

    def _beyond(self, number: int, crossed: str) -> int:
        """How many there are, or are missing. Those are numbered, and no people: an answer is to a crowd of
        that size, whoever comes and goes in it, and one who makes it worse is new."""
        return number if crossed == "more" else (self.fewer_than or 0) + self.hysteresis - number

    def _text(self, number: int, crossed: str) -> str:
        limit = self.more_than if crossed == "more" else self.fewer_than
        what = self.labels[0] if len(self.labels) == 1 else "object"
        named = what if number == 1 else plural(what)
        return f"{number} {named} at {self.where or self.zone}, {crossed} than {limit}"


def _median() -> Callable[[int, float], int]:
    """Told the number of each look and its monotonic time, it answers with the median of late."""
    looks: deque[tuple[float, int]] = deque()

    def median(number: int, now_s: float) -> int:
        looks.append((now_s, number))
        while len(looks) > LEAST_LOOKS and now_s - looks[0][0] > OVER_S:
            looks.popleft()
        return statistics.median_low([one for _, one in looks])

    return median


def _told() -> Callable[[int | None, float], int | None]:
    """Told the number at each look, None where none is wanted, it answers with the one to tell."""
    told: int | None = None
    differs: tuple[bool, float] | None = None  # above, since when

    def steady(number: int | None, now_s: float) -> int | None:
        nonlocal told, differs
        if number is None or told is None or abs(number - told) >= NEWS:
            told, differs = number, None
        elif number == told:
            differs = None
        else:
            if differs is None or differs[0] != (number > told):
                differs = number > told, now_s
            if now_s - differs[1] >= SETTLED_S:
                told, differs = number, None
        return told

    return steady


def _around(there: Sequence[Presence]) -> Box | None:
    """The box site all of them."""
    if not there:
        return None
    lefts, tops, rights, bottoms = zip(*(one.seen.box for one in there), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
