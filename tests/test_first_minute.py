"""The model of the first minute: forces on their way, and configurations made on the spot."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.loader import parse
from simulators.first_minute.rescue import FORCES, SPEED_UP, positions
from simulators.first_minute.try_stage import try_config

BRIDGE = (32.1162, 118.7404)


def test_forces_wait_until_the_alert_and_are_there_in_time() -> None:
    before = positions(*BRIDGE, None, 100.0)
    assert before == positions(*BRIDGE, 50.0, 50.0)
    assert [one.force.name for one in before] == ["officers on the bridge", "patrol boat", "drone"]
    longest_s = max(one.remaining_s for one in before)
    there = positions(*BRIDGE, 50.0, 50.0 + longest_s / SPEED_UP)
    assert [one.to_go_m for one in there] == pytest.approx([0.0] * len(FORCES), abs=1e-6)
    assert all((one.lat, one.lon) == pytest.approx(BRIDGE) for one in there)


@given(st.floats(0, 1000), st.floats(0, 100))
def test_a_force_only_comes_nearer(now_s: float, later_s: float) -> None:
    first = {one.force: one.to_go_m for one in positions(*BRIDGE, 0.0, now_s)}
    second = {one.force: one.to_go_m for one in positions(*BRIDGE, 0.0, now_s + later_s)}
    assert all(second[force] <= first[force] for force in FORCES)


@pytest.mark.parametrize("source", ["0", "/dev/video2", "rtsp://camera.example/1", "clip.mp4"])
def test_what_is_tried_is_a_valid_configuration(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").touch()
    config = {**try_config(source), "broker": {"url": "mqtt://127.0.0.1:1"}}
    (camera,) = parse(json.dumps(config), name="try", base=tmp_path).cameras().values()
    assert camera.loop == (source == "clip.mp4")


def test_a_clip_that_is_missing_is_told() -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.mp4"):
        try_config("nothing.mp4")
