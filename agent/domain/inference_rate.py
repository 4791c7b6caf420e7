"""Whether a camera is looked at often enough for the rules on it; a board that can't is blind. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from agent.domain.observations import CameraState, Observation

MEASURED_OVER_S = 15.0
"""How often it is looked at is measured over at least so long."""
TOO_FEW, ENOUGH = 0.85, 0.95
"""Too seldom is below this share of what a rule needs, and often enough again from the second on."""
STALE_AFTER_S = 30.0
"""A camera that said nothing of itself for so long is no longer slow: it is gone, which others tell."""
MAX_NAMED_RULES = 3
"""So many rules are named, and how many more there are."""


class RequiredRate(NamedTuple):
    """A rule, in words such as ``zone_dwell rail``, its zone, and how many looks a second it needs."""

    rule: str
    zone: str | None
    per_s: float


@dataclass(frozen=True, slots=True)
class RateShortfall:
    """Inferences are too rare: ``text`` says how rare and for which rules; start by both clocks."""

    text: str
    since: datetime
    since_s: float


class InferenceRate:
    """One camera's: `on_observation` its `CameraState`, and ask whether it is short of looks."""

    def __init__(self, camera: str, needs: Sequence[RequiredRate]) -> None:
        self.needs = tuple(needs)
        self._camera = camera
        self._counts: deque[tuple[datetime, float, int]] = deque()
        self._short: dict[RequiredRate, tuple[datetime, float]] = {}
        self._per_s: float | None = None

    @property
    def known(self) -> bool:
        """Whether it was measured yet how often it is looked at, where that matters to anybody."""
        return self._per_s is not None or not self.needs

    def on_observation(self, observation: Observation) -> None:
        """What was taken up counts, whether the detector looked or the gate spared it."""
        state = observation.value
        if observation.source != self._camera or not isinstance(state, CameraState):
            return
        taken = state.frames - state.skipped
        if self._counts and taken < self._counts[-1][2]:  # the camera was opened anew
            self._counts.clear()
        self._counts.append((observation.at, observation.mono_s, taken))
        while len(self._counts) > 1 and observation.mono_s - self._counts[1][1] >= MEASURED_OVER_S:
            self._counts.popleft()
        at, since_s, before = self._counts[0]
        if (
            observation.mono_s - since_s < MEASURED_OVER_S or taken == before
        ):  # where nothing comes, that is said
            return
        self._per_s = (taken - before) / (observation.mono_s - since_s)
        for need in self.needs:
            if self._per_s < TOO_FEW * need.per_s:
                self._short.setdefault(need, (at, since_s))
            elif self._per_s >= ENOUGH * need.per_s:
                self._short.pop(need, None)

    def shortfall(self, now_s: float, zone: str | None = None) -> RateShortfall | None:
        """What is so at ``now_s`` (monotonic); with ``zone`` only for the rules on that zone."""
        if not self._counts or now_s - self._counts[-1][1] > STALE_AFTER_S:
            return None
        found = {need: since for need, since in self._short.items() if zone in (None, need.zone)}
        if not found:
            return None
        since, since_s = min(found.values(), key=lambda one: one[1])
        wants = [f"{need.rule} needs {need.per_s:g}" for need in found]
        more = [f"{len(wants) - MAX_NAMED_RULES} more need it"] if len(wants) > MAX_NAMED_RULES else []
        text = f"looked at {self._per_s:.1f} times a second; {', '.join(wants[:MAX_NAMED_RULES] + more)}"
        return RateShortfall(text, since, since_s)
