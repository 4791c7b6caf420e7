"""A person or vehicle moves against the flow: up a one-way street, in through an exit."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from agent.domain.progress import MET, Progress, not_met
from agent.domain.zones import Line
from agent.rules.camera_rule import Select, ZoneRule
from agent.rules.presence import Presence, describe

WINDOW_S = 10.0
"""Only the movement during this time counts: an object that has turned round is cleared."""
MIN_COSINE = 0.5
"""A movement is against the flow within 60 degrees of the opposite direction."""


class WrongWay(ZoneRule):
    """A finding while an object in the zone has moved against ``flow`` by ``least``."""

    inferences_per_s: ClassVar[float] = 1.0

    kind: Literal["wrong_way"] = "wrong_way"
    flow: Line
    """The right direction, from the first point to the second; its position does not count."""
    least: float = Field(default=0.05, gt=0, le=1)
    """The least movement against the flow, as a fraction of the picture."""

    def selector(self) -> Select:
        return lambda present, observation: [
            presence for presence in present if self._against(presence, observation.mono_s)
        ]

    def text(self, presences: Sequence[Presence]) -> str:
        return f"{describe(presences)} going the wrong way in {self.place()}"

    def presence_progress(self, presence: Presence, now_s: float) -> Progress:
        along, _ = self._gone(presence, now_s)
        if self._against(presence, now_s):
            return MET
        text = f"moved {max(0.0, -along):.2f} of {self.least:.2f} against the flow"
        return not_met("flow", text, round(max(0.0, -along), 3), self.least)

    def _against(self, presence: Presence, now_s: float) -> bool:
        along, gone = self._gone(presence, now_s)
        return -along >= self.least and -along >= MIN_COSINE * gone

    def _gone(self, presence: Presence, now_s: float) -> tuple[float, float]:
        """How far it has moved along the flow and in all, as fractions of the picture."""
        feet = [foot for at_s, foot in presence.trail if now_s - at_s <= WINDOW_S]
        if len(feet) < 2:
            return 0.0, 0.0
        (x, y), (to_x, to_y) = self.flow
        gone_x, gone_y = feet[-1][0] - feet[0][0], feet[-1][1] - feet[0][1]
        along = (gone_x * (to_x - x) + gone_y * (to_y - y)) / ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5
        return float(along), float((gone_x**2 + gone_y**2) ** 0.5)
