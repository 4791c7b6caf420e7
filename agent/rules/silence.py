"""A source sends nothing. Silence is reported, never hidden behind the last value."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal, Self

from agent.domain.contracts import SourceRule
from agent.domain.durations import Duration
from agent.domain.findings import Cleared, Evaluator, Finding, for_duration
from agent.domain.inference_rate import InferenceRate, RequiredRate
from agent.domain.observations import Observation, SelfReport, Tick
from agent.domain.progress import Progress, lasting, with_progress
from agent.domain.site import Site


class Silence(SourceRule):
    """A finding while ``source`` has sent nothing for ``after``; the time starts with the rule."""

    kind: Literal["silence"] = "silence"
    after: Duration = timedelta(seconds=10)
    _needs: tuple[RequiredRate, ...] = ()

    def resolve(self, site: Site) -> Self:
        """A camera with too few inferences for the rules on it counts as silent."""
        rule = super().resolve(site).model_copy()
        rule._needs = site.required_rates.get(self.source, ())
        return rule

    @property
    def rediscovery_time(self) -> timedelta:
        return self.after

    def start(self) -> Evaluator:
        return self.resume({})

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        """An active finding clears only once the inference rate of the camera is known."""
        after_s = self.after.total_seconds()
        last: tuple[datetime, float] | None = None
        rate = InferenceRate(self.source, self._needs)

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            nonlocal last
            last = last or (observation.at, observation.mono_s)
            value = observation.value
            rate.on_observation(observation)
            short = rate.shortfall(observation.mono_s)
            if observation.source == self.source and not isinstance(value, SelfReport):
                last = (observation.at, observation.mono_s)
                if short is None and (rate.known or not active):
                    yield Cleared(self.source)
            elif isinstance(value, Tick) and (quiet_s := observation.mono_s - last[1]) > after_s:
                yield Finding(
                    key=self.source,
                    text=f"{self.source} silent {for_duration(quiet_s)}",
                    lasted_s=quiet_s,
                    since=last[0],
                    since_s=last[1],
                    source=self.source,
                )
            elif isinstance(value, Tick) and short and observation.mono_s - short.since_s > after_s:
                yield Finding(
                    key=self.source,
                    text=f"{self.source} {short.text}",
                    since=short.since,
                    since_s=short.since_s,
                    source=self.source,
                )

        def tell(_at: datetime, now_s: float) -> Iterable[Progress]:
            quiet_s = 0.0 if last is None else now_s - last[1]
            return [lasting("silence", "silent for", max(0.0, quiet_s), after_s)]

        return with_progress(evaluate, tell)
