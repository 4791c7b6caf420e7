"""The queue of alerts: its order, its states, and what is never an alarm."""

from typing import Any

import pytest

from centre.map.alert_queue import MAX_OF_A_DEVICE, AlertQueue
from centre.map.queued_alert import NOT_LISTED
from centre.map.situation import Situation
from tests.map_rows import Rows, later

ANSWER = {"role": "watch-officer", "action": "ack", "at": "2026-11-30T12:00:20Z"}
STATES: list[tuple[str, list[tuple[float, dict[str, Any]]], str, bool, str]] = [
    ("new", [(0, {})], "open", True, "alert"),
    ("an update", [(0, {}), (10, {"phase": "update"})], "open", True, "alert"),
    (
        "acknowledged",
        [(0, {}), (20, {"phase": "update", "acknowledged": ANSWER})],
        "acknowledged",
        False,
        "alert",
    ),
    ("over, but not acknowledged", [(0, {}), (20, {"phase": "update", "over": True})], "open", True, "alert"),
    ("ended", [(0, {}), (20, {"phase": "end", "reason": "cleared"})], "ended", False, "alert"),
    (
        "ended, then a late update",
        [(0, {}), (20, {"phase": "end"}), (10, {"phase": "update"})],
        "ended",
        False,
        "alert",
    ),
    ("a drill", [(0, {"phase": "drill", "drill": True, "severity": "info"})], "ended", False, "drill"),
    ("simulated", [(0, {"simulated": True})], "open", False, "simulated"),
    ("historical", [(0, {"historical": True})], "open", False, "historical"),
    (
        "historical, and still there",
        [(0, {"historical": True}), (9, {"phase": "update"})],
        "open",
        True,
        "alert",
    ),
    ("an end without a beginning", [(0, {"phase": "end"})], "ended", False, "alert"),
]


@pytest.mark.parametrize(
    ("messages", "state", "alarm", "shown_as"), [one[1:] for one in STATES], ids=[one[0] for one in STATES]
)
def test_states(messages: list[tuple[float, dict[str, Any]]], state: str, alarm: bool, shown_as: str) -> None:
    queue, rows = AlertQueue(), Rows()
    for at_s, fields in messages:
        queue.apply(rows.alert(at_s, **fields))
    [alert] = queue.all()
    assert (alert.state, alert.alarm, alert.shown_as) == (state, alarm, shown_as)


def test_the_queue_is_ordered_by_severity_and_age() -> None:
    queue, rows = AlertQueue(), Rows()
    queue.apply(rows.alert(0, "ended", phase="end"))
    queue.apply(rows.alert(1, "warning", severity="warning"))
    queue.apply(rows.alert(2, "answered", acknowledged=ANSWER))
    queue.apply(rows.alert(3, "older"))
    queue.apply(rows.alert(4, "newer", device="post-1"))
    queue.apply(rows.alert(5, "unheard-of", severity="catastrophic"))
    queue.apply(rows.alert(0, "test", simulated=True))
    ids = [alert.alert_id for alert in queue.all()]
    assert ids == ["older", "newer", "unheard-of", "answered", "warning", "test", "ended"]


def test_an_alarm_sounds_once() -> None:
    situation, rows = Situation(), Rows()
    change = situation.apply([rows.alert(0)])
    assert [alert.alert_id for alert in change.new_alarms] == ["a1"]
    assert situation.apply([rows.alert(10, phase="update")]).new_alarms == ()
    listed = rows("alerts/active", 11, count=1, alerts=[{"alert_id": "a1", "severity": "critical"}])
    assert situation.apply([listed]).new_alarms == ()


def test_the_list_of_a_device_ends_what_it_does_not_name() -> None:
    queue, rows = AlertQueue(), Rows()
    queue.apply(rows.alert(0, "a1"))
    queue.apply(rows.alert(0, "a2"))
    queue.apply(rows.alert(0, "b1", device="post-1"))
    queue.apply(rows("alerts/active", 60, count=5, alerts=[{"alert_id": "a1"}]))  # not complete
    assert len(queue.unfinished()) == 3
    queue.apply(rows("alerts/active", 61, count=1, alerts=[{"alert_id": "a1"}]))
    ended = queue.get("boat-7", "a2")
    assert ended is not None
    assert (ended.state, ended.end_reason) == ("ended", NOT_LISTED)
    assert {alert.alert_id for alert in queue.unfinished()} == {"a1", "b1"}
    queue.apply(rows.alert(70, "a2", phase="update"))  # it was on its way
    assert ended.state == "open"


def test_an_alert_that_only_the_list_knows_is_in_the_queue() -> None:
    queue, rows = AlertQueue(), Rows()
    fields = {"alert_id": "a9", "severity": "warning", "text": "boat adrift", "since": "2026-11-30T11:00:00Z"}
    queue.apply(rows("alerts/active", 0, count=1, alerts=[fields]))
    [alert] = queue.all()
    assert (alert.text, alert.state, alert.age_s(later(0))) == ("boat adrift", "open", 3600)


def test_place_ledger_and_picture() -> None:
    queue, rows = AlertQueue(), Rows()
    point = {"lat": 32.0, "lon": 118.0, "error_m": 12.5, "how": "ground_plane"}
    queue.apply(
        rows.alert(0, point=point, media=["media/a1/1"], latency_ms={"finding_to_outbox": 3.5, "x": "y"})
    )
    [alert] = queue.all()
    assert alert.point is not None
    assert (alert.point.error_m, alert.point.how) == (12.5, "ground_plane")
    assert alert.pictures == ("boat-7/a1-1.jpg",)
    assert alert.steps_ms == {"finding_to_outbox": 3.5, "device_to_centre": 0.0}


def test_a_device_that_floods_pushes_out_its_own_alerts_only() -> None:
    queue, rows = AlertQueue(), Rows()
    queue.apply(rows.alert(0, "mine", device="post-1"))
    for number in range(MAX_OF_A_DEVICE + 500):
        queue.apply(rows.alert(number, f"flood-{number}"))
    assert queue.get("post-1", "mine") is not None
    assert len(queue.of_device("boat-7")) <= MAX_OF_A_DEVICE
    assert queue.left_out >= 500
    assert queue.get("boat-7", "flood-0") is not None


@pytest.mark.parametrize("alert_id", [None, 7, "", "../../etc/passwd", "a b", "x" * 65, "<b>"])
def test_an_alert_without_a_usable_id_is_counted(alert_id: Any) -> None:
    queue = AlertQueue()
    queue.apply(Rows().alert(0, alert_id))
    assert (len(queue), queue.malformed) == (0, 1)


def test_a_list_of_the_past_ends_no_alert() -> None:
    """Without a clock a list that was kept on the way has the time of its commit; its number says better."""
    rows = Rows()
    past = rows(
        "alerts/active", -100, received_s=5, historical=True, clock={"source": "unsynced"}, count=0, alerts=[]
    )
    other = rows("alerts/active", 6, clock={"source": "unsynced"}, count=0, alerts=[])
    queue = AlertQueue()
    for message in (rows.alert(0), past, other):
        queue.apply(message)
    assert [alert.state for alert in queue.all()] == ["open"]
    queue.apply(rows("alerts/active", 7, clock={"source": "unsynced"}, count=0, alerts=[]))
    assert [alert.state for alert in queue.all()] == ["ended"]
