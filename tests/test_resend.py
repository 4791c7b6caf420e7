"""A receipt deletes what it names and nothing else, whatever a store has been through; and what a centre has
lost it gets again, or is told that it is gone."""

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.commands.requests import Resend
from agent.domain.message import LANES, LAST_RANK, Lane, Message, encode, new_id
from agent.mqtt.receiver import Receipt
from agent.outbox import receipt_history
from agent.outbox.database import FullError
from agent.outbox.lane_storage import LaneStorage
from agent.outbox.losses import NOT_KEPT
from agent.outbox.number_ranges import MOST_RANGES
from agent.outbox.receipt_history import ReceiptHistory
from agent.outbox.rows import Row
from agent.outbox.sqlite_store import Store
from agent.runtime import atomic_files


@pytest.fixture
def tmp_path(memory_path: Path) -> Path:
    """Thousands of syncs."""
    return memory_path


def message(lane: Lane = "alert", body: bytes = b"{}", **more: Any) -> Message:
    return Message(lane=lane, topic=lane, id=new_id(), body=body, **more)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[LaneStorage]:
    found = LaneStorage(tmp_path / "data", 32_000_000) if (tmp_path / "data").mkdir() is None else None
    assert found is not None
    yield found
    found.close()


def put(storage: LaneStorage, count: int = 1, lane: Lane = "alert", **more: Any) -> list[str]:
    given = [message(lane, **more) for _ in range(count)]
    storage.put(given, {}, [])
    return [one.id for one in given]


def owed(storage: LaneStorage, lane: Lane = "alert") -> list[Row]:
    storage.rewind([lane])
    return storage.due(100_000, [lane])


def ids(rows: Sequence[Row]) -> list[str]:
    return [row.id for row in rows]


def gaps(storage: LaneStorage) -> list[dict[str, Any]]:
    bodies = [json.loads(row.body) for row in owed(storage, "result") if row.topic == "gap"]
    return [body["gap"] | {"of_epoch": body["of_epoch"]} for body in bodies]


def image(folder: Path, name: str) -> Path:
    """The folder as a card that is copied now has it."""
    copy = folder.parent / name
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*-shm"))
    return copy


# What a receipt may delete.


def test_a_store_from_an_image_loses_nothing_to_receipts_of_its_other_life(tmp_path: Path) -> None:
    """Twenty presses are received after the image was taken; their receipts wait in the broker's session and
    come while the restored store owes twenty others."""
    (tmp_path / "a").mkdir()
    first = LaneStorage(tmp_path / "a", 32_000_000)
    before = put(first, 20)
    card = image(tmp_path / "a", "b")
    later = put(first, 20)
    numbers = {(row.epoch, row.seq) for row in first.due(100, ["alert"])}
    first.close()
    second = LaneStorage(card, 32_000_000)
    offline = put(second, 20)
    assert second.alerts.record_receipts(later) == 0
    rows = owed(second)
    assert ids(rows) == before + offline
    assert {(row.epoch, row.seq) for row in rows[20:]} & numbers == set()  # no number names two messages
    assert second.alerts.record_receipts(before) == 20  # the centre has these, whichever life sent them
    assert ids(owed(second)) == offline
    second.close()


def test_of_a_card_and_its_clone_each_keeps_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first = LaneStorage(tmp_path / "a", 32_000_000)
    shared = put(first, 3)
    first.close()
    one, other = LaneStorage(tmp_path / "a", 32_000_000), LaneStorage(image(tmp_path / "a", "b"), 32_000_000)
    mine, others = put(one, 5), put(other, 5)
    assert {row.key for row in owed(one)[3:]} & {row.key for row in owed(other)[3:]} == set()
    for receipts in (mine[:3], others, shared):
        one.alerts.record_receipts(receipts)
        other.alerts.record_receipts(receipts)
    assert ids(owed(one)) == mine[3:]
    assert owed(other) == []
    one.close()
    other.close()


@pytest.mark.parametrize(
    "payload",
    [
        b'{"epoch": "e", "lane": "alert", "received": [[1, 4611686018427387904]]}',
        b'{"received": [[1, 2]]}',
        b'{"ids": "all"}',
        b'{"ids": [1, 2]}',
        b'{"ids": [null]}',
        b"[]",
        encode({"ids": ["x"] * 501}),
    ],
)
def test_a_receipt_that_names_no_messages_is_none(payload: bytes) -> None:
    with pytest.raises(ValidationError):
        Receipt.model_validate_json(payload)


