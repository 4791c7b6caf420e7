"""A camera, or one zone of it, can't be seen: dark, covered, turned, frozen, no picture, too few looks."""

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
        """Also a camera that is looked at too seldom for the rules on it is blind."""
        rule = super().resolve(site).model_copy()
        rule._needs = site.required_rates.get(self.camera, ())
        return rule

    @property
    def rediscovery_time(self) -> timedelta:
        return self.after

    def camera_reference(self) -> CameraReference:
        zones = () if self.zone is None else (Keyed("zone", self.zone),)
        return CameraReference(camera=self.camera, zones=zones, needs_coverage=True)

    def start(self) -> Evaluator:
        sight = VisibilityState((self.zone,) if self.zone else ())
        rate = InferenceRate(self.camera, self._needs)
        key = self.zone or self.camera
        found = False

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            nonlocal found
            if observation.source != self.camera and not isinstance(observation.value, Tick):
                return
            sight.on_observation(observation)
            rate.on_observation(observation)
            now_s = observation.mono_s
            blind = {
                zone: one
                for zone, one in sight.blind(now_s).items()
                if self.zone in (None, zone) and now_s - one.since_s >= self.after.total_seconds()
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
                first = min(blind.values(), key=lambda one: one.since_s)
                whys = ", ".join(sorted({one.reason.replace("_", " ") for one in blind.values()}))
                for_s = now_s - first.since_s
                yield Finding(
                    key=key,
                    text=f"{self.camera} can't see {', '.join(blind)}: {whys} {for_duration(for_s)}",
                    lasted_s=for_s,
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
