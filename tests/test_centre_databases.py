"""What a centre stores, in SQLite and in PostgreSQL alike: by the same tests."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, permutations
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.__main__ import cli
from centre.audit_intake import open_checkpoints
from centre.database import ConflictError, Database
from centre.message_header import MessageHeader, ReceivedMessage
from centre.message_store import MOST_COPIES, MessageStore
from centre.registrar_lease import GENERATION_KEPT_S, LEASE_S, RegistrarLease
from centre.sequence_gaps import IssuedNumbers
from simulators.postgres import NEEDED, postgres_server, server_programs
from tests.test_audit_cli import runs

NUMBERS = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if server_programs() is None:
        pytest.skip(NEEDED)
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """An empty database."""
    if request.param == "sqlite":
        return tmp_path / "centre.db"
    import psycopg

    url, schema = request.getfixturevalue("server"), f"t{next(NUMBERS)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")  # type: ignore[arg-type]
    return f"{url}&options=-csearch_path%3D{schema}"


def message(seq: int, /, topic: str = "alert", **more: Any) -> ReceivedMessage:
    body = {"id": f"id-{seq}", "device": "d1", "session": 3, "epoch": "e1", "seq": seq}
    body |= {
        "schema": "alert/1",
        "at": "2026-11-28T06:12:31.410Z",
        "alert": {"alert_id": "a", "phase": "new"},
    }
    payload = json.dumps(body | more).encode()
    return ReceivedMessage(topic, MessageHeader.model_validate_json(payload), payload)


def phase(session: int, epoch: str, seq: int, name: str) -> ReceivedMessage:
    alert = {"alert_id": "a", "phase": name, "severity": "critical"}
    return message(seq, id=f"{epoch}-{seq}", session=session, epoch=epoch, alert=alert)


def test_a_repeat_is_no_second_row_and_another_message_under_the_id_is_kept_beside(db: Path | str) -> None:
    store = MessageStore(db)
    assert store.keep([message(1), message(2), message(1)]) == ["new", "new", "repeat"]
    later = message(1, historical=True, latency_ms={"sent": 5})
    assert store.keep([later, message(1, alert={"text": "other"})]) == ["repeat", "beside"]
    assert store.keep([message(1, device="d2")]) == ["new"]
    store.close()
    store = MessageStore(db)  # the tables are there already
    assert store.keep([message(1), message(1, alert={"text": "other"})]) == ["repeat", "repeat"]
    others = [message(2, alert={"text": str(number)}) for number in range(MOST_COPIES)]
    assert store.keep(others) == ["beside"] * (MOST_COPIES - 1) + ["refused"]
    store.close()


def test_no_text_stops_a_batch(db: Path | str) -> None:
    """PostgreSQL has no text with NUL; a batch that always fails would be received for ever."""
    store = MessageStore(db)
    odd = "x\0\N{GRINNING FACE}%s ? '"
    body = message(1, id=odd, epoch=odd, at=odd, alert={"alert_id": odd, "phase": odd, "severity": [odd]})
    assert store.keep([body, message(2)]) == ["new", "new"]
    assert store.keep([body]) == ["repeat"]
    store.close()


def test_missing_numbers_are_those_neither_stored_nor_declared_lost(db: Path | str) -> None:
    store = MessageStore(db)
    gap = {"of_epoch": "e1", "gap": {"lane": "alert", "first": 3, "last": 4, "why": "full"}}
    store.keep([message(1), message(7), message(9, topic="gap", id="g", epoch="e2", **gap)])
    assert store.missing("d1", IssuedNumbers(lane="alert", epoch="e1", last=9), 1) == [(2, 2), (5, 6), (8, 9)]
    store.keep_wills([("d1", b'{"state": "offline"}')] * 2)
    store.close()


PHASES = [
    phase(3, "e1", 1, "new"), phase(3, "e1", 2, "update"), phase(4, "e1", 3, "update"), phase(5, "e2", 1, "end")
]  # fmt: skip


def test_the_newest_phase_of_an_alert_counts_in_whatever_order_they_arrive(db: Path | str) -> None:
    store = MessageStore(db)
    for number, order in enumerate(permutations(range(len(PHASES)))):
        device = f"d{number}"
        for place in order:
            body = json.loads(PHASES[place].payload) | {"device": device}
            store.keep([message(body.pop("seq"), **body)])
        assert store.newest_phases(device) == {"a": "end"}
    store.close()


def test_two_workers_store_the_same_messages_at_once_and_each_is_one_row(db: Path | str) -> None:
    stores = [MessageStore(db) for _ in range(3)]
    messages = [message(seq) for seq in range(1, 61)]

    def keep(number: int) -> list[str]:
        mine = messages if number % 2 else messages[::-1]
        return [
            outcome for first in range(0, 60, 20) for outcome in stores[number].keep(mine[first : first + 20])
        ]

    with ThreadPoolExecutor(3) as pool:
        outcomes = [one for found in pool.map(keep, range(3)) for one in found]
    assert (outcomes.count("new"), outcomes.count("repeat")) == (60, 120)
    for store in stores:
        store.close()


def test_a_commit_that_meets_another_is_tried_again(db: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MessageStore(db)
    keep_all, left = store._keep_all, [2]

    def unlucky(*given: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise ConflictError("deadlock detected")
        return keep_all(*given)

    monkeypatch.setattr(store, "_keep_all", unlucky)
    assert store.keep([message(1)]) == ["new"]
    left[0] = 99
    with pytest.raises(OSError, match="refused the messages: deadlock"):
        store.keep([message(2)])
    store.close()


def test_a_commit_that_fails_leaves_nothing(db: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MessageStore(db)
    fails: Callable[..., None] = lambda *_: (_ for _ in ()).throw(OSError("disk full"))  # noqa: E731
    monkeypatch.setattr(store, "_keep_alert", fails)
    with pytest.raises(OSError, match="disk full"):
        store.keep([message(1)])
    monkeypatch.undo()
    assert store.keep([message(1)]) == ["new"]
    store.close()
    with pytest.raises(OSError, match="closed"):
        store.keep([message(2)])


class OwnClock:
    """A database with a clock of its own."""

    def __init__(self, database: Database) -> None:
        self._database, self.at_s = database, 1000.0
        self.execute, self.transaction, self.lock = database.execute, database.transaction, database.lock

    def now_s(self) -> float:
        return self.at_s


def test_one_process_has_the_lease_and_the_generation_lives_as_long_as_one_follows_the_other(
    db: Path | str,
) -> None:
    store = MessageStore(db)
    clock: Any = OwnClock(store.database)
    first, second = (RegistrarLease(clock, "ringpost/v1", holder) for holder in "ab")
    elsewhere = RegistrarLease(clock, "ringpost-sim/v1", "b")
    generation = first.acquire()
    assert generation is not None
    assert (second.acquire(), first.acquire()) == (None, generation)
    assert elsewhere.acquire() not in (None, generation)
    clock.at_s += LEASE_S
    assert second.acquire() is None
    clock.at_s += 0.1  # it died
    assert (second.acquire(), first.acquire()) == (generation, None)
    second.release()
    assert (first.acquire(), second.acquire()) == (generation, None)
    clock.at_s += GENERATION_KEPT_S + 1  # nobody was there
    renewed = second.acquire()
    assert renewed not in (None, generation)
    clock.at_s -= 3600  # the clock was set back: the row is from the future
    assert first.acquire() not in (None, renewed)
    store.close()


def test_checkpoints_are_judged_alike(db: Path | str, tmp_path: Path) -> None:
    start, stop = runs(tmp_path / "data", 1, 5)
    MessageStore(db).close()
    with open_checkpoints(db) as store:
        kept = [store.keep("d1", entry.line.decode()) for entry in (start, stop, stop)]
        assert [(one.problem, one.is_repeat) for one in kept] == [(None, False), (None, False), (None, True)]
        forged = store.keep("d2", start.line.decode())
        assert "has the device key of d1" in str(forged.problem)
        with pytest.raises(ValueError, match="no entry of the audit log"):
            store.keep("d1", "{}")
        assert [(one.device, one.entry.n) for one in store.all()] == [("d1", 1), ("d1", 5), ("d2", 1)]
    key = str(start.fields["device_key"])
    done = CliRunner().invoke(cli, ["centre", "accept-key", "d2", "--db", str(db), "--device-key", key])
    assert (done.exit_code, "d2: accepted" in done.output) == (0, True)
    with open_checkpoints(db) as store:
        assert store.accepted_keys() == [("d2", key)]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://x/y", "give a file, or postgresql://user@host/database"),
        ("postgresql://ringpost:secret@127.0.0.1:1/none", "127.0.0.1/none: "),
    ],
)
def test_a_database_that_is_none_is_one_clear_line_without_a_password(url: str, expected: str) -> None:
    pytest.importorskip("psycopg")
    done = CliRunner().invoke(cli, ["centre", "--db", url, "--broker", "mqtt://127.0.0.1:1"])
    assert done.exit_code != 0
    assert expected in done.output
    assert "secret" not in done.output
