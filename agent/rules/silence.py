"""A source that should speak says nothing. Silence is reported, never papered over with the last value."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from agent.durations import Duration
from agent.observations import Observation, SelfReport, Tick
from agent.parts import Finding, Judge, Over, RulePart, lasts


class Silence(RulePart):
    """A finding while ``source`` has said nothing for ``after``; it begins to count when the rule starts."""

    kind: Literal["silence"] = "silence"
    source: str
    after: Duration = timedelta(seconds=10)

    def start(self) -> Judge:
        last: tuple[datetime, float] | None = None

        def judge(observation: Observation) -> Iterable[Finding | Over]:
            nonlocal last
            last = last or (observation.at, observation.mono_s)
            value = observation.value
            if observation.source == self.source and not isinstance(value, SelfReport):
                last = (observation.at, observation.mono_s)
                yield Over(self.source)
            elif (
                isinstance(value, Tick)
                and (quiet_s := observation.mono_s - last[1]) > self.after.total_seconds()
            ):
                yield Finding(
                    key=self.source,
                    text=f"{self.source} silent {lasts(quiet_s)}",
                    lasted_s=quiet_s,
                    since=last[0],
                    since_s=last[1],
                    source=self.source,
                )

        return judge
