"""The AlertBook: the life of an alert. Rules state facts; here a fact gets one id and its phases.

    new ─▶ update … ─▶ end              while the fact is so, and when it is over
            ├─ ack: somebody is on it; no more escalation, it ends with the fact
            ├─ close, reject: it ends, and the fact is not told again until it was over once
            └─ nobody within ack_within: raised again, louder; then it ends only by an answer

Pure: time comes in with each call, alerts go out as plain `Alert`; nothing here stores or sends. What is
active can be written down (`dump`) in the same transaction as the alert, and read back after a restart.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter

from agent.alert import Alert, Answer, Terms
from agent.escalation import SEVERITIES
from agent.news import UPDATE_EVERY_S, Told
from agent.parts import Finding, Over

FOUND_AGAIN_WITHIN_S = 120.0
"""Rules that begin anew have this long, and their `patience`, to find again what was active."""

ENDED_BY = {"close": "closed", "reject": "rejected"}
"""Answers that end an alert, and what its end says."""


@dataclass(frozen=True, slots=True)
class _Active:
    """An alert that has not ended; ``told_s`` is None for one that has to be found again.

    ``told``: what was told of it last. ``wait_s``: after how long it is told again unchanged.
    ``doubt``: until when (monotonic) it has to be found again, and what its end says if nobody does.
    ``due_s``: when it is raised again; ``raised_s``: when it was last. ``closed``: a person ended it, and it
    is only kept so that the same fact is not told anew.
    """

    alert: Alert
    told_s: float | None
    over_s: float | None = None
    doubt: tuple[float, str] | None = None
    due_s: float | None = None
    raised_s: float | None = None
    closed: bool = False
    told: Told | None = None
    wait_s: float = UPDATE_EVERY_S


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is written down: monotonic instants count for the same ``boot`` only."""

    boot: str
    entries: list[_Active]


