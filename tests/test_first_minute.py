"""The model of the first minute: forces on their way, and configurations made on the spot."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.loader import parse
from console.web.texts import chinese
from simulators.first_minute.demo_board import DemoBoard
from simulators.first_minute.demo_stage import TRICKS
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


def committed(number: int, phase: str, rule: str = "panic", **more: Any) -> tuple[str, str, dict[str, Any]]:
    alert = {"alert_id": rule, "rule": rule, "phase": phase, "severity": "critical", "text": "on"}
    return "d", "alert", {"id": f"i{number}", "at": "2026-11-30T12:00:00Z", "alert": alert} | more


def test_the_board_counts_each_message_once_and_knows_what_is_active() -> None:
    board = DemoBoard(now=lambda: datetime(2026, 11, 30, 12, 0, 2, tzinfo=UTC))
    for message in (committed(1, "new"), committed(1, "new"), committed(2, "new", "east-railing")):
        board.take(*message)
    assert board.committed == 2
    assert set(board.active) == {"panic", "east-railing"}
    assert board.rescue_began_at == datetime(2026, 11, 30, 12, 0, 2, tzinfo=UTC)
    assert [line.seconds for line in board.lines] == [2.0, 2.0]
    board.take(*committed(3, "end", "east-railing"))
    assert board.rescue_began_at is None
    assert set(board.active) == {"panic"}
    board.take("d", "config/reported", {"state": "rolled_back", "reason": "no broker\x1b[2J"})
    assert board.pushed.startswith("rolled_back: no broker")
    assert "\x1b" not in board.pushed


@given(
    st.dictionaries(
        st.sampled_from(["id", "at", "alert", "state", "reasons"]), st.none() | st.integers() | st.text()
    )
)
def test_a_malformed_message_ends_nothing(body: dict[str, Any]) -> None:
    board = DemoBoard()
    for topic in ("alert", "status", "config/reported", "health"):
        board.take("d", topic, body)
    assert board.number == 4


def test_each_text_of_the_demo_has_a_chinese_one() -> None:
    texts = {trick.name for trick in TRICKS} | {trick.expect for trick in TRICKS}
    texts |= {force.name for force in FORCES}
    assert texts <= set(chinese())
