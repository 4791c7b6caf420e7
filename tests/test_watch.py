"""The live table: what a consumer that follows the contract makes of what arrives, in whatever order."""

import io
import itertools
from typing import Any

import pytest

from agent.watch import Board

OLD_WILL = ("status", {"state": "offline", "session": 4})
NEW_LIFE = [
    ("status", {"state": "online", "reasons": [], "session": 5}),
    ("birth", {"kind": "watch_point", "session": 5}),
]


def state(board: Board, device: str = "d") -> str:
    return board._devices[device].state


@pytest.mark.parametrize("order", [*itertools.permutations([OLD_WILL, *NEW_LIFE])], ids=str)
def test_an_old_connections_will_leaves_a_new_life_online(order: list[tuple[str, dict[str, Any]]]) -> None:
    board = Board(as_json=False)
    for topic, body in order:
        board.hear("d", topic, body)
    assert state(board) == "online"


def test_who_comes_late_to_a_retained_old_will_learns_from_the_birth() -> None:
    board = Board(as_json=False)
    board.hear("d", *OLD_WILL)
    board.hear("d", *NEW_LIFE[1])
    assert state(board) == "online"


def test_the_centre_is_named_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    Board(as_json=False).hear("host", "status", {"state": "online"})
    assert capsys.readouterr().out == "the centre: online\n"


def test_the_present_connections_will_counts() -> None:
    board = Board(as_json=False)
    for topic, body in NEW_LIFE:
        board.hear("d", topic, body)
    board.hear("d", "status", {"state": "offline", "session": 5})
    assert state(board) == "offline"


def test_parts_in_trouble_are_named_and_others_are_not() -> None:
    board = Board(as_json=False)
    parts = [
        {"part": "gnss", "running": "waiting", "error": "unplugged"},
        {"part": "cam1", "running": "running", "speaking": False},
        {"part": "board", "running": "running", "speaking": True, "valid": True},
    ]
    board.hear("d", "health", {"session": 1, "parts": parts})
    assert board._devices["d"].parts == ["gnss: waiting", "cam1: running, silent"]


WRONG: list[Any] = [
    None,
    5,
    "x",
    "[/b] [red]",
    "\ud800",
    "\x1b[2J",
    [],
    {},
    [None],
    ["a"],
    [[]],
    {"a": 1},
    True,
    1e308,
]


@pytest.mark.parametrize("wrong", WRONG, ids=ascii)
@pytest.mark.parametrize("on_terminal", [False, True])
def test_no_message_of_a_device_ends_the_watch(
    wrong: Any, on_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    if on_terminal:
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with Board(as_json=False) as board:
        for topic, bodies in {
            "status": [{"state": wrong, "reasons": wrong}, {"state": "online", "session": wrong}],
            "birth": [{"kind": wrong}],
            "health": [
                {"parts": wrong},
                {"parts": [wrong]},
                {"parts": [{"part": wrong, "running": "waiting"}]},
            ],
            "position": [{"lat": wrong, "lon": wrong, "mode": wrong}, {"lat": 1.5}],
            "alert": [{"alert": wrong}, {"alert": {"phase": wrong, "severity": wrong, "text": wrong}}],
            "alerts/active": [{"alerts": wrong}, {"alerts": [wrong]}, {"alerts": [{"text": wrong}]}],
        }.items():
            for body in bodies:
                board.hear("d", topic, body)
                board.show()
        if on_terminal:
            Console(file=io.StringIO()).print(board._live.renderable)
    printed = capsys.readouterr().out
    assert "\x1b[2J" not in printed
    assert on_terminal or "d: " in printed


def test_a_device_on_the_equator_has_a_position() -> None:
    board = Board(as_json=False)
    board.hear("d", "position", {"lat": 0, "lon": 32.5, "mode": "3d"})
    assert board._devices["d"].position == "0.00000 32.50000 3d"
