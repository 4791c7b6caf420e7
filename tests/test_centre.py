"""The centre: one row for each id, a receipt only after the commit, and no message that can stop it."""

import asyncio
import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.message import encode
from agent.mqtt.broker import Broker
from centre.message_header import MessageHeader, ReceivedMessage
from centre.message_line import HOLE, line
from centre.message_store import MOST_COPIES, MessageStore
from centre.picture_store import MOST, PictureStore
from centre.sequence_gaps import IssuedNumbers, missing, ranges
from centre.server import Centre
from tests.waiting import until

ROOT = "ringpost/v1"


@pytest.fixture(autouse=True)
def _log() -> None:
    structlog.reset_defaults()  # whatever level a test before this one has set


class Line:
    """Stands where the connection does: notes what the centre publishes and acknowledges, in order."""

    def __init__(self, db: Path) -> None:
        self._db = db
        self.done: list[tuple[str, Any]] = []

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool, _: float | None = None) -> int:
        with sqlite3.connect(self._db) as db:
            rows = db.execute("SELECT count(*) FROM message").fetchone()[0]
        self.done.append((topic, json.loads(payload) | {"rows": rows}))
        return len(self.done)

    def acknowledge(self, message: Any) -> None:
        self.done.append(("acknowledged", message.topic))


def alert(seq: int, /, **more: Any) -> bytes:
    body = {"id": f"id-{seq}", "device": "d1", "session": 3, "epoch": "e1", "seq": seq}
    body |= {"schema": "alert/1", "at": "2026-11-28T06:12:31.410Z", "alert": {}}
    return json.dumps(body | more).encode()


def take(
    folder: Path, messages: Iterable[tuple[str, bytes]], pictures: Path | None = None
) -> tuple[list[tuple[str, Any]], list[tuple[Any, ...]]]:
    """What the centre does for these (topic below the root, payload), and the rows that it has then."""
    db = folder / "centre.db"

    async def work() -> list[tuple[str, Any]]:
        centre = Centre(db, Broker(url="mqtt://127.0.0.1:1"), ROOT, pictures=pictures)
        line = Line(db)
        batch = [SimpleNamespace(topic=f"{ROOT}/{topic}", payload=payload) for topic, payload in messages]
        await centre.intake.store_batch(line, batch)  # type: ignore[arg-type]
        if centre.intake.pictures is not None:
            writing = asyncio.ensure_future(centre.intake.pictures.run())
            await until(lambda kept=centre.intake.pictures: not len(kept) or kept.failed)
            writing.cancel()
        centre.close()
        return line.done

    done = asyncio.run(work())
    with sqlite3.connect(db) as store:
        return done, store.execute(
            "SELECT id, device, topic, epoch, seq FROM message ORDER BY rowid"
        ).fetchall()


def receipts(done: Sequence[tuple[str, Any]]) -> dict[str, list[list[str]]]:
    """The ids of each receipt, by device."""
    found: dict[str, list[list[str]]] = defaultdict(list)
    for topic, said in done:
        if topic.endswith("/receipt"):
            assert set(said) == {"ids", "rows"}
            found[topic.split("/")[2]].append(said["ids"])
    return dict(found)


def test_a_receipt_names_what_is_committed_and_comes_before_the_acknowledgement(tmp_path: Path) -> None:
    done, rows = take(tmp_path, [("d1/alert", alert(number)) for number in (1, 2, 4)])
    assert [row[4] for row in rows] == [1, 2, 4]
    assert done[0] == (f"{ROOT}/d1/receipt", {"ids": ["id-1", "id-2", "id-4"], "rows": 3})
    assert [what for what, _ in done[1:]] == ["acknowledged"] * 3


def test_no_receipt_names_more_than_a_device_takes(tmp_path: Path) -> None:
    done, _ = take(tmp_path, [("d1/alert", alert(number)) for number in range(1, 1102)])
    assert [len(ids) for ids in receipts(done)["d1"]] == [500, 500, 101]


