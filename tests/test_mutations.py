"""Scenarios notice a broken agent: three mutations of `bench.mutations`, the others by hand."""

from pathlib import Path

import pytest

from bench.mutations import MUTATIONS, TROUBLES_NAME, play_mutated
from simulators.scenario.loader import scenario_names

CHEAP = {
    "panic_suppressed": "the first press is told",
    "outbox_dropped_on_restart": "the press is told once the power is back",
    "critical_waits": "critical_alerts_go_first",
}


def test_each_mutation_has_a_scenario() -> None:
    assert {one.scenario for one in MUTATIONS.values()} <= {*scenario_names(), TROUBLES_NAME}
    assert len(MUTATIONS) >= 26


@pytest.mark.parametrize(("name", "missed"), CHEAP.items())
def test_a_scenario_notices(name: str, missed: str, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs the extra vision: pip install -e .[vision]")
    played = play_mutated(name, tmp_path)
    assert played.effects
    assert played.verdict == "failed"
    assert missed in {what for what, _ in played.broken}
