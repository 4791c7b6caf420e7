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

from agent.commands.commands import Resend
from agent.domain.message import LANES, LAST_RANK, Lane, Message, encode, new_id
from agent.mqtt.sender import Receipt
from agent.outbox import lane_storage as shelves_module
from agent.outbox import sqlite_store as store_module
from agent.outbox.database_errors import FullError
from agent.outbox.lane_storage import NOT_KEPT, LaneStorage
from agent.outbox.number_ranges import MOST_RUNS
from agent.outbox.rows import Row
from agent.runtime import atomic_files


def message(lane: Lane = "alert", body: bytes = b"{}", **more: Any) -> Message:
    return Message(lane=lane, topic=lane, id=new_id(), body=body, **more)


@pytest.fixture
def shelves(tmp_path: Path) -> Iterator[LaneStorage]:
    found = LaneStorage(tmp_path / "data", 32_000_000) if (tmp_path / "data").mkdir() is None else None
    assert found is not None
    yield found
    found.close()


def put(shelves: LaneStorage, count: int = 1, lane: Lane = "alert", **more: Any) -> list[str]:
    given = [message(lane, **more) for _ in range(count)]
    shelves.put(given, {}, [])
    return [one.id for one in given]


def owed(shelves: LaneStorage, lane: Lane = "alert") -> list[Row]:
    shelves.rewind([lane])
    return shelves.due(100_000, [lane])


def ids(rows: Sequence[Row]) -> list[str]:
    return [row.id for row in rows]


def gaps(shelves: LaneStorage) -> list[dict[str, Any]]:
    bodies = [json.loads(row.body) for row in owed(shelves, "result") if row.topic == "gap"]
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
    assert second.receive(later) == 0
    rows = owed(second)
    assert ids(rows) == before + offline
    assert {(row.epoch, row.seq) for row in rows[20:]} & numbers == set()  # no number names two messages
    assert second.receive(before) == 20  # the centre has these, whichever life sent them
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
        one.receive(receipts)
        other.receive(receipts)
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
def test_a_forged_id_deletes_nothing(shelves: LaneStorage, forged: str) -> None:
    given = put(shelves, 5)
    shelves.receive([forged] * 3)
    assert ids(owed(shelves)) == given


