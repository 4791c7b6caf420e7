"""Payloads as the contract with the centre says."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest

from agent.domain.message import LANES, SIMULATED_ROOT, encode, new_id, stamp
from agent.mqtt.envelope import Envelope, restamp, shortened, wire

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
    message = Envelope(device="bridge-07", root=root).message(
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


def test_a_message_from_before_the_clock_was_set_is_restamped_and_says_so() -> None:
    body = encode(
        {"id": "x", "at": "1970-01-01T00:01:00.000Z", "alert": {"since": "1970-01-01T00:00:50.000Z", "text": "t"},
         "values": [{"at": "1970-01-01T00:00:55.500Z", "time": "2020-01-01T00:00:00.000Z"}]}
    )  # fmt: skip
    fixed = json.loads(restamp(body, 40.0, AT))
    assert fixed["at"] == "2026-11-28T06:11:51.410Z"
    assert fixed["alert"] == {"since": "2026-11-28T06:11:41.410Z", "text": "t"}
    assert fixed["values"] == [{"at": "2026-11-28T06:11:46.910Z", "time": "2020-01-01T00:00:00.000Z"}]
    assert fixed["restamped_by_s"] > 1e9
    assert fixed["id"] == "x"


@pytest.mark.parametrize("off_s", [-4.9, 0.0, 4.9])
def test_a_message_whose_time_agrees_is_left_as_it_is(off_s: float) -> None:
    body = encode({"at": AT - timedelta(seconds=40 + off_s)})
    assert restamp(body, 40.0, AT) == body
    assert restamp(b"{}", 40.0, AT) == b"{}"


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_jumped_by_a_day_either_way_is_made_good(days: int) -> None:
    body = encode({"at": AT + timedelta(days=days)})
    assert json.loads(restamp(body, 0.0, AT)) == {"at": stamp(AT), "restamped_by_s": -86400.0 * days}


@pytest.mark.parametrize("root", ["ringpost/v1", SIMULATED_ROOT])
def test_a_last_will_and_a_shortened_status_say_that_they_are_simulated(root: str) -> None:
    envelope = Envelope(device="bridge-07", root=root)
    topic, will = envelope.last_will(41, AT)
    assert (topic, json.loads(will)) == (
        f"{root}/bridge-07/status",
        {
            "schema": "status/1", "device": "bridge-07", "session": 41, "state": "offline",
            "connected_at": "2026-11-28T06:12:31.410Z", **({"simulated": True} if root == SIMULATED_ROOT else {}),
        },
    )  # fmt: skip
    status = envelope.message(
        "status/1", {"state": "degraded", "reasons": ["x" * 200] * 20},
        lane="status", topic="status", session=41, clock={"source": "gnss", "error_ms": 20}, at=AT,
    )  # fmt: skip
    for most in (1000, 250, 120, 1):
        assert json.loads(shortened(status.body, most)).get("simulated", False) == (root == SIMULATED_ROOT)
