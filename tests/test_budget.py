"""The byte budget, with the time put in."""

import pytest

from agent.mqtt.byte_budget import SAVED_S, Budget

PER_HOUR = 3_600_000  # 1000 bytes a second


def test_without_a_budget_all_may_go() -> None:
    budget = Budget(None, 0.0)
    budget.spend(10**12, 0.0)
    assert budget.allows_telemetry(0.0)
    assert budget.allows_media(0.0)


def test_pictures_wait_at_half_and_telemetry_at_nothing() -> None:
    budget = Budget(PER_HOUR, 0.0)
    most = int(1000 * SAVED_S)
    budget.spend(most // 2, 0.0)
    assert (budget.allows_media(0.0), budget.allows_telemetry(0.0)) == (False, True)
    budget.spend(most // 2, 0.0)
    assert (budget.allows_media(0.0), budget.allows_telemetry(0.0)) == (False, False)
    assert budget.allows_telemetry(1.0)
    assert not budget.allows_media(SAVED_S / 2)
    assert budget.allows_media(SAVED_S / 2 + 1)


@pytest.mark.parametrize("message", [200, 5_000])
def test_over_an_hour_telemetry_takes_no_more_than_its_budget_and_what_was_saved(message: int) -> None:
    budget, sent = Budget(PER_HOUR, 0.0), 0
    for second in range(3600):
        for _ in range(20):
            if budget.allows_telemetry(second):
                budget.spend(message, second)
                sent += message
    assert PER_HOUR < sent <= PER_HOUR + 1000 * SAVED_S + message


def test_what_alerts_took_beyond_it_is_made_up_by_waiting() -> None:
    budget = Budget(PER_HOUR, 0.0)
    budget.spend(int(1000 * SAVED_S) + 60_000, 0.0)
    assert not budget.allows_telemetry(59.0)
    assert budget.allows_telemetry(61.0)


def test_a_long_silence_saves_no_more_than_its_share() -> None:
    budget = Budget(PER_HOUR, 0.0)
    budget.spend(int(1000 * SAVED_S), 10 * 86_400.0)
    assert not budget.allows_telemetry(10 * 86_400.0)
