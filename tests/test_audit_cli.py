"""``ringpost audit`` on a device's folder and on the centre's database."""

import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.__main__ import cli
from agent.audit.access_log import access_log_folder, log_access
from agent.audit.chain_files import ChainFiles
from agent.audit.chain_state import segments
from agent.audit.checkpoint_store import CheckpointStore
from agent.audit.countersigned import keep_countersigned
from agent.audit.entry import Entry
from agent.trust.device_key import load_or_make
from tests.test_audit_tampering import draft


def ringpost(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["audit", *map(str, arguments)])
    return result.exit_code, result.output


def runs(data: Path, first: int, last: int) -> list[Entry]:
    """An agent that starts, works and stops; what it sends to the centre."""
    key = load_or_make(data)
    files = ChainFiles(data / "audit", device_key=key.public.hex(), sign=key.sign)
    files.open()
    found = files.commit([draft(first, "start")])
    found += files.commit([draft(number) for number in range(first + 1, last)])
    found += files.commit([draft(last, "stop")])
    files.close()
    return [entry for entry in found if entry.kind != "push"]


def receives(db: Path, device: str, sent: list[Entry]) -> list[str | None]:
    with CheckpointStore(db) as store:
        return [store.keep(device, entry.line.decode()).problem for entry in sent]


def test_verify_says_what_is_wrong_where_and_since_when(tmp_path: Path) -> None:
    runs(tmp_path, 1, 9)
    code, said = ringpost("verify", "--data", tmp_path)
    assert (code, said.splitlines()[0]) == (0, f"{tmp_path}/audit: entries 1-9, intact")
    assert "no countersignature of the centre here" in said
    path = segments(tmp_path / "audit")[0]
    path.write_bytes(path.read_bytes().replace(b'"x":4', b'"x":5'))
    code, said = ringpost("verify", "--data", tmp_path)
    assert code == 1
    assert "BROKEN" in said
    assert (
        "entry 4: signature does not match: changed, or written by another (after 2026-11-30T12:00:03.000Z)"
        in said
    )
    code, said = ringpost("verify", "--data", tmp_path, "--json")
    assert (code, json.loads(said)["problems"][0]["first"]) == (1, 4)


def test_list_prints_the_entries(tmp_path: Path) -> None:
    runs(tmp_path, 1, 4)
    (tmp_path / "egress.jsonl").write_text(
        '{"at": "2026-11-01T00:00:00.000Z", "topic": "media/a/1", "before": ""}\n'
    )
    code, said = ringpost("list", "--data", tmp_path)
    assert code == 0
    assert [line.split()[2] for line in said.splitlines()] == ["picture", "start", "push", "push", "stop"]
    code, said = ringpost("list", "--data", tmp_path, "--kind", "push", "--json")
    assert [json.loads(line)["fields"] for line in said.splitlines()] == [{"x": 2}, {"x": 3}]


def test_the_older_egress_log_is_still_read(tmp_path: Path) -> None:
    runs(tmp_path, 1, 4)
    lines = ['{"n":1,"before":""}', '{"n":2,"before":"0000"}']
    (tmp_path / "egress.jsonl").write_text("\n".join(lines) + "\n")
    code, said = ringpost("verify", "--data", tmp_path)
    assert code == 1
    assert "egress.jsonl: entries 1-2, BROKEN" in said
    assert "entry 2: does not name the line before it" in said


def test_a_folder_is_held_against_the_centre(tmp_path: Path) -> None:
    """The whole data folder is put back from an older copy: only the centre can know."""
    data, db = tmp_path / "data", tmp_path / "centre.db"
    sent = runs(data, 1, 5)
    kept = {path: path.read_bytes() for path in (data / "audit").iterdir()}
    sent += runs(data, 6, 9)
    assert receives(db, "bridge-07", sent) == [None] * 4
    assert receives(db, "post-02", runs(tmp_path / "other", 1, 3)) == [None] * 2
    code, said = ringpost("verify", "--data", data, "--db", db)
    assert (code, "the centre has received it up to entry 9" in said) == (0, True), said
    for path, content in kept.items():
        path.write_bytes(content)
    assert ringpost("verify", "--data", data)[0] == 0
    code, said = ringpost("verify", "--data", data, "--db", db)
    assert code == 1
    assert "the centre holds entry 9" in said
    assert "this log ends at 5" in said
    again = runs(data, 16, 19)
    first, _ = receives(db, "bridge-07", again)
    assert "the log was rewritten" in str(first)
    code, said = ringpost("verify", "--db", db)
    assert code == 1
    assert "bridge-07: entries 1-9, BROKEN" in said
    assert "post-02: entries 1-3, intact" in said
    code, said = ringpost("list", "--db", db, "--device", "bridge-07", "--json")
    assert [json.loads(line)["n"] for line in said.splitlines()] == [1, 5, 6, 9, 6, 9]


