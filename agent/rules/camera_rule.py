"""The common part of rules on pictures: their settings, and their findings.

`CameraRule` evaluates the presences of one camera; `PresenceRule` states one finding for those that it
selects; `ZoneRule` does so in one zone.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar, Self, TypeAlias

from pydantic import Field, model_validator

from agent.domain.contracts import RulePart, Verification
from agent.domain.durations import Duration
from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.observations import Observation, SeenObject, Sighting, Tick
from agent.domain.progress import MET, Progress, not_met, with_progress
from agent.domain.references import CameraReference, Keyed
from agent.rules.camera_progress import object_progress, size_reason
from agent.rules.occupancy import OccupancyTracker
from agent.rules.presence import Leak, Presence

UNSEEN_S = 10.0
"""Without a sighting for so long, the text of a finding says that it is not seen."""
GIVEN_UP_S = 300.0
"""After so long the finding is cleared with that reason. Other rules report that the camera is blind."""

Decide: TypeAlias = Callable[[list[Presence], Observation], Finding | None]
"""The finding at a sighting, from the presences that are certain; None where nothing is found."""
Select: TypeAlias = Callable[[list[Presence], Observation], list[Presence]]
"""The presences that a rule is about, of all that are certain at a sighting."""


class CameraRule(RulePart):
    """A rule on the sightings of one camera."""

    inferences_per_s: ClassVar[float] = 0.5
    """The inference rate that the rule needs from its camera."""

    camera: str
    labels: tuple[str, ...] = Field(default=("person",), min_length=1, max_length=200)
    min_score: float = Field(default=0.4, ge=0, le=1)
    """The confidence threshold, as the median over the latest frames of an object."""
    min_size: float = Field(default=0.0, ge=0, le=1)
    max_size: float = Field(default=1.0, gt=0, le=1)
    """Least and greatest height of an object, as a share of the picture's height."""
    frames: int = Field(default=5, ge=1, le=100)
    """For how much longer it must be detected than missed, in fifths of a second (frames at 5 per second)."""
    grace: Duration = timedelta(seconds=3)
    """How long an object may be undetected, or outside, and still count as present."""
    cool_down: Duration = timedelta(seconds=10)
    verify_within: Duration = Field(default=timedelta(seconds=1), ge=timedelta(0), le=timedelta(seconds=5))
    """How long a new critical alert may wait for its second look before it is sent; 0s: there is none."""
    camera_may_move: bool = False
    """Evaluate also while the camera itself moves, as it always does on a boat or a drone."""

    @model_validator(mode="after")
    def _has_a_size_range(self) -> Self:
        if self.min_size >= self.max_size:
            raise ValueError(f"min_size {self.min_size:g} leaves nothing below max_size {self.max_size:g}")
        return self

    @property
    def zone_name(self) -> str | None:
        """The zone of the rule, if it has one."""
        return None

    @property
    def labels_sought(self) -> tuple[Keyed, ...]:
        """The labels that the rule uses, each with its key."""
        return tuple(Keyed("labels", label) for label in self.labels)

    def camera_reference(self) -> CameraReference:
        return CameraReference(
            camera=self.camera,
            zones=() if self.zone_name is None else (Keyed("zone", self.zone_name),),
            labels=self.labels_sought,
            min_score=("min_score", self.min_score) if "min_score" in self.model_fields_set else None,
            inferences_per_s=self.inferences_per_s,
            moving_key=None if self.camera_may_move else "camera_may_move",
        )

    def verification(self) -> Verification | None:
        within_s = self.verify_within.total_seconds()
        if self.severity != "critical" or not within_s:
            return None
        return Verification(within_s, self.labels, self.min_score)

    def rarely_seen_after_s(self) -> float | None:
        """After how long a rarely detected presence counts as well; None: never."""
        return None

    def leak(self) -> Leak | None:
        """How the time of a presence leaks while it is hidden or outside; None: outside it loses all."""
        return None

    def why_not(self, seen: SeenObject) -> Progress | None:
        """Why an object is outside of what the rule is about; None where it is not."""
        return size_reason(seen, self.min_size, self.max_size)

    def presence_progress(self, _presence: Presence, _now_s: float) -> Progress:
        """How far the rule is with a presence that is certain."""
        return MET

    def telling(self, evaluator: Evaluator, tracker: OccupancyTracker) -> Evaluator:
        """``evaluator`` itself, which now tells its progress by the presences of ``tracker``."""
        return with_progress(
            evaluator,
            lambda _, now_s: object_progress(
                self.labels, tracker, self.why_not, self.presence_progress, now_s
            ),
        )

    def tracker(self, fits: Callable[[SeenObject], bool] | None = None) -> OccupancyTracker:
        """A tracker of the objects that the rule is about; ``fits`` selects them by place."""

        def fits_all(seen: SeenObject) -> bool:
            height = seen.box[3] - seen.box[1]
            return self.min_size <= height <= self.max_size and (fits is None or fits(seen))

        return OccupancyTracker(
            self.camera,
            self.labels,
            fits_all,
            frames=self.frames,
            min_score=self.min_score,
            grace_s=self.grace.total_seconds(),
            moving=self.camera_may_move,
            keeps=True,
            patience_s=self.rarely_seen_after_s(),
            leak=self.leak(),
        )

    def evaluator(self, tracker: OccupancyTracker, decide: Decide) -> Evaluator:
        """An evaluator that states what ``decide`` finds at each sighting, and `Cleared` when it finds none.

        A camera without sightings does not clear at once: it may have been covered on purpose.
        """
        found: Finding | None = None

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            nonlocal found
            present = tracker.on_sighting(observation)
            before = found
            if present is not None:
                found = decide([presence for presence in present if presence.sure], observation)
                if found is not None:
                    yield found
                if before is not None and (found is None or found.key != before.key):
                    yield Cleared(before.key)
            elif found is not None and tracker.looked_s is not None and isinstance(observation.value, Tick):
                unseen_s = observation.mono_s - tracker.looked_s
                if unseen_s > GIVEN_UP_S:
                    yield Cleared(found.key, f"{self.camera} has shown nothing for {int(unseen_s)} s")
                    found = None
                    tracker.forget()
                elif unseen_s > UNSEEN_S:
                    yield replace(found, text=f"{found.text}; not seen for {int(unseen_s)} s")

        return self.telling(evaluate, tracker)