def test_pictures_have_a_folder_for_each_device_and_none_is_overwritten(tmp_path: Path) -> None:
    """`bridge` with alert `07-x` is not `bridge-07` with alert `x`; a second picture of one name is kept."""
    said = [
        ("bridge/media/07-x/1", b"\xff\xd8 one"),
        ("bridge-07/media/x/1", b"\xff\xd8 two"),
        ("bridge-07/media/x/1", b"\xff\xd8 three"),
        ("bridge-07/media/x/1", b"\xff\xd8 two"),
        ("bridge-07/media/../../x/1", b"\xff\xd8 out"),
        ("../media/x/1", b"\xff\xd8 out"),
        ("bridge-07/media/x/1/2", b"\xff\xd8 out"),
    ]
    done, rows = take(tmp_path, said, tmp_path / "pictures")
    assert [what for what, _ in done] == ["acknowledged"] * len(said)
    assert rows == []
    take(tmp_path, said, tmp_path / "pictures")
    found = {path.relative_to(tmp_path / "pictures"): path.read_bytes() for path in tmp_path.rglob("*.jpg")}
    assert sorted(str(path).partition("~")[0] for path in found) == [
        "bridge-07/x-1",
        "bridge-07/x-1.jpg",
        "bridge/07-x-1.jpg",
    ]
    assert sorted(found.values()) == [b"\xff\xd8 one", b"\xff\xd8 three", b"\xff\xd8 two"]


def test_a_picture_that_can_not_be_written_stops_nothing_and_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.write_text("a file where the folder should be")

    async def scene() -> None:
        pictures = PictureStore(folder)
        writing = asyncio.ensure_future(pictures.run())
        pictures.add("d1", "media/a/1", b"\xff\xd8")
        await until(lambda: pictures.failed)
        folder.unlink()
        await until(lambda: pictures.written)
        assert (len(pictures), pictures.dropped) == (0, 0)
        assert (folder / "d1" / "a-1.jpg").read_bytes() == b"\xff\xd8"
        writing.cancel()

    done, rows = take(tmp_path, [("d1/media/a/1", b"\xff\xd8"), ("d1/alert", alert(1))], folder)
    assert receipts(done) == {"d1": [["id-1"]]}
    assert len(rows) == 1
    asyncio.run(scene())


def test_pictures_that_wait_are_bounded(tmp_path: Path) -> None:
    async def scene() -> None:
        pictures = PictureStore(tmp_path)
        for number in range(MOST + 3):
            pictures.add("d1", f"media/a/{number}", b"\xff\xd8")
        assert (len(pictures), pictures.dropped) == (MOST, 3)

    asyncio.run(scene())


LATER = {"historical": True, "latency_ms": {"sent": 5.0}}
CORRECTED = {"at": "2026-11-28T07:00:00.000Z", "restamped_by_s": 2848.6}


RENUMBERED = {"epoch": "e2", "seq": 1}
"""Told from memory while the disk hung, and written later."""


