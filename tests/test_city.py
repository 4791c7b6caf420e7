"""A small city in virtual time: the checker finds nothing, and the same seed gives the same run."""

import shutil

import pytest

from simulators.city.plan import city_scenario, timeline
from simulators.city.run import play_city
from tests.memory import memory_folder
from tests.thorough import all_or


@pytest.mark.slow
def test_the_checker_finds_nothing_in_a_small_city() -> None:
    folder = memory_folder()
    share, duration_s = all_or((0.004, 60.0), (0.03, 600.0))
    try:
        result, record = play_city(folder, seed=0, share=share, duration_s=duration_s, settle_s=20.0)
    finally:
        shutil.rmtree(folder)
    assert (result.findings, result.incomplete) == ([], [])
    assert result.alerts > 0
    assert {one["kind"] for one in record.events if one["event"] == "fault_effect"} >= {
        "power.cut", "process.kill", "line.unplug", "broker.restart", "broker.session_lost", "centre.down",
        "centre.rolling_restart",
    }  # fmt: skip


def test_no_device_has_two_faults_and_all_end_in_time() -> None:
    names = [f"post-{number}" for number in range(200)]
    steps = list(timeline(names, 7, 600.0))
    struck = [step["device"] for step in steps if "device" in step and "fault" in step]
    assert len(struck) == len(set(struck))
    assert all(float(one["at"][:-1]) + float(one.get("for", "0s")[:-1]) <= 360.1 for one in steps)
    assert steps == list(timeline(names, 7, 600.0))
    assert steps != list(timeline(names, 8, 600.0))


def test_the_whole_city_has_all_its_devices() -> None:
    assert len(city_scenario(0, 1.0, 600.0)["devices"]) == 33 + 9 + 38 + 33 + 486 + 191 + 4 + 8 + 20 + 1032
