"""The list of pictures that left: appended to, turned over when full, and a line taken out shows."""

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import pytest

from agent.privacy.egress_log import MAX_ROTATED, EgressLog


def lines(folder: Path) -> list[bytes]:
    """All that is there, oldest first."""
    files = [folder / f"egress.{number}.jsonl" for number in range(MAX_ROTATED, 0, -1)] + [
        folder / "egress.jsonl"
    ]
    return [line for file in files if file.exists() for line in file.read_bytes().splitlines()]


def chained(found: list[bytes]) -> bool:
    return all(
        json.loads(after)["before"] == hashlib.sha256(before).hexdigest() for before, after in pairwise(found)
    )


def test_each_line_names_the_one_before_also_after_a_restart_and_a_turn(tmp_path: Path) -> None:
    for start in range(3):
        egress = EgressLog(tmp_path, max_bytes=2000)
        heads = [egress.append({"n": start * 10 + number}) for number in range(10)]
        assert heads[-1] == hashlib.sha256(lines(tmp_path)[-1]).hexdigest()
    found = lines(tmp_path)
    assert [json.loads(line)["n"] for line in found] == list(range(30))
    assert json.loads(found[0])["before"] == ""
    assert chained(found)
    assert not chained(found[:10] + found[11:])


def test_it_takes_no_more_than_its_files(tmp_path: Path) -> None:
    egress = EgressLog(tmp_path, max_bytes=1000)
    for number in range(200):
        egress.append({"n": number})
    assert len(list(tmp_path.glob("egress*"))) == MAX_ROTATED + 1
    assert sum(file.stat().st_size for file in tmp_path.glob("egress*")) <= (MAX_ROTATED + 1) * 1000
    assert json.loads(lines(tmp_path)[-1])["n"] == 199


def test_half_a_line_that_a_lost_power_left_stays_a_line_of_its_own(tmp_path: Path) -> None:
    EgressLog(tmp_path).append({"n": 1})
    with (tmp_path / "egress.jsonl").open("ab") as file:
        file.write(b'{"n": 2, "bef')
    EgressLog(tmp_path).append({"n": 3})
    first, half, third = lines(tmp_path)
    assert (json.loads(first)["n"], half, json.loads(third)["n"]) == (1, b'{"n": 2, "bef', 3)
    assert json.loads(third)["before"] == hashlib.sha256(half).hexdigest()


def test_where_it_cannot_be_written_that_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "egress.jsonl").mkdir()
    with pytest.raises(OSError):  # noqa: PT011  whichever the system gives
        EgressLog(tmp_path).append({"n": 1})
