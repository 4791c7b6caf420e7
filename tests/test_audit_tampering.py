"""Who takes the device and changes its audit log: what shows it, and where."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.audit.chain_files import ChainFiles
from agent.audit.chain_state import KEY, segments
from agent.audit.entry import Draft, Entry, line_hash, parse
from agent.audit.verify import Witness, verify_folder
from agent.trust.signing_key import SigningKey

DEVICE = SigningKey.generate()


def draft(number: int, kind: str = "push") -> Draft:
    return Draft(kind, f"2026-11-30T12:00:{number:02d}.000Z", "b", float(number), ("a1",), {"x": number})


def write(folder: Path, first: int, last: int, key: SigningKey = DEVICE) -> list[Entry]:
    """A start of the agent, entries, and a checkpoint."""
    files = ChainFiles(folder, device_key=key.public.hex(), sign=key.sign, segment_bytes=3500)
    files.open()
    found = files.commit([draft(first, "start")])
    for number in range(first + 1, last):
        found += files.commit([draft(number)])
    found += files.commit([draft(last, "checkpoint")])
    files.close()
    return found


def lines(folder: Path) -> list[bytes]:
    return [line for path in segments(folder) for line in path.read_bytes().splitlines()]


def put(folder: Path, new: list[bytes]) -> None:
    """Replaces all entries, in one file."""
    for path in segments(folder)[1:]:
        path.unlink()
    segments(folder)[0].write_bytes(b"".join(line + b"\n" for line in new))


def changed(line: bytes, **fields: object) -> bytes:
    return json.dumps({**json.loads(line), **fields}, separators=(",", ":"), ensure_ascii=False).encode()


def cut(folder: Path) -> None:
    put(folder, lines(folder)[:-3])


def cut_in_a_line(folder: Path) -> None:
    path = segments(folder)[-1]
    path.write_bytes(path.read_bytes()[:-200])


def edit(folder: Path) -> None:
    found = lines(folder)
    found[9] = changed(found[9], who=["ffff"])
    put(folder, found)


def edit_the_newest(folder: Path) -> None:
    found = lines(folder)
    put(folder, [*found[:-1], changed(found[-1], kind="stop")])


def rehash(folder: Path) -> None:
    """An entry is taken out, and all hashes after it are made anew."""
    found = lines(folder)
    del found[9]
    for number in range(9, len(found)):
        found[number] = changed(found[number], n=number + 1, before=line_hash(found[number - 1]))
    put(folder, found)


def resign(folder: Path) -> None:
    """As `rehash`, with a new key for each entry, which the thief may have."""
    kept = [parse(line) for line in lines(folder)]
    (folder / KEY).unlink()
    put(folder, [entry.line for entry in kept[:9]])
    files = ChainFiles(folder, device_key=DEVICE.public.hex(), sign=DEVICE.sign)
    files.open()
    for entry in kept[10:]:
        files.commit([replace(draft(0, entry.kind), at=entry.at, fields={"x": entry.fields["x"]})])
    files.close()


def delete_a_line(folder: Path) -> None:
    found = lines(folder)
    put(folder, found[:9] + found[10:])


def delete_a_file(folder: Path) -> None:
    segments(folder)[1].unlink()


def delete_the_first_file(folder: Path) -> None:
    segments(folder)[0].unlink()


def delete_the_last_file(folder: Path) -> None:
    segments(folder)[-1].unlink()


def delete_all_entries(folder: Path) -> None:
    for path in segments(folder):
        path.unlink()


def delete_the_key(folder: Path) -> None:
    (folder / KEY).unlink()


def reorder(folder: Path) -> None:
    found = lines(folder)
    found[9], found[10] = found[10], found[9]
    put(folder, found)


def duplicate(folder: Path) -> None:
    found = lines(folder)
    put(folder, found[:10] + found[9:])


def garbage(folder: Path) -> None:
    found = lines(folder)
    put(folder, [*found[:9], b"\0" * 300, *found[9:]])


TAMPERED: dict[Callable[[Path], None], str] = {
    cut: "entries 18-20: missing at the end",
    cut_in_a_line: "entry 20: missing at the end",
    edit: "entry 10: signature does not match",
    edit_the_newest: "entry 20: signature does not match",
    rehash: "entries 10-19: signature does not match",
    resign: "entry 10: is signed with another key than the entry before names",
    delete_a_line: "entry 10: missing",
    delete_a_file: "missing",
    delete_the_first_file: "entries 1-",
    delete_the_last_file: "missing at the end",
    delete_all_entries: "entries 1-20: missing at the end",
    delete_the_key: "the key file is missing",
    reorder: "entry 10: stands here again: copied, or out of order",
    duplicate: "entry 10: stands here again",
    garbage: "line 10 of 0000000001.jsonl is no entry",
}


@pytest.mark.parametrize("tamper", TAMPERED)
@pytest.mark.parametrize("goes_on", [False, True])
def test_it_shows_in_the_folder_alone(tmp_path: Path, tamper: Callable[[Path], None], goes_on: bool) -> None:
    """Also where the agent starts again afterwards, and writes on."""
    write(tmp_path, 1, 20)
    assert len(segments(tmp_path)) > 2
    assert verify_folder(tmp_path, device_key=DEVICE.public.hex()).problems == []
    tamper(tmp_path)
    if goes_on:
        write(tmp_path, 21, 25)
    report = verify_folder(tmp_path, device_key=DEVICE.public.hex())
    expected = TAMPERED[tamper].removesuffix(" at the end") if goes_on else TAMPERED[tamper]
    if goes_on and tamper is delete_the_key:
        expected = "entry 21: is signed with another key"
    assert any(expected in str(one) for one in report.problems), [str(one) for one in report.problems]


def test_what_the_folder_alone_cannot_show_the_centre_shows(tmp_path: Path) -> None:
    """The thief has the device key, and cuts, deletes or replaces the log together with its key file."""
    folder, copy = tmp_path / "audit", tmp_path / "copy"
    anchors = [one for one in write(folder, 1, 10) if one.kind != "push"]
    shutil.copytree(folder, copy)
    anchors += [one for one in write(folder, 11, 20) if one.kind != "push"]
    witnesses = [Witness(str(one.fields["log"]), one.n, one.hash, one.at) for one in anchors]
    assert verify_folder(folder, witnesses=witnesses).problems == []

    def problems() -> list[str]:
        assert verify_folder(folder, device_key=DEVICE.public.hex()).problems == []
        return [str(one) for one in verify_folder(folder, witnesses=witnesses).problems]

    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    (found,) = problems()
    assert "holds entry 20" in found
    assert "ends at 10: its tail was cut, it was deleted, or an older copy was put back" in found
    write(folder, 11, 25)
    assert any(
        "entry 20: differs from what the centre holds: the log was rewritten" in one for one in problems()
    )
    shutil.rmtree(folder)
    write(folder, 1, 30)
    assert any("the centre knows another log of this device" in one for one in problems())
    shutil.rmtree(folder)
    assert next(str(one) for one in verify_folder(folder, witnesses=witnesses).problems).startswith(
        "the centre holds"
    )


def test_an_entry_that_is_written_again_with_an_older_key_does_not_fit(tmp_path: Path) -> None:
    """The thief has a copy of an older key file, and puts another entry in place of the true one."""
    folder, copy = tmp_path / "audit", tmp_path / "copy"
    write(folder, 1, 5)
    shutil.copytree(folder, copy)
    write(folder, 6, 9)
    files = ChainFiles(copy)
    files.open()
    (forged,) = files.commit([draft(40)])
    files.close()
    found = lines(folder)
    put(folder, [*found[:5], forged.line, *found[6:]])
    (problem,) = verify_folder(folder).problems
    assert str(problem).startswith("entry 6: is not the entry after which the next one was written")


def test_another_device_cannot_continue_a_log(tmp_path: Path) -> None:
    write(tmp_path, 1, 5)
    write(tmp_path, 6, 9, SigningKey.generate())
    report = verify_folder(tmp_path, device_key=DEVICE.public.hex())
    assert {str(one) for one in report.problems} == {
        "entry 6: is not signed with the key of this device",
        "entry 9: is not signed with the key of this device",
    }


def test_a_folder_without_a_log_is_no_intact_log(tmp_path: Path) -> None:
    assert "there is no audit log" in str(verify_folder(tmp_path).problems[0])
