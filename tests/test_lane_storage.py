"""Lanes, numbers, epochs and segments: the order of messages, and what leaves without being sent."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from agent.domain.message import LANES, LATEST_LANES, new_id
from agent.outbox.lane_storage import LaneStorage
from tests.outbox_rig import copied, gaps, handed_out_again, ids, message, put


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[LaneStorage]:
    found = LaneStorage(tmp_path, 32_000_000)
    yield found
    found.close()


def test_lanes_go_out_in_their_order_and_each_from_its_oldest(storage: LaneStorage) -> None:
    given = [message(lane) for lane in reversed(LANES) for _ in range(2) if lane not in LATEST_LANES]
    put(storage, *given)
    rows = storage.due(100, LANES)
    assert [row.lane for row in rows] == [
        lane for lane in LANES for _ in range(2) if lane not in LATEST_LANES
    ]
    for lane in LANES:
        assert ids([row for row in rows if row.lane == lane]) == [one.id for one in given if one.lane == lane]
        assert [row.seq for row in rows if row.lane == lane] in ([], [1, 2])


def test_nothing_is_handed_out_twice_without_a_rewind(storage: LaneStorage) -> None:
    put(storage, *(message("telemetry") for _ in range(5)), *(message("alert") for _ in range(5)))
    first = [storage.due(3, LANES) for _ in range(5)]
    assert [len(rows) for rows in first] == [3, 3, 3, 1, 0]
    storage.rewind(LANES)
    assert ids(storage.due(100, LANES)) == [row.id for rows in first for row in rows]


def test_settled_rows_are_not_handed_out_after_a_rewind(storage: LaneStorage) -> None:
    put(storage, *(message("telemetry") for _ in range(4)))
    rows = storage.due(4, LANES)
    storage.delete(rows[:2])
    storage.rewind(LANES)
    assert ids(storage.due(4, LANES)) == ids(rows[2:])


def test_a_newer_status_replaces_an_unsent_one_and_keeps_its_number(storage: LaneStorage) -> None:
    put(storage, message("status", "status"), message("status", "health"))
    newer = message("status", "status")
    put(storage, newer)
    rows = storage.due(10, LANES)
    assert [(row.topic, row.seq) for row in rows] == [("status", 1), ("health", 2)]
    assert rows[0].id == newer.id
    newest = message("status", "status")  # the last one is under way: it is not touched
    put(storage, newest)
    assert [(row.id, row.seq) for row in storage.due(10, LANES)] == [(newest.id, 3)]


def test_status_does_not_outlive_its_connection_and_begins_a_new_epoch(storage: LaneStorage) -> None:
    put(storage, message("status"), message("position", qos=0))
    epoch = storage.epoch("status")
    storage.rewind(LANES)
    assert storage.due(10, LANES) == []
    put(storage, message("status"))
    (row,) = storage.due(10, LANES)
    assert row.seq == 1
    assert row.epoch == storage.epoch("status") != epoch


def test_a_receipt_takes_exactly_the_messages_that_it_names(storage: LaneStorage) -> None:
    given = [message("alert"), message("result"), message("alert"), message("telemetry")]
    put(storage, *given)
    assert (
        storage.alerts.record_receipts([given[0].id, given[1].id, given[3].id, new_id(), "", "x" * 9000]) == 2
    )
    assert ids(storage.due(10, LANES)) == [given[2].id, given[3].id]
    assert storage.alerts.record_receipts([one.id for one in given] * 600) == 1
    assert storage.depth()["alert"] == 0


def test_a_restart_keeps_alerts_telemetry_session_and_numbers(tmp_path: Path) -> None:
    first = LaneStorage(tmp_path, 32_000_000)
    given = [message("alert"), message("result"), message("telemetry", expires_after=timedelta(hours=1))]
    first.put(given, {"alerts/active": b"[1]"}, [])
    first.alerts.write("session", b"7")
    epochs = [first.epoch(lane) for lane in ("alert", "telemetry")]
    first.close()
    second = LaneStorage(tmp_path, 32_000_000)
    rows = second.due(10, LANES)
    assert ids(rows) == [one.id for one in given]
    assert [row.body for row in rows] == [one.body for one in given]
    assert rows[2].expires_s == pytest.approx(3600, abs=60)
    assert second.alerts.read("session") == b"7"
    assert second.alerts.read("remember/alerts/active") == b"[1]"
    assert [row.epoch for row in rows] == [epochs[0], epochs[0], epochs[1]]
    assert second.epoch("alert") != epochs[0]
    assert second.epoch("telemetry") == epochs[1]
    second.delete(rows)
    second.put([message("alert"), message("telemetry")], {}, [])
    assert [(row.epoch, row.seq) for row in second.due(10, LANES)] == [
        (second.epoch("alert"), 1),
        (epochs[1], 2),
    ]
    second.close()


def test_another_boot_knows_no_age_and_expires_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = LaneStorage(tmp_path, 32_000_000)
    first.put([message("telemetry", expires_after=timedelta(0))], {}, [])
    first.close()
    monkeypatch.setattr("agent.host.clock.boot_id", lambda: "another")
    second = LaneStorage(tmp_path, 32_000_000)
    (row,) = second.due(10, ["telemetry"])
    assert (row.expires_s, row.age_s) == (None, None)
    second.close()


def test_after_a_lost_power_telemetry_is_numbered_anew_and_the_loss_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = LaneStorage(tmp_path, 32_000_000)
    first.put([message("telemetry"), message("telemetry"), message("alert")], {}, [])
    old = first.epoch("telemetry")
    copy = copied(tmp_path)  # as the files are now, never closed
    monkeypatch.setattr("agent.host.clock.boot_id", lambda: "another")
    second = LaneStorage(copy, 32_000_000)
    second.put([message("telemetry")], {}, [])
    rows = second.due(10, ["telemetry"])
    assert [(row.epoch == old, row.seq) for row in rows] == [(True, 1), (True, 2), (False, 1)]
    (gap,) = gaps(second)
    assert (gap["of_epoch"], gap["lane"], gap["first"], gap["last"]) == (old, "telemetry", 3, None)
    assert "power was lost" in str(gap["why"])
    (alert,) = second.due(10, ["alert"])  # nothing of alerts was lost
    assert (alert.epoch, alert.seq) == (first.epoch("alert"), 1)
    first.close()
    second.close()


def accounted(told: list[dict[str, object]]) -> set[int]:
    return {seq for gap in told for seq in range(int(str(gap["first"])), int(str(gap["last"])) + 1)}


@pytest.mark.slow
def test_over_its_budget_telemetry_thins_out_evenly_and_each_row_is_accounted_for(tmp_path: Path) -> None:
    storage = LaneStorage(tmp_path, 16_000_000)
    body = b'{"x":"' + b"x" * 4000 + b'"}'
    for _ in range(160):
        storage.put([message("telemetry", body=body) for _ in range(50)], {}, [])
    storage.put([message("alert") for _ in range(3)], {}, [])
    assert sum(path.stat().st_size for path in tmp_path.glob("telemetry-*")) < 11_000_000
    here = [row.seq for row in storage.due(10_000, ["telemetry"])]
    told = gaps(storage)
    assert set(here) | accounted(told) == set(range(1, 8001))
    assert sum(int(str(gap["count"])) for gap in told) == 8000 - len(here) > 0
    # From its beginning to its end: no stretch of it is missing, and the oldest is as dense as the rest.
    steps = [later - earlier for earlier, later in pairwise(here)]
    assert here[0] == 1
    assert here[-1] > 7990
    assert max(steps) <= 16
    quarter = len(steps) // 4
    assert max(steps[:quarter]) <= 4 * max(steps[quarter : 2 * quarter])
    assert all(gap["of_epoch"] == storage.epoch("telemetry") for gap in told)
    assert len(storage.due(10, ["alert"])) == 3
    storage.close()
    again = LaneStorage(tmp_path, 16_000_000)
    assert [row.seq for row in again.due(10_000, ["telemetry"])] == here
    again.close()


def test_what_was_handed_out_before_it_was_thinned_leaves_when_it_is_settled(tmp_path: Path) -> None:
    storage = LaneStorage(tmp_path, 8_000_000)
    body = b'{"x":"' + b"x" * 4000 + b'"}'
    storage.put([message("telemetry", body=body) for _ in range(200)], {}, [])
    rows = storage.due(200, ["telemetry"])
    for _ in range(40):
        storage.put([message("telemetry", body=body) for _ in range(50)], {}, [])
    assert any(row.store.closed for row in rows)
    storage.delete(rows)
    assert min(row.seq for row in handed_out_again(storage) if row.lane == "telemetry") > 200
    storage.close()


def test_over_its_budget_the_oldest_pictures_go_and_no_telemetry(tmp_path: Path) -> None:
    storage = LaneStorage(tmp_path, 8_000_000)
    storage.put([message("telemetry") for _ in range(10)], {}, [])
    for _ in range(40):
        storage.put([message("media", body=b"\xff\xd8" + b"x" * 60_000) for _ in range(5)], {}, [])
    here = [row.seq for row in storage.due(10_000, ["media"])]
    told = gaps(storage)
    assert {gap["lane"] for gap in told} == {"media"}
    assert accounted(told) == set(range(1, here[0]))
    assert here == list(range(here[0], 201))
    assert len(storage.due(100, ["telemetry"])) == 10
    storage.close()


def test_what_expired_is_not_sent_and_is_told_in_runs(storage: LaneStorage) -> None:
    soon, never = timedelta(seconds=-1), None
    put(storage, *(message("telemetry", expires_after=one) for one in (soon, soon, never, soon)))
    assert [row.seq for row in storage.due(10, ["telemetry"])] == [3]
    assert [(gap["first"], gap["last"], gap["count"]) for gap in gaps(storage)] == [(1, 2, 2), (4, 4, 1)]
    assert storage.depth()["telemetry"] == 1


def test_empty_segments_leave_the_disk(tmp_path: Path) -> None:
    storage = LaneStorage(tmp_path, 32_000_000)
    body = b'{"x":"' + b"x" * 4000 + b'"}'
    for _ in range(20):
        storage.put([message("telemetry", body=body) for _ in range(50)], {}, [])
    assert len(list(tmp_path.glob("telemetry-*.db"))) > 3
    storage.delete(storage.due(10_000, ["telemetry"]))
    assert len(list(tmp_path.glob("telemetry-*.db"))) == 1
    storage.put([message("telemetry")], {}, [])
    assert [row.seq for row in storage.due(10, ["telemetry"])] == [1001]
    storage.close()