def test_a_receipt_counts_over_restarts(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first = LaneStorage(tmp_path / "a", 32_000_000)
    given = put(first, 4)
    first.due(2, ["alert"])
    first.close()
    second = LaneStorage(tmp_path / "a", 32_000_000)
    assert second.receive(given[:3]) == 3
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
    shelves = LaneStorage(tmp_path, 32_000_000)
    rows = shelves.due(10, ["alert"])
    assert [(row.epoch, row.seq) for row in rows] == [("0123456789abcdef", seq) for seq in (8, 9, 7)]
    put(shelves, 2)
    assert [(row.epoch, row.seq) for row in shelves.due(10, ["alert"])] == [
        (shelves.epoch("alert"), 1),
        (shelves.epoch("alert"), 2),
    ]
    assert [(one["epoch"], one["last"]) for one in shelves.numbers()] == [
        ("0123456789abcdef", 9),
        (shelves.epoch("alert"), 2),
    ]
    shelves.close()


# A centre that was restored asks again.


def test_a_centre_from_a_backup_gets_what_it_lost_as_it_was(shelves: LaneStorage) -> None:
    given = put(shelves, 12, body=encode({"n": 1}))
    before = owed(shelves)
    shelves.receive(given[:10])
    (told,) = shelves.numbers()
    assert told == {"lane": "alert", "epoch": shelves.epoch("alert"), "last": 12}
    found = shelves.resend("alert", told["epoch"], [(7, 12)])
    assert (found.again, found.owed, found.missing) == (4, 2, ())
    rows = owed(shelves)
    assert {(row.key, row.id, row.body) for row in rows} == {
        (row.key, row.id, row.body) for row in before[6:]
    }
    assert {row.rank for row in rows if row.id in given[6:10]} == {LAST_RANK}  # told as historical
    assert gaps(shelves) == []
    shelves.receive(given)
    assert shelves.resend("alert", told["epoch"], [(1, 12)]).again == 12


def test_what_it_asks_for_again_goes_behind_all_that_it_never_had(shelves: LaneStorage) -> None:
    given = put(shelves, 3)
    shelves.due(10, ["alert"])
    shelves.receive(given)
    shelves.resend("alert", shelves.epoch("alert"), [(1, 3)])
    fresh = put(shelves, 1, rank=2)
    assert ids(shelves.due(10, ["alert"])) == fresh + given


def test_over_a_restart_the_history_stays_under_its_numbers(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    epochs = []
    for _ in range(3):
        shelves = LaneStorage(tmp_path / "a", 32_000_000)
        epochs.append(shelves.epoch("alert"))
        shelves.receive(put(shelves, 4))
        put(shelves, 1, "result")
        shelves.close()
    shelves = LaneStorage(tmp_path / "a", 32_000_000)
    told = [(one["lane"], one["epoch"], one["last"]) for one in shelves.numbers()]
    assert told == [("alert", epoch, 4) for epoch in epochs] + [("result", epoch, 1) for epoch in epochs]
    for epoch in epochs:
        shelves.resend("alert", epoch, [(2, 3)])
    assert [(row.epoch, row.seq) for row in owed(shelves)] == [(one, seq) for one in epochs for seq in (2, 3)]
    shelves.close()


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
    first.receive(put(first, 2))
    first.close()
    shelves = LaneStorage(tmp_path / "a", 32_000_000)
    shelves.receive(put(shelves, 5))
    shelves._alerts._db.execute("DELETE FROM kept WHERE seq IN (4, 6)")
    epoch = {"now": shelves.epoch("alert"), "before": first.epoch("alert"), "unknown": "f" * 16}[of]
    found = shelves.resend("alert", epoch, ranges)
    assert found.again == again
    assert [(gap["first"], gap["last"], gap["count"]) for gap in gaps(shelves)] == told
    assert {(gap["lane"], gap["of_epoch"], gap["why"]) for gap in gaps(shelves)} <= {
        ("alert", epoch, NOT_KEPT)
    }
    shelves.close()


def test_however_ragged_the_hole_few_messages_tell_of_it(shelves: LaneStorage) -> None:
    shelves.receive(put(shelves, 1000))
    shelves._alerts._db.execute("DELETE FROM kept WHERE seq % 2 = 0")
    shelves.resend("alert", shelves.epoch("alert"), [(1, 1000)])
    told = gaps(shelves)
    assert len(told) == MOST_RUNS
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


def test_the_oldest_of_the_history_goes_first(shelves: LaneStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    body = encode({"filling": "x" * 9700})
    given: list[str] = []
    for _ in range(30):
        given += (some := put(shelves, 10, body=body))
        shelves.receive(some)
    kept = [row[0] for row in shelves._alerts._db.execute("SELECT id FROM kept ORDER BY number")]
    assert kept == given[-len(kept) :]
    assert 90 <= len(kept) <= 100  # a megabyte
    sizes = "SELECT count(*), sum(length(body) + 250) FROM kept"
    assert shelves._alerts._db.execute(sizes).fetchone() == (
        shelves._alerts._kept_rows,
        shelves._alerts._kept_bytes,
    )


def test_what_is_old_goes_but_for_the_newest(shelves: LaneStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "KEPT_ROWS", 20)
    monkeypatch.setattr(store_module, "PRUNE_EVERY_S", 0.0)
    shelves.receive(put(shelves, 30))
    assert shelves._alerts._kept_rows == 30  # not a week old
    monkeypatch.setattr(store_module, "KEPT_S", -1.0)
    shelves.receive(put(shelves, 1))
    assert shelves._alerts._kept_rows == 20


def test_where_the_disk_has_no_room_for_the_history_rows_leave_all_the_same(
    shelves: LaneStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = put(shelves, 3)
    receive = store_module.Store._receive

    def refuse(self: store_module.Store, ids: Sequence[str], *, keep: bool) -> int:
        if keep:
            raise FullError("alerts.db: database or disk is full")
        return receive(self, ids, keep=keep)

    monkeypatch.setattr(store_module.Store, "_receive", refuse)
    assert shelves.receive(given) == 3
    assert owed(shelves) == []
    assert shelves.troubles == {}


def test_a_new_alert_takes_the_place_of_the_history_on_a_full_disk(
    shelves: LaneStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = encode({"filling": "x" * 5000})
    shelves.receive(put(shelves, 150, body=body))
    store = shelves._alerts
    room = store._room_bytes

    def full() -> None:
        raise FullError("alerts.db: database or disk is full")

    monkeypatch.setattr(store, "_grow", full)
    taken = room() - 100_000
    monkeypatch.setattr(store, "_room_bytes", lambda: room() - taken)
    given = put(shelves, 1)
    assert shelves.troubles == {}
    assert ids(owed(shelves)) == given
    assert store._kept_rows < 150


# Nothing of the order in which things become durable may be turned round.


def synchronous(store: store_module.Store) -> int:
    return int(store._db.execute("PRAGMA synchronous").fetchone()[0])


def test_each_commit_of_an_alert_waits_for_the_disk_whatever_was_deleted_before(shelves: LaneStorage) -> None:
    """2 is FULL. Kills: NORMAL when it is opened; FULL not set back after a delete, nor after one that failed."""
    store = shelves._alerts
    levels = []
    for step in (
        lambda: None,
        lambda: shelves.receive(put(shelves)),
        lambda: shelves.delete(owed(shelves)[:1]),
        lambda: shelves.resend("alert", shelves.epoch("alert"), [(1, 1)]),
        lambda: store._forget_history(0),
        lambda: with_a_failing_delete(store),
    ):
        put(shelves, 2)
        step()
        levels.append(synchronous(store))
    assert levels == [2] * 6
    shelves._reopen_alerts()
    assert synchronous(shelves._alerts) == 2


def with_a_failing_delete(store: store_module.Store) -> None:
    store._db.execute("CREATE TEMP TRIGGER no BEFORE DELETE ON owed BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(OSError, match="no"):
        store.delete([("alert", 1), ("alert", 2), ("alert", 3), ("alert", 4), ("alert", 5), ("alert", 6)])
    store._db.execute("DROP TRIGGER no")


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
    shelves: LaneStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kills: delete before the gap is durable. Expired, dropped for room, spoilt: all go this way."""
    order: list[str] = []
    store, delete, put_alerts = shelves._alerts, LaneStorage.delete, shelves._alerts.put

    def deleted(self: LaneStorage, rows: Sequence[Row]) -> None:
        order.extend(f"delete {row.lane}" for row in rows)
        delete(self, rows)

    def told(messages: Sequence[Message], *more: Any) -> None:
        put_alerts(messages, *more)
        order.extend(f"told {one.topic}" for one in messages)

    monkeypatch.setattr(LaneStorage, "delete", deleted)
    monkeypatch.setattr(store, "put", told)
    put(shelves, 2, "telemetry")
    shelves._lose(shelves.due(10, ["telemetry"]), "for the test")
    assert order == ["told gap", "delete telemetry", "delete telemetry"]


# Files that are deleted under the agent.


@pytest.mark.parametrize("what", ["all", "main", "wal", "folder", "replaced"])
def test_files_that_are_deleted_under_it_are_written_anew(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    shelves = LaneStorage(folder, 32_000_000)
    given = put(shelves, 5)
    shelves.receive(given[:1])
    put(shelves, 3, "telemetry")
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
    later = put(shelves)  # the next alert notices; else the look a second later
    shelves.look()
    assert "written anew" in shelves.troubles["deleted"]
    more = put(shelves)
    killed = image(folder, "killed")  # as kill -9 leaves it
    copy = LaneStorage(killed, 32_000_000)
    assert ids(owed(copy)) == given[1:] + later + more
    if what in ("all", "folder"):
        assert copy.depth()["telemetry"] == 3
    if foreign:
        assert (killed / "alerts.db.corrupt-1").read_bytes() == foreign
    assert shelves.resend("alert", owed(copy)[0].epoch, [(1, 1)]).again == 1  # the history too
    copy.close()
    shelves.close()


def test_killed_while_it_writes_anew_nothing_is_lost(tmp_path: Path) -> None:
    shelves = LaneStorage(tmp_path, 32_000_000)
    given = put(shelves, 3)
    shelves._alerts.settle_log()
    shelves.close()
    (tmp_path / "alerts.db").rename(tmp_path / "alerts.db.rescued")
    again = LaneStorage(tmp_path, 32_000_000)
    assert ids(owed(again)) == given
    again.close()


# Severity, and what is new, within the lane.


def test_what_is_critical_goes_first_and_no_phase_overtakes_another(shelves: LaneStorage) -> None:
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
    shelves.put(given, {}, [])
    order = [given.index(one) for row in shelves.due(10, ["alert"]) for one in given if one.id == row.id]
    assert order == [2, 3, 4, 1, 7, 0, 5, 6]


@pytest.mark.parametrize("seed", range(20))
def test_phases_keep_their_order_however_they_come_and_are_handed_out(tmp_path: Path, seed: int) -> None:
    """Whatever severities an alert goes through, over rewinds and restarts; and each is handed out."""
    chance = random.Random(seed)
    shelves = LaneStorage(tmp_path, 32_000_000)
    given: list[Message] = []
    sent: list[str] = []
    for _ in range(60):
        match chance.choice(["put", "put", "put", "hand", "hand", "rewind", "restart"]):
            case "put":
                some = [
                    message(rank=chance.randrange(3), group=chance.choice("abcdef"))
                    for _ in range(chance.randint(1, 4))
                ]
                shelves.put(some, {}, [])
                given += some
            case "hand":
                sent += ids(shelves.due(chance.randint(1, 5), ["alert"]))
            case "rewind":
                shelves.rewind(LANES)
                sent = []
            case _:
                shelves.close()
                shelves = LaneStorage(tmp_path, 32_000_000)
                sent = []
    while rows := shelves.due(7, ["alert"]):
        sent += ids(rows)
    assert set(sent) == {one.id for one in given}
    for group in "abcdef":
        phases = [one.id for one in given if one.group == group]
        first = [sent.index(one) for one in phases]
        assert first == sorted(first)
    shelves.close()


def test_a_new_alert_waits_for_none_of_fifty_thousand_old_ones(tmp_path: Path) -> None:
    shelves = LaneStorage(tmp_path, 32_000_000)
    for _ in range(10):
        put(shelves, 2000, rank=0)
    shelves.rewind(LANES)
    shelves.due(50, ["alert"])
    new = put(shelves, 2, rank=0, group="x")
    assert ids(shelves.due(2, ["alert"])) == new
    assert len(shelves.due(100_000, ["alert"])) == 20_000 - 50
    shelves.close()
    assert shelves_module.LAST_RANK == 3
