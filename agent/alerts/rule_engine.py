"""The rule engine: runs the evaluator of each rule and passes what it states to the alert book.

Pure: the agent and `ringpost replay` run this same class, one with the time of day, the other with the times
of a recording.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import structlog

from agent.alerts.alert import Alert, AlertPolicy
from agent.alerts.alert_book import AlertBook
from agent.domain.contracts import RulePart
from agent.domain.findings import Evaluator, Finding
from agent.domain.observations import Observation, Tick

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

    def apply(self, rules: Mapping[str, RulePart], at: datetime, now_s: float) -> list[Alert]:
        """Starts new and changed rules, keeps the others; returns the ends of alerts of removed rules."""
        ended: list[Alert] = []
        for name, (rule, _) in list(self._evaluators.items()):
            if name not in rules:
                ended += self.book.drop_rule(name, at, "its rule was removed")
            elif rules[name] != rule:
                self.book.recheck_rule(policy_of(name, rules[name]), now_s)
            else:
                continue
            del self._evaluators[name]
        for name, rule in rules.items():
            if name not in self._evaluators:
                self._evaluators[name] = (rule, self._start(name, rule))
        return ended

    def _start(self, name: str, rule: RulePart) -> Evaluator:
        """A new evaluator; without the active findings where it cannot take them up."""
        try:
            return rule.scheduled_evaluator(self.book.findings_of(name, rule.kind))
        except Exception:
            log.exception("rule_resume_failed", rule=name)
            return rule.scheduled_evaluator()

    def on_observation(self, observation: Observation, at: datetime, now_s: float) -> list[Alert]:
        """The alerts to send after an observation. An exception in one rule stops no other rule."""
        alerts: list[Alert] = []
        for name, (rule, evaluate) in self._evaluators.items():
            try:
                for stated in evaluate(observation):
                    if isinstance(stated, Finding):
                        stated = self._with_place(stated, observation.mono_s)  # noqa: PLW2901  adds its place
                    alerts += self.book.on_finding(policy_of(name, rule), stated, at, now_s)
            except Exception:
                log.exception("rule_failed", rule=name)
        if isinstance(observation.value, Tick):
            alerts += self.book.tick(at, now_s)
        return alerts

    def _with_place(self, finding: Finding, at_s: float) -> Finding:
        """The finding with its place; without, if that fails: the alert is sent all the same."""
        try:
            return self._add_place(finding, at_s)
        except Exception:
            log.exception("place_failed", key=finding.key)
            return finding


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
