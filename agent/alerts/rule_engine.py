"""The rules at work, and the alerts that they lead to: observations in, alerts out.

Pure: the agent and `replay` run this very class, the one with the time of day, the other with a recording's.
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
    """One judge for each rule, and the book that they write in."""

    def __init__(
        self,
        new_id: Callable[[], str],
        boot: str = "",
        add_place: Callable[[Finding, float], Finding] = lambda finding, _: finding,
        request_pictures: Callable[[Alert, float], Sequence[str]] = lambda *_: (),
    ) -> None:
        """``add_place`` gives a finding that rests on an observation of this monotonic time its place;
        ``request_pictures`` takes pictures of a new alert."""
        self.book = AlertBook(new_id, boot, request_pictures)
        self._add_place = add_place
        self._judges: dict[str, tuple[RulePart, Evaluator]] = {}

    def apply(self, rules: Mapping[str, RulePart], at: datetime, now_s: float) -> list[Alert]:
        """Starts what is new or changed and leaves the rest; alerts of rules that are gone end."""
        ended: list[Alert] = []
        for name, (rule, _) in list(self._judges.items()):
            if name not in rules:
                ended += self.book.drop_rule(name, at, "its rule was removed")
            elif rules[name] != rule:
                self.book.recheck_rule(policy_of(name, rules[name]), now_s)
            else:
                continue
            del self._judges[name]
        for name, rule in rules.items():
            if name not in self._judges:
                self._judges[name] = (rule, self._begun(name, rule))
        return ended

    def _begun(self, name: str, rule: RulePart) -> Evaluator:
        """A fresh judge. What was so before may be unreadable to it: then it begins without."""
        try:
            return rule.scheduled_evaluator(self.book.findings_of(name, rule.kind))
        except Exception:
            log.exception("rule_not_resumed", rule=name)
            return rule.scheduled_evaluator()

    def on_observation(self, observation: Observation, at: datetime, now_s: float) -> list[Alert]:
        """What is to be told after this observation. A rule that fails is a bug of that rule alone."""
        told: list[Alert] = []
        for name, (rule, judge) in self._judges.items():
            try:
                for fact in judge(observation):
                    if isinstance(fact, Finding):
                        fact = self._with_place(fact, observation.mono_s)  # noqa: PLW2901  the same fact, with its place
                    told += self.book.on_finding(policy_of(name, rule), fact, at, now_s)
            except Exception:
                log.exception("rule_failed", rule=name)
        if isinstance(observation.value, Tick):
            told += self.book.tick(at, now_s)
        return told

    def _with_place(self, finding: Finding, at_s: float) -> Finding:
        """Who can't be placed is told all the same."""
        try:
            return self._add_place(finding, at_s)
        except Exception:
            log.exception("place_failed", key=finding.key)
            return finding


def policy_of(name: str, rule: RulePart) -> AlertPolicy:
    """What a rule's configuration says of its alerts."""
    return AlertPolicy(
        name, rule.kind, rule.severity, rule.need_ack, rule.cool_down, rule.escalation(),
        rule.rediscovery_time, rule.flood_label,
    )  # fmt: skip
