"""The live table: what a consumer that follows the contract makes of what arrives, in whatever order."""

import io
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.cli.watch_board import WatchBoard

OLD_WILL = ("status", {"state": "offline", "session": 4})
NEW_LIFE = [
    ("status", {"state": "online", "reasons": [], "session": 5}),
    ("birth", {"kind": "watch_point", "session": 5}),
]


NOON = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.s = 1000.0

    def mono(self) -> float:
        return self.s

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.s - 1000)

    def at(self, ago_s: float = 0.0) -> str:
        return (self.now() - timedelta(seconds=ago_s)).isoformat()

    def board(self) -> WatchBoard:
        return WatchBoard(as_json=False, clock=self.mono, now=self.now)


def shown_table(board: WatchBoard, width: int = 60) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(board.table())
    return console.export_text()


def state(board: WatchBoard, device: str = "d") -> str:
    return board._devices[device].state


@pytest.mark.parametrize("order", [*itertools.permutations([OLD_WILL, *NEW_LIFE])], ids=str)
def test_an_old_connections_will_leaves_a_new_life_online(order: list[tuple[str, dict[str, Any]]]) -> None:
    board = WatchBoard(as_json=False)
    for topic, body in order:
        board.on_message("d", topic, body)
    assert state(board) == "online"


def test_who_comes_late_to_a_retained_old_will_learns_from_the_birth() -> None:
    board = WatchBoard(as_json=False)
    board.on_message("d", *OLD_WILL)
    board.on_message("d", *NEW_LIFE[1])
    assert state(board) == "online"


def test_the_centre_is_named_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    WatchBoard(as_json=False).on_message("host", "status", {"state": "online"})
    assert capsys.readouterr().out == "the centre: online\n"


def test_an_alert_is_shown_with_the_id_that_an_answer_needs(capsys: pytest.CaptureFixture[str]) -> None:
    alert = {"alert_id": "0a-1", "phase": "new", "severity": "critical", "text": "help"}
    board = WatchBoard(as_json=False)
    board.on_message("d", "alert", {"alert": alert})
    assert capsys.readouterr().out.splitlines()[0] == "d: new critical: help [0a-1]"
    board.on_message("d", "alerts/active", {"alerts": [alert]})
    assert "0a-1" in shown_table(board, 60)


def test_what_is_urgent_is_above_what_a_terminal_cuts() -> None:
    board = WatchBoard(as_json=False)
    for name, severity in (("a", None), ("b", "warning"), ("c", "critical"), ("d", None)):
        board.on_message(name, "birth", {"session": 5})
        alerts = [{"alert_id": name, "severity": severity, "text": "x"}] if severity else []
        board.on_message(name, "alerts/active", {"alerts": alerts})
    board.on_message("d", "status", {"state": "degraded", "reasons": ["no view"], "session": 5})
    shown = shown_table(board, 80)
    names = [line.split("│")[1].strip() for line in shown.splitlines() if "│" in line]
    assert [name for name in names if len(name) == 1] == ["c", "b", "d", "a"]


def test_the_present_connections_will_counts() -> None:
    board = WatchBoard(as_json=False)
    for topic, body in NEW_LIFE:
        board.on_message("d", topic, body)
    board.on_message("d", "status", {"state": "offline", "session": 5})
    assert state(board) == "offline"


def test_parts_in_trouble_are_named_and_others_are_not() -> None:
    board = WatchBoard(as_json=False)
    parts = [
        {"part": "gnss", "running": "waiting", "error": "unplugged"},
        {"part": "cam1", "running": "running", "speaking": False},
        {"part": "board", "running": "running", "speaking": True, "valid": True},
    ]
    board.on_message("d", "health", {"session": 1, "parts": parts})
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
    with WatchBoard(as_json=False) as board:
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
                board.on_message("d", topic, body)
                board.show()
        if on_terminal:
            Console(file=io.StringIO()).print(board._live.renderable)
    printed = capsys.readouterr().out
    assert "\x1b[2J" not in printed
    assert on_terminal or "d: " in printed


