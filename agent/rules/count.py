"""Too many or too few objects in a zone: a crowd, an unmanned gate."""

import statistics
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from agent.domain.durations import Duration
from agent.domain.findings import Evaluator, Finding
from agent.domain.observations import Observation, SeenObject
from agent.domain.progress import Progress, lasting, not_met, with_progress
from agent.rules.camera_rule import CameraRule, detection_delay_s
from agent.rules.hold_timer import hold_timer
from agent.rules.presence import Presence, plural
from models.detection import Box

RECENT_S, OVER_S, LEAST_LOOKS = 0.45, 1.0, 3
"""The number is the median, over the second time and at least so many inferences, of the presences detected
within the first: one missed in an inference still counts, one that has left does not."""
MIN_CHANGE, SETTLED_S = 2, 3.0
"""A number replaces the reported one if it differs by so many, or stays above or below it for so long."""
STARTUP_S = 10.0
"""After a restart it takes so long until all presences are certain."""
MOST_BEYOND = 100
"""An answer covers a deviation from the limit up to this number."""


class Count(CameraRule):
    """A finding while there have been more than ``more_than``, or fewer than ``fewer_than``, for ``hold``.

    The number is the median of the detected objects over a second; ``grace`` only decides for how long an
    undetected object keeps its identity. The finding clears once the number is back by ``hysteresis``.
    """

    kind: Literal["count"] = "count"
    zone: str
    where: str | None = None
    """The name of the zone for people; its key, if not set."""
    more_than: int | None = Field(default=None, ge=0)
    fewer_than: int | None = Field(default=None, ge=1)
    hysteresis: int = Field(default=0, ge=0)
    hold: Duration = timedelta(seconds=10)

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.more_than is None and self.fewer_than is None:
            raise ValueError("a count needs more_than, fewer_than, or both")
        if self.more_than is not None and self.hysteresis > self.more_than:
            raise ValueError(f"with hysteresis {self.hysteresis} it would never clear: lower it")
        low = -1 if self.fewer_than is None else self.fewer_than + self.hysteresis
        if self.more_than is not None and low > self.more_than - self.hysteresis:
            raise ValueError("more_than and fewer_than leave no normal number")
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
        holds = {"more": hold_timer(self.hold), "fewer": hold_timer(self.hold)}
        seen_now = _median()
        reported = _reported_number()
        latest: int | None = None
        over_s: float | None = None

        def violated(number: int) -> str | None:
            """The limit that is violated; one violated before clears by the hysteresis only."""
            slack = self.hysteresis
            if self.more_than is not None and number > self.more_than - (slack if crossed == "more" else 0):
                return "more"
            if self.fewer_than is not None and number < self.fewer_than + (
                slack if crossed == "fewer" else 0
            ):
                return "fewer"
            return None

        def decide(present: list[Presence], observation: Observation) -> Finding | None:
            nonlocal crossed, first_s, latest, over_s
            first_s = observation.mono_s if first_s is None else first_s
            seen = [presence for presence in present if observation.mono_s - presence.last_s <= RECENT_S]
            latest = number = seen_now(len(seen), observation.mono_s)
            limit = violated(number)
            if limit is None and active and observation.mono_s - first_s < STARTUP_S:
                return None  # a new evaluator is not yet certain of any presence
            over_s = observation.mono_s if limit is not None and limit != crossed else over_s
            crossed = limit
            since = {limit: held(crossed == limit, observation) for limit, held in holds.items()}
            begun = since[crossed] if crossed else None
            if crossed is None or begun is None:
                reported(None, observation.mono_s)
                return None
            number = reported(number, observation.mono_s) or 0
            return Finding(
                key=crossed,
                text=self._text(number, crossed),
                since=begun[0],
                since_s=begun[1],
                source=self.camera,
                zone=self.zone,
                label=self.labels[0],
                count=number,
                score=max((presence.best for presence in seen), default=None),
                box=_enclosing_box(seen),
                presences=frozenset(range(min(self._beyond(number, crossed), MOST_BEYOND))),
                latency_s=detection_delay_s(observation),
            )

        def tell(_at: datetime, now_s: float) -> Iterable[Progress]:
            if latest is not None:
                yield self._progress(latest, violated(latest), now_s - (now_s if over_s is None else over_s))

        return with_progress(self.evaluator(self.tracker(self._in_zone), decide), tell)

    def _progress(self, number: int, limit: str | None, over_s: float) -> Progress:
        """How far the rule is with this number, which has violated ``limit`` for so long."""
        if limit is not None:
            return lasting("hold", self._text(number, limit), over_s, self.hold.total_seconds())
        limits = [
            f"{way} than {value}"
            for way, value in (("more", self.more_than), ("fewer", self.fewer_than))
            if value is not None
        ]
        need = self.more_than if self.more_than is not None else self.fewer_than
        return not_met("count", f"{number} in {self.zone}; {' or '.join(limits)} needed", number, need)

    def _in_zone(self, seen: SeenObject) -> bool:
        return self.zone in seen.zones

    def _beyond(self, number: int, crossed: str) -> int:
        """How many there are, or are missing: the presences of the finding are these numbers, not people.

        So an answer covers a crowd of that size, and a larger one raises a new alert.
        """
        return number if crossed == "more" else (self.fewer_than or 0) + self.hysteresis - number

    def _text(self, number: int, crossed: str) -> str:
        limit = self.more_than if crossed == "more" else self.fewer_than
        label = self.labels[0] if len(self.labels) == 1 else "object"
        named = label if number == 1 else plural(label)
        return f"{number} {named} at {self.where or self.zone}, {crossed} than {limit}"


def _median() -> Callable[[int, float], int]:
    """A function of the number at an inference and its monotonic time: the recent median."""
    looks: deque[tuple[float, int]] = deque()

    def median(number: int, now_s: float) -> int:
        looks.append((now_s, number))
        while len(looks) > LEAST_LOOKS and now_s - looks[0][0] > OVER_S:
            looks.popleft()
        return statistics.median_low([past for _, past in looks])

    return median


def _reported_number() -> Callable[[int | None, float], int | None]:
    """A function of the number (None: no finding) and the monotonic time: the number to report."""
    reported: int | None = None
    differs: tuple[bool, float] | None = None  # above, since when

    def steady(number: int | None, now_s: float) -> int | None:
        nonlocal reported, differs
        if number is None or reported is None or abs(number - reported) >= MIN_CHANGE:
            reported, differs = number, None
        elif number == reported:
            differs = None
        else:
            if differs is None or differs[0] != (number > reported):
                differs = number > reported, now_s
            if now_s - differs[1] >= SETTLED_S:
                reported, differs = number, None
        return reported

    return steady


def _enclosing_box(presences: Sequence[Presence]) -> Box | None:
    """The box site all of them."""
    if not presences:
        return None
    lefts, tops, rights, bottoms = zip(*(presence.seen.box for presence in presences), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
