"""A camera or one of its zones has no visibility: dark, covered, turned, frozen, no picture, too slow."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Literal, Self

from agent.domain.contracts import RulePart
from agent.domain.durations import Duration
from agent.domain.findings import Cleared, Evaluator, Finding, for_duration
from agent.domain.inference_rate import InferenceRate, RequiredRate
from agent.domain.observations import Observation, Tick
from agent.domain.references import CameraReference, Keyed
from agent.domain.site import Site
from agent.vision.visibility_state import VisibilityState


class Blind(RulePart):
    """A finding while ``zone`` of ``camera``, or any of its zones, has been blind for ``after``."""

    kind: Literal["blind"] = "blind"
    camera: str
    zone: str | None = None
    after: Duration = timedelta(seconds=10)
    _needs: tuple[RequiredRate, ...] = ()

    def resolve(self, site: Site) -> Self:
        """A camera with too few inferences for the rules on it is blind as well."""
        rule = super().resolve(site).model_copy()
        rule._needs = site.required_rates.get(self.camera, ())
        return rule

    @property
    def rediscovery_time(self) -> timedelta:
        return self.after

    @property
    def only_key(self) -> str:
        return self.zone or self.camera

    def camera_reference(self) -> CameraReference:
        zones = () if self.zone is None else (Keyed("zone", self.zone),)
        return CameraReference(camera=self.camera, zones=zones, needs_coverage=True)

    def start(self) -> Evaluator:
        visibility = VisibilityState((self.zone,) if self.zone else ())
        rate = InferenceRate(self.camera, self._needs)
        key = self.only_key
        found = False
        latest_s = float("-inf")

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            nonlocal found, latest_s
            if observation.source != self.camera and not isinstance(observation.value, Tick):
                return
            visibility.on_observation(observation)
            rate.on_observation(observation)
            latest_s = now_s = max(latest_s, observation.mono_s)  # a sighting is of an earlier instant
            blind = {
                zone: period
                for zone, period in visibility.blind(now_s).items()
                if self.zone in (None, zone) and now_s - period.since_s >= self.after.total_seconds()
            }
            short = rate.shortfall(now_s, self.zone)
            if not blind and short and now_s - short.since_s >= self.after.total_seconds():
                found = True
                yield Finding(
                    key=key,
                    text=f"{self.camera} is {short.text}",
                    since=short.since,
                    since_s=short.since_s,
                    source=self.camera,
                    zone=self.zone,
                )
            elif blind:
                found = True
                first = min(blind.values(), key=lambda period: period.since_s)
                reasons = ", ".join(sorted({period.reason.replace("_", " ") for period in blind.values()}))
                lasted_s = now_s - first.since_s
                yield Finding(
                    key=key,
                    text=f"{self.camera} can't see {', '.join(blind)}: {reasons} {for_duration(lasted_s)}",
                    lasted_s=lasted_s,
                    since=first.since,
                    since_s=first.since_s,
                    source=self.camera,
                    zone=self.zone,
                    count=len(blind),
                )
            elif found:
                found = False
                yield Cleared(key)

        return evaluate
