"""What the broker does not take: said in one line a lane, and never more of it than fits."""

from agent.mqtt.quarantine import MOST, Quarantine
from agent.outbox.opening import memory_store
from agent.outbox.rows import Row

SPARE = memory_store()


def row(number: int) -> Row:
    return Row("media", number, f"id-{number}", f"media/a/{number}", b"", 1, False, None, 0.0, "e", SPARE)


def test_a_broker_that_takes_no_picture_at_all_fills_no_memory() -> None:
    aside = Quarantine()
    for number in range(10 * MOST):
        aside.record_too_large(row(number), 60_000, 32_000)
    assert aside.troubles() == {
        "media aside": f"media: {MOST} set aside, last media/a/{10 * MOST - 1}:"
        " 60000 bytes are more than the broker takes (32000)"
    }
    assert not aside.is_waiting(row(0), 0.0)
