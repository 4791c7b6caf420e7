"""An alert in one of its phases, and the fields of its message. Pure.

Aliases are the keys under which active alerts are on disk; see `agent.alerts.saved_alerts`.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from agent.alerts.silence import Silence
from agent.alerts.verification import SecondLook, Verified, combined_score
from agent.domain.durations import format_duration
from agent.domain.escalation import SEVERITIES, Escalation, Severity
from agent.domain.findings import Finding

FURTHER = "further"
"""The key of the one alert for all findings of a rule beyond `agent.alerts.alert_limit.MAX_ALERTS`."""

Phase = Literal["new", "update", "end"]
ENDED_BY = {"close": "closed", "reject": "rejected"}
"""Answers that end an alert, and the word for it in the reason of the end."""
AnswerContent: TypeAlias = tuple[str, str, str | None]
"""Role, action and reason of an answer."""


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """What the configuration of a rule sets for its alerts."""

    rule: str
    kind: str
    severity: Severity
    need_ack: bool
    cool_down: timedelta
    escalate: Escalation | None = None
    rediscovery_time: Annotated[timedelta, Field(alias="patience")] = timedelta(0)
    """How long a restarted evaluator may need to find its findings again, on top of `REDISCOVERY_S`."""
    flood_label: Annotated[str | None, Field(alias="crowd")] = None
    """What the keys of the rule name, in the plural, where nothing limits their number."""

    @property
    def renews_for_newcomers(self) -> bool:
        """Whether an answer covers only the presences of that time: a later one raises a new alert."""
        return self.severity == "critical" and self.escalate is not None


@dataclass(frozen=True, slots=True)
class AlertAnswer:
    """A person's answer to an alert, by role and never by name."""

    role: str
    action: str
    at: datetime
    reason: str | None = None

    @property
    def content(self) -> AnswerContent:
        """The answer without its time."""
        return self.role, self.action, self.reason

    @property
    def ends(self) -> bool:
        """Whether the answer ends its alert even if the finding still holds."""
        return self.action in ENDED_BY

    @property
    def end_reason(self) -> str:
        """The reason of an end that follows from this answer."""
        reason = f"{ENDED_BY.get(self.action, 'answered')} by {self.role}"
        return f"{reason}: {self.reason}" if self.reason else reason


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert in one of its phases.

    ``escalation`` counts how often it was raised again without an answer. ``cleared`` is set where the
    finding has cleared and only the answer is missing. ``media`` are the topics of its pictures.
    ``verified`` is None where no second look is asked for.
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
    silence: Silence | None = None
    verified: Verified | None = None
    second_look: SecondLook | None = None

    @property
    def score(self) -> float | None:
        """The confidence that is told: raised by a second look that agreed."""
        first, second = self.finding.score, self.second_look
        if first is None or second is None or self.verified is not True:
            return first
        return combined_score(first, second.score)

    @property
    def severity(self) -> Severity:
        """The severity of the rule, or the one that the alert has escalated to."""
        own = self.policy.severity
        escalate = self.policy.escalate
        return max(own, escalate.severity, key=SEVERITIES.index) if self.escalation and escalate else own

    @property
    def text(self) -> str:
        """The text for people; once escalated, with the time without an answer."""
        escalate = self.policy.escalate
        if not self.escalation or escalate is None or self.acknowledged:
            return self.finding.text
        waited = format_duration(escalate.waited(self.escalation))
        last = ", and it is not raised again" if escalate.wait(self.escalation) is None else ""
        return f"{self.finding.text}; nobody answered for {waited}{last}"

    def told_alike(self, other: "Alert") -> bool:
        """Whether ``other`` asks the same of people: severity and answer."""
        return (self.severity, self.policy.need_ack, self.acknowledged) == (
            other.severity, other.policy.need_ack, other.acknowledged,
        )  # fmt: skip

    @property
    def unanswered(self) -> bool:
        """Whether the alert may not end before it is answered."""
        return self.policy.escalate is not None and self.acknowledged is None

    @property
    def notifies_fallbacks(self) -> bool:
        """Whether it also goes to the fallback brokers: escalated and unanswered, its answer, or its end."""
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
            "score": None if self.score is None else round(self.score, 3),
            "verified": self.verified,
            "second_look": None if self.second_look is None else self.second_look.fields(),
            "since": finding.since,
            "box": None if finding.box is None else [round(edge, 4) for edge in finding.box],
            "point": None if finding.point is None else present(asdict(finding.point)),
            "need_ack": policy.need_ack or None,
            "acknowledged": None if self.acknowledged is None else present(asdict(self.acknowledged)),
            "escalation": self.escalation or None,
            "over": self.cleared or None,
            "silenced": None if self.silence is None else self.silence.fields(),
            "reason": self.reason,
            "media": list(self.media) or None,
        }
        return present(fields)


def kind_changed(before: str, kind: str) -> str:
    """The reason of the end where a rule has become one of another kind."""
    return f"its rule was changed from {before} to {kind}"


def present(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}
