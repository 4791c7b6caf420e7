"""Judges a run by its record: expectations, what must never come, and what must once happen. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from simulators.run_record import Fields, RunRecord
from simulators.scenario.expected import Expectation, Matching, Phase
from simulators.scenario.model import Scenario
from simulators.scenario.receipts import receipts_missing
from simulators.world.true_places import TruePlaces

SLACK_S = 1e-6
"""Times in a record are rounded to this; there is no other slack."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One judged expectation. ``actual_s``: when it was met, from its cause, as ``deadline_s``."""

    name: str
    text: str
    met: bool
    deadline_s: float | None = None
    actual_s: float | None = None
    detail: str = ""
    cause_s: float = 0.0
    """Second of the run."""

    @property
    def margin_s(self) -> float | None:
        """What was left to the deadline."""
        if self.deadline_s is None or self.actual_s is None:
            return None
        return round(self.deadline_s - self.actual_s, 6)

    def fields(self) -> dict[str, Any]:
        return {
            "name": self.name, "text": self.text, "met": self.met, "deadline_s": self.deadline_s,
            "actual_s": self.actual_s, "margin_s": self.margin_s, "detail": self.detail,
            "cause_s": self.cause_s,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Window:
    """When the messages of an expectation count: seconds since the start."""

    cause_s: float
    first_s: float
    last_s: float

    def holds(self, second: float) -> bool:
        return self.first_s - SLACK_S <= second <= self.last_s + SLACK_S


def judge_expectations(scenario: Scenario, record: RunRecord) -> list[Outcome]:
    """Each expectation in the order of the file."""
    met_s: dict[str, float] = {}
    outcomes = []
    places = TruePlaces(record)
    for wanted in scenario.expect:
        outcome = _judge(wanted, scenario, record, places)
        if outcome.actual_s is not None:
            met_s[outcome.name] = _window(wanted, scenario).cause_s + outcome.actual_s
        if outcome.met and wanted.order_after is not None:
            outcome = _in_order(wanted, outcome, met_s)
        outcomes.append(outcome)
    return outcomes


def judge_never(scenario: Scenario, record: RunRecord) -> list[Outcome]:
    """Each entry of ``never``; its first violation in the detail."""
    outcomes = []
    for never in scenario.never:
        window = _window(never, scenario)
        found = next((one for one in _matching(never, record) if window.holds(one["t"])), None)
        detail = "" if found is None else f"came at {found['t']:.2f} s: {_text_of(found)}"
        when_s = None if found is None else found["t"]
        outcomes.append(Outcome(never.title, never.describe(), found is None, actual_s=when_s, detail=detail))
    return outcomes


def judge_sometimes(scenario: Scenario, record: RunRecord) -> list[Outcome]:
    """Each entry of ``sometimes``, met by the first event with all its fields."""
    outcomes = []
    for wanted in scenario.sometimes:
        fields = wanted.fields()
        found = next(
            (one for one in record.events if all(fits(one.get(k), v) for k, v in fields.items())), None
        )
        detail = "" if found is not None else "never happened in this run"
        when_s = None if found is None else found["t"]
        outcomes.append(
            Outcome(wanted.title, wanted.title, found is not None, actual_s=when_s, detail=detail)
        )
    return outcomes


def fits(value: Any, wanted: Any) -> bool:
    """Whether a field of a message is as ``having`` wants it; see `simulators.scenario.expected.Having`."""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(fits(value.get(key), one) for key, one in wanted.items())
    if isinstance(value, list) and not isinstance(wanted, list):
        return any(fits(one, wanted) for one in value)
    if isinstance(wanted, str) and "*" in wanted:
        return isinstance(value, str) and fnmatchcase(value, wanted)
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    return bool(value == wanted)


def _field(body: Fields, path: str) -> Any:
    """The field at a dotted path; None where it is absent."""
    value: Any = body
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _matching(wanted: Matching, record: RunRecord) -> Iterator[Fields]:
    """The messages that an entry is about; a repeat after a lost connection is left out."""
    seen = set()
    topic = "alert" if wanted.alert is not None else wanted.topic
    for one in record.messages:
        body = one.get("body")
        if one["topic"] != topic or wanted.device not in (None, one["device"]) or not isinstance(body, dict):
            continue
        if wanted.alert is not None and _field(body, "alert.rule") != wanted.alert:
            continue
        if not all(fits(_field(body, path), value) for path, value in wanted.having.items()):
            continue
        number = (one["device"], body.get("epoch"), body.get("seq"), body.get("id"))
        if body.get("seq") is None or number not in seen:
            seen.add(number)
            yield one


def _window(wanted: Matching, scenario: Scenario) -> _Window:
    cause_s, end_s = 0.0, scenario.seconds
    within_s = None
    if isinstance(wanted, Expectation):
        if wanted.after is not None:
            cause_s = scenario.step_named(wanted.after)[1].at_s
        within_s = None if wanted.within is None else wanted.within.total_seconds()
    if wanted.between is not None:
        first_s, last_s = (one.total_seconds() for one in wanted.between)
        return _Window(cause_s, cause_s + first_s, cause_s + last_s)
    return _Window(cause_s, cause_s, end_s if within_s is None else cause_s + within_s)


def _judge(wanted: Expectation, scenario: Scenario, record: RunRecord, places: TruePlaces) -> Outcome:
    window = _window(wanted, scenario)
    counted = [one for one in _matching(wanted, record) if one["t"] >= window.first_s - SLACK_S]
    if wanted.alert is not None:
        actual_s, wrong = _judge_alert(wanted, window, counted)
    else:
        actual_s, wrong = _judge_topic(wanted, window, counted)
    inside = [one for one in counted if window.holds(one["t"])]
    if not wrong and wanted.position_within_m is not None:
        wrong = _far_positions(wanted, wanted.position_within_m, inside, places)
    if not wrong and wanted.receipt:
        wrong = receipts_missing(inside, record)
    bounded = wanted.within is not None or wanted.between is not None
    return Outcome(
        wanted.title, wanted.describe(), not wrong,
        deadline_s=round(window.last_s - window.cause_s, 6) if bounded else None,
        actual_s=None if actual_s is None else round(actual_s - window.cause_s, 6),
        detail="; ".join(wrong),
        cause_s=round(window.cause_s, 6),
    )  # fmt: skip


def _judge_topic(
    wanted: Expectation, window: _Window, counted: Sequence[Fields]
) -> tuple[float | None, list[str]]:
    inside = [one for one in counted if window.holds(one["t"])]
    if wanted.count is not None:
        met = len(inside) == wanted.count
        last_s = inside[-1]["t"] if inside and met else None
        return last_s, [] if met else [f"{len(inside)} came, not {wanted.count}"]
    if inside:
        return inside[0]["t"], []
    late = f"the first came at {counted[0]['t']:.2f} s" if counted else "none came"
    return (counted[0]["t"] if counted else None), [f"not in time: {late}" if counted else late]


def _judge_alert(
    wanted: Expectation, window: _Window, counted: Sequence[Fields]
) -> tuple[float | None, list[str]]:
    """When the last needed phase came, and what is wrong with the alerts of the rule."""
    alerts: dict[str, list[tuple[Phase, float]]] = {}
    for one in counted:
        alert = one["body"]["alert"]
        alerts.setdefault(str(alert.get("alert_id")), []).append((alert.get("phase"), one["t"]))
    fresh = {alert_id: phases for alert_id, phases in alerts.items() if phases[0][0] == "new"} or alerts
    judged = [_phases_in_order(wanted.phases, phases, window) for phases in fresh.values()]
    met_s = sorted(second for second, _ in judged if second is not None)
    if wanted.count is not None:
        wrong = [complaint for second, complaint in judged if second is None]
        if len(fresh) != wanted.count:
            wrong.insert(0, f"{len(fresh)} alerts of {wanted.alert} came, not {wanted.count}")
        last_s = met_s[-1] if met_s and not wrong else None
    else:
        wrong = [] if met_s else [complaint for _, complaint in judged[:1]]
        last_s = met_s[0] if met_s else None
    if not alerts and not wrong and wanted.count is None:
        wrong = [f"{', '.join(wanted.phases)} did not come: no alert of {wanted.alert}"]
    return last_s, [*wrong, *_repeated(alerts)]


def _phases_in_order(
    wanted: Sequence[Phase], came: Sequence[tuple[Phase, float]], window: _Window
) -> tuple[float | None, str]:
    """When the last wanted phase came in time, or None and exactly the phases that did not come."""
    rest = iter(came)
    missing, last_s = [], window.first_s
    late = []
    for position, phase in enumerate(wanted):
        found = next((second for one, second in rest if one == phase), None)
        if found is None:
            # Each phase that came somewhere is not missing: only its order may be wrong.
            missing = [one for one in wanted[position:] if one not in {phase for phase, _ in came}]
            if not missing:
                order = ", ".join(one for one, _ in came)
                return None, f"{' then '.join(wanted)} did not come in this order: {order}"
            return None, f"{', '.join(missing)} did not come"
        if not window.holds(found):
            late.append(f"{phase} came at {found:.2f} s")
        last_s = found
    if late:
        return None, f"not in time: {', '.join(late)}"
    return last_s, ""


def _repeated(alerts: dict[str, list[tuple[Phase, float]]]) -> list[str]:
    """An alert begins and ends once; `_matching` has left repeats of a message out."""
    wrong = []
    for alert_id, phases in alerts.items():
        names = [phase for phase, _ in phases]
        wrong += [
            f"{alert_id}: {one} came {names.count(one)} times"
            for one in ("new", "end")
            if names.count(one) > 1
        ]
    return wrong


def _far_positions(
    wanted: Expectation, limit_m: float, messages: Sequence[Fields], places: TruePlaces
) -> list[str]:
    """The messages whose position is too far from the truth, or that have none; the farthest first."""
    wrong: list[tuple[float, str]] = []
    for one in messages:
        away_m = places.error_m(one, wanted.of)
        if away_m is None:
            wrong.append(
                (
                    float("inf"),
                    f"at {one['t']:.2f} s: no position, or no truth of {wanted.of or one['device']}",
                )
            )
        elif away_m > limit_m:
            wrong.append((away_m, f"at {one['t']:.2f} s: {away_m:.1f} m from the truth"))
    wrong.sort(reverse=True)
    more = [f"and {len(wrong) - 1} more"] if len(wrong) > 1 else []
    return [text for _, text in wrong[:1]] + more


def _in_order(wanted: Expectation, outcome: Outcome, met_s: dict[str, float]) -> Outcome:
    before_s, own_s = met_s.get(wanted.order_after or ""), met_s.get(outcome.name)
    if before_s is not None and own_s is not None and before_s <= own_s + SLACK_S:
        return outcome
    when = "never came" if before_s is None else f"came at {before_s:.2f} s"
    detail = f"must come after '{wanted.order_after}', which {when}; this came at {own_s or 0:.2f} s"
    return replace(outcome, met=False, detail=detail)


def _text_of(message: Fields) -> str:
    alert = message["body"].get("alert")
    return str(alert.get("text")) if isinstance(alert, dict) else str(message["topic"])
