"""A person is on the wrong side of a railing, of a bridge, quay or platform. Raised at once."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from agent.domain.escalation import Severity
from agent.domain.observations import SeenObject
from agent.domain.zones import Corner, Line, beside, foot_of, right_of
from agent.rules.camera_rule import PresenceRule, Select
from agent.rules.presence import Presence, describe

MARGIN = 0.01
"""A foot point must be this far beyond the line, as a fraction of the picture: leaning is not beyond."""


class BeyondRailing(PresenceRule):
    """A finding while a person stands in ``zone``, or on the ``beyond`` side of ``line`` between its ends.

    Left and right are as seen along the line, from its first end to its second.
    """

    kind: Literal["beyond_railing"] = "beyond_railing"
    zone: str | None = None
    line: Line | None = None
    beyond: Literal["left", "right"] | None = None
    frames: int = Field(default=2, ge=1, le=100)
    severity: Severity = "critical"
    need_ack: bool = True

    @model_validator(mode="after")
    def _has_a_side(self) -> Self:
        if self.zone is None and self.line is None:
            raise ValueError(
                "give the zone beyond the railing, or the railing's line and which side is beyond"
            )
        if (self.line is None) != (self.beyond is None):
            raise ValueError("line and beyond (left or right, as seen along the line) go together")
        return self

    @property
    def zone_name(self) -> str | None:
        return self.zone

    @property
    def picture_line(self) -> tuple[Corner, Corner] | None:
        return self.line

    def in_area(self, seen: SeenObject) -> bool:
        if self.zone is not None and self.zone in seen.zones:
            return True
        if self.line is None:
            return False
        foot = foot_of(seen.box)
        right = right_of(self.line, foot)
        return beside(self.line, foot) and (right if self.beyond == "right" else -right) >= MARGIN

    def selector(self) -> Select:
        return lambda present, _: present

    def text(self, presences: Sequence[Presence]) -> str:
        return f"{describe(presences)} beyond {self.where or 'the railing'}"
