"""The outbox: what was put is still there, or was handed over, or its loss was told."""

import asyncio
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.domain.message import KEEP_LATEST, LANES, Lane, Message, new_id
from agent.outbox.bulk_storage import MOST_IN_MEMORY
from agent.outbox.database import FullError
from agent.outbox.lane_storage import LaneStorage
from agent.outbox.opening import open_store
from agent.outbox.outbox import Outbox
from agent.outbox.rows import Row
from agent.outbox.sqlite_store import Store
from agent.runtime.kernel_clock import since_boot_s

BODY = b'{"n":1}'


def message(lane: Lane = "alert", topic: str | None = None, body: bytes = BODY, **more: object) -> Message:
    return Message(lane=lane, topic=topic or lane, id=new_id(), body=body, **more)  # type: ignore[arg-type]


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[LaneStorage]:
    found = LaneStorage(tmp_path, 32_000_000)
    yield found
    found.close()


def put(storage: LaneStorage, *messages: Message, **remember: bytes) -> None:
    storage.put(messages, remember, [])


def ids(rows: list[Row]) -> list[str]:
    return [row.id for row in rows]


def gaps(storage: LaneStorage) -> list[dict[str, object]]:
    """The losses that were told, oldest first."""
    storage.rewind(["result"])
    bodies = [json.loads(row.body) for row in storage.due(10_000, ["result"]) if row.topic == "gap"]
    return [body["gap"] | {"of_epoch": body["of_epoch"]} for body in bodies]


# Order, numbers, hand-out.


def test_lanes_go_out_in_their_order_and_each_from_its_oldest(storage: LaneStorage) -> None:
    given = [message(lane) for lane in reversed(LANES) for _ in range(2) if lane not in KEEP_LATEST]
    put(storage, *given)
    rows = storage.due(100, LANES)
    assert [row.lane for row in rows] == [lane for lane in LANES for _ in range(2) if lane not in KEEP_LATEST]
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


# Receipts.


def test_a_receipt_takes_exactly_the_messages_that_it_names(storage: LaneStorage) -> None:
    given = [message("alert"), message("result"), message("alert"), message("telemetry")]
    put(storage, *given)
    assert (
        storage.alerts.record_receipts([given[0].id, given[1].id, given[3].id, new_id(), "", "x" * 9000]) == 2
    )
    assert ids(storage.due(10, LANES)) == [given[2].id, given[3].id]
    assert storage.alerts.record_receipts([one.id for one in given] * 600) == 1
    assert storage.depth()["alert"] == 0


# Across a restart.


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
    monkeypatch.setattr("agent.runtime.kernel_clock.boot_id", lambda: "another")
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
    monkeypatch.setattr("agent.runtime.kernel_clock.boot_id", lambda: "another")
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


def copied(folder: Path) -> Path:
    """The files as a process that is killed now leaves them."""
    copy = Path(tempfile.mkdtemp(dir=folder.parent))
    for path in folder.iterdir():
        if not path.name.endswith("-shm"):
            shutil.copy(path, copy / path.name)
    return copy


# Budget and expiry: who loses is said beforehand, and counted.


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
    assert min(row.seq for row in _again(storage) if row.lane == "telemetry") > 200
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


# The disk takes nothing.