@pytest.mark.parametrize("changed", [{}, LATER, CORRECTED, CORRECTED | RENUMBERED], ids=str)
def test_a_repeat_makes_no_second_row_and_gets_its_receipt_again(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    take(tmp_path, [("d1/alert", alert(7))])
    done, rows = take(tmp_path, [("d1/alert", alert(7, **changed)), ("d1/alert", alert(7, **changed))])
    assert len(rows) == 1
    assert receipts(done) == {"d1": [["id-7"]]}


OTHER = {"alert": {"text": "another", "since": "2026-11-28T07:00:00.000Z"}}


@pytest.mark.parametrize(
    "other",
    [
        {"epoch": "e2", **OTHER},
        {"seq": 8, **OTHER},
        {"session": 4},
        {"at": "2026-11-28T06:12:32Z"},
        {"schema": "gap/1"},
        CORRECTED | OTHER,
        CORRECTED | RENUMBERED | OTHER,
    ],
    ids=str,
)
def test_another_message_under_the_same_id_is_stored_beside(tmp_path: Path, other: dict[str, Any]) -> None:
    """A receipt deletes the message at the device: it must never be given for one that was left out."""
    done, rows = take(tmp_path, [("d1/alert", alert(7)), ("d1/alert", alert(7, **other))])
    assert len(rows) == 2
    assert receipts(done) == {"d1": [["id-7"]]}
    done, rows = take(tmp_path, [("d1/alert", alert(7, **other))])
    assert len(rows) == 2
    assert receipts(done) == {"d1": [["id-7"]]}


def test_a_repeat_under_another_number_is_a_repeat_and_no_hole(tmp_path: Path) -> None:
    """A device whose disk hangs tells from memory, and gives the message another number once it is written."""

    async def scene() -> None:
        asked = Asked(tmp_path)
        early = {"epoch": "early", **LATER}
        await asked.hear(
            ("d1/alert", alert(1, **early)), ("d1/alert", alert(1)), health(at(1), at(1, "early"))
        )
        assert receipts(asked.line.done) == {"d1": [["id-1"]]}
        assert await asked.after(6) == []
        asked.centre.close()

    asyncio.run(scene())
    with sqlite3.connect(tmp_path / "centre.db") as db:
        assert db.execute("SELECT count(*) FROM message WHERE topic = 'alert'").fetchone() == (1,)


def test_the_same_id_of_two_devices_is_two_messages(tmp_path: Path) -> None:
    done, rows = take(tmp_path, [("d2/alert", alert(1, device="d2")), ("d1/alert", alert(1))])
    assert [row[1] for row in rows] == ["d2", "d1"]
    assert receipts(done) == {"d1": [["id-1"]], "d2": [["id-1"]]}


def test_an_id_that_stands_for_ever_new_messages_is_refused_in_the_end(tmp_path: Path) -> None:
    def another(number: int) -> tuple[str, bytes]:
        return "d1/alert", alert(number, id="x", alert={"text": f"{number}"})

    take(tmp_path, [another(number) for number in range(1, MOST_COPIES + 1)])
    done, rows = take(tmp_path, [another(99), ("d1/alert", alert(98))])
    assert len(rows) == MOST_COPIES + 1
    assert receipts(done) == {"d1": [["id-98"]]}


@pytest.mark.parametrize("device", ["d2", "", None, 5, "x" * 100])
def test_who_speaks_for_another_device_gets_no_receipt(tmp_path: Path, device: Any) -> None:
    with structlog.testing.capture_logs() as logged:
        done, rows = take(tmp_path, [("d1/alert", alert(1, device=device))])
    assert ([what for what, _ in done], rows) == (["acknowledged"], [])
    assert [line["event"] for line in logged] == ["device_does_not_match_topic"]


def test_each_topic_that_wants_a_receipt_gets_it_and_no_other(tmp_path: Path) -> None:
    topics = ["alert", "command/result", "gap", "status", "health", "telemetry/gnss", "alerts/active"]
    done, rows = take(
        tmp_path, [(f"d1/{topic}", alert(number)) for number, topic in enumerate(topics, start=1)]
    )
    assert receipts(done) == {"d1": [["id-1", "id-2", "id-3"]]}
    assert len(rows) == len(topics)


def test_a_database_of_an_older_version_is_taken_over(tmp_path: Path) -> None:
    gap = json.dumps({"of_epoch": "e1", "gap": {"lane": "alert", "first": 2, "last": 3, "why": "full"}})
    with sqlite3.connect(tmp_path / "centre.db") as db:
        db.execute(
            "CREATE TABLE message (id TEXT PRIMARY KEY, device TEXT, topic TEXT,"
            " epoch TEXT, seq INTEGER, at TEXT, received_at TEXT, body TEXT)"
        )
        for seq, topic, body in ((1, "alert", alert(1).decode()), (2, "gap", gap)):
            row = (f"id-{seq}", "d1", topic, "e1", seq, "2026", "2026", body)
            db.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    done, rows = take(tmp_path, [("d1/alert", alert(1)), ("d1/alert", alert(4))])
    assert receipts(done) == {"d1": [["id-1", "id-4"]]}
    assert [(row[0], row[2], row[4]) for row in rows] == [
        ("id-1", "alert", 1),
        ("id-2", "gap", 2),
        ("id-4", "alert", 4),
    ]
    store = MessageStore(tmp_path / "centre.db")
    assert store.missing("d1", IssuedNumbers(lane="alert", epoch="e1", last=6), 1) == [(5, 6)]
    store.close()


def test_what_it_writes_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        (tmp_path / "centre.db").touch(0o644)
        take(tmp_path, [("d1/alert", alert(1))])
    finally:
        os.umask(before)
    assert (tmp_path / "centre.db").stat().st_mode & 0o777 == 0o600


class Asked:
    """A centre with a clock of its own: what it asks for, and the holes that it tells of."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 100.0
        self.said: list[tuple[str, str, dict[str, Any]]] = []
        self.centre = Centre(
            folder / "centre.db",
            Broker(url="mqtt://127.0.0.1:1"),
            ROOT,
            lambda device, topic, body: self.said.append((device, topic, body)),
            clock=lambda: self.now_s,
        )
        self.line = Line(folder / "centre.db")

    async def hear(self, *messages: tuple[str, bytes]) -> None:
        batch = [SimpleNamespace(topic=f"{ROOT}/{topic}", payload=payload) for topic, payload in messages]
        await self.centre.intake.store_batch(self.line, batch)  # type: ignore[arg-type]

    async def after(self, seconds: float) -> list[Any]:
        """What it asks for, that much later: device, lane, epoch, ranges."""
        self.now_s += seconds
        self.line.done.clear()
        await self.centre.intake.check_holes(self.line)  # type: ignore[arg-type]
        assert all(topic.endswith("/command/resend") for topic, _ in self.line.done)
        assert all(1 <= len(said["id"]) <= 64 for _, said in self.line.done)
        return [
            (topic.split("/")[2], said["lane"], said["epoch"], said["ranges"])
            for topic, said in self.line.done
        ]

    def holes(self) -> list[tuple[str, str, list[tuple[int, int]]]]:
        return [
            (body["state"], body["lane"], body["ranges"]) for _, topic, body in self.said if topic == HOLE
        ]


def health(*numbers: Any, seq: int = 1) -> tuple[str, bytes]:
    return "d1/health", alert(seq, id=f"health-{seq}", epoch="h", schema="health/1", numbers=list(numbers))


def at(last: int, epoch: str = "e1", lane: str = "alert") -> dict[str, Any]:
    return {"lane": lane, "epoch": epoch, "last": last}


def test_a_centre_from_yesterdays_backup_asks_for_what_it_lacks(tmp_path: Path) -> None:
    async def scene() -> None:
        asked = Asked(tmp_path)
        await asked.hear(*(("d1/alert", alert(number)) for number in (*range(1, 7), 17)), health(at(17)))
        assert await asked.after(0) == []
        assert await asked.after(6) == [("d1", "alert", "e1", [[7, 16]])]
        assert await asked.after(600) == []  # the device has not spoken since
        await asked.hear(("d1/alert", alert(8)), health(at(17), seq=2))
        assert await asked.after(6) == [("d1", "alert", "e1", [[7, 7], [9, 16]])]
        await asked.hear(health(at(17), seq=3))
        assert await asked.after(30) == []  # at most once a minute
        assert len(await asked.after(30)) == 1
        await asked.hear(*(("d1/alert", alert(number)) for number in range(7, 17)), health(at(17), seq=4))
        assert await asked.after(60) == []
        assert asked.holes() == [
            ("asked for again", "alert", [(7, 16)]),
            ("asked for again", "alert", [(7, 7), (9, 16)]),
            ("closed", "alert", [(7, 7), (9, 16)]),
        ]
        asked.centre.close()

    asyncio.run(scene())


def test_a_hole_that_a_gap_explains_is_told_and_not_asked_for(tmp_path: Path) -> None:
    async def scene() -> None:
        asked = Asked(tmp_path)
        told = {"of_epoch": "e1", "gap": {"lane": "alert", "first": 2, "last": 4, "count": 3, "why": "full"}}
        gap = "d1/gap", alert(1, id="g", schema="gap/1", **told)
        with structlog.testing.capture_logs() as logged:
            await asked.hear(("d1/alert", alert(1)), ("d1/alert", alert(5)), gap, gap, health(at(5)))
        assert await asked.after(6) == []
        assert asked.holes() == [("lost at the device", "alert", [(2, 4)])]
        assert [(line["event"], line["numbers"], line["why"]) for line in logged] == [("hole", "2-4", "full")]
        assert line("d1", HOLE, asked.said[0][2]).endswith("alert 2-4 of epoch e1: lost at the device: full")
        asked.centre.close()

    asyncio.run(scene())


def test_each_lane_and_epoch_has_its_own_numbers(tmp_path: Path) -> None:
    async def scene() -> None:
        asked = Asked(tmp_path)
        await asked.hear(
            ("d1/alert", alert(1)),
            ("d1/alert", alert(2, epoch="e2", id="x")),
            ("d1/gap", alert(1, id="y")),
            ("d1/command/result", alert(3, id="z")),
            ("d1/telemetry/gnss", alert(2, id="t")),
            ("d2/alert", alert(2, device="d2")),
            health(at(2), at(2, "e2"), at(3, lane="result"), at(0, "e3")),
        )
        assert await asked.after(6) == [
            ("d1", "alert", "e1", [[2, 2]]),
            ("d1", "alert", "e2", [[1, 1]]),
            ("d1", "result", "e1", [[2, 2]]),
        ]
        asked.centre.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    "numbers",
    [None, 5, "x", {}, [None], [[]], [{"lane": "x", "epoch": "e", "last": 1}], [{"lane": "alert"}],
     [{"lane": "alert", "epoch": "e", "last": 2**70}], [{"lane": "alert", "epoch": "e" * 65, "last": 1}]],
    ids=ascii,
)  # fmt: skip
def test_numbers_that_are_none_ask_for_nothing(tmp_path: Path, numbers: Any) -> None:
    async def scene() -> None:
        asked = Asked(tmp_path)
        await asked.hear(("d1/health", alert(1, numbers=numbers)))
        assert await asked.after(6) == []
        asked.centre.close()

    asyncio.run(scene())


def test_no_request_grows_beyond_what_a_device_takes(tmp_path: Path) -> None:
    async def scene() -> None:
        asked = Asked(tmp_path)
        await asked.hear(*(("d1/alert", alert(number)) for number in range(1, 1001, 2)))
        await asked.hear(health(at(2**62)))
        ((_, _, _, found),) = await asked.after(6)
        assert found == [[number, number] for number in range(2, 201, 2)]
        assert len(encode(found)) < 4096
        asked.centre.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xd8\xff\xe0 a picture",
        b"[1, 2]",
        b"null",
        b'{"id": 1}',
        b'{"id": "a", "epoch": "e", "seq": "1", "at": null}',
        alert(10**30),
        alert(0),
        alert(-5),
        alert(3, id="x" * 65),
        b'{"id": "\\ud800", "epoch": "e", "seq": 1, "at": ""}',
        b'{"id": "a", "epoch": "e", "seq": 1, "at": "", "deep": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"id": "a", "epoch": "e", "seq": NaN, "at": ""}',
    ],
)
def test_no_message_stops_it_and_what_is_malformed_gets_no_receipt(tmp_path: Path, payload: bytes) -> None:
    done, rows = take(tmp_path, [("d1/alert", payload), ("d1/alert", alert(2))])
    assert [row[4] for row in rows] == [2]
    assert receipts(done) == {"d1": [["id-2"]]}
    assert [what for what, _ in done].count("acknowledged") == 2


def test_what_goes_down_is_not_taken_for_something_said(tmp_path: Path) -> None:
    down = ["d1/receipt", "d1/alert/ack", "d1/config/desired", "d1/command/ping", "host/status"]
    _, rows = take(tmp_path, [(topic, alert(1)) for topic in down])
    assert rows == []


def test_a_database_that_can_not_be_written_gives_no_receipt(tmp_path: Path) -> None:
    async def work() -> Line:
        db = tmp_path / "centre.db"
        centre = Centre(db, Broker(url="mqtt://127.0.0.1:1"), ROOT)
        line = Line(db)
        with sqlite3.connect(db) as store:
            store.execute(
                "CREATE TRIGGER full BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
        with pytest.raises(OSError, match="disk full"):
            await centre.intake.store_batch(
                line, [SimpleNamespace(topic=f"{ROOT}/d1/alert", payload=alert(1))]
            )  # type: ignore[arg-type]
        centre.close()
        return line

    assert asyncio.run(work()).done == []


@given(
    have=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 6)).map(lambda one: (one[0], sum(one)))),
    first=st.integers(1, 40),
    last=st.integers(0, 50),
)
def test_missing_is_what_no_range_holds(have: list[tuple[int, int]], first: int, last: int) -> None:
    held = {number for begin, end in have for number in range(begin, end + 1)}
    expected = [number for number in range(first, last + 1) if number not in held]
    found = missing(first, last, have)
    assert [number for begin, end in found for number in range(begin, end + 1)] == expected
    assert found == ranges(expected)


@pytest.mark.parametrize("topic", ["alert", "position", "status"])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"alert": 5, "lat": "x", "lon": None, "reasons": 7},
        {"alert": {"phase": None}, "reasons": [1]},
        {"alert": {"text": "\ud800 \x1b[2J\n"}, "state": "\ud800", "lat": 1.5, "lon": 2.5, "mode": "\x07"},
    ],
)
def test_a_line_for_people_stands_whatever_is_in_it(topic: str, body: dict[str, Any]) -> None:
    told = line("d1", topic, body)
    assert told.split()[1:3] == ["d1", topic]
    assert told.isprintable()
    told.encode()


def test_a_write_that_goes_on_in_its_thread_is_waited_for(tmp_path: Path) -> None:
    """A cancelled write is still under way when the next begins, or the store is closed."""
    store = MessageStore(tmp_path / "c.db")
    header = {
        "schema": "alert/1",
        "device": "d1",
        "session": 1,
        "epoch": "e",
        "at": "2026-01-01T00:00:00.000Z",
    }

    def messages(first: int) -> list[ReceivedMessage]:
        bodies = [encode({**header, "id": f"i{first + n}", "seq": first + n + 1}) for n in range(200)]
        return [ReceivedMessage("alert", MessageHeader.model_validate_json(body), body) for body in bodies]

    batches = [messages(200 * number) for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        writes = [threads.submit(store.keep, batch) for batch in batches]
        for write in writes[:4]:
            write.result()
        store.close()
        for write in writes:
            with suppress(OSError):  # it began after the end
                assert write.result() == ["new"] * 200


@pytest.mark.parametrize(("flag", "shown"), [({"simulated": True}, "d1 (simulated) alert"), ({}, "d1 alert")])
def test_a_simulated_message_is_shown_as_such(flag: dict[str, Any], shown: str) -> None:
    alert = {"phase": "new", "severity": "critical", "text": "panic"}
    assert f"{shown}     new    critical panic" in line("d1", "alert", {"alert": alert, **flag})
