"""Whether a camera gets enough inferences for the rules on it; below that it counts as blind. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from agent.domain.observations import CameraState, Observation

MEASURED_OVER_S = 15.0
"""The rate is measured over at least this time."""
TOO_FEW, ENOUGH = 0.85, 0.95
"""Hysteresis, as shares of the required rate: too low below the first, enough again from the second."""
STALE_AFTER_S = 30.0
"""Without a `CameraState` for so long a camera is not slow but gone, which other rules report."""
MAX_NAMED_RULES = 3
"""The text names so many rules, and the number of the others."""


class RequiredRate(NamedTuple):
    """A rule, as ``zone_dwell rail``, its zone, and the inferences per second that it needs."""

    rule: str
    zone: str | None
    per_s: float


@dataclass(frozen=True, slots=True)
class RateShortfall:
    """Too few inferences: ``text`` names the rate and the rules; the start is on both clocks."""

    text: str
    since: datetime
    since_s: float


class InferenceRate:
    """The inference rate of one camera, from its `CameraState`, against what the rules need."""

    def __init__(self, camera: str, needs: Sequence[RequiredRate]) -> None:
        self.needs = tuple(needs)
        self._camera = camera
        self._counts: deque[tuple[datetime, float, int]] = deque()
        self._too_few: dict[RequiredRate, tuple[datetime, float]] = {}
        self._per_s: float | None = None

    @property
    def known(self) -> bool:
        """Whether the rate has been measured, or no rule needs one."""
        return self._per_s is not None or not self.needs

    def on_observation(self, observation: Observation) -> None:
        """Counts the frames taken for inference, including those that the motion gate skipped."""
        state = observation.value
        if observation.source != self._camera or not isinstance(state, CameraState):
            return
        taken = state.frames - state.skipped
        if self._counts and taken < self._counts[-1][2]:  # the camera was reopened
            self._counts.clear()
        self._counts.append((observation.at, observation.mono_s, taken))
        while len(self._counts) > 1 and observation.mono_s - self._counts[1][1] >= MEASURED_OVER_S:
            self._counts.popleft()
        at, since_s, before = self._counts[0]
        if (
            observation.mono_s - since_s < MEASURED_OVER_S or taken == before
        ):  # no frames at all is another condition
            return
        self._per_s = (taken - before) / (observation.mono_s - since_s)
        for need in self.needs:
            if self._per_s < TOO_FEW * need.per_s:
                self._too_few.setdefault(need, (at, since_s))
            elif self._per_s >= ENOUGH * need.per_s:
                self._too_few.pop(need, None)

    def shortfall(self, now_s: float, zone: str | None = None) -> RateShortfall | None:
        """The shortfall at ``now_s`` (monotonic), if any; with ``zone`` only for the rules on that zone."""
        if not self._counts or now_s - self._counts[-1][1] > STALE_AFTER_S:
            return None
        found = {need: since for need, since in self._too_few.items() if zone in (None, need.zone)}
        if not found:
            return None
        since, since_s = min(found.values(), key=lambda one: one[1])
        wants = [f"{need.rule} needs {need.per_s:g}" for need in found]
        more = [f"{len(wants) - MAX_NAMED_RULES} more need it"] if len(wants) > MAX_NAMED_RULES else []
        text = f"analysed {self._per_s:.1f} times a second; {', '.join(wants[:MAX_NAMED_RULES] + more)}"
        return RateShortfall(text, since, since_s)
