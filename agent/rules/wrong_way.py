"""Somebody or something goes against the flow: up a one-way street, in through an exit."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from agent.domain.zones import Line
from agent.rules.camera_rule import Select, ZoneRule
from agent.rules.presence import Presence, describe

WINDOW_S = 10.0
"""What it did during this time counts: who turned round is not wrong for ever."""
WITHIN = 0.5
"""Cosine: a way is against the flow within 60 degrees of it."""


class WrongWay(ZoneRule):
    """A finding while an object in the zone has moved against ``flow`` by ``least``."""

    inferences_per_s: ClassVar[float] = 1.0

    kind: Literal["wrong_way"] = "wrong_way"
    flow: Line
    """The right way, an arrow from the first point to the second; only its direction counts."""
    least: float = Field(default=0.05, gt=0, le=1)
    """How far it must have come, as a share of the picture."""

    def selector(self) -> Select:
        return lambda there, observation: [one for one in there if self._against(one, observation.mono_s)]

    def text(self, found: Sequence[Presence]) -> str:
        return f"{describe(found)} going the wrong way in {self.place()}"

    def _against(self, presence: Presence, now_s: float) -> bool:
        way = [foot for at_s, foot in presence.trail if now_s - at_s <= WINDOW_S]
        if len(way) < 2:
            return False
        (x, y), (to_x, to_y) = self.flow
        gone_x, gone_y = way[-1][0] - way[0][0], way[-1][1] - way[0][1]
        along = (gone_x * (to_x - x) + gone_y * (to_y - y)) / ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5
        return bool(-along >= self.least and -along >= WITHIN * (gone_x**2 + gone_y**2) ** 0.5)
