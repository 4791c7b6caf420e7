"""A person or object crosses a line in the picture; both directions are counted."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from pydantic import Field

from agent.domain.durations import Duration
from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.observations import Observation
from agent.domain.progress import Progress, not_met
from agent.domain.zones import Corner, Line, crosses, foot_of, right_of
from agent.rules.camera_rule import CameraRule, detection_delay_s
from agent.rules.presence import Presence

MARGIN = 0.01
"""A foot point this near to the line is on neither side, so that a jittering box crosses nothing."""


class LineCross(CameraRule):
    """A finding for ``hold`` after a crossing; left and right are as seen along ``line``, start to end."""

    inferences_per_s: ClassVar[float] = 1.0

    kind: Literal["line_cross"] = "line_cross"
    line: Line
    to: Literal["left", "right", "both"] = "both"
    """Only crossings to this side are reported; those to the other side are counted as well."""
    frames: int = Field(default=2, ge=1, le=100)
    hold: Duration = timedelta(seconds=5)
    cool_down: Duration = timedelta(0)

    def notes(self) -> Iterator[str]:
        on_edge = any(
            all(corner[axis] < MARGIN for corner in self.line)
            or all(corner[axis] > 1 - MARGIN for corner in self.line)
            for axis in (0, 1)
        )
        if on_edge:
            yield "its line lies on the edge of the picture: no crossing is detected there"

    @property
    def picture_line(self) -> tuple[Corner, Corner]:
        return self.line

    @property
    def rediscovery_time(self) -> timedelta:
        return self.hold

    def start(self) -> Evaluator:
        return self.resume({})

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        tracker = self.tracker()
        feet: dict[tuple[int, int], Corner] = {}  # by presence and view: its last foot point off the line
        crossed: dict[int, str] = {}  # by presence: the side it crossed to while uncertain
        counts, counted_until = _counts_before(active.values())
        until: dict[str, float] = {}

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            nonlocal feet, crossed
            now_s = observation.mono_s
            for side in [side for side, end_s in until.items() if now_s >= end_s]:
                del until[side]
                yield Cleared(side)
            present = tracker.on_sighting(observation)
            if present is None:
                return
            feet_before, feet = feet, {}
            crossed = {
                number: crossed[number] for number in (one.number for one in present) if number in crossed
            }
            for presence in present:
                key = (presence.number, tracker.view)
                before, foot = feet_before.get(key), foot_of(presence.seen.box)
                beyond = right_of(self.line, foot)
                if abs(beyond) < MARGIN:
                    foot = before or foot
                elif before is not None and crosses(self.line, before, foot):
                    crossed[presence.number] = "right" if beyond > 0 else "left"
                if before is not None or abs(beyond) >= MARGIN:
                    feet[key] = foot
                if not presence.sure or presence.number not in crossed:
                    continue
                side = crossed.pop(presence.number)
                if counted_until is None or observation.at > counted_until:
                    counts[side] += 1
                if self.to in ("both", side):
                    until[side] = now_s + self.hold.total_seconds()
                    yield self._finding(presence, side, counts, observation)

        return self.telling(evaluate, tracker)

    def presence_progress(self, _presence: Presence, _now_s: float) -> Progress:
        return not_met("line", "has not crossed the line")

    def _finding(
        self, presence: Presence, side: str, counts: dict[str, int], observation: Observation
    ) -> Finding:
        label = presence.seen.label
        return Finding(
            key=side,
            text=f"{label} crossed to the {side} (left {counts['left']}, right {counts['right']})",
            since=observation.at,
            since_s=observation.mono_s,
            source=self.camera,
            label=label,
            count=counts[side],
            presences=frozenset({presence.number}),
            score=presence.best,
            box=presence.seen.box,
            latency_s=detection_delay_s(observation),
            memo={"counts": dict(counts), "until": observation.at.isoformat()},
        )


def _counts_before(findings: Iterable[Finding]) -> tuple[dict[str, int], datetime | None]:
    """The counts of the evaluator before, and the time of the last crossing in them; None if unknown."""
    memos = [found.memo for found in findings if found.memo is not None]
    if not memos:
        return {"left": 0, "right": 0}, None
    until = max(datetime.fromisoformat(memo["until"]) for memo in memos)
    counts = {side: max(int(memo["counts"][side]) for memo in memos) for side in ("left", "right")}
    return counts, until
