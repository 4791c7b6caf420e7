"""Health: running, speaking, valid, each told apart; time is injected."""

from datetime import UTC, datetime
from typing import Any

from agent.domain.observations import CameraState, Observation
from agent.runtime.health import UNREADABLE, Health, Running
from firmware_bridge.readings import BoardState, Fix, LineState

AT = datetime(2026, 11, 28, tzinfo=UTC)


def heard(health: Health, *said: tuple[float, Any]) -> None:
    for second, value in said:
        health.on_observation(Observation("gnss", AT, second, value))


def started(second: float = 0) -> Health:
    health = Health()
    health.set_running("gnss", Running("running"), second)
    return health


FIX = Fix(mode="none")


def test_a_source_that_speaks_is_well() -> None:
    health = started()
    heard(health, *((second, FIX) for second in range(20)))
    assert health.reasons(20) == []
    (part,) = health.parts(20)
    assert (part["running"], part["speaking"], part["age_s"]) == ("running", True, 1)


def test_silence_is_said_after_five_seconds_or_five_intervals() -> None:
    health = started()
    heard(health, *((second, FIX) for second in range(20)))
    assert health.reasons(24) == []
    assert health.reasons(26) == ["gnss: silent for 7 s"]
    slow = started()
    heard(slow, *((second, FIX) for second in range(0, 600, 10)))
    assert slow.reasons(590 + 40) == []
    assert slow.reasons(590 + 60) == ["gnss: silent for 60 s"]


def test_an_outage_does_not_make_the_next_silence_usual() -> None:
    """A cable that comes and goes: an hour without, three words, and gone again."""
    health = started()
    heard(health, *((second, FIX) for second in range(20)))
    health.set_running("gnss", Running("waiting", "/dev/ttyUSB0 is not there"), 20)
    health.set_running("gnss", Running("running"), 3599)
    heard(health, *((second, FIX) for second in (3600, 3601, 3602)))
    assert health.reasons(3602 + 40) == ["gnss: silent for 40 s"]


def test_a_source_that_never_spoke_has_time_to_start() -> None:
    health = started()
    assert health.reasons(10) == []
    assert health.reasons(16) == ["gnss: silent"]


def test_a_part_that_waits_says_why() -> None:
    health = started()
    heard(health, (1, FIX))
    health.set_running("gnss", Running("waiting", "/dev/ttyUSB0 is not there"), 2)
    assert health.reasons(3) == ["gnss: /dev/ttyUSB0 is not there"]


def test_a_damaged_line_is_not_valid_though_it_speaks() -> None:
    health = started()
    heard(health, (1, FIX), (2, LineState(good={"nmea": 100}, bad={"nmea": 2})))
    assert health.reasons(3) == []
    heard(health, (7, FIX), (7, LineState(good={"nmea": 110}, bad={"nmea": 30}, skipped_bytes=512)))
    assert health.reasons(8) == ["gnss: many of its packets are damaged"]
    assert health.parts(8)[0]["skipped_bytes"] == 512


def test_a_line_at_the_wrong_speed_is_not_just_silent() -> None:
    health = started()
    heard(health, (5, LineState(skipped_bytes=20)))
    assert health.parts(6)[0]["valid"] is True
    heard(health, (10, LineState(skipped_bytes=500)))
    assert health.reasons(30) == ["gnss: no valid packets: check baud rate and protocol"]
    heard(health, (15, LineState(skipped_bytes=500)))
    assert health.reasons(30) == ["gnss: silent"]


def test_a_line_that_was_opened_anew_counts_from_zero() -> None:
    health = started()
    heard(
        health,
        (1, FIX),
        (2, LineState(good={"nmea": 100}, bad={"nmea": 50})),
        (7, LineState(good={"nmea": 9})),
    )
    assert health.parts(8)[0]["valid"] is True


def test_states_that_follow_at_once_make_no_unreadable_line_look_healthy() -> None:
    """A line gives its state before it closes, perhaps just after the last one; and it may close at once."""
    health = started()
    unreadable = [f"gnss: {UNREADABLE}"]
    heard(health, (5, LineState(skipped_bytes=500)), (5.01, LineState(skipped_bytes=510)))
    assert health.reasons(5.1) == unreadable
    heard(health, (5.2, LineState()), (5.9, LineState()))
    assert health.reasons(6) == unreadable
    heard(health, (6.5, LineState()))
    assert health.reasons(7) == []


def test_what_a_camera_says_of_itself_is_no_sign_of_life() -> None:
    health = started()
    heard(health, (1, FIX), (20, CameraState(frames=5, skipped=1, width=640, height=480)))
    assert health.reasons(20) == ["gnss: silent for 19 s"]


def test_a_part_that_is_no_more_is_forgotten() -> None:
    health = started()
    health.forget("gnss")
    heard(health, (1, FIX))
    assert health.parts(60) == []


def test_a_board_that_began_anew_is_said_for_a_minute_also_over_an_unplugging() -> None:
    health = started()
    heard(health, (1, FIX), (1, BoardState(boot=4)), (2, BoardState(boot=4, hears=True)))
    assert health.reasons(3) == []
    heard(health, (9, FIX), (9, BoardState(boot=5)))  # the line was opened anew: it counts from 0 again
    assert health.reasons(10) == ["gnss: it restarted by itself (start 5)"]
    heard(health, (80, FIX), (80, BoardState(boot=5, restarts=1)))
    assert health.parts(80)[0]["restarts"] == 2
    heard(health, (145, FIX))
    assert health.reasons(145) == []


def test_what_a_board_says_of_itself_is_a_reason() -> None:
    health = started()
    board = BoardState(hears=False, failed=("smoke", "temperature"), refused=("siren",))
    heard(health, (1, FIX), (1, board))
    assert health.reasons(3) == [
        "gnss: it does not answer: check the wire to it",
        "gnss: failed: smoke, temperature",
        "gnss: it can't switch: siren",
    ]


def test_packets_that_never_came_are_counted() -> None:
    health = started()
    heard(health, (1, FIX), (2, LineState(good={"cobs": 10}, lost=3)))
    assert health.parts(3)[0]["lost"] == 3
