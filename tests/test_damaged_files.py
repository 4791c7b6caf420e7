"""A damaged file is set aside, and its readable rows are sent; damage holds up no other message."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.domain.message import LANES
from agent.outbox.lane_storage import LaneStorage
from tests.outbox_rig import gaps, handed_out_again, ids, message, put


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[LaneStorage]:
    found = LaneStorage(tmp_path, 32_000_000)
    yield found
    found.close()


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


def test_no_number_is_given_twice_after_a_damaged_file_was_copied(tmp_path: Path) -> None:
    first = LaneStorage(tmp_path, 32_000_000)
    put(first, *(message(body=b"x" * 900) for _ in range(300)))
    epoch = first.epoch("alert")
    first.close()
    damage(tmp_path / "alerts.db", 0)
    second = LaneStorage(tmp_path, 32_000_000)
    assert (tmp_path / "alerts.db.corrupt-1").exists()
    copied = second.due(1000, ["alert"])
    put(second, message())
    (new,) = second.due(10, ["alert"])
    assert copied
    assert {row.epoch for row in copied} == {second.epoch("alert")} != {epoch}
    assert new.key not in {row.key for row in copied}
    (highest,) = [one["last"] for one in second.highest_numbers() if one["lane"] == "alert"]
    assert highest == new.seq == len(copied) + 1
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
    assert {one.id for one in given} <= set(ids(handed_out_again(storage)))
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
