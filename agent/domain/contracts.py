"""The contract of a rule: its settings, its references, and its evaluator; and of a source: `Emit`."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import ClassVar, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, model_validator

from agent.domain.durations import Duration
from agent.domain.escalation import Escalation, EscalationSettings, Severity
from agent.domain.findings import Evaluator, Finding
from agent.domain.observations import Value
from agent.domain.references import CameraReference, Channel, SourceReference
from agent.domain.rule_schedule import within_hours
from agent.domain.schedule import Hours
from agent.domain.site import Site, localized
from agent.domain.zones import Corner

Emit: TypeAlias = "Callable[[Value], asyncio.Future[None] | None]"
"""Takes a value; may return a future that is done once the consequences of the value are stored."""

ACK_WITHIN = timedelta(seconds=60)
POLICY_KEYS = ("severity", "need_ack", "ack_within", "escalate", "cool_down", "verify_within")
"""The keys of a rule that its evaluator does not use: `agent.alerts.alert.AlertPolicy` is made of them, and
the second look."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The second look that a rule asks for: how long an alert may wait for it, and what agrees with it."""

    within_s: float
    labels: tuple[str, ...]
    min_score: float


class RulePart(BaseModel):
    """The settings that all rules share, and what a kind of rule has to provide.

    A kind of rule names its keys freely. Configuration, alerts and cards learn about them from
    `source_references`, `camera_reference`, `rediscovery_time` and `notes`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str

    flood_label: ClassVar[str | None] = None
    """What the keys of its findings name, in the plural, where they come from outside and are unlimited."""

    schedule: Hours | None = None
    """When the rule is in force; always, if not set."""
    severity: Severity = "warning"
    need_ack: bool = False
    ack_within: Duration | None = None
    """With `need_ack` an answer is expected within this time (`ACK_WITHIN` if not set); the alert does not
    end without one, even if its finding has cleared."""
    escalate: EscalationSettings | None = None
    cool_down: Duration = timedelta(0)
    """How long a finding must have cleared before its alert ends; if it returns sooner, the alert goes on."""

    @property
    def rediscovery_time(self) -> timedelta:
        """How long a new evaluator may need to find again what holds: the sum of the rule's own waits."""
        return timedelta(0)

    @property
    def look_back(self) -> timedelta:
        """How far back observations matter to the rule: a changed rule gets them again."""
        return self.rediscovery_time

    @property
    def only_key(self) -> str | None:
        """The key of all its findings, where its settings name it: with another name the alert goes on."""
        return None

    def source_references(self) -> tuple[SourceReference, ...]:
        """The sources whose values the rule uses, except cameras."""
        return ()

    def camera_reference(self) -> CameraReference | None:
        """The camera whose sightings or views the rule uses; None if it uses none."""
        return None

    @property
    def picture_line(self) -> tuple[Corner, Corner] | None:
        """The line in the picture of its camera, if it has one."""
        return None

    def verification(self) -> Verification | None:
        """The second look at its new alerts; None where it asks for none."""
        return None

    def sources(self) -> frozenset[str]:
        """The names of all sources that the rule uses, its camera among them."""
        camera = self.camera_reference()
        named = {reference.source for reference in self.source_references()}
        return frozenset(named if camera is None else {*named, camera.camera})

    def changes_from(self, before: "RulePart") -> tuple[str, ...]:
        """The keys whose values differ from those of the same rule ``before``."""
        return tuple(
            key for key in type(self).model_fields if getattr(self, key) != getattr(before, key, None)
        )

    def evaluates_as(self, before: "RulePart") -> bool:
        """Whether it finds the same as ``before``, and differs in what becomes of an alert at most."""
        policy = {key: getattr(self, key) for key in POLICY_KEYS if key in type(self).model_fields}
        return before.model_copy(update=policy) == self

    def notes(self) -> Iterator[str]:
        """Notes on settings that are valid but probably not intended."""
        yield from ()

    @abstractmethod
    def start(self) -> Evaluator:
        """A new evaluator: a pure function of the observations so far, in order; it reads no clock.

        It states nothing about a key until it knows: a `Cleared` from an evaluator that has not seen enough
        would end an alert whose finding still holds.
        """

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:  # noqa: ARG002  rules with a memory need it
        """A new evaluator after a restart or a change of the rule; ``active``: the findings before, by key.

        A rule with state that observations do not restore (hysteresis, a usual level, a place) takes it up
        here. The ``since_s`` in ``active`` are on the present monotonic clock.
        """
        return self.start()

    def scheduled_evaluator(self, active: Mapping[str, Finding] = MappingProxyType({})) -> Evaluator:
        """The evaluator that the agent runs: of `start` or `resume`, within the rule's schedule."""
        evaluator = self.resume(active) if active else self.start()
        return evaluator if self.schedule is None else within_hours(self.schedule, evaluator, active)

    @model_validator(mode="after")
    def _ack_settings_need_ack(self) -> Self:
        if self.ack_within is not None and not self.need_ack:
            raise ValueError("ack_within needs need_ack: true")
        if self.escalate is not None and not self.need_ack:
            raise ValueError("escalate needs need_ack: true")
        if self.ack_within is not None and self.ack_within < timedelta(seconds=1):
            raise ValueError("ack_within is at least 1s")
        return self

    def escalation(self) -> Escalation | None:
        """How an unanswered alert escalates; None without `need_ack`."""
        if not self.need_ack:
            return None
        return (self.escalate or EscalationSettings()).after(self.ack_within or ACK_WITHIN)

    def resolve(self, site: Site) -> Self:
        """The rule completed from the rest of the configuration. ValueError names what is missing there."""
        if self.schedule is None:
            return self
        return self.model_copy(update={"schedule": localized(self.schedule, site)})


class SourceRule(RulePart):
    """A rule on the values of one ``source``."""

    value_kind: ClassVar[str | None] = None
    """The kind of value that its source must provide, such as ``fix``; None: any source will do."""

    source: str

    @property
    def channel(self) -> Channel | None:
        """The quantity or switch that the rule is about, if it is about one."""
        return None

    def source_references(self) -> tuple[SourceReference, ...]:
        kinds = () if self.value_kind is None else (self.value_kind,)
        return (SourceReference("source", self.source, kinds, self.channel),)
