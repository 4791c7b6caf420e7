"""One active alert: its state between two findings, and how a finding goes on with it. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime

from agent.alerts.alert import Alert, AlertPolicy, AnswerContent
from agent.alerts.update_policy import UPDATE_EVERY_S, Announced
from agent.domain.findings import Finding

REDISCOVERY_S = 120.0
"""Rules that begin anew have this long, and their `rediscovery_time`, to find again what was active."""
ANSWERS, PRESENCES = 20, 200
"""So many different answers to an alert, and so many who were there, are remembered."""


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An alert that has not ended; ``told_s`` is None for one that has to be found again.

    ``told``: what was told of it last. ``wait_s``: after how long it is told again unchanged.
    ``doubt``: until when (monotonic) it has to be found again, and what its end says if nobody does.
    ``due_s``: when it is raised again; ``raised_s``: when it was last. ``closed``: a person ended it, and it
    is only kept so that the same fact is not told anew.

    ``behind``: a fresh judge begins this fact at the first instant, and truly it began at the second, so many
    seconds earlier. ``known``: those who were told of. ``spare``: so many may yet be found again until then.
    ``answers``: all that were given, the last at the end.
    """

    alert: Alert
    told_s: float | None
    over_s: float | None = None
    doubt: tuple[float, str] | None = None
    due_s: float | None = None
    raised_s: float | None = None
    closed: bool = False
    told: Announced | None = None
    wait_s: float = UPDATE_EVERY_S
    behind: tuple[datetime, datetime, float] | None = None
    known: frozenset[int] = frozenset()
    spare: tuple[int, float] = (0, 0.0)
    answers: tuple[AnswerContent, ...] = ()


def with_newcomers(entry: ActiveAlert, fact: Finding, now_s: float) -> tuple[ActiveAlert, bool]:
    """With those of whom the fact is, and whether one is among them who came since the last answer."""
    known, (spare, until_s) = entry.known, entry.spare
    if entry.doubt is not None:  # a fresh judge numbers anew: as many as there were may be the same
        spare = max(0, len(entry.alert.finding.presences) - len(fact.presences))
        known, until_s = fact.presences, now_s + REDISCOVERY_S
    new = len(fact.presences - known)
    found_again = new <= spare and now_s <= until_s
    known = frozenset(sorted(known)[-PRESENCES:]) | fact.presences  # also the first, as long as he is there
    spare = spare - new if found_again else 0
    return replace(entry, known=known, spare=(spare, until_s)), new > 0 and not found_again


def continued(entry: ActiveAlert, fact: Finding) -> tuple[ActiveAlert, Finding]:
    """The fact as one that goes on since it first began: a fresh judge can't know that, nor say for how long.

    By the monotonic clock, where it is known: the other may have been set in between.
    """
    before, behind = entry.alert.finding, entry.behind
    if before.since_s is not None and fact.since_s is not None:
        later_s = fact.since_s - before.since_s
    else:
        later_s = (fact.since - before.since).total_seconds()
    if entry.doubt is not None:
        behind = (fact.since, before.since, later_s) if later_s > 0 else None
    if behind is not None and fact.since == behind[0]:
        fact = fact.begun(behind[1], behind[2])
    elif later_s > 0:
        fact = replace(fact, since=before.since, since_s=before.since_s)
    return replace(entry, behind=behind), fact


def rediscovery_s(policy: AlertPolicy) -> float:
    """How long a rule that begins anew has to find again what was active."""
    return REDISCOVERY_S + policy.rediscovery_time.total_seconds()


def escalates_s(alert: Alert, now_s: float) -> float | None:
    """When it is raised again if nobody answers until then; None where it never is."""
    escalate = alert.policy.escalate
    wait = None if escalate is None or alert.acknowledged is not None else escalate.wait(alert.escalation)
    return None if wait is None else now_s + wait.total_seconds()
