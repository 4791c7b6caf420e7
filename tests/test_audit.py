"""The audit log: entries in order, on disk, within bounds, and never in the way of anything."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agent.audit import audit_log
from agent.audit.audit_log import AuditLog
from agent.audit.chain_files import ChainFiles
from agent.audit.chain_state import segments
from agent.audit.clock_steps import ClockSteps
from agent.audit.disk import Disk
from agent.audit.entry import ANCHORS, Entry, parse
from agent.audit.entry_limit import (
    BURST,
    MOST_SOURCES,
    SIGNED_BURST,
    SUMMARY_AFTER_S,
    EntryLimit,
    Source,
)
from agent.audit.verify import verify_folder
from agent.host.clock import Clock, use_clock
from agent.host.threads import Threads, use_threads


@pytest.fixture
def tmp_path(memory_path: Path) -> Path:
    """Thousands of syncs."""
    return memory_path


def entries(folder: Path) -> list[Entry]:
    return [parse(line) for path in segments(folder) for line in path.read_bytes().splitlines()]


def kinds(folder: Path) -> list[str]:
    return [entry.kind for entry in entries(folder)]


class FullDisk(Disk):
    full = False

    def write(self, descriptor: int, data: memoryview) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(descriptor, data)


def test_each_entry_names_the_one_before_and_is_signed_with_the_key_that_it_names(tmp_path: Path) -> None:
    for _ in range(3):
        audit = AuditLog(ChainFiles(tmp_path))
        audit.append("start")
        for number in range(5):
            audit.append("push", who=["a1b2"], revision=number)
        audit.append("stop")
        audit.close()
    found = entries(tmp_path)
    assert [entry.n for entry in found] == list(range(1, 22))
    for earlier, entry in pairwise(found):
        assert entry.before == earlier.hash
        assert entry.signed_by(earlier.next)
    assert [(entry.fields.get("unclean"), entry.fields.get("last")) for entry in found if entry.kind == "start"] == [
        (None, None), (False, 7), (False, 14),
    ]  # fmt: skip
    assert {(one.stat().st_mode & 0o777) for one in tmp_path.iterdir()} == {0o600}


def test_a_stop_that_was_not_clean_is_named_at_the_next_start(tmp_path: Path) -> None:
    audit = AuditLog(ChainFiles(tmp_path))
    audit.append("start")
    audit.close()
    audit = AuditLog(ChainFiles(tmp_path))
    audit.append("start", version="1")
    audit.close()
    fields = entries(tmp_path)[-1].fields
    assert (fields["version"], fields["unclean"], fields["last"]) == ("1", True, 1)


def test_the_disk_is_bounded_and_says_what_was_removed(tmp_path: Path) -> None:
    audit = AuditLog(ChainFiles(tmp_path, segment_bytes=3000, most_segments=3))
    for number in range(60):
        audit.append_durably("picture", number=number)
    audit.close()
    assert len(segments(tmp_path)) == 3
    found = entries(tmp_path)
    removals = {entry.fields["until"]: entry.fields for entry in found if entry.kind == "rotated"}
    assert removals[found[0].n - 1]["hash"] == found[0].before
    assert found[0].signed_by(removals[found[0].n - 1]["key"])


def test_after_a_hundred_entries_a_checkpoint_goes_to_the_centre(tmp_path: Path) -> None:
    anchors: list[Entry] = []
    audit = AuditLog(ChainFiles(tmp_path), anchors.append)
    audit.append("start")
    for number in range(250):
        audit.append_durably("picture", number=number)
    audit.append("stop")
    audit.close()
    assert [entry.kind for entry in anchors] == ["start", "checkpoint", "checkpoint", "stop"]
    assert [entry for entry in entries(tmp_path) if entry.kind in ANCHORS] == anchors
    since = [tuple(entry.fields["since"] or ()) for entry in anchors]
    assert since == [(), *((entry.n, entry.hash) for entry in anchors[:-1])]


def test_a_full_disk_keeps_entries_in_memory_and_a_gap_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "MAX_HELD", 50)
    disk = FullDisk()
    audit = AuditLog(ChainFiles(tmp_path, disk=disk))
    audit.append_durably("picture", number=0)
    disk.full = True
    with pytest.raises(OSError, match="No space"):
        audit.append_durably("picture", number=1)
    for number in range(57):
        audit.append("drill", revision=number)
    assert asyncio.run(audit.written()) is False
    assert "No space" in str(audit.trouble)
    disk.full = False
    audit.append_durably("picture", number=2)
    audit.close()
    assert audit.trouble is None
    found = entries(tmp_path)
    assert [entry.kind for entry in found].count("drill") == 49
    (gap,) = [entry for entry in found if entry.kind == "gap"]
    assert gap.fields["lost"] == 8
    assert sorted(entry.fields["number"] for entry in found if entry.kind == "picture") == [0, 2]


def test_what_the_disk_refused_is_written_later_in_its_order(tmp_path: Path) -> None:
    disk = FullDisk()
    audit = AuditLog(ChainFiles(tmp_path, disk=disk))
    audit.append_durably("start")
    disk.full = True
    for number in range(10):
        audit.append("drill", number=number)
    assert asyncio.run(audit.written()) is False
    with pytest.raises(OSError, match="No space"):
        audit.append_durably("picture")
    disk.full = False
    audit.append_durably("picture")
    audit.close()
    assert [entry.fields["number"] for entry in entries(tmp_path) if entry.kind == "drill"] == list(range(10))
    assert verify_folder(tmp_path).problems == []


def test_a_flood_of_forged_orders_is_counted_and_not_listed(tmp_path: Path) -> None:
    audit = AuditLog(ChainFiles(tmp_path))
    for number in range(5000):
        audit.append("refused", reason=f"no valid signature {number}")
    audit.append("ack", who=["a1"], alert_id="x")
    audit.close()
    found = entries(tmp_path)
    assert [entry.kind for entry in found].count("refused") == BURST + 1
    (summary,) = [entry for entry in found if "unlisted" in entry.fields]
    assert summary.fields["unlisted"] == 5000 - BURST
    assert summary.fields["last"] == {"reason": "no valid signature 4999"}
    assert [entry.who for entry in found if entry.kind == "ack"] == [("a1",)]


def test_a_flood_of_receipts_hides_no_refused_order(tmp_path: Path) -> None:
    audit = AuditLog(ChainFiles(tmp_path))
    for _ in range(100):
        audit.append("refused", order="receipt", reason="forged")
    audit.append("refused", order="command", reason="not signed")
    audit.append("refused", who=["a1"], order="command", command="rescue", reason="may not order rescue")
    audit.close()
    found = [entry.fields["reason"] for entry in entries(tmp_path) if "reason" in entry.fields]
    assert found[int(BURST) :] == ["not signed", "may not order rescue"]


def test_a_flood_under_a_valid_key_hides_no_other_order(tmp_path: Path) -> None:
    audit = AuditLog(ChainFiles(tmp_path))
    for number in range(1000):
        audit.append("command", who=["a1"], command="snapshot", body={"id": number})
    audit.append("command", who=["a1"], command="output", body={"output": "siren"})
    audit.append("command", who=["b2"], command="snapshot")
    audit.close()
    found = [entry for entry in entries(tmp_path) if entry.kind == "command"]
    assert len(found) == SIGNED_BURST + 3
    assert [entry.fields["command"] for entry in found[-3:-1]] == ["output", "snapshot"]
    assert (found[-1].who, found[-1].fields["unlisted"]) == (("a1",), 1000 - SIGNED_BURST)


def test_the_limits_of_entries_are_bounded_too() -> None:
    limit = EntryLimit()
    for number in range(10 * MOST_SOURCES):
        limit.admit(Source("command", f"c{number}", ("a1",)), {}, "", 0.0)
    assert len(limit.summaries(0.0, at_once=True)) == 1
    assert limit.admit(Source("command", "", ("a1",)), {}, "", 1e6)


@pytest.mark.parametrize(
    "fields",
    [
        {"x": float("nan")},
        {"x": object()},
        {"x": "\ud800"},
        {"x": "y" * 10**6},
        {"x": ["y" * 400] * 99},
        {"x": 1},
    ],
)
def test_no_field_keeps_an_entry_out(tmp_path: Path, fields: dict[str, Any]) -> None:
    audit = AuditLog(ChainFiles(tmp_path))
    audit.append("push", who=["a1"], **fields)
    audit.close()
    _, entry = entries(tmp_path)
    assert len(entry.line) < 6000
    assert json.loads(entry.line)["kind"] == "push"


class HangingDisk(Disk):
    """Hangs in a sync until it is let go."""

    def __init__(self) -> None:
        self.works = threading.Event()
        self.works.set()

    def sync(self, descriptor: int) -> None:
        assert self.works.wait(60)


def test_a_disk_that_hangs_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "MAX_HELD", 50)
    monkeypatch.setattr(audit_log, "WRITTEN_WITHIN_S", 0.01)
    disk = HangingDisk()
    audit = AuditLog(ChainFiles(tmp_path, disk=disk))
    audit.append_durably("start")
    disk.works.clear()
    for number in range(200):
        audit.append("drill", revision=number)
    assert asyncio.run(audit.written()) is False
    disk.works.set()
    audit.close()
    found = entries(tmp_path)
    lost = sum(entry.fields["lost"] for entry in found if entry.kind == "gap")
    assert lost + kinds(tmp_path).count("drill") == 200
    assert kinds(tmp_path).count("drill") <= 50 + audit_log.GROUP
    assert verify_folder(tmp_path).problems == []


def test_a_log_that_is_not_the_one_of_before_is_damage(tmp_path: Path) -> None:
    for expected, trouble in (("log", 5), "deleted, or an older copy was put back"), (None, "None"):
        audit = AuditLog(ChainFiles(tmp_path), None, expected)
        audit.append_durably("start")
        audit.close()
        assert trouble in str(audit.trouble)
        assert trouble in str(entries(tmp_path)[-1].fields.get("trouble"))


def test_steps_of_the_clock_are_seen_against_the_time_since_boot() -> None:
    steps, at = ClockSteps(), datetime(2026, 11, 30, tzinfo=UTC)
    assert steps.step_s(at, 100.0) is None
    assert steps.step_s(at + timedelta(seconds=1.5), 101.0) is None
    assert steps.step_s(at + timedelta(days=1), 102.0) == pytest.approx(86397.5)
    assert steps.step_s(at, 103.0) == pytest.approx(-86401)


def test_only_one_process_writes_a_log(tmp_path: Path) -> None:
    first, second = ChainFiles(tmp_path), ChainFiles(tmp_path)
    first.open()
    with pytest.raises(OSError, match="another process writes this audit log"):
        second.open()
    first.close()
    second.open()


class SetClock(Clock):
    """A clock that stands where it is set."""

    now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Iterator[SetClock]:
    token = use_clock(clock := SetClock())
    yield clock
    token.var.reset(token)


def settled(audit: AuditLog) -> bool:
    return asyncio.run(audit.written())


def test_what_is_due_later_is_written_at_a_tick(tmp_path: Path, clock: SetClock) -> None:
    audit = AuditLog(ChainFiles(tmp_path))
    for _ in range(int(BURST) + 5):
        audit.append("refused")
    assert settled(audit)
    for later_s in (SUMMARY_AFTER_S - 1, 2, audit_log.CHECKPOINT_S - SUMMARY_AFTER_S):
        clock.now_s += later_s
        audit.tick()
        assert settled(audit)
    audit.close()
    found = entries(tmp_path)[-3:]
    assert [(entry.kind, entry.fields.get("unlisted")) for entry in found] == [
        ("refused", None), ("refused", 5), ("checkpoint", None),
    ]  # fmt: skip


def test_a_disk_that_refused_is_tried_again_at_a_tick(tmp_path: Path, clock: SetClock) -> None:
    disk = FullDisk()
    audit = AuditLog(ChainFiles(tmp_path, disk=disk))
    audit.append_durably("start")
    disk.full = True
    audit.append("drill")
    assert not settled(audit)
    disk.full = False
    audit.tick()
    assert not settled(audit)
    clock.now_s += audit_log.RETRY_S
    audit.tick()
    audit.append_durably("picture")  # settled after it
    assert kinds(tmp_path)[-3:] == ["gap", "drill", "picture"]


def test_an_idle_log_has_no_thread(tmp_path: Path) -> None:
    audit = AuditLog(ChainFiles(tmp_path))
    audit.append_durably("start")
    audit.tick()
    for thread in threading.enumerate():
        if thread.name == "audit":
            thread.join(60)
    assert not audit._works


def test_where_no_thread_can_be_started_entries_wait(tmp_path: Path, clock: SetClock) -> None:
    class NoThreads(Threads):
        def start(self, work: Callable[[], None], name: str) -> threading.Thread:
            raise RuntimeError("can't start new thread")

    audit = AuditLog(ChainFiles(tmp_path))
    token = use_threads(NoThreads())
    audit.append("drill")
    with pytest.raises(OSError, match="can't start new thread"):
        audit.append_durably("picture")
    token.var.reset(token)
    clock.now_s += audit_log.RETRY_S
    audit.tick()
    audit.append_durably("picture")
    assert kinds(tmp_path)[-3:] == ["gap", "drill", "picture"]
