"""The state of one active alert, and how it takes the next finding of its rule. Pure.

Instants with ``_s`` are on the monotonic clock. The aliases are the keys under which the state is on disk.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from agent.alerts.alert import Alert, AlertPolicy, AnswerContent
from agent.alerts.update_policy import UPDATE_EVERY_S, Announced
from agent.domain.escalation import SEVERITIES
from agent.domain.findings import Finding

REDISCOVERY_S = 120.0
"""After a restart a rule has this long, and its `rediscovery_time`, to find again what was active."""
RESTARTED = "not seen again after a restart"
MAX_ANSWERS, MAX_PRESENCES = 20, 200
"""How many different answers to an alert, and how many presences, are remembered."""


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An alert that has not ended."""

    alert: Alert
    announced_s: Annotated[float | None, Field(alias="told_s")]
    """When it was last announced; None while it has to be found again."""
    cleared_s: Annotated[float | None, Field(alias="over_s")] = None
    """Since when its finding has cleared, while the cool-down runs."""
    unconfirmed: Annotated[tuple[float, str] | None, Field(alias="doubt")] = None
    """Until when the finding has to be found again, and the reason of the end if it is not."""
    escalates_s: Annotated[float | None, Field(alias="due_s")] = None
    """When it is raised again next."""
    escalated_s: Annotated[float | None, Field(alias="raised_s")] = None
    """When it was last raised again."""
    closed: bool = False
    """A person ended the alert. The entry is kept so that the same finding raises no new alert."""
    announced: Annotated[Announced | None, Field(alias="told")] = None
    interval_s: Annotated[float, Field(alias="wait_s")] = UPDATE_EVERY_S
    """After how long the alert is announced again unchanged."""
    backdated: Annotated[tuple[datetime, datetime, float] | None, Field(alias="behind")] = None
    """The start of the finding to a restarted evaluator, its true start, and the seconds between."""
    known_presences: Annotated[frozenset[int], Field(alias="known")] = frozenset()
    """The presences that were announced."""
    unmatched: Annotated[tuple[int, float], Field(alias="spare")] = (0, 0.0)
    """How many presences of before a restart may yet be found again, and until when."""
    answers: tuple[AnswerContent, ...] = ()
    """All answers given, the latest last."""

    @classmethod
    def begun(cls, alert: Alert, now_s: float) -> Self:
        """The entry of a new alert, announced now."""
        return cls(
            alert,
            now_s,
            escalates_s=next_escalation_s(alert, now_s),
            announced=Announced.of(alert),
            known_presences=alert.finding.presences,
        )

    def updated(self, policy: AlertPolicy, finding: Finding, at: datetime, now_s: float) -> Self:
        """The entry whose finding still holds, or holds again, not yet announced."""
        entry, finding = self.with_policy(policy, now_s).continued(finding)
        alert = replace(entry.alert, phase="update", finding=finding, at=at, cleared=False, reason=None)
        return replace(entry, alert=alert, cleared_s=None, unconfirmed=None)

    def with_policy(self, policy: AlertPolicy, now_s: float) -> Self:
        """The entry under another policy of its rule. The time without an answer goes on."""
        before = self.alert
        if self.closed:  # its answer stands, for those who were there
            return replace(self, alert=replace(before, policy=policy))
        worse = SEVERITIES.index(policy.severity) > SEVERITIES.index(before.policy.severity)
        answer = None if worse else before.acknowledged  # an answer was to the alert as severe as it was then
        alert = replace(before, policy=policy, acknowledged=answer)
        entry = replace(self, alert=alert)
        if policy.escalate != before.policy.escalate or answer != before.acknowledged:
            entry = replace(entry, escalates_s=self.rescheduled_s(alert, now_s))
        return entry if answer == before.acknowledged else replace(entry, answers=())

    def rescheduled_s(self, alert: Alert, now_s: float) -> float | None:
        """When ``alert``, this one under another policy, is raised again: the time waited so far counts."""
        due_s, before = next_escalation_s(alert, now_s), self.alert.policy.escalate
        wait = None if before is None else before.wait(self.alert.escalation)
        if due_s is None or wait is None or self.escalates_s is None:
            return due_s
        waited_s = now_s - (self.escalates_s - wait.total_seconds())
        return max(now_s, due_s - max(0.0, waited_s))

    def announced_if_due(self, interval_s: float, now_s: float) -> Self:
        """The entry as announced now if its alert has changed or ``interval_s`` has passed; else ``self``."""
        announced = Announced.of(self.alert)
        wait_s, next_s = announced.intervals(self.announced, interval_s)
        if self.announced_s is not None and now_s - self.announced_s < wait_s:
            return self
        return replace(self, announced_s=now_s, announced=announced, interval_s=next_s)

    def sent(self, alert: Alert, now_s: float) -> Self:
        """The entry with ``alert`` as announced now; one that has to be found again stays so."""
        announced_s = None if self.announced_s is None else now_s
        return replace(self, alert=alert, announced=Announced.of(alert), announced_s=announced_s)

    def with_verdict_of(self, alert: Alert) -> Self:
        """The entry with the verdict of the second look at ``alert``, an earlier phase."""
        verdict = replace(self.alert, verified=alert.verified, second_look=alert.second_look)
        return replace(self, alert=verdict)

    def renamed(self, key: str) -> Self:
        """The entry whose finding has another key from now on."""
        return replace(self, alert=replace(self.alert, finding=replace(self.alert.finding, key=key)))

    def wanted_output(self, source: str, now_s: float) -> tuple[str, float]:
        """The output of ``source`` that the escalation wants on, and the seconds remaining; 0 for none."""
        escalation = self.alert.policy.escalate
        silent = self.closed or self.alert.silence is not None
        if silent or self.escalated_s is None or escalation is None or not self.alert.unanswered:
            return "", 0.0
        output = escalation.output
        if output is None or output.source != source:
            return "", 0.0
        return output.name, self.escalated_s + output.ttl.total_seconds() - now_s

    def escalated(self, at: datetime, now_s: float) -> Self:
        """The entry whose alert is raised again now."""
        raised = self.alert.escalation + 1
        alert = replace(self.alert, phase="update", at=at, escalation=raised, silence=None)
        return replace(
            self,
            alert=alert,
            announced=Announced.of(alert),
            announced_s=now_s,
            escalated_s=now_s,
            escalates_s=next_escalation_s(alert, now_s),
        )

    def rechecked(self, change: str, now_s: float) -> Self:
        """The entry after its rule was changed: the finding has to be found again.

        One that has cleared waits for its answer only.
        """
        if self.alert.cleared:
            return replace(self, unconfirmed=None)
        until_s = now_s + rediscovery_s(self.alert.policy)
        return replace(self, unconfirmed=(until_s, f"not seen again after {change}"))

    @property
    def reason_of_change(self) -> str | None:
        """The reason of an end that comes before the finding was found again under changed settings."""
        if self.unconfirmed is None or self.unconfirmed[1] == RESTARTED:
            return None
        return self.unconfirmed[1]

    def with_presences(self, finding: Finding, now_s: float) -> tuple[Self, bool]:
        """The entry with the presences of ``finding``, and whether one of them has newly arrived."""
        known, (unmatched, until_s) = self.known_presences, self.unmatched
        if self.unconfirmed is not None:  # a restarted evaluator numbers anew: these may be the same
            unmatched = max(0, len(self.alert.finding.presences) - len(finding.presences))
            known, until_s = finding.presences, now_s + REDISCOVERY_S
        new = len(finding.presences - known)
        found_again = new <= unmatched and now_s <= until_s
        # Numbers only grow, so the cut drops the oldest; one that is still present is added back.
        known = frozenset(sorted(known)[-MAX_PRESENCES:]) | finding.presences
        unmatched = unmatched - new if found_again else 0
        entry = replace(self, known_presences=known, unmatched=(unmatched, until_s))
        return entry, new > 0 and not found_again

    def continued(self, finding: Finding) -> tuple[Self, Finding]:
        """The finding with the start of the alert: a restarted evaluator knows only its own start.

        The difference is taken from the monotonic clock where known, as the wall clock may have been set.
        """
        before, backdated = self.alert.finding, self.backdated
        if before.since_s is not None and finding.since_s is not None:
            later_s = finding.since_s - before.since_s
        else:
            later_s = (finding.since - before.since).total_seconds()
        if self.unconfirmed is not None:
            backdated = (finding.since, before.since, later_s) if later_s else None
        if backdated is not None and finding.since == backdated[0]:
            finding = finding.backdated(backdated[1], backdated[2])
        elif later_s > 0:
            finding = replace(finding, since=before.since, since_s=before.since_s)
        return replace(self, backdated=backdated), finding


def rediscovery_s(policy: AlertPolicy) -> float:
    """Seconds that a restarted rule has to find again what was active."""
    return REDISCOVERY_S + policy.rediscovery_time.total_seconds()


def next_escalation_s(alert: Alert, now_s: float) -> float | None:
    """When an alert is raised again unless it is answered; None where it is not."""
    escalation = alert.policy.escalate
    if escalation is None or alert.acknowledged is not None:
        return None
    wait = escalation.wait(alert.escalation)
    return None if wait is None else now_s + wait.total_seconds()