def fail(monkeypatch: pytest.MonkeyPatch, store: object, *names: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("alerts.db: database or disk is full")

    for name in names:
        monkeypatch.setattr(store, name, refuse)


def test_with_a_disk_that_takes_nothing_alerts_still_go_out_and_it_is_said(
    storage: LaneStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(storage, before := message())
    with monkeypatch.context() as broken:
        fail(broken, storage.alerts.store, "put")
        fail(broken, storage.bulk["telemetry"].log, "put")
        put(storage, alert := message(), telemetry := message("telemetry"), status := message("status"))
        assert ids(storage.due(10, LANES)) == [before.id, alert.id, status.id, telemetry.id]
        assert "disk is full" in storage.faults.texts["alerts"]
        (row,) = [row for row in _again(storage) if row.id == alert.id]
        assert row.epoch != storage.epoch("alert")
    # The disk takes alerts again: what only memory held is written down.
    put(storage, after := message())
    assert storage.faults.texts == {"telemetry": storage.faults.texts["telemetry"]}
    put(storage, message("telemetry"))
    assert storage.faults.texts == {}
    copy = LaneStorage(copied(storage.folder), 32_000_000)
    assert {before.id, alert.id, after.id, telemetry.id} <= set(ids(copy.due(10, LANES)))
    copy.close()


def _again(storage: LaneStorage) -> list[Row]:
    storage.rewind(["alert", "result", "telemetry", "media"])
    return storage.due(10_000, LANES)


def test_what_only_memory_holds_is_written_when_the_disk_returns_whatever_comes_next(
    storage: LaneStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alert, what is active, the number of the connection: the next that comes is a status."""
    put(storage, **{"alerts/active": b"[]", "rescue": b"old"})
    with monkeypatch.context() as broken:
        fail(broken, storage.alerts.store, "put", "write")
        fail(broken, storage.bulk["media"].log, "put", "probe")
        put(storage, alert := message(), **{"alerts/active": b"[1]", "rescue": b"1"})
        put(storage, message("media"), **{"alerts/active": b"[2]"})
        storage.alerts.write("session", b"8")
        assert (storage.alerts.read("remember/alerts/active"), storage.alerts.read("session")) == (
            b"[2]",
            b"8",
        )
        assert storage.faults.texts.keys() == {"alerts", "media"}
        storage.faults.retry_now()
        put(storage, message("status"))
        assert storage.faults.texts.keys() == {"alerts", "media"}
    put(storage, message("status"))
    assert storage.faults.texts.keys() == {"alerts", "media"}  # not yet its time
    storage.faults.retry_now()
    put(storage, message("status"))
    assert storage.faults.texts == {}
    copy = LaneStorage(copied(storage.folder), 32_000_000)
    told = [copy.alerts.read(key) for key in ("remember/alerts/active", "remember/rescue", "session")]
    assert told == [b"[2]", b"1", b"8"]
    assert [(row.lane, row.id == alert.id) for row in copy.due(10, LANES)] == [
        ("alert", True),
        ("media", False),
    ]
    copy.close()


@contextmanager
def without_disk(folder: Path, monkeypatch: pytest.MonkeyPatch, at_start: bool) -> Iterator[LaneStorage]:
    """A `LaneStorage` whose disk refuses every write within the block: from its opening on, or from then on."""
    with monkeypatch.context() as broken:
        if at_start:
            read_only(broken)
        storage = LaneStorage(folder, 32_000_000)
        if not at_start:
            fail(broken, storage.alerts.store, "put")
            fail(broken, storage.bulk["telemetry"].log, "put")
        yield storage


@pytest.mark.parametrize("at_start", [True, False])
def test_what_only_memory_holds_is_offered_to_the_disk_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_start: bool
) -> None:
    with without_disk(tmp_path, monkeypatch, at_start) as storage:
        put(storage, alert := message(), telemetry := message("telemetry"), rescue=b"1")
    storage.close()
    again = LaneStorage(tmp_path, 32_000_000)
    assert ids(again.due(10, LANES)) == [alert.id, telemetry.id]
    assert again.alerts.read("remember/rescue") == b"1"
    again.close()


@pytest.mark.parametrize("at_start", [True, False])
def test_what_comes_home_from_memory_is_as_old_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_start: bool
) -> None:
    """By its age an alert is called historical, and its instants are put right."""
    with without_disk(tmp_path, monkeypatch, at_start) as storage:
        put(storage, message(), old := message("telemetry", expires_after=timedelta(hours=9)))
    later(monkeypatch, 7200)
    storage.faults.retry_now()
    put(storage, message("status"), message("telemetry"))
    assert storage.faults.texts == {}
    later(monkeypatch, 10800)
    (alert,) = storage.due(10, ["alert"])
    (telemetry,) = [row for row in storage.due(10, ["telemetry"]) if row.id == old.id]
    assert (alert.age_s, telemetry.age_s) == (pytest.approx(10800, abs=60),) * 2
    assert telemetry.expires_s == pytest.approx(6 * 3600, abs=60)
    storage.close()


def later(monkeypatch: pytest.MonkeyPatch, by_s: float) -> None:
    """The clock that goes on while the machine sleeps is so much further."""
    monkeypatch.setattr("agent.runtime.kernel_clock.since_boot_s", lambda: since_boot_s() + by_s)


def test_where_only_pictures_find_no_room_an_alert_still_goes_home(
    storage: LaneStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(monkeypatch, storage.bulk["media"].log, "put", "probe")
    with monkeypatch.context() as broken:
        fail(broken, storage.alerts.store, "put")
        put(storage, alert := message(), message("media"))
    put(storage, message())
    assert storage.faults.texts.keys() == {"media"}
    assert alert.id in [row.id for row in storage.alerts.store.due("alert", 0, 10)]


def test_a_disk_that_comes_back_and_takes_nothing_costs_no_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        read_only(broken)
        storage = LaneStorage(tmp_path, 32_000_000)
        put(storage, alert := message(), rescue=b"1")
    with monkeypatch.context() as broken:
        fail(broken, Store, "_insert")
        storage.faults.retry_now()
        storage.alerts.return_to_disk()
        assert "disk is full" in storage.faults.texts["alerts"]
    assert ids(_again(storage)) == [alert.id]
    storage.faults.retry_now()
    put(storage)
    assert storage.faults.texts == {}
    storage.close()
    again = LaneStorage(tmp_path, 32_000_000)
    assert (ids(again.due(10, LANES)), again.alerts.read("remember/rescue")) == ([alert.id], b"1")
    again.close()


def test_deletes_that_the_disk_refuses_are_tried_again_and_never_handed_out(
    storage: LaneStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(storage, *(message() for _ in range(3)))
    rows = storage.due(10, LANES)
    with monkeypatch.context() as broken:
        fail(broken, storage.alerts.store, "delete")
        storage.delete(rows[:2])
        assert ids(_again(storage)) == ids(rows[2:])
    put(storage, message("telemetry"))
    assert storage.depth()["alert"] == 1


@pytest.mark.slow
def test_memory_keeps_every_alert_and_only_so_much_telemetry(
    storage: LaneStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(monkeypatch, storage.alerts.store, "put")
    fail(monkeypatch, storage.bulk["telemetry"].log, "put")
    for _ in range(12):
        put(storage, *(message("telemetry") for _ in range(500)), *(message() for _ in range(500)))
    depth = storage.depth()
    assert depth["telemetry"] == MOST_IN_MEMORY["telemetry"]
    assert depth["alert"] == 6000
    assert sum(int(str(gap["count"])) for gap in gaps(storage)) == 1000


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """A file system of its own; needs root."""
    folder = Path(tempfile.mkdtemp())
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False, capture_output=True
    )
    if done.returncode:
        folder.rmdir()
        pytest.skip("needs the right to mount a tmpfs: a container with --cap-add SYS_ADMIN")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        folder.rmdir()


def fill(folder: Path) -> None:
    with (folder / "filling").open("wb", buffering=0) as file:
        for size in (65536, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="needs Linux and root, to mount a tmpfs"
)
def test_with_no_byte_free_thousands_of_alerts_are_still_taken_by_the_disk() -> None:
    with small_disk("24m") as folder:
        storage = LaneStorage(folder, 8_000_000)
        fill(folder)
        taken = 0
        while "alerts" not in storage.faults.texts and taken < 20_000:
            storage.put([message(body=b"x" * 400) for _ in range(10)], {}, [])
            taken += 10
        assert taken > 3_000
        # Beyond that they are in memory, and what leaves makes room again.
        assert storage.depth()["alert"] == taken
        rows = storage.due(2_000, ["alert"])
        storage.delete(rows)
        storage.put([message()], {}, [])
        assert "alerts" not in storage.faults.texts
        assert storage.depth()["alert"] == taken - 2_000 + 1
        copy = copied(folder)
        assert copy.exists()
        storage.close()
        shutil.rmtree(copy)


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="needs Linux and root, to mount a tmpfs"
)
def test_on_a_full_disk_older_telemetry_makes_room_for_newer() -> None:
    with small_disk("32m") as folder:
        storage = LaneStorage(folder, 16_000_000)
        body = b"x" * 4000
        for _ in range(40):
            storage.put([message("telemetry", body=body) for _ in range(50)], {}, [])
        fill(folder)
        for _ in range(40):
            storage.put([message("telemetry", body=body) for _ in range(50)], {}, [])
        assert storage.faults.texts == {}
        here = {row.seq for row in storage.due(10_000, ["telemetry"])}
        told = gaps(storage)
        lost = {seq for gap in told for seq in range(int(str(gap["first"])), int(str(gap["last"])) + 1)}
        assert here | lost == set(range(1, 4001))
        assert "the disk is full" in {gap["why"] for gap in told}
        storage.close()


def segmented(folder: Path) -> LaneStorage:
    """With telemetry in three segments or more."""
    storage = LaneStorage(folder, 32_000_000)
    while len(storage.bulk["telemetry"].log.stores) < 3:
        storage.put([message("telemetry", body=b"x" * 4000) for _ in range(50)], {}, [])
    return storage


@pytest.mark.parametrize(
    ("error", "goes"),
    [
        (OSError("telemetry.db: disk I/O error"), False),
        (OSError(30, "Read-only file system"), False),
        (FullError("telemetry.db: database or disk is full"), True),
        (OSError(28, "No space left on device"), True),
    ],
)
def test_only_for_want_of_room_older_telemetry_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, goes: bool
) -> None:
    """Not because a card is pulled out or fails: the history is on it, and may be read tomorrow."""
    storage = segmented(tmp_path)
    segments = storage.bulk["telemetry"].log
    before = segments.count("telemetry")

    def refuse(*_: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(segments.stores[-1], "put", refuse)
        put(storage, message("telemetry"))
    assert (segments.count("telemetry") < before) is goes
    assert [gap["why"] for gap in gaps(storage)][:1] == (["the disk is full"] if goes else [])
    assert str(error) in storage.faults.texts["telemetry"]
    storage.close()


def test_a_segment_that_can_not_be_replaced_is_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = segmented(tmp_path)
    segments = storage.bulk["telemetry"].log
    given = ids(storage.due(10_000, ["telemetry"]))

    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", refuse)
        with pytest.raises(OSError, match="Input/output"):
            segments.downsample(*segments.stores[:2])
    storage.rewind(["telemetry"])
    assert ids(storage.due(10_000, ["telemetry"])) == given
    put(storage, late := message("telemetry"))
    assert ids(storage.due(10, ["telemetry"])) == [late.id]
    storage.close()


def test_whatever_fails_in_a_store_is_an_os_error(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a.db", durable=True)
    store.put([message()])
    rows = [(row.lane, row.place) for row in store.due("alert", 0, 1)]
    store.database.execute("DROP TABLE owed")
    with pytest.raises(OSError, match="no such table"):
        store.delete(rows)


# Damaged files.


def damage(path: Path, seed: int) -> None:
    """Overwrites some pages in the middle, as a bad card would."""
    rng = random.Random(seed)
    size = path.stat().st_size
    with path.open("r+b") as file:
        for _ in range(3):
            file.seek(rng.randrange(4096, size - 4096) // 4096 * 4096)
            file.write(bytes(rng.randrange(256) for _ in range(4096)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_alert_store_is_set_aside_and_what_can_be_read_goes_out(tmp_path: Path, seed: int) -> None:
    first = LaneStorage(tmp_path, 32_000_000)
    given = [message(body=b"x" * 900) for _ in range(6000)]
    first.put(given, {"alerts/active": b"[]"}, [])
    first.alerts.write("session", b"41")
    epoch = first.epoch("alert")
    first.close()
    damage(tmp_path / "alerts.db", seed)
    second = LaneStorage(tmp_path, 32_000_000)
    rows = second.due(10_000, ["alert"])
    assert (tmp_path / "alerts.db.corrupt-1").exists()
    assert second.epoch("alert") != epoch
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    known = [one.id for one in given]
    assert [known.index(row.id) for row in rows] == sorted(known.index(row.id) for row in rows)
    assert len(rows) > 1000
    assert "set aside as alerts.db.corrupt-1" in second.faults.texts["salvage"]
    second.put([message("telemetry")], {}, [])
    assert any("damaged" in str(gap["why"]) for gap in gaps(second))
    second.close()


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough" * 100, bytes(8192)])
def test_a_file_that_is_no_store_is_no_reason_not_to_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "alerts.db").write_bytes(content)
    (tmp_path / "telemetry-00000001.db").write_bytes(content)
    storage = LaneStorage(tmp_path, 32_000_000)
    storage.put([message(), message("telemetry")], {}, [])
    assert [row.lane for row in storage.due(10, ["alert", "telemetry"])] == ["alert", "telemetry"]
    storage.close()


def test_damage_while_it_runs_sets_the_file_aside_then(tmp_path: Path) -> None:
    storage = LaneStorage(tmp_path, 32_000_000)
    storage.put([message(body=b"x" * 900) for _ in range(3000)], {}, [])
    storage.alerts.store.database.checkpoint()
    damage(tmp_path / "alerts.db", 1)
    damage(tmp_path / "alerts.db", 2)
    given = [message(body=b"y" * 900) for _ in range(50)]
    storage.alerts.store.database.execute("PRAGMA cache_size=1")
    for one in given:
        storage.put([one], {}, [])
        storage.due(100, ["alert"])
    assert {one.id for one in given} <= set(ids(_again(storage)))
    storage.close()


def test_a_row_that_the_disk_spoilt_is_told_as_lost_and_holds_up_nobody(storage: LaneStorage) -> None:
    put(storage, *(given := [message() for _ in range(3)]))
    storage.alerts.store.database.execute("UPDATE owed SET topic = CAST(x'ff00ff' AS TEXT) WHERE seq = 2")
    assert ids(storage.due(10, ["alert"])) == [given[0].id, given[2].id]
    assert [(gap["lane"], gap["first"], gap["last"]) for gap in gaps(storage)] == [("alert", 2, 2)]
    assert storage.depth()["alert"] == 2


def test_two_stores_in_one_folder_are_refused_by_the_lock(tmp_path: Path) -> None:
    storage = LaneStorage(tmp_path, 32_000_000)
    other = sqlite3.connect(tmp_path / "alerts.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    storage.alerts.store.database.execute("PRAGMA busy_timeout=50")
    put(storage, one := message())
    assert "locked" in storage.faults.texts["alerts"]
    other.execute("ROLLBACK")
    assert one.id in ids(storage.due(10, LANES))
    other.close()
    storage.close()


# The same through the loop.


def test_the_outbox_groups_telemetry_and_commits_alerts_at_once(tmp_path: Path) -> None:
    async def play() -> None:
        outbox = Outbox.open(tmp_path)
        await outbox.put(message("telemetry"))
        assert await outbox.due(10) == []
        await outbox.put(message("alert"))
        assert [row.lane for row in await outbox.due(10)] == ["alert", "telemetry"]
        await outbox.put(message("telemetry"))
        outbox.changed.clear()
        async with asyncio.timeout(60):
            await outbox.changed.wait()
        assert [row.lane for row in await outbox.due(10)] == ["telemetry"]
        await outbox.put(*(message("telemetry") for _ in range(3)))
        outbox.close()

    asyncio.run(play())
    again = Outbox.open(tmp_path)
    assert asyncio.run(again.depth())["telemetry"] == 5
    again.close()


def test_concurrent_alerts_share_a_commit_and_each_is_safe_on_return(tmp_path: Path) -> None:
    async def play() -> None:
        outbox = Outbox.open(tmp_path)
        commits = 0
        put_really = outbox.storage.alerts.store.put

        def count(*args: object) -> None:
            nonlocal commits
            commits += 1
            put_really(*args)  # type: ignore[arg-type]

        outbox.storage.alerts.store.put = count  # type: ignore[method-assign, assignment]
        reader = sqlite3.connect(tmp_path / "alerts.db")

        async def one() -> None:
            given = message()
            await outbox.put(given)
            assert reader.execute("SELECT count(*) FROM owed WHERE id = ?", (given.id,)).fetchone() == (1,)

        await asyncio.gather(*(one() for _ in range(100)))
        assert 1 <= commits < 20
        reader.close()
        outbox.close()

    asyncio.run(play())


def test_session_numbers_rise_across_restarts(tmp_path: Path) -> None:
    async def play() -> list[int]:
        outbox = Outbox.open(tmp_path)
        numbers = [outbox.session, await outbox.next_session(), await outbox.next_session()]
        outbox.close()
        return numbers

    assert asyncio.run(play()) == [0, 1, 2]
    assert asyncio.run(play()) == [2, 3, 4]


def test_a_rewind_overtakes_no_settlement(tmp_path: Path) -> None:
    async def play() -> None:
        outbox = Outbox.open(tmp_path)
        await outbox.put(*(message() for _ in range(300)))
        for _ in range(20):
            rows = await outbox.due(10)
            outbox.mark_delivered(rows)
            outbox.rewind()
        assert len(await outbox.due(1000)) == 100
        outbox.close()

    asyncio.run(play())


def test_a_folder_that_can_not_be_made_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Outbox.open(tmp_path / "file" / "data")


# Against a model: whatever happens in whatever order.


class OutboxMachine(RuleBasedStateMachine):
    """A `LaneStorage` beside a model: what is owed by lane, what was handed out, what number has which id."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.folder = self.root / "a"
        self.folder.mkdir()
        self.storage = LaneStorage(self.folder, 32_000_000)
        self.owed: dict[Lane, dict[str, None]] = defaultdict(dict)
        self.out: dict[str, Row] = {}
        self.numbers: dict[tuple[str, Lane, int], str] = {}
        self.remembered: dict[str, bytes] = {}
        self.old: set[str] = set()

    def teardown(self) -> None:
        self.storage.close()
        shutil.rmtree(self.root)

    @rule(lanes=st.lists(st.sampled_from(("alert", "result", "telemetry", "media")), min_size=1, max_size=6))
    def put(self, lanes: list[Lane]) -> None:
        given = [message(lane) for lane in lanes]
        self.storage.put(given, {}, [])
        for one in given:
            self.owed[one.lane][one.id] = None

    @rule(key=st.sampled_from(("a", "b")), value=st.binary(max_size=20))
    def remember(self, key: str, value: bytes) -> None:
        self.storage.put([], {key: value}, [])
        self.remembered[key] = value

    @rule(limit=st.integers(1, 8), lane=st.sampled_from(("alert", "result", "telemetry", "media")))
    def take(self, limit: int, lane: Lane) -> None:
        rows = self.storage.due(limit, [lane])
        waiting = [one for one in self.owed[lane] if one not in self.out]
        if lane == "alert":  # what is new goes before what is from before the rewind
            waiting.sort(key=lambda one: one in self.old)
        assert ids(rows) == waiting[:limit]
        for row in rows:
            assert self.numbers.setdefault(row.key, row.id) == row.id
            self.out[row.id] = row

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.out)), unique=True))
        rows = [self.out.pop(one) for one in chosen]
        self.storage.delete(rows)
        for row in rows:
            self.owed[row.lane].pop(row.id, None)

    @precondition(lambda self: self.owed["alert"] or self.owed["result"])
    @rule(data=st.data(), lane=st.sampled_from(("alert", "result")))
    def receipt(self, data: st.DataObject, lane: Lane) -> None:
        known = st.sampled_from(sorted(self.owed[lane]) or [new_id()])
        named = data.draw(st.lists(st.one_of(known, st.text(max_size=3)), max_size=5))
        here = set(named) & self.owed[lane].keys()
        assert self.storage.alerts.record_receipts(named) == len(here)
        for identity in here:
            del self.owed[lane][identity]
            self.out.pop(identity, None)

    @rule()
    def rewind(self) -> None:
        self.storage.rewind(LANES)
        self.out.clear()
        self.old = set(self.owed["alert"])

    @rule(killed=st.booleans())
    def restart(self, killed: bool) -> None:
        if killed:
            folder = copied(self.folder)
            self.storage.close()
            self.folder = folder
        else:
            self.storage.close()
        self.storage = LaneStorage(self.folder, 32_000_000)
        self.out.clear()
        self.old = set(self.owed["alert"])

    @invariant()
    def depth_is_what_is_owed(self) -> None:
        depth = self.storage.depth()
        assert {lane: depth[lane] for lane in ("alert", "result", "telemetry", "media")} == {
            lane: len(self.owed[lane]) for lane in ("alert", "result", "telemetry", "media")
        }

    @invariant()
    def what_was_remembered_is_recalled(self) -> None:
        for key, value in self.remembered.items():
            assert self.storage.alerts.read(f"remember/{key}") == value


