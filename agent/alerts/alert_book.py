"""The AlertBook: the life of an alert. Rules state facts; here a fact gets one id and its phases.

    new ─▶ update … ─▶ end              while the fact is so, and when it is over
            ├─ ack: somebody is on it; no more escalation, it ends with the fact
            ├─ close, reject: it ends, and the fact is not told again until it was over once
            ├─ nobody within ack_within: raised again, louder; then it ends only by an answer
            └─ somebody else comes after the answer: a critical alert that wants one is new again

Pure: time comes in with each call, alerts go out as plain `Alert`; nothing here stores or sends. What is
active can be written down (`dump`) in the same transaction as the alert, and read back after a restart.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from agent.alerts.active_alert import (
    ANSWERS,
    ActiveAlert,
    continued,
    escalates_s,
    rediscovery_s,
    with_newcomers,
)
from agent.alerts.alert import Alert, AlertAnswer, AlertPolicy
from agent.alerts.saved_alerts import SAVED, SavedAlerts, on_this_clock
from agent.alerts.update_policy import CHANGE_AFTER_S, FURTHER, Announced
from agent.domain.escalation import SEVERITIES
from agent.domain.findings import Cleared, Finding

MOST, WITHIN_S = 50, 600.0
"""Of a rule whose keys come from the outside (vessels, drones) so many alerts are active, beside those that
are over and wait for an answer, and so many begin within this time. The rest is one alert: whoever forges a
thousand beacons ends no alert and fills no link."""
COUNTED = 10_000
"""The rest is counted up to here."""

ENDED_BY = {"close": "closed", "reject": "rejected"}
"""Answers that end an alert, and what its end says."""


class AlertBook:
    """All that is active, by rule and key. ``boot`` names the monotonic clock that ``now_s`` is of,
    ``request_pictures`` takes pictures of a new alert and gives their topics."""

    def __init__(
        self,
        new_id: Callable[[], str],
        boot: str = "",
        request_pictures: Callable[[Alert, float], Sequence[str]] = lambda *_: (),
    ) -> None:
        self._new_id = new_id
        self._request_pictures = request_pictures
        self._boot = boot
        self._active: dict[tuple[str, str], ActiveAlert] = {}
        self._begun: dict[str, deque[float]] = {}  # by rule: when its last alerts began
        self._further: dict[str, OrderedDict[str, float]] = {}  # by rule: what has no alert, last found when
        self.unsaved = False
        """Whether something changed that no alert tells: write `dump` down."""

    def active(self) -> list[Alert]:
        """What is active now, oldest first."""
        alerts = [entry.alert for entry in self._active.values() if not entry.closed]
        return sorted(alerts, key=lambda alert: alert.finding.since)

    def findings_of(self, rule: str, kind: str) -> dict[str, Finding]:
        """What a rule found that is so yet, by key, whoever closed it: for a fresh judge of the rule.

        Without what it found while it was of another kind: those keys and memos mean nothing to this one.
        """
        return {
            key: entry.alert.finding
            for (name, key), entry in self._active.items()
            if name == rule and key != FURTHER and not entry.alert.cleared and entry.alert.policy.kind == kind
        }

    def wanted_outputs(self, source: str, now_s: float) -> dict[str, float]:
        """Outputs of ``source`` that unanswered alerts want on, each with the seconds that it has left."""
        wanted: dict[str, float] = {}
        for entry in self._active.values():
            escalate = entry.alert.policy.escalate
            if entry.closed or entry.raised_s is None or escalate is None or not entry.alert.unanswered:
                continue
            output = escalate.output
            if output is not None and output.source == source:
                left_s = entry.raised_s + output.ttl.total_seconds() - now_s
                if left_s > wanted.get(output.name, 0.0):
                    wanted[output.name] = left_s
        return wanted

    def needs_fallbacks(self) -> bool:
        """Whether some alert that was raised again is to be told at further brokers, and has no answer."""
        return any(alert.notifies_fallbacks and alert.unanswered for alert in self.active())

    def on_finding(
        self, policy: AlertPolicy, fact: Finding | Cleared, at: datetime, now_s: float
    ) -> Iterator[Alert]:
        """The alerts to tell for what a rule has just said."""
        where = (policy.rule, fact.key)
        entry = self._active.get(where)
        if isinstance(fact, Cleared):
            if entry is None:
                yield from self._no_further(where, at)
                return
            if policy.cool_down and fact.reason is None:
                if entry.over_s is None:
                    self._active[where] = replace(entry, over_s=now_s)
                return
            yield from self._fact_over(where, at, fact.reason)
        elif entry is not None:
            yield from self._found(where, entry, policy, fact, at, now_s)
        elif (
            fact.key != FURTHER and policy.flood_label is not None and not self._has_room(policy.rule, now_s)
        ):
            yield from self._one_more(policy, fact, at, now_s)
        else:
            yield from self._no_further(where, at)
            yield self._new(where, policy, fact, at, now_s)

    def _new(
        self, where: tuple[str, str], policy: AlertPolicy, fact: Finding, at: datetime, now_s: float
    ) -> Alert:
        alert = Alert(self._new_id(), "new", policy, fact, at)
        alert = replace(alert, media=tuple(self._request_pictures(alert, now_s)))
        self._active[where] = ActiveAlert(
            alert, now_s, due_s=escalates_s(alert, now_s), told=Announced.of(alert), known=fact.presences
        )
        if policy.flood_label is not None and fact.key != FURTHER:
            self._begun.setdefault(policy.rule, deque(maxlen=MOST)).append(now_s)
        return alert

    def _has_room(self, rule: str, now_s: float) -> bool:
        """Whether a rule may begin another alert now."""
        begun = self._begun.get(rule)
        if begun and len(begun) >= MOST and now_s - begun[0] < WITHIN_S:
            return False
        its = [entry for where, entry in self._active.items() if where[0] == rule and where[1] != FURTHER]
        return sum(not entry.alert.cleared for entry in its) < MOST and len(its) < 4 * MOST

    def _one_more(self, policy: AlertPolicy, fact: Finding, at: datetime, now_s: float) -> Iterator[Alert]:
        """What has no alert of its own is counted in one for all of its kind."""
        further = self._further.setdefault(policy.rule, OrderedDict())
        known = fact.key in further
        further[fact.key] = now_s
        further.move_to_end(fact.key)
        if known:
            return
        if len(further) > COUNTED:
            further.popitem(last=False)
        number = f"{len(further)}{' or more' if len(further) >= COUNTED else ''}"
        since = min(fact.since, at)
        rest = Finding(
            key=FURTHER,
            text=f"{number} further {policy.flood_label}: too many at a time to tell each",
            since=since,
            source=fact.source,
            count=len(further),
        )
        yield from self.on_finding(policy, rest, at, now_s)

    def _no_further(self, where: tuple[str, str], at: datetime) -> Iterator[Alert]:
        """One of those without an alert is over, or has its own alert now."""
        rule, key = where
        further = self._further.get(rule)
        if further is not None and further.pop(key, None) is not None:
            yield from self._end_further(rule, at)

    def _end_further(self, rule: str, at: datetime) -> Iterator[Alert]:
        """Ends the alert for all that have none, once there are none."""
        if not self._further[rule]:
            del self._further[rule]
            if (rule, FURTHER) in self._active:
                yield from self._fact_over((rule, FURTHER), at)

    def _found(
        self,
        where: tuple[str, str],
        entry: ActiveAlert,
        policy: AlertPolicy,
        fact: Finding,
        at: datetime,
        now_s: float,
    ) -> Iterator[Alert]:
        """The fact is still so, or so again."""
        before = entry.alert
        answered = before.acknowledged is not None
        entry, newcomers = with_newcomers(entry, fact, now_s)
        if newcomers and answered and policy.asks_for_each:
            if not entry.closed:
                yield self._end(where, at, "answered, and then somebody else came: that is a new alert")
            yield self._new(where, policy, fact, at, now_s)
            return
        if entry.closed:
            self._active[where] = replace(entry, over_s=None, doubt=None)
            return
        entry, fact = continued(entry, fact)
        worse = SEVERITIES.index(policy.severity) > SEVERITIES.index(before.policy.severity)
        answer = None if worse else before.acknowledged  # an answer is to what it was then
        alert = replace(
            before,
            phase="update",
            policy=policy,
            finding=fact,
            at=at,
            cleared=False,
            acknowledged=answer,
            reason=None,
        )
        if policy.escalate != before.policy.escalate or answer != before.acknowledged:
            entry = replace(entry, due_s=escalates_s(alert, now_s))
        if answer != before.acknowledged:
            entry = replace(entry, answers=())
        told = Announced.of(alert)
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
        elif not entry.alert.cleared:
            alert = replace(entry.alert, phase="update", at=at, cleared=True, reason=reason)
            known = entry.told is not None and entry.told.cleared
            told = Announced.of(alert)
            self._active[where] = replace(entry, alert=alert, over_s=None, doubt=None, told=told)
            if not known:  # a contact that bounces: that it was so again in between was not told either
                yield alert

    def tick(self, at: datetime, now_s: float) -> Iterator[Alert]:
        """Ends what has been over for its cool-down, and what nobody found again in time; raises again what
        nobody answered; tells what changed too soon to be told, and nobody says again."""
        for rule, further in list(self._further.items()):
            while further and now_s - next(iter(further.values())) > WITHIN_S:
                further.popitem(last=False)
            yield from self._end_further(rule, at)
        for where, entry in list(self._active.items()):
            cool_down_s = entry.alert.policy.cool_down.total_seconds()
            if entry.over_s is not None and now_s - entry.over_s >= cool_down_s:
                yield from self._fact_over(where, at)
            elif entry.doubt is not None and now_s > entry.doubt[0]:
                yield from self._fact_over(where, at, entry.doubt[1])
            elif entry.alert.cleared and not entry.alert.unanswered:
                yield self._end(where, at, "its rule no longer asks for an answer")
        for where, entry in list(self._active.items()):
            if entry.due_s is not None and now_s >= entry.due_s:
                alert = replace(entry.alert, phase="update", at=at, escalation=entry.alert.escalation + 1)
                due_s, told = escalates_s(alert, now_s), Announced.of(alert)
                self._active[where] = replace(
                    entry, alert=alert, told_s=now_s, due_s=due_s, raised_s=now_s, told=told
                )
                yield alert
            elif entry.told_s is not None and not entry.closed:
                told = Announced.of(entry.alert)
                wait_s, next_s = told.waits(entry.told, math.inf)
                if now_s - entry.told_s >= wait_s:
                    alert = replace(entry.alert, phase="update", at=at)
                    self._active[where] = replace(entry, alert=alert, told_s=now_s, told=told, wait_s=next_s)
                    yield alert

    def recheck_rule(self, policy: AlertPolicy, now_s: float) -> None:
        """A rule begins anew, now with these policy: what it found has to be found again."""
        self._further.pop(policy.rule, None)
        doubt = (now_s + rediscovery_s(policy), "not seen again after its rule was changed")
        for where, entry in self._active.items():
            if where[0] != policy.rule:
                continue
            alert, due_s = entry.alert, entry.due_s
            if (
                alert.cleared
            ):  # nothing is to be found again: it only waits for its answer, as the rule says now
                alert = replace(alert, policy=replace(policy, kind=alert.policy.kind))
                due_s = due_s if policy.escalate == entry.alert.policy.escalate else escalates_s(alert, now_s)
            self._active[where] = replace(
                entry, alert=alert, due_s=due_s, told_s=None, doubt=None if alert.cleared else doubt
            )

    def drop_rule(self, rule: str, at: datetime, reason: str) -> Iterator[Alert]:
        """Ends all alerts of a rule that is no more, saying why; with it nobody waits for an answer."""
        self._further.pop(rule, None)
        self._begun.pop(rule, None)
        for where in [where for where in self._active if where[0] == rule]:
            if not self._active[where].closed:
                yield self._end(where, at, reason)
            else:
                del self._active[where]

    def acknowledge(
        self, alert_id: str, role: str, action: str, at: datetime, reason: str | None = None
    ) -> Alert | None:
        """A person's answer: the alert as it stands with it; None where no such alert is active, where the
        answer was given before, or where it follows another so soon that it is told a moment later."""
        found = [where for where, entry in self._active.items() if entry.alert.alert_id == alert_id]
        if not found or self._active[found[0]].closed:
            return None
        where, entry = found[0], self._active[found[0]]
        answer, before = AlertAnswer(role, action, at, reason), entry.alert.acknowledged
        if before is not None and answer.said in entry.answers:
            return None  # two centres that echo what they hear would else go on for ever
        answers = (*entry.answers, answer.said)[-ANSWERS:]
        entry = replace(entry, answers=answers)
        alert = replace(entry.alert, phase="update", at=at, acknowledged=answer)
        if action not in ENDED_BY and not alert.cleared:
            soon = before is not None and abs((at - before.at).total_seconds()) < CHANGE_AFTER_S
            told = entry.told if soon else Announced.of(alert)
            self._active[where] = replace(entry, alert=alert, due_s=None, raised_s=None, told=told)
            self.unsaved = True
            return None if soon else alert  # one that comes too soon is told at a tick
        why = f"{ENDED_BY[action]} by {role}" if action in ENDED_BY else f"answered by {role}"
        ended = replace(alert, phase="end", reason=f"{why}: {reason}" if reason else why)
        if alert.cleared:
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
        return SAVED.dump_json(SavedAlerts(self._boot, list(self._active.values())), by_alias=True)

    def restore(
        self, data: bytes, rules: Mapping[str, AlertPolicy], at: datetime, now_s: float
    ) -> Iterator[Alert]:
        """Takes up what was active before a restart; alerts of rules that are gone end.

        After a reboot the time in which somebody may answer begins anew. ValueError if ``data`` is damaged.
        """
        kept = SAVED.validate_json(data)
        same = kept.boot == self._boot
        for entry in kept.entries:
            alert, policy = entry.alert, rules.get(entry.alert.policy.rule)
            if policy is not None:  # until it is found again it is what a rule of the kind before found
                alert = replace(alert, policy=replace(policy, kind=alert.policy.kind))
            if not same:
                alert = replace(alert, finding=on_this_clock(alert, at, now_s))
            doubt = (now_s + rediscovery_s(alert.policy), "not seen again after a restart")
            goes_on = same and alert.policy.escalate == entry.alert.policy.escalate
            due_s = entry.due_s if goes_on and entry.due_s is not None else escalates_s(alert, now_s)
            self._active[alert.policy.rule, alert.finding.key] = ActiveAlert(
                alert,
                told_s=None,
                doubt=None if alert.cleared else doubt,
                due_s=None if entry.closed else due_s,
                raised_s=entry.raised_s if same else None,
                closed=entry.closed,
                answers=entry.answers,
            )
            if policy is None:
                yield from self.drop_rule(alert.policy.rule, at, "its rule is no longer configured")