class PresenceRule(CameraRule):
    """A rule about some of the presences: one finding, however many there are."""

    where: str | None = None
    """The name of the place for people, such as ``the east railing``."""

    @abstractmethod
    def in_area(self, seen: SeenObject) -> bool:
        """Whether an object is in the area of the rule."""

    def why_not(self, seen: SeenObject) -> Progress | None:
        outside = not_met("outside", f"foot point outside {self.zone_name or 'the area'}")
        return super().why_not(seen) or (None if self.in_area(seen) else outside)

    @abstractmethod
    def selector(self) -> Select:
        """A new function that selects the presences that the rule is about."""

    @abstractmethod
    def text(self, presences: Sequence[Presence]) -> str:
        """The text of the finding for the selected presences."""

    def lasted_s(self, _presences: Sequence[Presence]) -> float | None:
        """The duration in `text`, if it contains one, in seconds."""
        return None

    def place(self) -> str:
        """The name of the place for people."""
        return self.where or self.zone_name or self.camera

    @property
    def only_key(self) -> str:
        return self.zone_name or self.camera

    def start(self) -> Evaluator:
        select = self.selector()

        def decide(present: list[Presence], observation: Observation) -> Finding | None:
            selected = select(present, observation)
            return self._finding(selected, observation) if selected else None

        return self.evaluator(self.tracker(self.in_area), decide)

    def _finding(self, selected: list[Presence], observation: Observation) -> Finding:
        first = min(selected, key=lambda presence: presence.since_s)
        return Finding(
            key=self.only_key,
            text=self.text(selected),
            since=first.since,
            since_s=first.since_s,
            source=self.camera,
            zone=self.zone_name,
            label=first.seen.label,
            count=len(selected),
            presences=frozenset(presence.number for presence in selected),
            lasted_s=self.lasted_s(selected),
            score=max(presence.best for presence in selected),
            box=first.seen.box,
            latency_s=detection_delay_s(observation),
        )


class ZoneRule(PresenceRule):
    """A rule about the presences in a zone."""

    zone: str

    @property
    def zone_name(self) -> str:
        return self.zone

    def in_area(self, seen: SeenObject) -> bool:
        return self.zone in seen.zones


def detection_delay_s(observation: Observation) -> float | None:
    """Seconds from the captured frame to its sighting, if the observation is one."""
    return observation.value.delay_s if isinstance(observation.value, Sighting) else None