@pytest.mark.parametrize("forged", ["%", "*", "' OR 1=1 --", "1", "\0", "\ud800", "x" * 100_000])
def test_a_forged_id_deletes_nothing(storage: LaneStorage, forged: str) -> None:
    given = put(storage, 5)
    storage.alerts.record_receipts([forged] * 3)
    assert ids(owed(storage)) == given


def test_a_receipt_counts_over_restarts(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first = LaneStorage(tmp_path / "a", 32_000_000)
    given = put(first, 4)
    first.due(2, ["alert"])
    first.close()
    second = LaneStorage(tmp_path / "a", 32_000_000)
    assert second.alerts.record_receipts(given[:3]) == 3
    assert ids(owed(second)) == given[3:]
    second.close()


def test_a_file_of_an_older_agent_keeps_its_numbers_and_gets_its_ranks(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
    old = sqlite3.connect(path)
    old.executescript(
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE counter (lane TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE owed (lane TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, topic TEXT NOT NULL,"
        " body BLOB NOT NULL, qos INTEGER NOT NULL, retain INTEGER NOT NULL, expires_s REAL, boot TEXT NOT NULL,"
        " made_s REAL NOT NULL, handed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (lane, seq)) WITHOUT ROWID;"
        "INSERT INTO meta VALUES ('epoch', CAST('0123456789abcdef' AS BLOB));"
        "INSERT INTO counter VALUES ('alert', 9);"
    )
    for seq, severity in ((7, "info"), (8, "critical"), (9, "none")):
        body = encode({"alert": {"severity": severity, "alert_id": f"a{seq}"}})
        old.execute(
            "INSERT INTO owed VALUES ('alert', ?, ?, 'alert', ?, 1, 0, NULL, '', 0, 0)", (seq, str(seq), body)
        )
    old.commit()
    old.close()
    storage = LaneStorage(tmp_path, 32_000_000)
    rows = storage.due(10, ["alert"])
    assert [(row.epoch, row.seq) for row in rows] == [("0123456789abcdef", seq) for seq in (8, 9, 7)]
    put(storage, 2)
    assert [(row.epoch, row.seq) for row in storage.due(10, ["alert"])] == [
        (storage.epoch("alert"), 1),
        (storage.epoch("alert"), 2),
    ]
    assert [(one["epoch"], one["last"]) for one in storage.highest_numbers()] == [
        ("0123456789abcdef", 9),
        (storage.epoch("alert"), 2),
    ]
    storage.close()


# A centre that was restored asks again.


def test_a_centre_from_a_backup_gets_what_it_lost_as_it_was(storage: LaneStorage) -> None:
    given = put(storage, 12, body=encode({"n": 1}))
    before = owed(storage)
    storage.alerts.record_receipts(given[:10])
    (told,) = storage.highest_numbers()
    assert told == {"lane": "alert", "epoch": storage.epoch("alert"), "last": 12}
    found = storage.resend("alert", told["epoch"], [(7, 12)])
    assert (found.resent, found.pending, found.missing) == (4, 2, ())
    rows = owed(storage)
    assert {(row.key, row.id, row.body) for row in rows} == {
        (row.key, row.id, row.body) for row in before[6:]
    }
    assert {row.rank for row in rows if row.id in given[6:10]} == {LAST_RANK}  # told as historical
    assert gaps(storage) == []
    storage.alerts.record_receipts(given)
    assert storage.resend("alert", told["epoch"], [(1, 12)]).resent == 12


def test_what_it_asks_for_again_goes_behind_all_that_it_never_had(storage: LaneStorage) -> None:
    given = put(storage, 3)
    storage.due(10, ["alert"])
    storage.alerts.record_receipts(given)
    storage.resend("alert", storage.epoch("alert"), [(1, 3)])
    fresh = put(storage, 1, rank=2)
    assert ids(storage.due(10, ["alert"])) == fresh + given


@pytest.mark.parametrize("lane", ["alert", "result"])
def test_what_it_asks_for_twice_on_one_connection_it_gets_twice(storage: LaneStorage, lane: Lane) -> None:
    given = put(storage, 3, lane)
    for _ in range(2):
        storage.due(10, [lane])
        storage.alerts.record_receipts(given)
        storage.resend(lane, storage.epoch(lane), [(1, 3)])
        assert ids(storage.due(10, [lane])) == given


def test_over_a_restart_the_history_stays_under_its_numbers(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    epochs = []
    for _ in range(3):
        storage = LaneStorage(tmp_path / "a", 32_000_000)
        epochs.append(storage.epoch("alert"))
        storage.alerts.record_receipts(put(storage, 4))
        put(storage, 1, "result")
        storage.close()
    storage = LaneStorage(tmp_path / "a", 32_000_000)
    told = [(one["lane"], one["epoch"], one["last"]) for one in storage.highest_numbers()]
    assert told == [("alert", epoch, 4) for epoch in epochs] + [("result", epoch, 1) for epoch in epochs]
    for epoch in epochs:
        storage.resend("alert", epoch, [(2, 3)])
    assert [(row.epoch, row.seq) for row in owed(storage)] == [(one, seq) for one in epochs for seq in (2, 3)]
    storage.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("of", "ranges", "again", "told"),
    [
        ("now", [(1, 2**53)], 3, [(2, 2, 1), (4, 4, 1)]),  # numbers beyond the last are yet to be given
        ("now", [(2, 2), (4, 4), (2, 4)], 1, [(2, 2, 1), (4, 4, 1)]),
        ("now", [(6, 2**53)], 0, []),
        ("now", [(-5, 0), (3, 1)], 0, []),
        ("before", [(1, 2**53)], 2, [(3, 2**53, 2**53 - 2)]),
        ("unknown", [(5, 7), (1, 3)], 0, [(1, 3, 3), (5, 7, 3)]),
        ("unknown", [(1, 2**53)], 0, [(1, 2**53, 2**53)]),
        ("unknown", [(1, 10**400)], 0, [(1, 2**62, 2**62)]),
    ],
)
def test_what_is_no_longer_there_is_told_in_runs(
    tmp_path: Path, of: str, ranges: list[tuple[int, int]], again: int, told: list[tuple[int, int, int]]
) -> None:
    (tmp_path / "a").mkdir()
    first = LaneStorage(tmp_path / "a", 32_000_000)
    first.alerts.record_receipts(put(first, 2))
    first.close()
    storage = LaneStorage(tmp_path / "a", 32_000_000)
    storage.alerts.record_receipts(put(storage, 5))
    storage.alerts.store.database.execute("DELETE FROM kept WHERE seq IN (4, 6)")
    epoch = {"now": storage.epoch("alert"), "before": first.epoch("alert"), "unknown": "f" * 16}[of]
    found = storage.resend("alert", epoch, ranges)
    assert found.resent == again
    assert [(gap["first"], gap["last"], gap["count"]) for gap in gaps(storage)] == told
    assert {(gap["lane"], gap["of_epoch"], gap["why"]) for gap in gaps(storage)} <= {
        ("alert", epoch, NOT_KEPT)
    }
    storage.close()


def test_however_ragged_the_hole_few_messages_tell_of_it(storage: LaneStorage) -> None:
    storage.alerts.record_receipts(put(storage, 1000))
    storage.alerts.store.database.execute("DELETE FROM kept WHERE seq % 2 = 0")
    storage.resend("alert", storage.epoch("alert"), [(1, 1000)])
    told = gaps(storage)
    assert len(told) == MOST_RANGES
    assert sum(gap["count"] for gap in told) == 500
    assert (told[0]["first"], told[-1]["last"]) == (2, 1000)


@pytest.mark.parametrize(
    "fields",
    [
        {"lane": "telemetry", "epoch": "e", "ranges": [[1, 2]]},
        {"lane": "alert", "epoch": "", "ranges": [[1, 2]]},
        {"lane": "alert", "epoch": "e", "ranges": []},
        {"lane": "alert", "epoch": "e", "ranges": [[1]]},
        {"lane": "alert", "epoch": "e", "ranges": [[1, 1]] * 501},
        {"lane": "alert", "epoch": "e"},
    ],
)
def test_a_command_that_asks_for_nothing_sensible_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Resend.model_validate_json(encode({"id": "1", **fields}))


# The history has its bounds, and costs no alert.


def test_the_oldest_of_the_history_goes_first(storage: LaneStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    body = encode({"filling": "x" * 9700})
    given: list[str] = []
    for _ in range(30):
        given += (some := put(storage, 10, body=body))
        storage.alerts.record_receipts(some)
    kept = [row[0] for row in storage.alerts.store.database.rows("SELECT id FROM kept ORDER BY number")]
    assert kept == given[-len(kept) :]
    assert 90 <= len(kept) <= 100  # a megabyte
    sizes = "SELECT count(*), sum(length(body) + 250) FROM kept"
    assert storage.alerts.store.database.row(sizes) == (
        storage.alerts.store.history.size.rows,
        storage.alerts.store.history.size.bytes,
    )


def test_what_is_old_goes_but_for_the_newest(storage: LaneStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipt_history, "KEPT_ROWS", 20)
    monkeypatch.setattr(receipt_history, "PRUNE_EVERY_S", 0.0)
    storage.alerts.record_receipts(put(storage, 30))
    assert storage.alerts.store.history.size.rows == 30  # not a week old
    monkeypatch.setattr(receipt_history, "KEPT_S", -1.0)
    storage.alerts.record_receipts(put(storage, 1))
    assert storage.alerts.store.history.size.rows == 20


def test_where_the_disk_has_no_room_for_the_history_rows_leave_all_the_same(
    storage: LaneStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = put(storage, 3)
    receive = Store._record_receipts

    def refuse(self: Store, ids: Sequence[str], history: ReceiptHistory | None) -> int:
        if history:
            raise FullError("alerts.db: database or disk is full")
        return receive(self, ids, history)

    monkeypatch.setattr(Store, "_record_receipts", refuse)
    assert storage.alerts.record_receipts(given) == 3
    assert owed(storage) == []
    assert storage.faults.texts == {}


def test_a_new_alert_takes_the_place_of_the_history_on_a_full_disk(
    storage: LaneStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = encode({"filling": "x" * 5000})
    storage.alerts.record_receipts(put(storage, 150, body=body))
    store = storage.alerts.store
    room = store.database.free_bytes

    def full(_total_bytes: int) -> None:
        raise FullError("alerts.db: database or disk is full")

    monkeypatch.setattr(store.database, "reserve", full)
    taken = room() - 100_000
    monkeypatch.setattr(store.database, "free_bytes", lambda: room() - taken)
    given = put(storage, 1)
    assert storage.faults.texts == {}
    assert ids(owed(storage)) == given
    assert store.history.size.rows < 150


# Nothing of the order in which things become durable may be turned round.


def synchronous(store: Store) -> int:
    return int(store.database.row("PRAGMA synchronous")[0])


def test_each_commit_of_an_alert_waits_for_the_disk_whatever_was_deleted_before(storage: LaneStorage) -> None:
    """2 is FULL. Kills: NORMAL when it is opened; FULL not set back after a delete, nor after one that failed."""
    store = storage.alerts.store
    levels = []
    for step in (
        lambda: None,
        lambda: storage.alerts.record_receipts(put(storage)),
        lambda: storage.delete(owed(storage)[:1]),
        lambda: storage.resend("alert", storage.epoch("alert"), [(1, 1)]),
        lambda: store.history.shrink(0),
        lambda: fail_a_delete(store),
    ):
        put(storage, 2)
        step()
        levels.append(synchronous(store))
    assert levels == [2] * 6
    storage.alerts.reopen()
    assert synchronous(storage.alerts.store) == 2


def fail_a_delete(store: Store) -> None:
    store.database.execute(
        "CREATE TEMP TRIGGER no BEFORE DELETE ON owed BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with pytest.raises(OSError, match="no"):
        store.delete([("alert", 1), ("alert", 2), ("alert", 3), ("alert", 4), ("alert", 5), ("alert", 6)])
    store.database.execute("DROP TRIGGER no")


def test_a_file_is_on_the_disk_before_its_name_and_then_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kills: no fsync of the file, no fsync of the folder, either after the rename instead of before."""
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(number: int) -> None:
        order.append(f"fsync {Path(f'/proc/self/fd/{number}').readlink().name}")
        fsync(number)

    def renamed(self: Path, target: Path) -> Path:
        order.append(f"rename {self.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    atomic_files.write_durably(tmp_path / "ledger.json", b"{}")
    assert order == ["fsync ledger.json.new", "rename ledger.json.new", f"fsync {tmp_path.name}"]


def test_a_loss_is_told_before_what_it_tells_of_happens(
    storage: LaneStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kills: delete before the gap is durable. Expired, dropped for room, spoilt: all go this way."""
    order: list[str] = []
    store, delete, put_alerts = storage.alerts.store, LaneStorage.delete, storage.alerts.store.put

    def deleted(self: LaneStorage, rows: Sequence[Row]) -> None:
        order.extend(f"delete {row.lane}" for row in rows)
        delete(self, rows)

    def told(messages: Sequence[Message], *more: Any) -> None:
        put_alerts(messages, *more)
        order.extend(f"told {one.topic}" for one in messages)

    monkeypatch.setattr(LaneStorage, "delete", deleted)
    monkeypatch.setattr(store, "put", told)
    put(storage, 2, "telemetry")
    storage.drop(storage.due(10, ["telemetry"]), "for the test")
    assert order == ["told gap", "delete telemetry", "delete telemetry"]


# Files that are deleted under the agent.


@pytest.mark.slow
@pytest.mark.parametrize("what", ["all", "main", "wal", "folder", "replaced"])
def test_files_that_are_deleted_under_it_are_written_anew(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    storage = LaneStorage(folder, 32_000_000)
    given = put(storage, 5)
    storage.alerts.record_receipts(given[:1])
    put(storage, 3, "telemetry")
    foreign = None
    match what:
        case "all":
            for path in folder.iterdir():
                path.unlink()
        case "main":
            (folder / "alerts.db").unlink()
        case "wal":
            (folder / "alerts.db-wal").unlink()
        case "folder":
            shutil.rmtree(folder)
        case _:
            (folder / "alerts.db").rename(tmp_path / "moved")
            (folder / "alerts.db").write_bytes(foreign := b"what somebody has put here" * 99)
    later = put(storage)  # the next alert notices; else the look a second later
    storage.check_files()
    assert "written anew" in storage.faults.texts["deleted"]
    more = put(storage)
    killed = image(folder, "killed")  # as kill -9 leaves it
    copy = LaneStorage(killed, 32_000_000)
    assert ids(owed(copy)) == given[1:] + later + more
    if what in ("all", "folder"):
        assert copy.depth()["telemetry"] == 3
    if foreign:
        assert (killed / "alerts.db.corrupt-1").read_bytes() == foreign
    assert storage.resend("alert", owed(copy)[0].epoch, [(1, 1)]).resent == 1  # the history too
    copy.close()
    storage.close()


def test_killed_while_it_writes_anew_nothing_is_lost(tmp_path: Path) -> None:
    storage = LaneStorage(tmp_path, 32_000_000)
    given = put(storage, 3)
    storage.alerts.store.database.checkpoint()
    storage.close()
    (tmp_path / "alerts.db").rename(tmp_path / "alerts.db.rescued")
    again = LaneStorage(tmp_path, 32_000_000)
    assert ids(owed(again)) == given
    again.close()


# Severity, and what is new, within the lane.


def test_what_is_critical_goes_first_and_no_phase_overtakes_another(storage: LaneStorage) -> None:
    def alert(rank: int, group: str) -> Message:
        return message(rank=rank, group=group)

    given = [
        alert(2, "a"),
        alert(1, "b"),
        alert(2, "c"),
        alert(0, "c"),  # raised: its beginning goes with it
        alert(0, "d"),
        alert(2, "c"),  # and its end not before
        alert(2, "d"),
        alert(1, "e"),
    ]
    storage.put(given, {}, [])
    order = [given.index(one) for row in storage.due(10, ["alert"]) for one in given if one.id == row.id]
    assert order == [2, 3, 4, 1, 7, 0, 5, 6]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_phases_keep_their_order_however_they_come_and_are_handed_out(tmp_path: Path, seed: int) -> None:
    """Whatever severities an alert goes through, over rewinds and restarts; and each is handed out."""
    chance = random.Random(seed)
    storage = LaneStorage(tmp_path, 32_000_000)
    given: list[Message] = []
    sent: list[str] = []
    for _ in range(60):
        match chance.choice(["put", "put", "put", "hand", "hand", "rewind", "restart"]):
            case "put":
                some = [
                    message(rank=chance.randrange(3), group=chance.choice("abcdef"))
                    for _ in range(chance.randint(1, 4))
                ]
                storage.put(some, {}, [])
                given += some
            case "hand":
                sent += ids(storage.due(chance.randint(1, 5), ["alert"]))
            case "rewind":
                storage.rewind(LANES)
                sent = []
            case _:
                storage.close()
                storage = LaneStorage(tmp_path, 32_000_000)
                sent = []
    while rows := storage.due(7, ["alert"]):
        sent += ids(rows)
    assert set(sent) == {one.id for one in given}
    for group in "abcdef":
        phases = [one.id for one in given if one.group == group]
        first = [sent.index(one) for one in phases]
        assert first == sorted(first)
    storage.close()


@pytest.mark.slow
def test_a_new_alert_waits_for_none_of_fifty_thousand_old_ones(tmp_path: Path) -> None:
    storage = LaneStorage(tmp_path, 32_000_000)
    for _ in range(10):
        put(storage, 2000, rank=0)
    storage.rewind(LANES)
    storage.due(50, ["alert"])
    new = put(storage, 2, rank=0, group="x")
    assert ids(storage.due(2, ["alert"])) == new
    assert len(storage.due(100_000, ["alert"])) == 20_000 - 50
    storage.close()
    assert LAST_RANK == 3
