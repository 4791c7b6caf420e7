"""The rule engine: runs the evaluator of each rule and passes what it states to the alert book.

Pure: the agent and `ringpost replay` run this same class, one with the time of day, the other with the times
of a recording.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import structlog

from agent.alerts.alert import Alert, AlertPolicy, kind_changed
from agent.alerts.alert_book import AlertBook
from agent.alerts.observation_history import ObservationHistory
from agent.domain.contracts import RulePart, Verification
from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.observations import Observation, Tick
from agent.domain.progress import Progress, progress_of

log = structlog.get_logger()


class RuleEngine:
    """One evaluator for each rule, and the alert book of their findings.

    ``add_place`` gives a finding that rests on an observation of a monotonic time its place;
    ``request_pictures`` is called for each new alert and returns the topics of its pictures.
    """

    def __init__(
        self,
        new_id: Callable[[], str],
        boot: str = "",
        add_place: Callable[[Finding, float], Finding] = lambda finding, _: finding,
        request_pictures: Callable[[Alert, float], Sequence[str]] = lambda *_: (),
    ) -> None:
        self.book = AlertBook(new_id, boot, request_pictures)
        self._add_place = add_place
        self._evaluators: dict[str, tuple[RulePart, Evaluator]] = {}
        self._history = ObservationHistory()

    def apply(self, rules: Mapping[str, RulePart], at: datetime, now_s: float) -> list[Alert]:
        """Starts new rules, changes changed ones in place, and leaves the others alone.

        Returns the ends of alerts of removed rules, and what a changed rule finds at once. A rule that
        becomes one of another kind is removed, and a new one starts.
        """
        raised: list[Alert] = []
        changed = sum(name in rules and rules[name] != rule for name, (rule, _) in self._evaluators.items())
        for name, (before, evaluate) in list(self._evaluators.items()):
            rule = rules.get(name)
            if rule is None or rule.kind != before.kind:
                del self._evaluators[name]
                raised += self.book.drop_rule(name, at, _end_reason(before, rule, rules))
            elif rule.evaluates_as(before):
                self._evaluators[name] = (rule, evaluate)
                raised += self.book.change_policy(policy_of(name, rule), at, now_s)
            else:
                raised += self._change(name, before, rule, at, now_s, changed)
        for name, rule in rules.items():
            if name not in self._evaluators:
                self._evaluators[name] = (rule, self._start(name, rule))
        self._history.keep_for(rules.values())
        return raised

    def verification(self, rule: str) -> Verification | None:
        """The second look that a rule asks for at its new alerts."""
        found = self._evaluators.get(rule)
        return None if found is None else found[0].verification()

    def latest(self, count: int) -> list[Observation]:
        """Up to ``count`` recent observations of each source that a rule uses."""
        return self._history.latest(count)

    def progress(
        self, camera: str | None, at: datetime, now_s: float
    ) -> list[tuple[str, RulePart, Progress]]:
        """How far each rule is, of all rules or of those on ``camera``; a rule that fails tells nothing."""
        found: list[tuple[str, RulePart, Progress]] = []
        for name, (rule, evaluate) in self._evaluators.items():
            if camera is None or camera in rule.sources():
                try:
                    found += [(name, rule, one) for one in progress_of(evaluate, at, now_s)]
                except Exception:
                    log.exception("rule_progress_failed", rule=name)
        return found

    def _change(
        self, name: str, before: RulePart, rule: RulePart, at: datetime, now_s: float, changed: int
    ) -> Iterator[Alert]:
        """Replaces the evaluator of a changed rule. The new one gets the recent observations, so that hold
        times go on, and states what holds under the new settings."""
        policy, keys = policy_of(name, rule), ", ".join(rule.changes_from(before))
        change = f"its rule was changed ({keys})" if keys else "its rule was changed"
        if before.only_key and rule.only_key and before.only_key != rule.only_key:
            self.book.rename_key(name, before.only_key, rule.only_key)
        yield from self.book.recheck_rule(policy, change, at, now_s)
        evaluate = self._start(name, rule)
        self._evaluators[name] = (rule, evaluate)
        latest: dict[str, tuple[Finding | Cleared, float]] = {}
        try:
            for observation in self._history.of(rule, changed):
                for stated in evaluate(observation):
                    latest[stated.key] = (stated, observation.mono_s)
        except Exception:
            log.exception("rule_catch_up_failed", rule=name)
        for stated, stated_s in latest.values():
            yield from self._take(policy, stated, stated_s, at, now_s)

    def _start(self, name: str, rule: RulePart) -> Evaluator:
        """A new evaluator; without the active findings where it cannot take them up."""
        try:
            return rule.scheduled_evaluator(self.book.findings_of(name))
        except Exception:
            log.exception("rule_resume_failed", rule=name)
            return rule.scheduled_evaluator()

    def on_observation(self, observation: Observation, at: datetime, now_s: float) -> list[Alert]:
        """The alerts to send after an observation. An exception in one rule stops no other rule."""
        alerts: list[Alert] = []
        self._history.add(observation)
        for name, (rule, evaluate) in self._evaluators.items():
            try:
                for stated in evaluate(observation):
                    if isinstance(stated, Cleared) and not self.book.knows(name, stated.key):
                        continue
                    alerts += self._take(policy_of(name, rule), stated, observation.mono_s, at, now_s)
            except Exception:
                log.exception("rule_failed", rule=name)
        if isinstance(observation.value, Tick):
            alerts += self.book.tick(at, now_s)
        return alerts

    def _take(
        self, policy: AlertPolicy, stated: Finding | Cleared, stated_s: float, at: datetime, now_s: float
    ) -> Iterator[Alert]:
        """Passes a statement that rests on an observation of ``stated_s`` to the alert book."""
        if isinstance(stated, Finding):
            stated = self._with_place(stated, stated_s)
        return self.book.on_finding(policy, stated, at, now_s)

    def _with_place(self, finding: Finding, at_s: float) -> Finding:
        """The finding with its place; without, if that fails: the alert is sent all the same."""
        try:
            return self._add_place(finding, at_s)
        except Exception:
            log.exception("place_failed", key=finding.key)
            return finding


def _end_reason(before: RulePart, rule: RulePart | None, rules: Mapping[str, RulePart]) -> str:
    """Why the alerts of a rule end that is removed, renamed, or now of another kind."""
    if rule is not None:
        return kind_changed(before.kind, rule.kind)
    renamed = next((name for name, other in rules.items() if other == before), None)
    return "its rule was removed" if renamed is None else f"its rule was renamed to {renamed}"


def policy_of(name: str, rule: RulePart) -> AlertPolicy:
    """What the configuration of ``rule`` sets for its alerts."""
    return AlertPolicy(
        name,
        rule.kind,
        rule.severity,
        rule.need_ack,
        rule.cool_down,
        rule.escalation(),
        rule.rediscovery_time,
        rule.flood_label,
    )
