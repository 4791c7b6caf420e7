"""Compares the alerts of two configurations over the same observations: "3 instead of 41". Pure.

Both run through the engine of `agent.replay.replay`, so both are what the device would raise; nothing that
it did raise is compared with a computed alert. The alerts that it raised give the ids and people's answers.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from agent.alerts.alert import Alert
from agent.config.model import Config
from agent.domain.message import encode, stamp
from agent.domain.observations import Observation
from agent.host.clock import monotonic_s
from agent.replay.history_block import RaisedAlert
from agent.replay.replay import Replayer

SLACK = timedelta(seconds=15)
"""Two alerts are the same where their times overlap with this slack: rules differ in their hold times."""
MAX_LISTED = 20
MAX_RULES = 40
MAX_BYTES = 6 * 1024
MAX_TEXT = 80
CHECK_TIME_EVERY = 500
MAX_EPISODES = 2_000
"""Alerts of one configuration; with more the comparison ends."""
CONFIRMED = ("ack", "close")
"""Answers of people that say that an alert was true."""
ANSWER_ORDER = {"ack": 0, "close": 0, "": 1, "reject": 2}
"""The order of the missed alerts in a result: those that people confirmed first."""


@dataclass(slots=True)
class Episode:
    """One alert from its beginning to its end; without ``end`` it was active at the end."""

    rule: str
    key: str
    source: str | None
    text: str
    begin: datetime
    end: datetime | None = None

    def overlaps(self, begin: datetime, end: datetime | None) -> bool:
        """Whether it was active in this time, with `SLACK`."""
        starts_before = end is None or self.begin <= end + SLACK
        return starts_before and (self.end is None or begin <= self.end + SLACK)


@dataclass(slots=True)
class Side:
    """The alerts of one configuration."""

    config: Config
    episodes: list[Episode] = field(default_factory=list)
    replayer: Replayer | None = None
    active: dict[str, Episode] = field(default_factory=dict)

    def begin(self) -> None:
        """A new stretch: what was active before is not continued."""
        self.replayer, self.active = Replayer(self.config), {}

    def feed(self, observation: Observation) -> None:
        """Passes one observation to the rules."""
        if self.replayer is not None:
            for alert, _ in self.replayer.feed(observation):
                self._take(alert)

    def _take(self, alert: Alert) -> None:
        finding = alert.finding
        if alert.phase == "new":
            episode = Episode(alert.policy.rule, finding.key, finding.source, finding.text, finding.since)
            self.active[alert.alert_id] = episode
            self.episodes.append(episode)
        elif (known := self.active.get(alert.alert_id)) is not None:
            known.text = finding.text
            if alert.phase == "end":
                known.end = alert.at
                del self.active[alert.alert_id]


def affected(present: Config, proposed: Config) -> tuple[frozenset[str], frozenset[str]]:
    """The rules that the proposal may make report otherwise, and the sources that they use."""
    moved = {
        name
        for name, camera in proposed.cameras().items()
        if name not in present.cameras() or present.cameras()[name].zones != camera.zones
    }
    rules, sources = set[str](), set[str]()
    for name in present.rules.keys() | proposed.rules.keys():
        before, after = present.rules.get(name), proposed.rules.get(name)
        versions = [rule for rule in (before, after) if rule is not None]
        cameras = {ref.camera for rule in versions if (ref := rule.camera_reference()) is not None}
        if before != after or cameras & moved:
            rules.add(name)
            sources |= cameras.union(*({ref.source for ref in rule.source_references()} for rule in versions))
    return frozenset(rules), frozenset(sources)


def _only(config: Config, names: frozenset[str]) -> Config:
    rules = {name: rule for name, rule in config.rules.items() if name in names}
    return config.model_copy(update={"rules": rules})


def what_if(
    present: Config,
    proposed: Config,
    history: Iterable[Iterator[Observation]],
    raised: list[RaisedAlert],
    within_s: float,
    clock: Callable[[], float] = monotonic_s,
) -> dict[str, Any]:
    """The comparison as fields of a result; what takes longer than ``within_s`` seconds is left out.

    Rules that report the same under both are not replayed.
    """
    rules, _ = affected(present, proposed)
    sides = Side(_only(present, rules)), Side(_only(proposed, rules))
    ends_s = clock() + within_s
    spans: list[tuple[datetime, datetime]] = []
    number, in_time = 0, True
    for stretch in history:
        for side in sides:
            side.begin()
        begin: datetime | None = None
        for one in stretch:
            number += 1
            full = any(len(side.episodes) >= MAX_EPISODES for side in sides)
            if full or (number % CHECK_TIME_EVERY == 0 and clock() > ends_s):
                in_time = False
                break
            for side in sides:
                side.feed(one)
            begin, end = begin or one.at, one.at
        if begin is not None:
            spans.append((begin, end))
        if not in_time:
            break
    fields: dict[str, Any] = {"observations": number, "restarts": max(0, len(spans) - 1)}
    fields["unchanged_rules"] = len(present.rules.keys() - rules)
    if not in_time:
        limits = f"{within_s:.0f} s or {MAX_EPISODES} alerts"
        fields["incomplete"] = f"stopped after {limits}: what came later is not covered"
    if spans:
        covered = sum((end - begin for begin, end in spans), timedelta())
        fields["covered"] = {
            "from": spans[0][0], "to": spans[-1][1], "hours": round(covered.total_seconds() / 3600, 2),
        }  # fmt: skip
    return fields | compare(*sides, raised)


def compare(now: Side, then: Side, raised: list[RaisedAlert]) -> dict[str, Any]:
    """Counts by rule, and the alerts of one side that have no counterpart on the other."""
    answers = _answers(raised)
    before, after = now.config.rules, then.config.rules
    removed, added = before.keys() - after.keys(), after.keys() - before.keys()
    changed = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    missed = [
        one
        for one in now.episodes
        if not _covered(one, then.episodes, added | changed if one.rule in removed else ())
    ]
    new = [
        one
        for one in then.episodes
        if not _covered(one, now.episodes, removed | changed if one.rule in added else ())
    ]
    listed = [_fields(one, raised, answers) for one in missed]
    listed.sort(key=lambda entry: ANSWER_ORDER.get(entry.get("answer", ""), 1))
    counts = f"{len(then.episodes)} instead of {len(now.episodes)} alerts"
    result: dict[str, Any] = {
        "summary": f"{counts}; {len(missed)} missed, {len(new)} new",
        "now": len(now.episodes),
        "proposed": len(then.episodes),
        "missed_total": len(missed),
        "missed_confirmed": sum(entry.get("answer") in CONFIRMED for entry in listed),
        "new_total": len(new),
        "rules": _by_rule(now, then),
        "missed": listed[:MAX_LISTED],
        "new": [_fields(one, (), {}) for one in new[:MAX_LISTED]],
    }
    while len(encode(result)) > MAX_BYTES and (longest := max(result["missed"], result["new"], key=len)):
        longest.pop()
    return result


def _covered(one: Episode, others: Iterable[Episode], instead: Iterable[str]) -> bool:
    """Whether an alert of the same rule, or of one of ``instead`` about the same source, was active then."""
    return any(
        (other.rule == one.rule or (other.rule in instead and other.source == one.source))
        and other.overlaps(one.begin, one.end)
        for other in others
    )


def _answers(raised: Iterable[RaisedAlert]) -> dict[str, str]:
    """By alert id: the last answer of a person."""
    return {one.alert_id: one.answer for one in raised if one.answer is not None}


def _fields(one: Episode, raised: Iterable[RaisedAlert], answers: dict[str, str]) -> dict[str, Any]:
    """An alert in a result, with the id and the answer of the alert that the device raised then."""
    fields: dict[str, Any] = {"rule": one.rule, "at": stamp(one.begin), "text": one.text[:MAX_TEXT]}
    if one.end is not None:
        fields["until"] = stamp(one.end)
    for other in raised:
        if (other.rule, other.key, other.phase) == (one.rule, one.key, "new") and one.overlaps(
            other.at, other.at
        ):
            fields["alert_id"] = other.alert_id
            if answer := answers.get(other.alert_id):
                fields["answer"] = answer
            break
    return fields


def _by_rule(now: Side, then: Side) -> list[dict[str, Any]]:
    """By rule: the number on each side, and the time of the first and the last alert of either."""
    rows = []
    for rule in sorted(now.config.rules.keys() | then.config.rules.keys()):
        was = [one.begin for one in now.episodes if one.rule == rule]
        becomes = [one.begin for one in then.episodes if one.rule == rule]
        if was or becomes:
            first, last = min((*was, *becomes)), max((*was, *becomes))
            rows.append(
                {
                    "rule": rule,
                    "now": len(was),
                    "proposed": len(becomes),
                    "first": stamp(first),
                    "last": stamp(last),
                }
            )
    return rows[:MAX_RULES]