TestOutboxMachine = pytest.mark.slow(OutboxMachine.TestCase)
TestOutboxMachine.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


# A disk that can't be written when the agent starts.


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path, **_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("agent.outbox.alert_storage.open_store", refuse)


def test_on_a_read_only_disk_it_starts_and_what_is_owed_and_what_comes_goes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LaneStorage(tmp_path, 32_000_000)
    put(storage, before := message())
    storage.put([], {"alerts/active": b"[]"}, [])
    storage.close()
    with monkeypatch.context() as broken:
        read_only(broken)
        storage = LaneStorage(tmp_path, 32_000_000)
        put(storage, alert := message(), telemetry := message("telemetry"))
        assert ids(storage.due(10, LANES)) == [alert.id, before.id, telemetry.id]  # what is new goes first
        assert "Read-only" in storage.faults.texts["alerts"]
        assert storage.alerts.read("remember/alerts/active") == b"[]"
        (row, _) = [row for row in _again(storage) if row.lane == "alert"]
        assert storage.alerts.record_receipts([row.id]) == 1
    # It can be written again: all that is owed goes there, each message once.
    storage.faults.retry_now()
    put(storage, after := message(), message("telemetry"))
    assert storage.faults.texts == {}
    owed = [row.id for row in _again(storage) if row.lane == "alert"]
    assert sorted(owed) == sorted({before.id, alert.id, after.id})
    storage.close()
    again = LaneStorage(tmp_path, 32_000_000)
    assert {before.id, alert.id, after.id} <= set(ids(again.due(10, LANES)))
    again.close()


def test_a_second_agent_on_the_same_data_is_refused(tmp_path: Path) -> None:
    outbox = Outbox.open(tmp_path)
    with pytest.raises(OSError, match="another agent"):
        Outbox.open(tmp_path)
    outbox.close()
    Outbox.open(tmp_path).close()
