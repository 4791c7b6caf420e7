"""Payloads as the contract with the centre says."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest

from agent.topics import LANES, SIMULATED_ROOT, Speaker, encode, new_id, stamp, wire

AT = datetime(2026, 11, 28, 6, 12, 31, 410_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (AT, "2026-11-28T06:12:31.410Z"),
        (AT.astimezone(timezone(timedelta(hours=8))), "2026-11-28T06:12:31.410Z"),
        (AT.replace(microsecond=0), "2026-11-28T06:12:31.000Z"),
    ],
)
def test_an_instant_is_utc_with_milliseconds(at: datetime, text: str) -> None:
    assert stamp(at) == text


def test_json_is_compact_and_has_no_infinity() -> None:
    assert encode({"at": AT, "for": timedelta(seconds=2.5), "text": "北桥"}) == (
        '{"at":"2026-11-28T06:12:31.410Z","for":2.5,"text":"北桥"}'.encode()
    )
    for number in (math.nan, math.inf):
        with pytest.raises(ValueError, match="JSON"):
            encode({"number": number})
    with pytest.raises(TypeError, match="no JSON for set"):
        encode({1, 2})


@pytest.mark.parametrize("root", ["ringpost/v1", SIMULATED_ROOT])
def test_the_envelope_is_whole_and_the_store_adds_its_numbers(root: str) -> None:
    message = Speaker(device="bridge-07", root=root).message(
        "status/1",
        {"state": "online", "none": None},
        lane="status", topic="status", session=41, clock={"source": "gnss", "error_ms": 20}, at=AT, retain=True,
    )  # fmt: skip
    sent = json.loads(wire(message.body, "e1", 9120))
    assert sent == {
        "epoch": "e1", "seq": 9120, "schema": "status/1", "id": message.id, "device": "bridge-07", "session": 41,
        "at": "2026-11-28T06:12:31.410Z", "clock": {"source": "gnss", "error_ms": 20}, "state": "online",
        **({"simulated": True} if root == SIMULATED_ROOT else {}),
    }  # fmt: skip
    assert "historical" not in sent


def test_a_late_message_says_so_and_a_repeat_is_the_same_message() -> None:
    body = encode({"id": "x", "latency_ms": {"finding_to_outbox": 1.2}})
    late = json.loads(wire(body, "e", 1, historical=True, steps={"outbox_to_sent": 1234.6}))
    assert late["historical"] is True
    assert late["latency_ms"] == {"finding_to_outbox": 1.2, "outbox_to_sent": 1234.6}
    assert json.loads(wire(body, "e", 1))["id"] == late["id"]
    assert "latency_ms" not in json.loads(wire(encode({"id": "y"}), "e", 1, steps={"outbox_to_sent": 5}))


def test_ids_sort_by_time_and_alerts_go_first() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert LANES == ("alert", "result", "status", "position", "telemetry", "media")
