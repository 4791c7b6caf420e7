"""Somebody or something crosses a line in the picture; both directions are counted."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator

from agent.durations import Duration
from agent.observations import Observation, SeenObject, Sighting
from agent.parts import Finding, Judge, Over, RulePart
from agent.vision.zones import Corner

MARGIN = 0.01
"""A foot this near to the line is on neither side: a box that trembles crosses nothing."""
FORGOTTEN_S = 60.0


class LineCross(RulePart):
    """A finding for ``hold`` after a crossing; left and right are as seen along ``line``, start to end."""

    kind: Literal["line_cross"] = "line_cross"
    camera: str
    line: tuple[Corner, Corner]
    to: Literal["left", "right", "both"] = "both"
    """Only crossings to this side are told; those to the other are counted all the same."""
    labels: tuple[str, ...] = Field(default=("person",), min_length=1)
    min_score: float = Field(default=0.4, ge=0, le=1)
    hold: Duration = timedelta(seconds=5)

    @field_validator("line")
    @classmethod
    def _long_enough(cls, line: tuple[Corner, Corner]) -> tuple[Corner, Corner]:
        if abs(line[0][0] - line[1][0]) + abs(line[0][1] - line[1][1]) < 2 * MARGIN:
            raise ValueError("the line's two ends are (nearly) the same point")
        return line

    def start(self) -> Judge:
        last: dict[int, tuple[Corner, float]] = {}
        counts = {"left": 0, "right": 0}
        until: dict[str, float] = {}

        def judge(observation: Observation) -> Iterable[Finding | Over]:
            now_s = observation.mono_s
            for side in [side for side, end_s in until.items() if now_s >= end_s]:
                del until[side]
                yield Over(side)
            sighting = observation.value
            if observation.source != self.camera or not isinstance(sighting, Sighting):
                return
            for track in [track for track, (_, seen_s) in last.items() if now_s - seen_s > FORGOTTEN_S]:
                del last[track]
            for thing in sighting.objects:
                foot = ((thing.box[0] + thing.box[2]) / 2, thing.box[3])
                beyond = self._beyond(foot)
                if thing.label not in self.labels or thing.score < self.min_score or abs(beyond) < MARGIN:
                    continue
                before = last.get(thing.track)
                last[thing.track] = (foot, now_s)
                if before is None or not self._between(before[0], foot):
                    continue
                side = "right" if beyond > 0 else "left"
                counts[side] += 1
                if self.to in ("both", side):
                    until[side] = now_s + self.hold.total_seconds()
                    yield self._finding(thing, side, counts, observation, sighting)

        return judge

    def _beyond(self, foot: Corner) -> float:
        """Distance from the line, in shares of the picture: right of it above 0, left of it below."""
        return _turn(*self.line, foot) / _turn_scale(*self.line)

    def _between(self, one: Corner, other: Corner) -> bool:
        """Whether the way from one to the other leads through the line, and not past its ends."""
        start, end = self.line
        apart = _turn(start, end, one) * _turn(start, end, other) < 0
        return apart and _turn(one, other, start) * _turn(one, other, end) <= 0

    def _finding(
        self, thing: SeenObject, side: str, counts: dict[str, int], seen: Observation, sighting: Sighting
    ) -> Finding:
        return Finding(
            key=side,
            text=f"{thing.label} crossed to the {side} (left {counts['left']}, right {counts['right']})",
            since=seen.at,
            since_s=seen.mono_s,
            source=self.camera,
            label=thing.label,
            count=counts[side],
            score=thing.score,
            box=thing.box,
            latency_s=sighting.delay_s,
        )


def _turn(start: Corner, end: Corner, point: Corner) -> float:
    """Above 0 where ``point`` is to the right of the way from start to end (y points down)."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])


def _turn_scale(start: Corner, end: Corner) -> float:
    return float(((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5)
