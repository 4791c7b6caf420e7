"""The centre and the audit logs: countersigned in the receipt, warned about, and its own log of who looked."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from agent.__main__ import cli
from agent.audit.access_log import access_log_folder
from agent.audit.checkpoint_store import CheckpointStore
from agent.audit.entry import Entry
from agent.audit.verify import read_entries, verify_folder
from centre.intake import Intake
from centre.message_header import MessageHeader, ReceivedMessage
from tests.test_audit_cli import runs
from tests.test_centre import ROOT, alert, take


def message(entry: Entry | str, seq: int) -> tuple[str, bytes]:
    line = entry if isinstance(entry, str) else entry.line.decode()
    return "d1/audit", alert(seq, schema="audit_checkpoint/1", entry=line)


def receipts(done: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    return [said for topic, said in done if topic == f"{ROOT}/d1/receipt"]


def test_a_checkpoint_is_countersigned_in_the_receipt_for_its_message(tmp_path: Path) -> None:
    start, stop = runs(tmp_path / "data", 1, 5)
    done, _ = take(tmp_path, [("d1/alert", alert(1)), message(start, 2), message(stop, 3)])
    (receipt,) = receipts(done)
    assert receipt["ids"] == ["id-1", "id-2", "id-3"]
    assert {key: receipt["checkpoint"][key] for key in ("log", "n", "hash")} == {
        "log": stop.fields["log"], "n": 5, "hash": stop.hash,
    }  # fmt: skip
    again, _ = take(tmp_path, [message(stop, 3)])
    assert receipts(again)[0]["checkpoint"] == receipt["checkpoint"]


def test_a_log_that_went_back_is_not_countersigned_and_has_its_receipt_all_the_same(tmp_path: Path) -> None:
    data = tmp_path / "data"
    sent = runs(data, 1, 5)
    kept = {path: path.read_bytes() for path in (data / "audit").iterdir()}
    sent += runs(data, 6, 9)
    take(tmp_path, [message(entry, number) for number, entry in enumerate(sent, 1)])
    for path, content in kept.items():
        path.write_bytes(content)
    again = runs(data, 16, 19)
    done, _ = take(tmp_path, [message(entry, number) for number, entry in enumerate(again, 11)])
    (receipt,) = receipts(done)
    assert (receipt["ids"], "checkpoint" in receipt) == (["id-11", "id-12"], False)


def test_no_checkpoint_stops_the_centre(tmp_path: Path) -> None:
    start, _ = runs(tmp_path / "data", 1, 3)
    forged = start.line.decode().replace('"x":1', '"x":2')
    hostile = ["", "x", "[]", forged, "9" * 5000, json.dumps({"n": 2**70})]
    done, rows = take(tmp_path, [message(line, number) for number, line in enumerate(hostile, 1)])
    assert len(receipts(done)[0]["ids"]) == len(rows) == len(hostile)
    assert "checkpoint" not in receipts(done)[0]
    with sqlite3.connect(tmp_path / "centre.db") as db:
        assert db.execute("SELECT count(*) FROM audit_checkpoint").fetchone() == (0,)


def look(folder: Path, *more: str, name: str = "d1/a-1.jpg") -> tuple[int, str]:
    arguments = [
        "centre",
        "picture",
        name,
        "--db",
        str(folder / "centre.db"),
        "--pictures",
        str(folder / "pictures"),
    ]
    result = CliRunner().invoke(cli, [*arguments, "-o", str(folder / "out.jpg"), *more])
    return result.exit_code, result.output


def test_who_looks_at_a_picture_is_logged_before_it_is_shown(tmp_path: Path) -> None:
    (tmp_path / "pictures" / "d1").mkdir(parents=True)
    (tmp_path / "pictures" / "d1" / "a-1.jpg").write_bytes(b"\xff\xd8 one")
    why = ("--role", "watch-officer", "--reason", "man at the railing")
    code, said = look(tmp_path, *why)
    assert (code, (tmp_path / "out.jpg").read_bytes()) == (0, b"\xff\xd8 one"), said
    assert (tmp_path / "out.jpg").stat().st_mode & 0o777 == 0o600
    folder = access_log_folder(tmp_path / "centre.db")
    *_, entry = read_entries(folder)
    assert (entry.kind, entry.fields["picture"], entry.fields["reason"]) == (
        "picture_viewed", "d1/a-1.jpg", "man at the railing",
    )  # fmt: skip
    assert verify_folder(folder).problems == []
    for more, name in (
        (("--role", "x", "--reason", "y"), "d1/a-1.jpg"),
        (why, "../a-1.jpg"),
        (why, "d1/b-1.jpg"),
    ):
        (tmp_path / "out.jpg").unlink(missing_ok=True)
        assert look(tmp_path, *more, name=name)[0] in (1, 2)
        assert not (tmp_path / "out.jpg").exists()
    (folder / "lock").unlink()
    (folder / "lock").mkdir()
    assert look(tmp_path, *why)[0] == 1
    assert not (tmp_path / "out.jpg").exists()


READER = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])"
"""Another process that reads the database, and closes it."""


def test_a_reader_of_the_database_costs_no_message(tmp_path: Path) -> None:
    """SQLite's locks belong to the process: a descriptor of the file that is opened and closed beside it frees
    them, and the next reader that ends deletes the write-ahead log under the centre."""

    def count() -> int:
        command = [sys.executable, "-c", READER, str(tmp_path / "centre.db"), "SELECT count(*) FROM message"]
        return int(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)

    intake = Intake(tmp_path / "centre.db")
    CheckpointStore(tmp_path / "centre.db", read_only=True).close()
    for number in range(1, 4):
        header = MessageHeader.model_validate_json(alert(number))
        assert intake._store.keep([ReceivedMessage("alert", header, alert(number))]) == ["new"]
        assert count() == number
    intake.close()
    assert count() == 3
