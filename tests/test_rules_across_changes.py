"""Whatever happens to the agent or to the settings of a rule, at any moment: an alert whose fact goes on goes on.

All kinds of rules, from the cases of `test_going_on`, which has one for each kind in the registry.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.alerts.alert import Alert
from agent.domain.contracts import POLICY_KEYS
from agent.domain.schedule import parse_schedule
from tests.test_going_on import CASES, Device, rule_of

ALWAYS = parse_schedule("24/7")
NAMED = ("moved", "threshold: rises", "interference", "interference: signal")
"""Those whose alerts a restart once ended."""


def change(device: Device, **keys: Any) -> list[Alert]:
    device.rule = device.rule.model_copy(update=keys)
    return device.judges.apply({"it": device.rule}, device._at(), device._mono())


def own_durations(rule: Any) -> dict[str, timedelta]:
    """The durations of its kind, each a second longer: no fact that has lasted is over under them."""
    own = set(type(rule).model_fields) - set(POLICY_KEYS)
    return {
        key: getattr(rule, key) + timedelta(seconds=1)
        for key in own
        if isinstance(getattr(rule, key), timedelta)
    }


EVENTS: dict[str, Callable[[Device], list[Alert]]] = {
    "severity": lambda device: device.change(),
    "answer": lambda device: change(device, need_ack=not device.rule.need_ack),
    "cool_down": lambda device: change(device, cool_down=device.rule.cool_down + timedelta(seconds=1)),
    "schedule": lambda device: change(device, schedule=None if device.rule.schedule else ALWAYS),
    "durations": lambda device: change(device, **own_durations(device.rule)),
    "restart": lambda device: device.restart(),
    "reboot": lambda device: device.restart(boot=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first_s=st.integers(0, 90),
    events=st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.integers(0, 60)), min_size=1, max_size=4),
)
def test_no_event_ends_what_goes_on(
    name: str, first_s: int, events: list[tuple[str, int]], tmp_path: Path
) -> None:
    case = CASES[name]
    device = Device(rule_of(case, tmp_path))
    list(device.hear(case.on, case.found_s + first_s))
    active = {alert.alert_id: alert.finding.since for alert in device.judges.book.active()}
    assert active, "the case must lead to an alert"
    lasted_s: dict[str, float] = {}
    for event, then_s in events:
        heard = [*EVENTS[event](device), *device.hear(case.on, then_s)]
        assert [(alert.alert_id, alert.reason) for alert in heard if alert.phase != "update"] == []
        for alert in heard:
            assert alert.finding.since == active[alert.alert_id]
            assert (alert.finding.lasted_s or 0.0) >= lasted_s.get(alert.alert_id, 0.0) - 1
            lasted_s[alert.alert_id] = alert.finding.lasted_s or 0.0
    heard = list(device.hear(case.on, max(800, case.found_s)))
    assert [(alert.alert_id, alert.reason) for alert in heard if alert.phase != "update"] == []
    assert all(alert.finding.since == active[alert.alert_id] for alert in heard)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at_share=st.floats(0.02, 0.98), event=st.sampled_from(["severity", "answer", "schedule"]))
def test_no_change_delays_an_alert_that_is_about_to_come(
    name: str, at_share: float, event: str, tmp_path: Path
) -> None:
    """Its hold times and its windows go on: the alert comes when it would have come, with the same start."""

    def began(changed: bool) -> list[tuple[float, Any]]:
        device = Device(rule_of(case, tmp_path))
        first, at_s = [], int(at_share * case.found_s)
        for second in range(case.found_s):
            heard = EVENTS[event](device) if changed and second == at_s else []
            heard += device.hear(case.on, 1)
            first += [(device.second, alert.finding.since) for alert in heard if alert.phase == "new"]
        return first

    case = CASES[name]
    assert began(changed=True) == began(changed=False)


def test_what_restarts_once_ended_is_among_the_cases() -> None:
    assert set(NAMED) <= CASES.keys()
