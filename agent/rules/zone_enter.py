"""Somebody or something comes into a zone."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from agent.rules.camera_rule import Select, ZoneRule
from agent.rules.presence import Presence, describe


class ZoneEnter(ZoneRule):
    """A finding while at least one object of ``labels`` is in the zone."""

    inferences_per_s: ClassVar[float] = 1.0

    kind: Literal["zone_enter"] = "zone_enter"

    def selector(self) -> Select:
        return lambda there, _: there

    def text(self, found: Sequence[Presence]) -> str:
        return f"{describe(found)} in {self.place()}"
