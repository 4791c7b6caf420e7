"""The alert book: the life of each alert. Rules state findings; the book gives each one id and its phases.

    new ─▶ update … ─▶ end      while the finding holds, and when it has cleared
            ├─ ack: being handled; it escalates no more, and ends when the finding clears
            ├─ close, reject: it ends; the same finding raises no new alert before it has cleared once
            ├─ no answer within ack_within: raised again, more severe; then it ends only by an answer
            └─ another presence after the answer: a critical alert that needs an answer is new again

Pure: time is an argument, alerts are return values. `AlertBook.dump` gives the state for the alert's commit.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from agent.alerts import saved_alerts
from agent.alerts.active_alert import MAX_ANSWERS, ActiveAlert
from agent.alerts.alert import FURTHER, Alert, AlertAnswer, AlertPolicy, kind_changed
from agent.alerts.alert_limit import AlertLimit
from agent.alerts.silencing import ends_silence, postponed, silenced, unsilenced
from agent.alerts.update_policy import CHANGE_AFTER_S, Announced
from agent.domain.findings import Cleared, Finding


class AlertBook:
    """All active alerts, by rule and key.

    ``boot`` identifies the monotonic clock of all ``now_s``. ``request_pictures`` is called for each new
    alert and returns the topics of its pictures.
    """

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
        self._limit = AlertLimit()
        self.unsaved = False
        """Whether the state has changed without an alert that is stored with it: `dump` has to be stored."""

    def active(self) -> list[Alert]:
        """The active alerts, oldest first."""
        entries = sorted(self._active.values(), key=lambda entry: entry.alert.finding.since)
        return [entry.alert for entry in entries if not entry.closed]

    def findings_of(self, rule: str) -> dict[str, Finding]:
        """The findings of a rule that still hold, by key, closed ones included."""
        alerts = {key: entry.alert for (name, key), entry in self._active.items() if name == rule}
        return {key: one.finding for key, one in alerts.items() if key != FURTHER and not one.cleared}

    def wanted_outputs(self, source: str, now_s: float) -> dict[str, float]:
        """Outputs of ``source`` that unanswered alerts want on, with the seconds remaining."""
        wanted: dict[str, float] = {}
        for entry in self._active.values():
            name, left_s = entry.wanted_output(source, now_s)
            wanted[name] = max(left_s, wanted.get(name, 0.0))
        return {name: left_s for name, left_s in wanted.items() if left_s > 0}

    def needs_fallbacks(self) -> bool:
        """Whether an escalated alert without an answer has to reach the fallback brokers."""
        return any(alert.notifies_fallbacks and alert.unanswered for alert in self.active())

    def knows(self, rule: str, key: str) -> bool:
        """Whether `Cleared` can change anything."""
        return (rule, key) in self._active or self._limit.counts(rule)

    def on_finding(
        self, policy: AlertPolicy, stated: Finding | Cleared, at: datetime, now_s: float
    ) -> Iterator[Alert]:
        """Takes a statement of a rule; yields the alerts to send."""
        where = (policy.rule, stated.key)
        entry = self._active.get(where)
        if isinstance(stated, Cleared):
            if entry is None:
                yield from self._uncount(where, at)
                return
            reason = stated.reason or entry.reason_of_change
            if policy.cool_down and reason is None:
                if entry.cleared_s is None:
                    self._active[where] = replace(entry, cleared_s=now_s)
            elif entry.cleared_s is None or stated.reason is not None:
                yield from self._on_cleared(where, at, reason)
        elif entry is not None:
            yield from self._on_holding(where, entry, policy, stated, at, now_s)
        elif stated.key != FURTHER and policy.flood_label and not self._has_room(policy.rule, now_s):
            if (rest := self._limit.count(policy, stated, at, now_s)) is not None:
                yield from self.on_finding(policy, rest, at, now_s)
        else:
            yield from self._uncount(where, at)
            yield self._new(where, policy, stated, at, now_s)

    def _new(
        self, where: tuple[str, str], policy: AlertPolicy, finding: Finding, at: datetime, now_s: float
    ) -> Alert:
        alert = Alert(self._new_id(), "new", policy, finding, at)
        alert = replace(alert, media=tuple(self._request_pictures(alert, now_s)))
        self._active[where] = ActiveAlert.begun(alert, now_s)
        if policy.flood_label is not None and finding.key != FURTHER:
            self._limit.began(policy.rule, now_s)
        return alert

    def _has_room(self, rule: str, now_s: float) -> bool:
        """Whether a rule may begin another alert now."""
        own = (entry for (name, key), entry in self._active.items() if name == rule and key != FURTHER)
        return self._limit.admits(rule, own, now_s)

    def _uncount(self, where: tuple[str, str], at: datetime) -> Iterator[Alert]:
        """A finding beyond the limit has cleared, or gets its own alert."""
        if self._limit.uncount(*where):
            yield from self._end_further(where[0], at)

    def _end_further(self, rule: str, at: datetime) -> Iterator[Alert]:
        """Ends the alert for the findings beyond the limit: there are none left."""
        if (rule, FURTHER) in self._active:
            yield from self._on_cleared((rule, FURTHER), at)

    def _on_holding(
        self,
        where: tuple[str, str],
        entry: ActiveAlert,
        policy: AlertPolicy,
        finding: Finding,
        at: datetime,
        now_s: float,
    ) -> Iterator[Alert]:
        """The finding of an active alert still holds, or holds again."""
        before = entry.alert
        entry, newcomers = entry.with_presences(finding, now_s)
        if newcomers and before.acknowledged is not None and policy.renews_for_newcomers:
            if not entry.closed:
                yield self._end(where, at, "answered, and then somebody else came: that is a new alert")
            yield self._new(where, policy, finding, at, now_s)
            return
        if entry.closed:
            self._active[where] = replace(entry, cleared_s=None, unconfirmed=None)
            return
        entry = entry.updated(policy, finding, at, now_s)
        interval_s = entry.interval_s if entry.alert.silence is None else math.inf
        due = self._active[where] = entry.announced_if_due(interval_s, now_s)
        if due is not entry:
            yield due.alert

    def _on_cleared(self, where: tuple[str, str], at: datetime, reason: str | None = None) -> Iterator[Alert]:
        """Ends the alert; one that still needs an answer is updated once to say that it has cleared."""
        entry = self._active[where]
        if entry.closed:
            del self._active[where]
            self.unsaved = True
        elif not entry.alert.unanswered:
            yield self._end(where, at, reason)
        elif not entry.alert.cleared:
            alert = replace(entry.alert, phase="update", at=at, cleared=True, reason=reason)
            # A contact that bounces: if no message said that it held again, the centre knows already.
            known = entry.announced is not None and entry.announced.cleared
            told = Announced.of(alert)
            self._active[where] = replace(
                entry, alert=alert, cleared_s=None, unconfirmed=None, announced=told
            )
            if not known:
                yield alert

    def tick(self, at: datetime, now_s: float) -> Iterator[Alert]:
        """Ends alerts past their cool-down or not found again in time; escalates; sends delayed changes."""
        for rule in self._limit.expire(now_s):
            yield from self._end_further(rule, at)
        for where, entry in list(self._active.items()):
            cool_down_s = entry.alert.policy.cool_down.total_seconds()
            if entry.cleared_s is not None and now_s - entry.cleared_s >= cool_down_s:
                yield from self._on_cleared(where, at)
            elif entry.unconfirmed is not None and now_s > entry.unconfirmed[0]:
                yield from self._on_cleared(where, at, entry.unconfirmed[1])
            elif entry.alert.cleared and not entry.alert.unanswered:
                yield self._end(where, at, "its rule no longer asks for an answer")
        for where, entry in list(self._active.items()):
            if ends_silence(entry, now_s) and not entry.closed:
                self._active[where] = unsilenced(entry, at, now_s)
                yield self._active[where].alert
        for where, entry in list(self._active.items()):
            if entry.escalates_s is not None and now_s >= entry.escalates_s:
                if (later := postponed(entry)) is not None:
                    self._active[where] = later
                    continue
                escalated = self._active[where] = entry.escalated(at, now_s)
                yield escalated.alert
            elif entry.announced_s is not None and not entry.closed:
                due = entry.announced_if_due(math.inf, now_s)
                if due is not entry:
                    alert = replace(due.alert, phase="update", at=at)
                    self._active[where] = replace(due, alert=alert)
                    yield alert

    def change_policy(self, policy: AlertPolicy, at: datetime, now_s: float) -> Iterator[Alert]:
        """The policy of a rule may have changed, its findings go on; yields what is to be told of it now."""
        for where, entry in list(self._active.items()):
            if where[0] == policy.rule and entry.alert.policy != policy:
                changed = self._active[where] = entry.with_policy(policy, now_s)
                self.unsaved = True
                if changed.closed or entry.alert.told_alike(changed.alert):
                    continue
                update = replace(changed.alert, phase="update", at=at)
                self._active[where] = changed.sent(update, now_s)
                yield update

    def recheck_rule(self, policy: AlertPolicy, change: str, at: datetime, now_s: float) -> Iterator[Alert]:
        """The evaluator of a rule is replaced, now with ``policy``: its findings have to be found again.

        ``change`` is the reason of the end of those that are not. Yields what `change_policy` yields.
        """
        self._limit.forget_further(policy.rule)
        yield from self.change_policy(policy, at, now_s)
        for where, entry in self._active.items():
            if where[0] == policy.rule:
                self._active[where] = entry.rechecked(change, now_s)

    def rename_key(self, rule: str, before: str, key: str) -> None:
        """The finding of ``rule`` has another key from now on; its alert goes on."""
        if (rule, before) in self._active and (rule, key) not in self._active:
            self._active[rule, key] = self._active.pop((rule, before)).renamed(key)
            self.unsaved = True

    def drop_rule(self, rule: str, at: datetime, reason: str) -> Iterator[Alert]:
        """Ends all alerts of a removed rule with ``reason``, answered or not."""
        self._limit.forget(rule)
        for where in [where for where in self._active if where[0] == rule]:
            if not self._active[where].closed:
                yield self._end(where, at, reason)
            else:
                del self._active[where]

    def acknowledge(
        self, alert_id: str, role: str, action: str, at: datetime, reason: str | None = None
    ) -> Alert | None:
        """Takes a person's answer; the alert with it, to be sent now.

        None where no such alert is active, where the same answer was given before, or where it follows
        another within `CHANGE_AFTER_S`: then `tick` sends it.
        """
        found = [where for where, entry in self._active.items() if entry.alert.alert_id == alert_id]
        if not found or self._active[found[0]].closed:
            return None
        where, entry = found[0], self._active[found[0]]
        answer, before = AlertAnswer(role, action, at, reason), entry.alert.acknowledged
        if before is not None and answer.content in entry.answers:
            return None  # two centres that echo each other's answers would otherwise never stop
        entry = replace(entry, answers=(*entry.answers, answer.content)[-MAX_ANSWERS:])
        alert = replace(entry.alert, phase="update", at=at, acknowledged=answer)
        if not answer.ends and not alert.cleared:
            soon = before is not None and abs((at - before.at).total_seconds()) < CHANGE_AFTER_S
            announced = entry.announced if soon else Announced.of(alert)
            entry = replace(entry, alert=alert, escalates_s=None, escalated_s=None, announced=announced)
            self._active[where], self.unsaved = entry, True
            return None if soon else alert
        ended = replace(alert, phase="end", reason=answer.end_reason)
        if alert.cleared:
            del self._active[where]
        else:
            self._active[where] = replace(entry, alert=ended, escalates_s=None, escalated_s=None, closed=True)
        return ended

    def note_verdict(self, alert: Alert) -> None:
        """The later phases of ``alert`` carry the verdict of its second look."""
        same = {where: one for where, one in self._active.items() if one.alert.alert_id == alert.alert_id}
        self._active |= {where: entry.with_verdict_of(alert) for where, entry in same.items()}
        self.unsaved = True

    def silence(self, alert_id: str, for_s: float, reason: str, at: datetime, now_s: float) -> Alert | None:
        """Silences an active alert, with 0 ends its silence; the alert to be sent, None: no such alert."""
        for where, entry in self._active.items():
            if entry.alert.alert_id == alert_id and not entry.closed:
                quiet = silenced(entry, for_s, reason, at, now_s) if for_s else unsilenced(entry, at, now_s)
                self._active[where] = quiet
                return quiet.alert
        return None

    def _end(self, where: tuple[str, str], at: datetime, reason: str | None = None) -> Alert:
        return replace(self._active.pop(where).alert, phase="end", at=at, reason=reason)

    def dump(self) -> bytes:
        """The active alerts as JSON, for `restore`."""
        self.unsaved = False
        return saved_alerts.dump(self._boot, self._active.values())

    def restore(
        self, data: bytes, policies: Mapping[str, AlertPolicy], at: datetime, now_s: float
    ) -> Iterator[Alert]:
        """Takes up the active alerts of `dump`; alerts of rules that are gone end. ValueError if damaged."""
        for entry in list(saved_alerts.load(data, self._boot, policies, at, now_s)):
            rule = entry.alert.policy.rule
            self._active[rule, entry.alert.finding.key] = entry
            was, policy = entry.alert.policy, policies.get(rule)
            if policy is None:
                yield from self.drop_rule(rule, at, "its rule is no longer configured")
            elif policy.kind != was.kind:
                yield from self.drop_rule(rule, at, kind_changed(was.kind, policy.kind))
