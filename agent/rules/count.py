"""There are too many in a zone, or too few: a crowd, an unmanned gate."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from agent.durations import Duration
from agent.observations import Observation, SeenObject
from agent.parts import Finding, Judge
from agent.rules.lasting import lasting
from agent.rules.presence import Presence, plural
from agent.rules.watching import WatchRule, delay_of
from models.detection import Box


class Count(WatchRule):
    """A finding while there have been more than ``more_than``, or fewer than ``fewer_than``, for ``hold``.

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

    def start(self) -> Judge:
        crossed: str | None = None
        so = {"more": lasting(self.hold), "fewer": lasting(self.hold)}

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
            nonlocal crossed
            crossed = broken(len(there))
            since = {limit: held(crossed == limit, observation) for limit, held in so.items()}
            begun = since[crossed] if crossed else None
            if crossed is None or begun is None:
                return None
            return Finding(
                key=crossed,
                text=self._text(there, crossed),
                since=begun[0],
                since_s=begun[1],
                source=self.camera,
                zone=self.zone,
                label=self.labels[0],
                count=len(there),
                score=max((one.best for one in there), default=None),
                box=_around(there),
                latency_s=delay_of(observation),
            )

        return self.watch(self.eye(self._here), decide)

    def _here(self, thing: SeenObject) -> bool:
        return self.zone in thing.zones

    def _text(self, there: Sequence[Presence], crossed: str) -> str:
        limit = self.more_than if crossed == "more" else self.fewer_than
        what = self.labels[0] if len(self.labels) == 1 else "object"
        number = f"{len(there)} {what if len(there) == 1 else plural(what)}"
        return f"{number} at {self.where or self.zone}, {crossed} than {limit}"


def _around(there: Sequence[Presence]) -> Box | None:
    """The box around all of them."""
    if not there:
        return None
    lefts, tops, rights, bottoms = zip(*(one.seen.box for one in there), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
