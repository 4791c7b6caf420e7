"""A switch is on: a panic button, a tamper contact, a barrier."""

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar, Literal

from agent.observations import Observation
from agent.parts import Finding, Judge, Over, RulePart
from firmware_bridge.readings import Switch


class SwitchRule(RulePart):
    """A finding while the switch ``name`` of ``source`` is ``on`` (or off, with ``on: false``)."""

    hears: ClassVar[str | None] = "switch"

    kind: Literal["switch"] = "switch"
    source: str
    name: str
    on: bool = True

    def start(self) -> Judge:
        since: tuple[datetime, float] | None = None

        def judge(observation: Observation) -> Iterable[Finding | Over]:
            nonlocal since
            value = observation.value
            if observation.source != self.source or not isinstance(value, Switch) or value.name != self.name:
                return
            if value.on == self.on:
                since = since or (observation.at, observation.mono_s)
                yield Finding(
                    key=self.name,
                    text=f"{self.name.replace('_', ' ')} {'on' if value.on else 'off'}",
                    since=since[0],
                    since_s=since[1],
                    source=self.source,
                )
            else:
                since = None
                yield Over(self.name)

        return judge
