"""The AlertBook: the life of an alert. Rules state facts; here a fact gets one id and its phases.

Pure: time comes in with each call, alerts go out as plain `Alert`; nothing here stores or sends. What is
active can be written down (`dump`) in the same transaction as the alert, and read back after a restart.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import TypeAdapter

from agent.parts import Finding, Over, Severity

UPDATE_EVERY_S = 10.0
"""An active alert is told again this often, and sooner (`CHANGE_AFTER_S`) where it changed."""
CHANGE_AFTER_S = 1.0
FOUND_AGAIN_WITHIN_S = 120.0
"""Rules that begin anew have this long to find again what was active; else it ends, and says why."""

Phase = Literal["new", "update", "end"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What the rule's configuration says of its alerts."""

    rule: str
    kind: str
    severity: Severity
    need_ack: bool
    cool_down: timedelta


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it stands in one of its phases."""

    alert_id: str
    phase: Phase
    terms: Terms
    finding: Finding
    at: datetime
    acknowledged: Mapping[str, Any] | None = None
    reason: str | None = None

    def fields(self) -> dict[str, Any]:
        """The ``alert`` object of the message, as CONTRACT.md has it; unknown fields are absent."""
        finding, terms = self.finding, self.terms
        fields: dict[str, Any] = {
            "alert_id": self.alert_id,
            "phase": self.phase,
            "kind": terms.kind,
            "rule": terms.rule,
            "severity": terms.severity,
            "text": finding.text,
            ("camera" if finding.zone or finding.box else "source"): finding.source,
            "zone": finding.zone,
            "label": finding.label,
            "count": finding.count,
            "score": None if finding.score is None else round(finding.score, 3),
            "since": finding.since,
            "box": None if finding.box is None else [round(edge, 4) for edge in finding.box],
            "point": None if finding.point is None else _present(asdict(finding.point)),
            "need_ack": terms.need_ack or None,
            "acknowledged": self.acknowledged,
            "reason": self.reason,
        }
        return _present(fields)


@dataclass(frozen=True, slots=True)
class _Active:
    """An alert that has not ended; ``told_s`` is None for one that has to be found again.

    ``doubt``: since when (monotonic) it has to be found again, and what its end says if nobody does.
    """

    alert: Alert
    told_s: float | None
    over_s: float | None = None
    doubt: tuple[float, str] | None = None


class AlertBook:
    """All that is active, by rule and key."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._active: dict[tuple[str, str], _Active] = {}

    def active(self) -> list[Alert]:
        """What is active now, oldest first."""
        return sorted((entry.alert for entry in self._active.values()), key=lambda alert: alert.finding.since)

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
            yield self._end(where, at, fact.reason)
            return
        if entry is None:
            alert = Alert(self._new_id(), "new", terms, fact, at)
            self._active[where] = _Active(alert, now_s)
            yield alert
            return
        before = entry.alert
        fact = replace(fact, since=min(fact.since, before.finding.since))  # it began when it first began
        alert = replace(before, phase="update", terms=terms, finding=fact, at=at)
        changed = (fact.count, terms.severity) != (before.finding.count, before.terms.severity)
        wait_s = CHANGE_AFTER_S if changed else UPDATE_EVERY_S
        if entry.told_s is None or now_s - entry.told_s >= wait_s:
            self._active[where] = _Active(alert, now_s)
            yield alert
        else:
            self._active[where] = replace(entry, over_s=None)

    def tick(self, at: datetime, now_s: float) -> Iterator[Alert]:
        """Ends what has been over for its cool-down, and what nobody found again in time."""
        for where, entry in list(self._active.items()):
            cool_down_s = entry.alert.terms.cool_down.total_seconds()
            if entry.over_s is not None and now_s - entry.over_s >= cool_down_s:
                yield self._end(where, at)
            elif entry.doubt is not None and now_s - entry.doubt[0] > FOUND_AGAIN_WITHIN_S:
                yield self._end(where, at, entry.doubt[1])

    def doubt_rule(self, rule: str, now_s: float) -> None:
        """A rule begins anew, as another: what it found has to be found again."""
        for where, entry in self._active.items():
            if where[0] == rule:
                doubt = (now_s, "not seen again after its rule was changed")
                self._active[where] = replace(entry, told_s=None, doubt=doubt)

    def drop_rule(self, rule: str, at: datetime, reason: str) -> Iterator[Alert]:
        """Ends all alerts of a rule that is no more, saying why."""
        for where in [where for where in self._active if where[0] == rule]:
            yield self._end(where, at, reason)

    def acknowledge(self, alert_id: str, role: str, action: str, at: datetime) -> Alert | None:
        """A person's answer: the alert as it stands with it, or None where no such alert is active."""
        for where, entry in self._active.items():
            if entry.alert.alert_id == alert_id:
                answer = {"role": role, "action": action, "at": at}
                alert = replace(entry.alert, phase="update", at=at, acknowledged=answer)
                self._active[where] = replace(entry, alert=alert)
                return alert
        return None

    def _end(self, where: tuple[str, str], at: datetime, reason: str | None = None) -> Alert:
        entry = self._active.pop(where)
        return replace(entry.alert, phase="end", at=at, reason=reason)

    def dump(self) -> bytes:
        """What is active, for `restore`."""
        return _ALERTS.dump_json(self.active())

    def restore(self, data: bytes, rules: Mapping[str, Terms], at: datetime, now_s: float) -> Iterator[Alert]:
        """Takes up what was active before a restart; alerts of rules that are gone end.

        ValueError if ``data`` is damaged.
        """
        doubt = (now_s, "not seen again after a restart")
        for alert in _ALERTS.validate_json(data):
            terms = rules.get(alert.terms.rule)
            self._active[(alert.terms.rule, alert.finding.key)] = _Active(
                replace(alert, terms=terms or alert.terms), told_s=None, doubt=doubt
            )
            if terms is None:
                yield from self.drop_rule(alert.terms.rule, at, "its rule is no longer configured")


_ALERTS = TypeAdapter(list[Alert])


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
