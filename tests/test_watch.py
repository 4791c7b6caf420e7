"""The live table: what a consumer that follows the contract makes of what arrives, in whatever order."""

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
