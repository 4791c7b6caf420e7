"""What a rule is: its settings, what it refers to, its judge, and what a judge says."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
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

Emit: TypeAlias = "Callable[[Value], asyncio.Future[None] | None]"
"""Takes a value; may give a future that is done once what the value led to is safely kept."""

ACK_WITHIN = timedelta(seconds=60)


class RulePart(BaseModel):
    """What every rule lets a technician set, and what the agent asks of it.

    A kind of rule names its keys as it likes: what configuration, alerts and cards need of them it returns
    from `source_references`, `camera_reference`, `rediscovery_time` and `notes`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str

    flood_label: ClassVar[str | None] = None
    """What its keys name, in the plural, where they come from the outside and nothing limits their number."""

    schedule: Hours | None = None
    """When it judges; always, if it is not set."""
    severity: Severity = "warning"
    need_ack: bool = False
    ack_within: Duration | None = None
    """Where `need_ack` is true somebody has to answer within this (`ACK_WITHIN`, if it is not set); the alert
    does not end before, even if what it tells is over."""
    escalate: EscalationSettings | None = None
    cool_down: Duration = timedelta(0)
    """How long the fact must be over before its alert ends; if it comes back sooner, it is the same alert."""

    @property
    def rediscovery_time(self) -> timedelta:
        """How long a fresh judge may need to find again what is so: the sum of the rule's own waits."""
        return timedelta(0)

    def source_references(self) -> tuple[SourceReference, ...]:
        """The sources that the rule listens to, cameras excepted."""
        return ()

    def camera_reference(self) -> CameraReference | None:
        """The camera that the rule judges by; None for a rule on no camera."""
        return None

    def notes(self) -> Iterator[str]:
        """What is valid in its settings, but hardly meant."""
        yield from ()

    @abstractmethod
    def start(self) -> Evaluator:
        """A fresh judge: a pure function of what it was shown, in order. It never looks at a clock.

        It yields nothing about a key until it knows: an `Cleared` from a judge that has not seen enough would
        end an alert whose fact goes on.
        """

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:  # noqa: ARG002  rules with a memory need it
        """A fresh judge after a restart or a change of the rule; ``active`` is what was so then, by key.

        A rule that remembers more than it sees again (hysteresis, a usual level, a place) takes that up here.
        The ``since_s`` of ``active`` are of the present monotonic clock.
        """
        return self.start()

    def scheduled_evaluator(self, active: Mapping[str, Finding] = MappingProxyType({})) -> Evaluator:
        """`start` or `resume`, told only while the schedule is open: what the agent runs."""
        judge = self.resume(active) if active else self.start()
        return judge if self.schedule is None else within_hours(self.schedule, judge, active)

    @model_validator(mode="after")
    def _answers_are_needed(self) -> Self:
        if self.ack_within is not None and not self.need_ack:
            raise ValueError("ack_within needs need_ack: true")
        if self.escalate is not None and not self.need_ack:
            raise ValueError("escalate needs need_ack: true")
        if self.ack_within is not None and self.ack_within < timedelta(seconds=1):
            raise ValueError("ack_within is at least 1s")
        return self

    def escalation(self) -> Escalation | None:
        """What happens to an alert that nobody answers; None where nobody has to."""
        if not self.need_ack:
            return None
        return (self.escalate or EscalationSettings()).after(self.ack_within or ACK_WITHIN)

    def resolve(self, site: Site) -> Self:
        """This rule with what it takes from elsewhere. ValueError says what is missing there."""
        if self.schedule is None:
            return self
        return self.model_copy(update={"schedule": localized(self.schedule, site)})


class SourceRule(RulePart):
    """A rule on what one ``source`` tells."""

    value_kind: ClassVar[str | None] = None
    """The kind of value that its source must tell, such as ``fix``; None where any will do."""

    source: str

    @property
    def channel(self) -> Channel | None:
        """The one quantity or switch that the rule is about."""
        return None

    def source_references(self) -> tuple[SourceReference, ...]:
        kinds = () if self.value_kind is None else (self.value_kind,)
        return (SourceReference("source", self.source, kinds, self.channel),)