class AlertBook:
    """All that is active, by rule and key. ``boot`` names the monotonic clock that ``now_s`` is of,
    ``pictured`` takes pictures of a new alert and gives their topics."""

    def __init__(
        self,
        new_id: Callable[[], str],
        boot: str = "",
        pictured: Callable[[Alert, float], Sequence[str]] = lambda *_: (),
    ) -> None:
        self._new_id = new_id
        self._pictured = pictured
        self._boot = boot
        self._active: dict[tuple[str, str], _Active] = {}
        self.unsaved = False
        """Whether something changed that no alert tells: write `dump` down."""

    def active(self) -> list[Alert]:
        """What is active now, oldest first."""
        alerts = [entry.alert for entry in self._active.values() if not entry.closed]
        return sorted(alerts, key=lambda alert: alert.finding.since)

    def wanted(self, source: str, now_s: float) -> dict[str, float]:
        """Outputs of ``source`` that unanswered alerts want on, each with the seconds that it has left."""
        wanted: dict[str, float] = {}
        for entry in self._active.values():
            escalate = entry.alert.terms.escalate
            if entry.closed or entry.raised_s is None or escalate is None or not entry.alert.unanswered:
                continue
            output = escalate.output
            if output is not None and output.source == source:
                left_s = entry.raised_s + output.ttl.total_seconds() - now_s
                if left_s > wanted.get(output.name, 0.0):
                    wanted[output.name] = left_s
        return wanted

    def wanted_elsewhere(self) -> bool:
        """Whether some alert that was raised again is to be told at further brokers, and has no answer."""
        return any(alert.concerns_others and alert.unanswered for alert in self.active())

    def take(self, terms: Terms, fact: Finding | Over, at: datetime, now_s: float) -> Iterator[Alert]:
        """The alerts to tell for what a rule has just said."""
        where = (terms.rule, fact.key)
        entry = self._active.get(where)
        if isinstance(fact, Over):
            if entry is None:
                return
            if terms.cool_down and fact.reason is None:
                if entry.over_s is None:
                    self._active[where] = replace(entry, over_s=now_s)
                return
            yield from self._fact_over(where, at, fact.reason)
        elif entry is None:
            alert = Alert(self._new_id(), "new", terms, fact, at)
            alert = replace(alert, media=tuple(self._pictured(alert, now_s)))
            told = Told.of(alert)
            self._active[where] = _Active(alert, now_s, due_s=_due_s(alert, now_s), told=told)
            yield alert
        elif entry.closed:
            self._active[where] = replace(entry, over_s=None, doubt=None)
        else:
            yield from self._found(where, entry, terms, fact, at, now_s)

    def _found(
        self,
        where: tuple[str, str],
        entry: _Active,
        terms: Terms,
        fact: Finding,
        at: datetime,
        now_s: float,
    ) -> Iterator[Alert]:
        """The fact is still so, or so again."""
        before = entry.alert
        fact = replace(fact, since=min(fact.since, before.finding.since))  # it began when it first began
        worse = SEVERITIES.index(terms.severity) > SEVERITIES.index(before.terms.severity)
        answer = None if worse else before.acknowledged  # an answer is to what it was then
        alert = replace(
            before,
            phase="update",
            terms=terms,
            finding=fact,
            at=at,
            over=False,
            acknowledged=answer,
            reason=None,
        )
        if terms.escalate != before.terms.escalate or answer != before.acknowledged:
            entry = replace(entry, due_s=_due_s(alert, now_s))
        told = Told.of(alert)
        wait_s, next_s = told.waits(entry.told, entry.wait_s)
        entry = replace(entry, alert=alert, over_s=None, doubt=None)
        if entry.told_s is None or now_s - entry.told_s >= wait_s:
            self._active[where] = replace(entry, told_s=now_s, told=told, wait_s=next_s)
            yield alert
        else:
            self._active[where] = entry

    def _fact_over(self, where: tuple[str, str], at: datetime, reason: str | None = None) -> Iterator[Alert]:
        """It ends, unless somebody has yet to answer: then that is said, once."""
        entry = self._active[where]
        if entry.closed:
            del self._active[where]
            self.unsaved = True
        elif not entry.alert.unanswered:
            yield self._end(where, at, reason)
        elif not entry.alert.over:
            alert = replace(entry.alert, phase="update", at=at, over=True, reason=reason)
            known = entry.told is not None and entry.told.over
            told = Told.of(alert)
            self._active[where] = replace(entry, alert=alert, over_s=None, doubt=None, told=told)
            if not known:  # a contact that bounces: that it was so again in between was not told either
                yield alert

    def tick(self, at: datetime, now_s: float) -> Iterator[Alert]:
        """Ends what has been over for its cool-down, and what nobody found again in time; raises again what
        nobody answered; tells what changed too soon to be told, and nobody says again."""
        for where, entry in list(self._active.items()):
            cool_down_s = entry.alert.terms.cool_down.total_seconds()
            if entry.over_s is not None and now_s - entry.over_s >= cool_down_s:
                yield from self._fact_over(where, at)
            elif entry.doubt is not None and now_s > entry.doubt[0]:
                yield from self._fact_over(where, at, entry.doubt[1])
        for where, entry in list(self._active.items()):
            if entry.due_s is not None and now_s >= entry.due_s:
                alert = replace(entry.alert, phase="update", at=at, escalation=entry.alert.escalation + 1)
                due_s, told = _due_s(alert, now_s), Told.of(alert)
                self._active[where] = replace(
                    entry, alert=alert, told_s=now_s, due_s=due_s, raised_s=now_s, told=told
                )
                yield alert
            elif entry.told_s is not None and not entry.closed:
                told = Told.of(entry.alert)
                wait_s, next_s = told.waits(entry.told, math.inf)
                if now_s - entry.told_s >= wait_s:
                    alert = replace(entry.alert, phase="update", at=at)
                    self._active[where] = replace(entry, alert=alert, told_s=now_s, told=told, wait_s=next_s)
                    yield alert

    def doubt_rule(self, terms: Terms, now_s: float) -> None:
        """A rule begins anew, now with these terms: what it found has to be found again."""
        doubt = (now_s + found_again_s(terms), "not seen again after its rule was changed")
        for where, entry in self._active.items():
            if where[0] == terms.rule:
                self._active[where] = replace(entry, told_s=None, doubt=doubt)

    def drop_rule(self, rule: str, at: datetime, reason: str) -> Iterator[Alert]:
        """Ends all alerts of a rule that is no more, saying why; with it nobody waits for an answer."""
        for where in [where for where in self._active if where[0] == rule]:
            if not self._active[where].closed:
                yield self._end(where, at, reason)
            else:
                del self._active[where]

    def acknowledge(
        self, alert_id: str, role: str, action: str, at: datetime, reason: str | None = None
    ) -> Alert | None:
        """A person's answer: the alert as it stands with it, or None where no such alert is active."""
        found = [where for where, entry in self._active.items() if entry.alert.alert_id == alert_id]
        if not found or self._active[found[0]].closed:
            return None
        where, entry = found[0], self._active[found[0]]
        answer, before = Answer(role, action, at, reason), entry.alert.acknowledged
        if before is not None and replace(answer, at=before.at) == before:
            answer = before  # the same answer again is the first
        alert = replace(entry.alert, phase="update", at=at, acknowledged=answer)
        if action not in ENDED_BY and not alert.over:
            told = Told.of(alert)
            self._active[where] = replace(entry, alert=alert, due_s=None, raised_s=None, told=told)
            return alert
        why = f"{ENDED_BY[action]} by {role}" if action in ENDED_BY else f"answered by {role}"
        ended = replace(alert, phase="end", reason=f"{why}: {reason}" if reason else why)
        if alert.over:
            del self._active[where]
        else:
            self._active[where] = replace(entry, alert=ended, due_s=None, raised_s=None, closed=True)
        return ended

    def _end(self, where: tuple[str, str], at: datetime, reason: str | None = None) -> Alert:
        entry = self._active.pop(where)
        return replace(entry.alert, phase="end", at=at, reason=reason)

    def dump(self) -> bytes:
        """What is active, for `restore`."""
        self.unsaved = False
        return _KEPT.dump_json(_Kept(self._boot, list(self._active.values())))

    def restore(self, data: bytes, rules: Mapping[str, Terms], at: datetime, now_s: float) -> Iterator[Alert]:
        """Takes up what was active before a restart; alerts of rules that are gone end.

        After a reboot the time in which somebody may answer begins anew. ValueError if ``data`` is damaged.
        """
        kept = _KEPT.validate_json(data)
        same = kept.boot == self._boot
        for entry in kept.entries:
            alert, terms = entry.alert, rules.get(entry.alert.terms.rule)
            alert = replace(alert, terms=terms or alert.terms)
            doubt = (now_s + found_again_s(alert.terms), "not seen again after a restart")
            due_s = entry.due_s if same and entry.due_s is not None else _due_s(alert, now_s)
            self._active[alert.terms.rule, alert.finding.key] = _Active(
                alert,
                told_s=None,
                doubt=None if alert.over else doubt,
                due_s=None if entry.closed else due_s,
                raised_s=entry.raised_s if same else None,
                closed=entry.closed,
            )
            if terms is None:
                yield from self.drop_rule(alert.terms.rule, at, "its rule is no longer configured")


_KEPT = TypeAdapter(_Kept)


def found_again_s(terms: Terms) -> float:
    """How long a rule that begins anew has to find again what was active."""
    return FOUND_AGAIN_WITHIN_S + terms.patience.total_seconds()


def _due_s(alert: Alert, now_s: float) -> float | None:
    """When it is raised again if nobody answers until then; None where it never is."""
    escalate = alert.terms.escalate
    if escalate is None or alert.acknowledged is not None or alert.escalation >= escalate.times:
        return None
    wait = escalate.repeat if alert.escalation else escalate.after
    return now_s + wait.total_seconds()
