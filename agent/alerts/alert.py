"""An alert as it stands in one of its phases, and as the message tells it."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from agent.domain.durations import format_duration
from agent.domain.escalation import SEVERITIES, Escalation, Severity
from agent.domain.findings import Finding

Phase = Literal["new", "update", "end"]
Said: TypeAlias = tuple[str, str, str | None]
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
    patience: timedelta = timedelta(0)
    """How long the rule may need to find again what is so, beside `FOUND_AGAIN_WITHIN_S`."""
    crowd: str | None = None
    """What the rule's keys name, in the plural, where nothing limits their number (`RulePart.crowd`)."""

    @property
    def asks_for_each(self) -> bool:
        """Whether an answer is only to those who were there then: one who comes after it is new."""
        return self.severity == "critical" and self.escalate is not None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said to an alert, by role and never by name."""

    role: str
    action: str
    at: datetime
    reason: str | None = None

    @property
    def said(self) -> Said:
        """The answer itself, whenever it came."""
        return self.role, self.action, self.reason


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it stands in one of its phases.

    ``escalation`` counts how often it was raised again because nobody answered; ``over`` where the fact is
    over and only the answer is still missing.
    """

    alert_id: str
    phase: Phase
    terms: AlertPolicy
    finding: Finding
    at: datetime
    acknowledged: Answer | None = None
    escalation: int = 0
    over: bool = False
    reason: str | None = None
    media: tuple[str, ...] = ()
    """The topics of its pictures."""

    @property
    def severity(self) -> Severity:
        """The rule's, or what it was raised to."""
        said = self.terms.severity
        escalate = self.terms.escalate
        return max(said, escalate.severity, key=SEVERITIES.index) if self.escalation and escalate else said

    @property
    def text(self) -> str:
        """For people; once it was raised again, also how long nobody answered."""
        escalate = self.terms.escalate
        if not self.escalation or escalate is None or self.acknowledged:
            return self.finding.text
        waited = format_duration(escalate.waited(self.escalation))
        last = ", and it is not raised again" if escalate.wait(self.escalation) is None else ""
        return f"{self.finding.text}; nobody answered for {waited}{last}"

    @property
    def unanswered(self) -> bool:
        """Whether it may not end before somebody answers."""
        return self.terms.escalate is not None and self.acknowledged is None

    @property
    def concerns_others(self) -> bool:
        """Whether it is told at further brokers too: while it is unanswered, then the answer and the end."""
        escalate, answer = self.terms.escalate, self.acknowledged
        if escalate is None or not escalate.fallbacks or not self.escalation:
            return False
        return answer is None or answer.at == self.at or self.phase == "end"

    def fields(self) -> dict[str, Any]:
        """The ``alert`` object of the message; unknown fields are absent."""
        finding, terms = self.finding, self.terms
        fields: dict[str, Any] = {
            "alert_id": self.alert_id,
            "phase": self.phase,
            "kind": terms.kind,
            "rule": terms.rule,
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
            "need_ack": terms.need_ack or None,
            "acknowledged": None if self.acknowledged is None else present(asdict(self.acknowledged)),
            "escalation": self.escalation or None,
            "over": self.over or None,
            "reason": self.reason,
            "media": list(self.media) or None,
        }
        return present(fields)


def present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
