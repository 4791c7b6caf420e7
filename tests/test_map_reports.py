"""Reports and exports: complete, and safe whatever a device calls itself."""

import asyncio
import csv
import hashlib
import io
import json
import zipfile
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.audit.access_log import access_log_folder
from centre.map.action_entry import ENTRY_TYPE
from centre.map.actions import Actions
from centre.map.evidence import SUMS, safe_name
from centre.map.export_csv import FORMULA, safe_cell
from centre.map.report_cli import report
from centre.map.report_data import read_report
from centre.map.report_files import write_report
from console.session_signer import SessionSigner
from tests.map_fleet import Fleet
from tests.map_rows import BIRTH, later, write
from tests.signing import ROOT_KEY

HOSTILE = '=cmd|"/c calc"!A1'
MARKUP = "<script>alert(1)</script>"
ANSWER = {"role": "watch-officer", "action": "ack", "at": "2026-11-30T12:02:30Z"}


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A shift with an answered alert of a boat, an open hostile one, and a drill."""
    path = tmp_path / "centre.db"
    point = {"lat": 32.0, "lon": 118.0, "error_m": 12.5, "how": "ground_plane"}
    alert: dict[str, Any] = {
        "alert_id": "a1", "phase": "new", "severity": "critical", "text": "person in the water", "point": point,
        "since": "2026-11-30T12:02:00Z", "media": ["media/a1/1"],
    }  # fmt: skip
    hostile = alert | {
        "alert_id": "..",
        "text": HOSTILE,
        "zone": MARKUP,
        "media": ["media/../../../etc/passwd"],
    }
    fix = {"lat": 32.0, "lon": 118.0, "mode": "3d", "trust": "good", "age_s": 0, "stale_after_s": 15}
    rows: list[tuple[str, str, float, dict[str, Any]]] = [
        ("boat-7", "birth", 0, BIRTH | {"post": f"@{MARKUP}", "site": "+49"}),
        ("boat-7", "status", 0, {"state": "degraded", "reasons": [MARKUP, "no fix"]}),
        *(("boat-7", "position", 60.0 * n, fix | {"lat": 32 + n / 1000}) for n in range(8)),
        ("boat-7", "alert", 121, {"alert": alert, "latency_ms": {"finding_to_outbox": 3.5}}),
        ("boat-7", "alert", 150, {"alert": alert | {"phase": "update", "acknowledged": ANSWER}}),
        ("-x", "birth", 10, BIRTH),
        ("-x", "alert", 200, {"alert": hostile}),
        ("boat-7", "alert", 300, {"alert": alert | {"alert_id": "d1", "phase": "drill"}, "drill": True}),
    ]
    write(path, sorted(rows, key=lambda row: row[2]))
    (tmp_path / "pictures" / "boat-7").mkdir(parents=True)
    for name in ("a1-1.jpg", "a1-2.jpg", "a10-1.jpg"):
        (tmp_path / "pictures" / "boat-7" / name).write_bytes(b"\xff\xd8 " + name.encode())
    return path


def act(db: Path) -> None:
    async def session() -> None:
        actions = Actions(db, Fleet(), now=lambda: later(160))
        data = read_report(db, later(0), later(400))
        alert = data.situation.alerts.get("boat-7", "a1")
        assert alert is not None
        signer = SessionSigner(ROOT_KEY)
        for steps in (
            actions.hand_over(alert, signer, "watch-officer", "river-police", "boat 9 is nearer"),
            actions.note(alert, signer, "river-police", HOSTILE),
        ):
            async for _ in steps:
                pass
        actions.close()

    asyncio.run(session())


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def test_the_files_of_a_report(db: Path, tmp_path: Path) -> None:
    act(db)
    written = write_report(read_report(db, later(0), later(400)), tmp_path / "out", UTC)
    assert [path.name for path in written] == [
        "report.txt", "alerts.csv", "actions.csv", "positions.geojson", "tracks.geojson", "alerts.geojson", SUMS,
    ]  # fmt: skip
    assert all(path.stat().st_mode & 0o077 == 0 for path in written)
    rows = {row["alert_id"]: row for row in table(tmp_path / "out" / "alerts.csv")}
    row = rows["a1"]
    assert (row["answered_by"], row["answer"], row["answered_after_s"]) == ("watch-officer", "ack", "30.0")
    assert (row["holder"], row["finding_to_outbox_ms"], row["error_m"]) == ("river-police", "3.5", "12.5")
    assert "12:02:40 watch-officer handed over to river-police: boat 9 is nearer" in row["actions"]
    assert rows["d1"]["shown_as"] == "drill"
    text = (tmp_path / "out" / "report.txt").read_text()
    assert "Alerts: 2; drill: 1" in text
    assert "critical: 2, 1 answered, half of them within 30 s" in text
    tracks = json.loads((tmp_path / "out" / "tracks.geojson").read_text())
    [track] = tracks["features"]
    assert len(track["geometry"]["coordinates"]) == len(track["properties"]["times"]) == 7
    assert track["geometry"]["coordinates"][0] == [118.0, 32.0]


def test_no_cell_is_a_formula(db: Path, tmp_path: Path) -> None:
    act(db)
    write_report(read_report(db, later(0), later(400)), tmp_path / "out", UTC)
    for name in ("alerts.csv", "actions.csv"):
        cells = [cell for row in table(tmp_path / "out" / name) for cell in row.values()]
        assert any(HOSTILE in cell for cell in cells)
        assert [cell for cell in cells if cell[:1] in tuple("=+-@") and not is_number(cell)] == []


def is_number(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return False


@settings(deadline=None)
@given(st.text(max_size=30))
def test_a_cell_holds_one_line_that_no_spreadsheet_computes(text: str) -> None:
    cell = safe_cell(text, UTC)
    assert isinstance(cell, str)
    assert cell.isprintable()
    assert not cell.strip() or cell.lstrip()[0] not in FORMULA


@settings(deadline=None)
@given(st.text(max_size=80))
def test_a_safe_name_is_one_level_of_a_path(name: str) -> None:
    found = safe_name(name)
    assert Path(found).name == found
    assert not found.startswith((".", "-"))


def test_evidence_has_messages_pictures_actions_and_audit(db: Path, tmp_path: Path) -> None:
    act(db)
    out = tmp_path / "out"
    given = [
        "--db",
        str(db),
        "--from",
        "2026-11-30T12:00:00+00:00",
        "--to",
        "2026-11-30T12:07:00Z",
        "-o",
        str(out),
    ]
    given += [
        "--evidence",
        "--pictures",
        str(tmp_path / "pictures"),
        "--role",
        "court",
        "--reason",
        "case 12",
    ]
    result = CliRunner().invoke(report, given)
    assert result.exit_code == 0, result.output
    with zipfile.ZipFile(out / "evidence.zip") as file:
        names = set(file.namelist())
        content = {name: file.read(name) for name in names}
    assert all(not name.startswith("/") and ".." not in name.split("/") for name in names)
    boat = {"messages.jsonl", "actions.jsonl", "a1-1.jpg", "a1-2.jpg"}
    assert {name for name in names if name.startswith("boat-7/a1/")} == {f"boat-7/a1/{name}" for name in boat}
    assert len(content["boat-7/a1/messages.jsonl"].splitlines()) == 2
    actions = [json.loads(line) for line in content["boat-7/a1/actions.jsonl"].splitlines()]
    assert [one["envelope"]["payloadType"] for one in actions] == [ENTRY_TYPE, ENTRY_TYPE]
    log = [json.loads(line) for line in content["access-log.jsonl"].splitlines()]
    assert [one["kind"] for one in log] == [
        "alert_handed_over",
        "alert_noted",
        "picture_viewed",
        "picture_viewed",
    ]
    sums = dict(line.split("  ", 1)[::-1] for line in content[SUMS].decode().splitlines())
    assert sums == {name: hashlib.sha256(content[name]).hexdigest() for name in names - {SUMS}}
    looks = b"".join(path.read_bytes() for path in access_log_folder(db).glob("*.jsonl"))
    assert looks.count(b"picture_viewed") == 2
    assert (out / "evidence.zip").stat().st_mode & 0o077 == 0


WRONG = [
    ("a time that is none", ["--from", "yesterday"], 2, "--from: 'yesterday' is no time"),
    ("an end before the beginning", ["--from", "1h", "--to", "2h"], 1, "the report ends before it begins"),
    ("evidence without a role", ["--from", "1h", "--evidence"], 2, "--evidence: give a --role"),
    ("an alert that is not there", ["--from", "1h", "--alert", "zz"], 1, "no alert zz in this time"),
    ("no database", ["--from", "1h", "--db", "none.db"], 1, "none.db: no such file"),
]


@pytest.mark.parametrize(
    ("given", "code", "message"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG]
)
def test_mistakes(db: Path, tmp_path: Path, given: list[str], code: int, message: str) -> None:
    result = CliRunner().invoke(report, ["--db", str(db), "-o", str(tmp_path / "out"), *given])
    assert (result.exit_code, message in result.output) == (code, True), result.output
