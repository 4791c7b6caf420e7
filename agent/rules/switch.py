"""A switch is on: a panic button, a tamper contact, a barrier."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from agent.domain.contracts import SourceRule
from agent.domain.durations import Duration
from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.observations import Observation, Tick
from agent.domain.progress import MET, Progress, lasting, not_met, with_progress
from agent.domain.references import Channel
from agent.rules.hold_timer import hold_timer
from firmware_bridge.readings import Switch


class SwitchRule(SourceRule):
    """A finding while the switch ``name`` has been ``on``, or off with ``on: false``, for ``hold``."""

    value_kind: ClassVar[str | None] = "switch"

    kind: Literal["switch"] = "switch"
    name: str
    on: bool = True
    hold: Duration = timedelta(0)
    """How long the state must last: a bouncing contact, or a door that is passed through, is no finding."""

    @property
    def rediscovery_time(self) -> timedelta:
        return self.hold

    @property
    def channel(self) -> Channel:
        return Channel("name", "switch", self.name)

    def start(self) -> Evaluator:
        held = hold_timer(self.hold)
        matches = reported = False
        since_s: float | None = None

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            nonlocal matches, reported, since_s
            value = observation.value
            if isinstance(value, Switch) and observation.source == self.source and value.name == self.name:
                since_s = None if value.on != self.on else since_s or observation.mono_s
                matches = value.on == self.on
            elif not isinstance(value, Tick) or not matches or reported:
                return
            since = held(matches, observation)
            reported = since is not None
            if since is not None:
                yield Finding(
                    key=self.name,
                    text=f"{self.name.replace('_', ' ')} {'on' if self.on else 'off'}",
                    since=since[0],
                    since_s=since[1],
                    source=self.source,
                )
            elif not matches:
                yield Cleared(self.name)

        def tell(_at: datetime, now_s: float) -> Iterable[Progress]:
            name, state, other = self.name.replace("_", " "), *(("on", "off") if self.on else ("off", "on"))
            if since_s is None:
                return [not_met("switch", f"{name} is {other}")]
            if not self.hold:
                return [MET]
            return [lasting("hold", f"{name} {state} for", now_s - since_s, self.hold.total_seconds())]

        return with_progress(evaluate, tell)