def test_the_centre_notices_a_cut_tail_a_new_log_and_another_device(tmp_path: Path) -> None:
    db = tmp_path / "centre.db"
    a, b = tmp_path / "a", tmp_path / "b"
    assert receives(db, "d1", runs(a, 1, 5)) == [None, None]
    (a / "audit" / "key").unlink()
    for path in segments(a / "audit"):
        path.unlink()
    first, second = receives(db, "d1", runs(a, 6, 9))
    assert "the audit log began anew after entry 5" in str(first)
    assert second is None
    first, _ = receives(db, "d1", runs(b, 10, 12))
    assert "signed with another device key than before" in str(first)
    with CheckpointStore(db) as store:
        for line in ("", "[]", "{}", '{"n": 1}', runs(b, 13, 14)[0].line.decode().replace("start", "stop_")):
            with pytest.raises(ValueError, match=r"."):
                store.keep("d1", line)


def test_forged_checkpoints_change_nothing_of_what_the_centre_knows(tmp_path: Path) -> None:
    """Of another device key, or of another device, sent under this name by whoever has the broker."""
    db, forger = tmp_path / "centre.db", tmp_path / "forger"
    own = [*runs(tmp_path / "own", 1, 5), *runs(tmp_path / "own", 6, 9), *runs(tmp_path / "own", 10, 14)]
    assert receives(db, "d1", own[:2]) == [None, None]
    for forged in (runs(forger, 1, 5), runs(forger, 6, 9), runs(tmp_path / "other", 1, 3)):
        problems = receives(db, "d1", forged)
        assert all("signed with another device key than before" in str(one) for one in problems)
    assert receives(db, "d1", own[2:]) == [None] * 4
    code, said = ringpost("verify", "--data", tmp_path / "own", "--db", db)
    assert code == 0, said
    code, said = ringpost("verify", "--db", db)
    assert (code, said.count("another device key")) == (1, 5), said


def test_one_device_key_has_one_name(tmp_path: Path) -> None:
    db = tmp_path / "centre.db"
    sent = runs(tmp_path / "d1", 1, 5)
    assert receives(db, "d1", sent) == [None, None]
    (first, second) = receives(db, "d2", sent)
    assert first == second == "has the device key of d1: a copied data folder, a new name, or a replay"
    assert receives(db, "d2", runs(tmp_path / "d2", 1, 3)) == [None, None]
    assert ringpost("verify", "--data", tmp_path / "d1", "--db", db)[0] == 0


def test_the_key_of_a_replaced_device_is_accepted_by_a_person(tmp_path: Path) -> None:
    db = tmp_path / "centre.db"
    assert receives(db, "d1", runs(tmp_path / "old", 1, 5)) == [None, None]
    sent = runs(tmp_path / "new", 1, 5)
    command = ["centre", "accept-key", "d1", "--db", str(db)]
    key = str(sent[0].fields["device_key"])
    for wrong in ("", "zz" * 32, key[:-2]):
        assert CliRunner().invoke(cli, [*command, "--device-key", wrong]).exit_code == 2
    result = CliRunner().invoke(cli, [*command, "--device-key", key])
    assert result.exit_code == 0, result.output
    assert receives(db, "d1", sent) == [None, None]
    code, said = ringpost("verify", "--db", db)
    assert code == 0, said


def test_nothing_may_follow_the_signature_of_a_checkpoint(tmp_path: Path) -> None:
    """A broker could else hide that a device found its log damaged, and get another hash countersigned."""
    (start, _) = runs(tmp_path / "data", 1, 2)
    line = start.line.decode()
    signature = line[-130:-2]
    with CheckpointStore(tmp_path / "centre.db") as store:
        for changed in (
            line[:-1] + ',"fields":' + json.dumps({**start.fields, "since": [1, "0" * 64]}) + "}",
            line[:-1] + ',"sig":"' + signature + '"}',
            line.replace(signature, signature.upper()),
            line.replace(signature, signature[:64] + " " + signature[64:]),
            line + " ",
        ):
            with pytest.raises(ValueError, match=r"its end is not its signature|do not match"):
                store.keep("d1", changed)
        assert store.keep("d1", line).problem is None


def test_what_was_deleted_from_the_database_shows(tmp_path: Path) -> None:
    data, db = tmp_path / "data", tmp_path / "centre.db"
    sent = [*runs(data, 1, 5), *runs(data, 6, 9)]
    receives(db, "d1", sent)
    for entry in sent[1::2]:
        keep_countersigned(
            data / "audit", b"{}", {"log": entry.fields["log"], "n": entry.n, "hash": entry.hash}
        )
    assert ringpost("verify", "--data", data, "--db", db, "--device", "d1")[0] == 0

    def delete(where: str) -> tuple[str, str]:
        connection = sqlite3.connect(db)
        connection.execute(f"DELETE FROM audit_checkpoint WHERE {where}")  # noqa: S608  ours
        connection.commit()
        connection.close()
        both = ringpost("verify", "--data", data, "--db", db, "--device", "d1")
        alone = ringpost("verify", "--db", db)
        assert both[0] == 1
        return both[1], alone[1]

    both, alone = delete("n = 5")
    assert "entry 5: was countersigned, and is not in this database: deleted, or of another centre" in both
    assert "entry 5: missing in the database: deleted, or never received" in alone
    both, _ = delete("n = 9")
    assert "entry 9: was countersigned, and is not in this database" in both
    both, alone = delete("1 = 1")
    assert "is not in this database" in both
    assert "centre.db: entries none, BROKEN\n  holds no checkpoint" in alone
    (data / "audit" / "countersigned.jsonl").unlink()
    both, _ = delete("1 = 1")
    assert "the database of the centre holds no checkpoint of this device" in both


