"""Each scenario passes in virtual time, and twice the same; in real time in a long run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulators.scenario.hashes import expected_hashes
from simulators.scenario.loader import check, find_scenario, scenario_names
from simulators.scenario.session import run_scenario
from tests.thorough import only_long

LONG_RUNS = frozenset({"city"})
"""Scenarios that take more than a few seconds."""
BY_HAND = frozenset({"week_at_sea"})
"""Scenarios that take most of an hour."""
REAL = (
    "bridge_post", "bad_lines", "boat_jammed", "drone_out_of_reach", "bridge_rescue",
    "boat_gps_jammed_link_down", "drone_link_lost", "checkpoint_power_cut",
)  # fmt: skip
ROOT = Path(__file__).parents[1]


def play(name: str, folder: Path, clock: str = "virtual") -> str:
    """The hash of a run that passes."""
    folder.mkdir(exist_ok=True)
    scenario = check(find_scenario(name).model_copy(update={"clock": clock}))
    verdict, _ = run_scenario(scenario, folder)
    assert (verdict.complaints(), verdict.verdict) == ([], "passed")
    return verdict.sha256


@pytest.mark.parametrize("name", [name for name in scenario_names() if name not in LONG_RUNS | BY_HAND])
def test_a_scenario_passes_in_virtual_time(name: str, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs the extra vision: pip install -e .[vision]")
    play(name, tmp_path)


def test_the_same_seed_is_the_same_run(tmp_path: Path) -> None:
    """Also in another process with other hashes of its own; the folder plays no part."""
    here = play("bad_lines", tmp_path / "one")
    script = (
        "import sys; from pathlib import Path; from tests.test_scenarios_played import play;"
        "print(play('bad_lines', Path(sys.argv[1])))"
    )
    there = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "another-folder")],
        capture_output=True, text=True, check=True, cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert there.stdout.splitlines()[-1] == here


@only_long
@pytest.mark.parametrize("name", sorted(LONG_RUNS & set(scenario_names())))
def test_a_long_scenario_passes(name: str, tmp_path: Path) -> None:
    play(name, tmp_path)


@only_long
@pytest.mark.parametrize("name", REAL)
def test_a_scenario_passes_in_real_time(name: str, tmp_path: Path) -> None:
    play(name, tmp_path, "real")


@only_long
@pytest.mark.parametrize("noted", sorted(expected_hashes()))
def test_a_run_is_the_one_that_was_noted(noted: str, tmp_path: Path) -> None:
    """Where it changed on purpose: ``ringpost simulate NAME --update``."""
    assert play(noted.partition("/")[0], tmp_path) == expected_hashes()[noted]