def test_a_device_on_the_equator_has_a_position() -> None:
    board = WatchBoard(as_json=False)
    board.on_message("d", "position", {"lat": 0, "lon": 32.5, "mode": "3d"})
    assert board._devices["d"].position == "0.00000 32.50000 3d"


CLOCK = {"source": "gnss", "error_ms": 1.0}


@pytest.mark.parametrize("will_first", [True, False])
@pytest.mark.parametrize("retained", [True, False])
def test_a_new_card_is_a_new_life_though_its_sessions_begin_anew(
    will_first: bool, retained: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Session 5, then 1: everything of the device was dropped, its alerts too."""
    clock = Clock()
    board = clock.board()
    will = "status", {"state": "offline", "session": 5, "connected_at": clock.at(3600)}
    birth = "birth", {"kind": "watch_point", "session": 1, "at": clock.at(10), "clock": CLOCK}
    for topic, body in (will, birth) if will_first else (birth, will):
        board.on_message("d", topic, body, retained=retained)
    assert state(board) == "online"
    board.on_message("d", "status", {"state": "degraded", "reasons": ["x"], "session": 1})
    board.on_message(
        "d", "alert", {"session": 1, "alert": {"phase": "new", "severity": "critical", "text": "help"}}
    )
    assert "d: new critical: help" in capsys.readouterr().out
    assert state(board) == "degraded"


def test_the_will_of_a_newer_connection_counts_without_its_birth() -> None:
    clock = Clock()
    board = clock.board()
    board.on_message("d", "birth", {"session": 5, "at": clock.at(100), "clock": CLOCK}, retained=True)
    will = {"state": "offline", "session": 6, "connected_at": clock.at(10)}
    board.on_message("d", "status", will, retained=True)
    assert state(board) == "offline"


def test_who_speaks_after_its_last_will_is_there() -> None:
    """Of an image restored twice with the same session number, the will can't be told from the life after."""
    board = Clock().board()
    board.on_message("d", "birth", {"session": 5})
    board.on_message("d", "status", {"state": "offline", "session": 5})
    board.on_message("d", "health", {"session": 5, "parts": []}, retained=True)
    assert state(board) == "offline"
    board.on_message("d", "position", {"session": 5, "lat": 1.0, "lon": 2.0})
    assert state(board) == "online"


def test_an_alert_of_an_earlier_session_that_comes_late_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    board = Clock().board()
    for topic, body in NEW_LIFE:
        board.on_message("d", topic, body)
    late = {"session": 3, "historical": True, "alert": {"phase": "new", "severity": "info", "text": "late"}}
    board.on_message("d", "alert", late)
    assert "d: new info: late" in capsys.readouterr().out


def test_a_dead_device_that_a_broker_calls_online_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """Broker and device died together: what is retained says online for ever."""
    clock = Clock()
    board = clock.board()
    told = {"session": 5, "clock": CLOCK, "at": clock.at(3 * 3600)}
    board.on_message("d", "status", told | {"state": "online", "reasons": []}, retained=True)
    board.on_message("d", "birth", told, retained=True)
    board.on_message("d", "health", told | {"parts": []}, retained=True)
    clock.s += 1
    board.show()
    assert capsys.readouterr().out == "d: silent since 09:00\n"
    assert "silent since 09:00" in shown_table(board, 80)
    assert "last report 3 h ago" in shown_table(board, 80)
    board.on_message("d", "health", told | {"at": clock.at(), "parts": []})
    assert capsys.readouterr().out == "d: online\n"
    assert "seen 0 s ago" in shown_table(board)


@pytest.mark.parametrize(("every_s", "silent_s"), [(60, 150), (10, 25), (600, 1500), ("x", 150)])
def test_silence_is_counted_in_health_intervals(
    every_s: Any, silent_s: float, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    board = clock.board()
    board.on_message("d", "birth", {"session": 1, "reporting": {"health_every_s": every_s}})
    clock.s += silent_s
    board.show()
    assert capsys.readouterr().out == "d: online\n"
    clock.s += 1
    board.show()
    board.show()
    assert capsys.readouterr().out == "d: silent since 12:00\n"


@pytest.mark.parametrize("source", ["unsynced", "gnss"])
def test_a_clock_that_can_not_be_trusted_dates_nothing(source: str) -> None:
    """What is retained of a device in 1970, or in the future, is as old as we know it."""
    clock = Clock()
    board = clock.board()
    at = "1970-01-01T00:00:00Z" if source == "unsynced" else clock.at(-3600)
    body = {"state": "online", "session": 1, "at": at, "clock": {"source": source}}
    board.on_message("d", "status", body, retained=True)
    assert board._devices["d"].describe(False, clock.mono(), clock.now()) == "online"
    clock.s += 151
    assert board._devices["d"].describe(False, clock.mono(), clock.now()) == "silent since 12:00"


@pytest.mark.parametrize("state", ["stopped", "offline"])
def test_who_said_goodbye_is_not_silent(state: str) -> None:
    clock = Clock()
    board = clock.board()
    board.on_message("d", "status", {"state": state, "session": 1})
    board.on_message("host", "status", {"state": "online"})
    clock.s += 10_000
    assert state in shown_table(board)
    assert "silent" not in shown_table(board)


def test_alerts_are_sorted_by_severity_and_age_and_fit_into_60_columns() -> None:
    clock = Clock()
    board = clock.board()
    texts = ["a person in the water at the north pier", "line crossed", "the panic button", "seen at dusk"]
    alerts = [
        {"severity": "info", "text": texts[3], "since": clock.at(10)},
        {"severity": "warning", "text": texts[1], "since": clock.at(7200), "over": True},
        {"severity": "critical", "text": texts[2], "since": clock.at(60),
         "acknowledged": {"role": "watch-officer", "action": "ack"}},
        {"severity": "critical", "text": texts[0], "since": clock.at(240)},
    ]  # fmt: skip
    board.on_message(
        "bridge-07", "position", {"lat": 1.5, "lon": 2.5, "mode": "3d", "at": clock.at(), "clock": CLOCK}
    )
    board.on_message("bridge-07", "alerts/active", {"alerts": alerts, "at": clock.at(), "clock": CLOCK})
    said = shown_table(board, 60)
    assert all(len(line) <= 60 for line in said.splitlines())
    right = " ".join(
        " ".join(line.split("│")[2].split()) for line in said.splitlines() if line.count("│") == 3
    )
    places = [right.index(text) for text in texts]
    assert places[0] < places[2] < places[1] < places[3]
    assert "critical 4 min a person" in right
    assert "the panic button [acknowledged by watch-officer]" in right
    assert "line crossed [cleared, awaiting acknowledgement]" in right


def test_a_retained_message_says_so_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    board = WatchBoard(as_json=True)
    board.on_message("d", "status", {"state": "online"}, retained=True)
    board.on_message("d", "status", {"state": "online"})
    assert ['"retained": true' in line for line in capsys.readouterr().out.splitlines()] == [True, False]


@pytest.mark.parametrize(("simulated", "mark"), [(True, " (simulated)"), (False, ""), ("yes", "")])
def test_a_simulated_device_is_shown_as_such(
    simulated: Any, mark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    board = clock.board()
    flag = {"simulated": simulated} if simulated else {}
    board.on_message("d", "status", {"state": "online", "reasons": [], **flag})
    alert = {"phase": "new", "severity": "critical", "text": "panic", "alert_id": "a1"}
    board.on_message("d", "alert", {"alert": alert, **flag})
    assert capsys.readouterr().out.splitlines() == [
        f"d{mark}: online",
        f"d{mark}: new critical: panic [a1]",
    ]
    assert (" (simulated)" in shown_table(board)) == bool(mark)
