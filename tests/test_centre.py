"""The centre: one row for each id, a receipt only after the commit, and no message that can stop it."""

import asyncio
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.transport import Broker
from simulators.centre import Centre, line, ranges

ROOT = "ringpost/v1"


class Line:
    """Stands where the connection does: notes what the centre publishes and acknowledges, in order."""

    def __init__(self, db: Path) -> None:
        self._db = db
        self.done: list[tuple[str, Any]] = []

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> int:
        with sqlite3.connect(self._db) as db:
            rows = db.execute("SELECT count(*) FROM message").fetchone()[0]
        self.done.append((topic, json.loads(payload) | {"rows": rows}))
        return len(self.done)

    def acknowledge(self, message: Any) -> None:
        self.done.append(("acknowledged", message.topic))


def alert(seq: int, **more: Any) -> bytes:
    body = {"id": f"id-{seq}", "epoch": "e1", "seq": seq, "at": "2026-11-28T06:12:31.410Z", "alert": {}}
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
        await centre._take(line, batch)  # type: ignore[arg-type]
        centre.close()
        return line.done

    done = asyncio.run(work())
    with sqlite3.connect(db) as store:
        return done, store.execute(
            "SELECT id, device, topic, epoch, seq FROM message ORDER BY seq"
        ).fetchall()


def test_a_receipt_names_what_is_committed_and_comes_before_the_acknowledgement(tmp_path: Path) -> None:
    done, rows = take(tmp_path, [("d1/alert", alert(number)) for number in (1, 2, 4)])
    assert [row[4] for row in rows] == [1, 2, 4]
    assert done[0] == (
        f"{ROOT}/d1/receipt",
        {"epoch": "e1", "lane": "alert", "received": [[1, 2], [4, 4]], "rows": 3},
    )
    assert [what for what, _ in done[1:]] == ["acknowledged"] * 3


def test_pictures_are_saved_where_wanted_and_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    said = [("d1/media/a1/2", b"\xff\xd8 one"), ("d1/media/../../x/1", b"\xff\xd8 two")]
    done, rows = take(tmp_path, said, tmp_path / "pictures")
    assert [what for what, _ in done] == ["acknowledged"] * 2
    assert rows == []
    assert sorted(path.name for path in tmp_path.rglob("*.jpg")) == ["d1-------x-1.jpg", "d1-a1-2.jpg"]
    assert {path.parent for path in tmp_path.rglob("*.jpg")} == {tmp_path / "pictures"}
    take(tmp_path, said)
    assert len(list(tmp_path.rglob("*.jpg"))) == 2


def test_a_repeat_makes_no_second_row_and_gets_its_receipt_again(tmp_path: Path) -> None:
    take(tmp_path, [("d1/alert", alert(7))])
    done, rows = take(tmp_path, [("d1/alert", alert(7))])
    assert len(rows) == 1
    assert done[0][1]["received"] == [[7, 7]]


def test_devices_epochs_and_lanes_get_receipts_of_their_own(tmp_path: Path) -> None:
    done, _ = take(
        tmp_path,
        [
            ("d1/alert", alert(1)),
            ("d2/alert", alert(1, id="x")),
            ("d1/alert", alert(1, id="y", epoch="e2")),
            ("d1/gap", alert(1, id="z")),
            ("d1/command/result", alert(2, id="w")),
        ],
    )
    receipts = {
        (topic, said["epoch"], said["lane"]): said["received"] for topic, said in done if "lane" in said
    }
    assert receipts == {
        (f"{ROOT}/d1/receipt", "e1", "alert"): [[1, 1]],
        (f"{ROOT}/d2/receipt", "e1", "alert"): [[1, 1]],
        (f"{ROOT}/d1/receipt", "e2", "alert"): [[1, 1]],
        (f"{ROOT}/d1/receipt", "e1", "result"): [[1, 2]],
    }


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
    assert [said["received"] for topic, said in done if topic.endswith("receipt")] == [[[2, 2]]]
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
            await centre._take(line, [SimpleNamespace(topic=f"{ROOT}/d1/alert", payload=alert(1))])  # type: ignore[arg-type]
        centre.close()
        return line

    assert asyncio.run(work()).done == []


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([], []), ([5], [[5, 5]]), ([3, 1, 2, 7, 9, 8], [[1, 3], [7, 9]]), ([1, 1, 2], [[1, 2]])],
)
def test_ranges(numbers: list[int], expected: list[list[int]]) -> None:
    assert ranges(set(numbers)) == expected


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
