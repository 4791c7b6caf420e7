"""When the position goes out: on a change, and otherwise within the time that the last one promised."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.reporting.position_schedule import HEARTBEAT_S, PositionSchedule

METRE = 1 / 111_195
"""In degrees of latitude."""
Track = list[dict[str, Any]]


def sent(
    fixes: Track, every_s: float = 5.0, keys: list[str] | None = None, *, steady: bool = False
) -> list[tuple[int, float]]:
    """Where one fix a second is known: at which seconds the position goes out, and what each one promises."""
    schedule, found = PositionSchedule(), []
    for now_s, fix in enumerate(fixes):
        key = ((keys or [""] * len(fixes))[now_s],)
        if schedule.due(key, fix, every_s, now_s, steady=steady):
            found.append((now_s, schedule.sent(key, fix, every_s, now_s, steady=steady)))
    return found


def fix(north_m: float = 0.0, speed_mps: float | None = None, error_m: float | None = 3.0) -> dict[str, Any]:
    return {"lat": 32.0 + north_m * METRE, "lon": 118.0, "error_m": error_m, "speed_mps": speed_mps}


POST = {"lat": 32.0, "lon": 118.0, "mode": "surveyed"}
UNDER_WAY = [fix(9.0 * second, 9.0) for second in range(30)]
AT_REST = [fix(second % 3 - 1, 0.2) for second in range(181)]
DRIFTS = [fix(0.4 * second, 0.4) for second in range(61)]
STOPS = [*UNDER_WAY, *[fix(9.0 * 29, 0.0)] * 100]


@pytest.mark.parametrize(
    ("fixes", "seconds", "promises"),
    [
        ([POST] * 181, [0, 60, 120, 180], {60.0}),
        (AT_REST, [0, 60, 120, 180], {60.0}),
        (UNDER_WAY, [0, 5, 10, 15, 20, 25], {5.0}),
        (DRIFTS, [0, 8, 16, 24, 32, 40, 48, 56], {60.0}),
        (STOPS, [0, 5, 10, 15, 20, 25, 30, 90], {5.0, 60.0}),
        ([{"mode": "none"}] * 70, [0, 60], {60.0}),
        ([{"mode": "none"}] * 3 + [fix()] * 10, [0, 5], {60.0}),
    ],
    ids=["surveyed", "at rest", "under way", "drifts", "stops", "unknown", "found"],
)
def test_a_device_says_where_it_is_when_it_moves_and_once_a_minute(
    fixes: Track, seconds: list[int], promises: set[float]
) -> None:
    found = sent(fixes)
    assert [second for second, _ in found] == seconds
    assert {within for _, within in found} == promises


def test_another_mode_or_trust_is_told_at_once() -> None:
    assert [second for second, _ in sent([POST] * 10, keys=["a"] * 4 + ["b"] * 6)] == [0, 4]


def test_the_configured_interval_is_the_fastest_rate_and_in_rescue_mode_the_only_one() -> None:
    assert [second for second, _ in sent(UNDER_WAY, every_s=10.0)] == [0, 10, 20]
    assert sent([POST] * 301, every_s=300.0) == [(0, 300.0), (300, 300.0)]
    assert sent([POST] * 4, every_s=1.0, steady=True) == [(second, 1.0) for second in range(4)]


STEP = st.tuples(st.floats(-50, 50), st.none() | st.floats(0, 30), st.none() | st.floats(0.1, 100))


@given(st.lists(STEP, min_size=1, max_size=200), st.sampled_from([1.0, 5.0, 30.0, 90.0]))
def test_each_promise_is_kept_and_no_move_is_hidden(
    steps: list[tuple[float, float | None, float | None]], every_s: float
) -> None:
    track, north_m = [], 0.0
    for move_m, speed_mps, error_m in steps:
        north_m += move_m
        track.append(fix(north_m, speed_mps, error_m))
    found = sent(track, every_s)
    ends = [second for second, _ in found[1:]] + [len(track)]
    for (second, within_s), end in zip(found, ends, strict=True):
        assert end - second <= within_s + 1
        assert within_s <= max(HEARTBEAT_S, every_s)
        for later in range(second + int(every_s), end):
            moved_m = abs(track[later]["lat"] - track[second]["lat"]) / METRE
            assert moved_m <= (track[later]["error_m"] or 5.0) * 1.01
