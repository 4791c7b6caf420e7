"""An alert as it stands in one of its phases, and as the message tells it."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from agent.domain.durations import format_duration
from agent.domain.escalation import SEVERITIES, Escalation, Severity
from agent.domain.findings import Finding

Phase = Literal["new", "update", "end"]
AnswerContent: TypeAlias = tuple[str, str, str | None]
"""An answer's role, action and reason."""


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """What the rule's configuration says of its alerts."""

    rule: str
    kind: str
    severity: Severity
    need_ack: bool
    cool_down: timedelta
    escalate: Escalation | None = None
    rediscovery_time: Annotated[timedelta, Field(alias="patience")] = timedelta(0)
    """How long the rule may need to find again what is so, beside `REDISCOVERY_S`."""
    flood_label: Annotated[str | None, Field(alias="crowd")] = None
    """What the rule's keys name where nothing limits their number (`RulePart.flood_label`)."""

    @property
    def asks_for_each(self) -> bool:
        """Whether an answer is only to those who were there then: one who comes after it is new."""
        return self.severity == "critical" and self.escalate is not None


@dataclass(frozen=True, slots=True)
class AlertAnswer:
    """What a person said to an alert, by role and never by name."""

    role: str
    action: str
    at: datetime
    reason: str | None = None

    @property
    def said(self) -> AnswerContent:
        """The answer itself, whenever it came."""
        return self.role, self.action, self.reason


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it stands in one of its phases.

    ``escalation`` counts how often it was raised again because nobody answered; ``cleared`` where the fact is
    over and only the answer is still missing.
    """

    alert_id: str
    phase: Phase
    policy: Annotated[AlertPolicy, Field(alias="terms")]
    finding: Finding
    at: datetime
    acknowledged: AlertAnswer | None = None
    escalation: int = 0
    cleared: Annotated[bool, Field(alias="over")] = False
    reason: str | None = None
    media: tuple[str, ...] = ()
    """The topics of its pictures."""

    @property
    def severity(self) -> Severity:
        """The rule's, or what it was raised to."""
        said = self.policy.severity
        escalate = self.policy.escalate
        return max(said, escalate.severity, key=SEVERITIES.index) if self.escalation and escalate else said

    @property
    def text(self) -> str:
        """For people; once it was raised again, also how long nobody answered."""
        escalate = self.policy.escalate
        if not self.escalation or escalate is None or self.acknowledged:
            return self.finding.text
        waited = format_duration(escalate.waited(self.escalation))
        last = ", and it is not raised again" if escalate.wait(self.escalation) is None else ""
        return f"{self.finding.text}; nobody answered for {waited}{last}"

    @property
    def unanswered(self) -> bool:
        """Whether it may not end before somebody answers."""
        return self.policy.escalate is not None and self.acknowledged is None

    @property
    def notifies_fallbacks(self) -> bool:
        """Whether it is told at further brokers too: while it is unanswered, then the answer and the end."""
        escalate, answer = self.policy.escalate, self.acknowledged
        if escalate is None or not escalate.fallbacks or not self.escalation:
            return False
        return answer is None or answer.at == self.at or self.phase == "end"

    def fields(self) -> dict[str, Any]:
        """The ``alert`` object of the message; unknown fields are absent."""
        finding, policy = self.finding, self.policy
        fields: dict[str, Any] = {
            "alert_id": self.alert_id,
            "phase": self.phase,
            "kind": policy.kind,
            "rule": policy.rule,
            "severity": self.severity,
            "text": self.text,
            ("camera" if finding.zone or finding.box else "source"): finding.source,
            "zone": finding.zone,
            "label": finding.label,
            "count": finding.count,
            "score": None if finding.score is None else round(finding.score, 3),
            "since": finding.since,
            "box": None if finding.box is None else [round(edge, 4) for edge in finding.box],
            "point": None if finding.point is None else present(asdict(finding.point)),
            "need_ack": policy.need_ack or None,
            "acknowledged": None if self.acknowledged is None else present(asdict(self.acknowledged)),
            "escalation": self.escalation or None,
            "over": self.cleared or None,
            "reason": self.reason,
            "media": list(self.media) or None,
        }
        return present(fields)


def present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
