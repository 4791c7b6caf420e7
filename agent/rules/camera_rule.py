"""What a technician can set for every rule on pictures, and how such a rule speaks."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar, Self, TypeAlias

from pydantic import Field, model_validator

from agent.domain.contracts import RulePart
from agent.domain.durations import Duration
from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.observations import Observation, SeenObject, Sighting, Tick
from agent.domain.references import CameraReference, Keyed
from agent.rules.occupancy import OccupancyTracker
from agent.rules.presence import Presence

UNSEEN_S = 10.0
"""Without a picture for so long, what was found is told as not seen any more."""
GIVEN_UP_S = 300.0
"""And after so long nobody knows: it ends, and says why. That the camera is blind is told by other rules."""

Decide: TypeAlias = Callable[[list[Presence], Observation], Finding | None]
"""What is so, from those who certainly are there at a sighting."""
Select: TypeAlias = Callable[[list[Presence], Observation], list[Presence]]


class CameraRule(RulePart):
    """A rule on what one camera sees."""

    inferences_per_s: ClassVar[float] = 0.5
    """How often its camera must be looked at for it to see what it is about."""

    camera: str
    labels: tuple[str, ...] = Field(default=("person",), min_length=1)
    min_score: float = Field(default=0.4, ge=0, le=1)
    """How sure the detector must be of an object, over its last frames and not in one."""
    min_size: float = Field(default=0.0, ge=0, le=1)
    max_size: float = Field(default=1.0, gt=0, le=1)
    """How tall it must, and may, be: a share of the picture's height."""
    frames: int = Field(default=5, ge=1, le=100)
    """For how much longer it must be seen than missed, in fifths of a second: frames at 5 frames a second."""
    grace: Duration = timedelta(seconds=3)
    """How long somebody may be out of sight, or elsewhere, and still be there."""
    cool_down: Duration = timedelta(seconds=10)
    camera_may_move: bool = False
    """Evaluate also while the camera itself moves, as it always does on a boat or a drone."""

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        if self.min_size >= self.max_size:
            raise ValueError(f"min_size {self.min_size:g} leaves nothing below max_size {self.max_size:g}")
        return self

    @property
    def zone_name(self) -> str | None:
        """The zone, where the rule has one."""
        return None

    @property
    def labels_sought(self) -> tuple[Keyed, ...]:
        """The labels that it judges by, each with its key."""
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

    def rarely_seen_after_s(self) -> float | None:
        """After how long also who is seen in few of the looks counts; None for never."""
        return None

    def tracker(self, fits: Callable[[SeenObject], bool] | None = None) -> OccupancyTracker:
        """An tracker on the objects that the rule is about, and that ``fits`` (where they are)."""

        def all_fits(thing: SeenObject) -> bool:
            tall = thing.box[3] - thing.box[1]
            return self.min_size <= tall <= self.max_size and (fits is None or fits(thing))

        return OccupancyTracker(
            self.camera,
            self.labels,
            all_fits,
            frames=self.frames,
            min_score=self.min_score,
            grace_s=self.grace.total_seconds(),
            moving=self.camera_may_move,
            keeps=True,
            patience_s=self.rarely_seen_after_s(),
        )

    def evaluator(self, tracker: OccupancyTracker, decide: Decide) -> Evaluator:
        """A judge that tells what ``decide`` finds in each sighting, and that it is over when it finds none.

        A camera that shows nothing more ends nothing at once: somebody may have seen to that.
        """
        found: Finding | None = None

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            nonlocal found
            there = tracker.look(observation)
            before = found
            if there is not None:
                found = decide([presence for presence in there if presence.sure], observation)
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

        return evaluate


class PresenceRule(CameraRule):
    """A rule that is about some of those whom it sees: one finding, however many they are."""

    where: str | None = None
    """What people call the place, such as ``the east railing``."""

    @abstractmethod
    def in_area(self, thing: SeenObject) -> bool:
        """Whether an object is where the rule looks."""

    @abstractmethod
    def selector(self) -> Select:
        """Fresh: those whom the rule is about, of all who certainly are there."""

    @abstractmethod
    def text(self, found: Sequence[Presence]) -> str:
        """What to tell of those who were picked, in words for people."""

    def lasted_s(self, _found: Sequence[Presence]) -> float | None:
        """The duration that stands in `text`, if one does."""
        return None

    def place(self) -> str:
        """Where it is, in words for people."""
        return self.where or self.zone_name or self.camera

    def start(self) -> Evaluator:
        pick = self.selector()

        def decide(there: list[Presence], observation: Observation) -> Finding | None:
            picked = pick(there, observation)
            return self._finding(picked, observation) if picked else None

        return self.evaluator(self.tracker(self.in_area), decide)

    def _finding(self, picked: list[Presence], observation: Observation) -> Finding:
        first = min(picked, key=lambda presence: presence.since_s)
        return Finding(
            key=self.zone_name or self.camera,
            text=self.text(picked),
            since=first.since,
            since_s=first.since_s,
            source=self.camera,
            zone=self.zone_name,
            label=first.seen.label,
            count=len(picked),
            presences=frozenset(presence.number for presence in picked),
            lasted_s=self.lasted_s(picked),
            score=max(presence.best for presence in picked),
            box=first.seen.box,
            latency_s=detection_delay_s(observation),
        )


class ZoneRule(PresenceRule):
    """A rule about who is in a zone."""

    zone: str

    @property
    def zone_name(self) -> str:
        return self.zone

    def in_area(self, thing: SeenObject) -> bool:
        return self.zone in thing.zones


def detection_delay_s(observation: Observation) -> float | None:
    """From the frame in hand to its sighting."""
    return observation.value.delay_s if isinstance(observation.value, Sighting) else None