def test_a_checkpoint_has_a_size(tmp_path: Path) -> None:
    (start, _) = runs(tmp_path / "data", 1, 2)
    line = start.line.decode()
    with (
        CheckpointStore(tmp_path / "centre.db") as store,
        pytest.raises(ValueError, match="larger than 16 KiB"),
    ):
        store.keep("d1", line[:-1] + ',"more":"' + "x" * 1_000_000 + '"}')


def test_each_way_back_shows_at_the_centre(tmp_path: Path) -> None:
    """An older copy that was taken in the middle of a run, and what is written on it."""
    data, db = tmp_path / "data", tmp_path / "centre.db"
    key = load_or_make(data)
    files = ChainFiles(data / "audit", device_key=key.public.hex(), sign=key.sign)
    files.open()
    sent = files.commit([draft(1, "start"), draft(2)])
    kept = {path: path.read_bytes() for path in (data / "audit").iterdir()}
    sent += files.commit([draft(3), draft(4), draft(5, "stop")])
    files.close()
    assert receives(db, "d1", [sent[0], sent[-1]]) == [None, None]
    for path, content in kept.items():
        path.write_bytes(content)
    start, stop = runs(data, 10, 19)
    assert (start.n, stop.n) == (3, 12)
    (problem,) = receives(db, "d1", [start])
    assert "goes on from entry 1 as it did before entry 5" in str(problem)
    (problem,) = receives(db, "d1", [stop])
    assert problem is None
    for path, content in kept.items():
        path.write_bytes(content)
    start, stop = runs(data, 20, 28)
    (problem,) = receives(db, "d1", [stop])
    assert "entry 3 differs from the one received before" in str(problem)


def test_checkpoints_may_arrive_in_any_order_and_twice(tmp_path: Path) -> None:
    sent = [*runs(tmp_path / "data", 1, 5), *runs(tmp_path / "data", 6, 9)]
    assert receives(tmp_path / "centre.db", "d1", [sent[2], sent[0], sent[3], sent[1], *sent]) == [None] * 8


def test_a_countersigned_entry_that_is_gone_shows(tmp_path: Path) -> None:
    first = runs(tmp_path, 1, 5)
    kept = {path: path.read_bytes() for path in (tmp_path / "audit").iterdir()}
    (newest,) = [one for one in runs(tmp_path, 6, 9) if one.kind == "stop"]
    keep_countersigned(tmp_path / "audit", b"{}", {"log": newest.fields["log"], "n": 9, "hash": newest.hash})
    code, said = ringpost("verify", "--data", tmp_path)
    assert (code, "countersigned by the centre up to entry 9" in said) == (0, True)
    for path, content in kept.items():
        path.write_bytes(content)
    code, said = ringpost("verify", "--data", tmp_path)
    assert (code, "the centre holds entry 9" in said) == (1, True)
    assert first[0].n == 1


def test_the_access_log_is_verified_with_the_database(tmp_path: Path) -> None:
    db = tmp_path / "centre.db"
    receives(db, "d1", runs(tmp_path / "data", 1, 3))
    for number in range(3):
        log_access(
            access_log_folder(db),
            "picture_viewed",
            who=["a1"],
            role="watch-officer",
            picture=f"d1/a-{number}.jpg",
        )
    code, said = ringpost("verify", "--db", db)
    assert (code, "who looked at which picture): entries 1-4, intact" in said) == (0, True), said
    path = segments(access_log_folder(db))[0]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    code, said = ringpost("verify", "--db", db)
    assert (code, "entry 4: missing at the end" in said) == (1, True), said


@pytest.mark.parametrize("value", ["'x'", "NULL", "x'ff00'"])
def test_a_damaged_row_is_named(tmp_path: Path, value: str) -> None:
    db = tmp_path / "centre.db"
    receives(db, "d1", runs(tmp_path / "data", 1, 3))
    connection = sqlite3.connect(db)
    connection.execute(f"UPDATE audit_checkpoint SET line = {value}")  # noqa: S608  ours
    connection.commit()
    connection.close()
    for verb in ("list", "verify"):
        code, said = ringpost(verb, "--db", db)
        assert (code, "d1: a stored checkpoint is damaged" in said) == (1, True), said


@pytest.mark.parametrize("verb", ["list", "verify"])
def test_it_needs_a_folder_or_a_database(tmp_path: Path, verb: str) -> None:
    assert ringpost(verb)[0] == 2
    assert ringpost(verb, "--db", tmp_path / "absent.db")[0] == 1
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "text.db").write_text("no database, but a file of some length")
    assert ringpost(verb, "--db", tmp_path / "text.db")[0] == 1
    assert ringpost("verify", "--data", tmp_path)[0] == 1
