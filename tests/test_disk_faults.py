"""A disk that takes nothing, is full, or is read-only costs durability, not delivery."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from agent.domain.message import LANES
from agent.host.clock import since_boot_s
from agent.outbox.bulk_storage import MOST_IN_MEMORY
from agent.outbox.database import FullError
from agent.outbox.lane_storage import LaneStorage
from agent.outbox.opening import open_store
from agent.outbox.sqlite_store import Store
from tests.outbox_rig import copied, fail, gaps, handed_out_again, ids, message, put, read_only


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[LaneStorage]:
    found = LaneStorage(tmp_path, 32_000_000)
    yield found
    found.close()


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
        (row,) = [row for row in handed_out_again(storage) if row.id == alert.id]
        assert row.epoch != storage.epoch("alert")
        # Its number is not final: a centre must not ask for it once the disk has given another.
        assert [(one["epoch"], one["last"]) for one in storage.highest_numbers()] == [
            (storage.epoch("alert"), 1)
        ]
    # The disk takes alerts again: what only memory held is written down.
    put(storage, after := message())
    assert [(one["epoch"], one["last"]) for one in storage.highest_numbers()] == [(storage.epoch("alert"), 3)]
    assert storage.faults.texts == {"telemetry": storage.faults.texts["telemetry"]}
    put(storage, message("telemetry"))
    assert storage.faults.texts == {}
    copy = LaneStorage(copied(storage.folder), 32_000_000)
    assert {before.id, alert.id, after.id, telemetry.id} <= set(ids(copy.due(10, LANES)))
    copy.close()


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


def test_the_phases_of_an_alert_keep_their_order_where_the_disk_refused_only_the_first(
    storage: LaneStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by tests/test_state_machine.py, seed 17: the end had the lower number, and went out first."""
    with monkeypatch.context() as broken:
        fail(broken, storage.alerts.store, "put")
        put(storage, other := message(group="b"), new := message(group="a"))
    put(storage, end := message(group="a"))
    assert ids(handed_out_again(storage)) == [new.id, end.id, other.id]
    assert storage.alerts.memory.count() == 0


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
    monkeypatch.setattr("agent.host.clock.since_boot_s", lambda: since_boot_s() + by_s)


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
    assert ids(handed_out_again(storage)) == [alert.id]
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
        assert ids(handed_out_again(storage)) == ids(rows[2:])
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
        (row, _) = [row for row in handed_out_again(storage) if row.lane == "alert"]
        assert storage.alerts.record_receipts([row.id]) == 1
    # It can be written again: all that is owed goes there, each message once.
    storage.faults.retry_now()
    put(storage, after := message(), message("telemetry"))
    assert storage.faults.texts == {}
    owed = [row.id for row in handed_out_again(storage) if row.lane == "alert"]
    assert sorted(owed) == sorted({before.id, alert.id, after.id})
    storage.close()
    again = LaneStorage(tmp_path, 32_000_000)
    assert {before.id, alert.id, after.id} <= set(ids(again.due(10, LANES)))
    again.close()


def test_after_a_read_only_disk_each_message_is_owed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LaneStorage(tmp_path, 32_000_000)
    put(storage, before := message())
    storage.close()
    with monkeypatch.context() as broken:
        read_only(broken)
        storage = LaneStorage(tmp_path, 32_000_000)
        put(storage, alert := message())
        assert len({row.key for row in handed_out_again(storage)}) == 2  # no number is given twice
    storage.faults.retry_now()
    put(storage, after := message())
    owed = [row.id for row in handed_out_again(storage) if row.lane == "alert"]
    assert sorted(owed) == sorted([before.id, alert.id, after.id])
    storage.close()
