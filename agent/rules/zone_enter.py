"""A person or object enters a zone."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from agent.rules.camera_rule import Select, ZoneRule
from agent.rules.presence import Presence, describe


class ZoneEnter(ZoneRule):
    """A finding while at least one object of ``labels`` is in the zone."""

    inferences_per_s: ClassVar[float] = 1.0

    kind: Literal["zone_enter"] = "zone_enter"

    def selector(self) -> Select:
        return lambda present, _: present

    def text(self, presences: Sequence[Presence]) -> str:
        return f"{describe(presences)} in {self.place()}"
