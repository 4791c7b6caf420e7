"""The audit log after a crash at each of its steps: nothing that was written is missing, and no false alarm."""

import random
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.audit.chain_files import ChainFiles
from agent.audit.chain_state import read_state, segments
from agent.audit.disk import Disk
from agent.audit.entry import Draft, parse
from agent.audit.verify import verify_folder
from tests.memory import memory_folder


class Crash(BaseException):
    """The process ends here."""


class FaultyDisk(Disk):
    """Ends the process, or refuses, at a step that is chosen beforehand. Knows what a power cut leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left: int | None = None
        self.error: BaseException = Crash()
        self.part = 0.0
        """How much of a write is done where it fails."""
        self._made = Counter[int]()
        """By inode, which are used again: how many files had it."""
        self._synced: dict[tuple[int, int], bytes] = {}
        """By file: what the disk holds."""
        self._names: dict[str, tuple[int, int]] = {}
        """The folder on the disk."""

    def fails(self, after: int, error: BaseException, part: float = 0.0) -> None:
        self.left, self.error, self.part = after, error, part

    def _step(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise self.error

    def _file(self, path: Path) -> tuple[int, int]:
        inode = path.stat().st_ino
        return inode, self._made[inode]

    def write(self, descriptor: int, data: memoryview) -> int:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        if path.stat().st_size == 0 and self._names.get(path.name) != self._file(path):
            self._made[path.stat().st_ino] += 1
        try:
            self._step()
        except BaseException:
            super().write(descriptor, data[: int(len(data) * self.part)])
            raise
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._step()
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        if path.is_dir():
            self._names = {one.name: self._file(one) for one in path.iterdir()}
        else:
            self._synced[self._file(path)] = path.read_bytes()

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)

    def truncate(self, descriptor: int, size: int) -> None:
        self._step()
        super().truncate(descriptor, size)

    def cut_power(self, dice: random.Random) -> None:
        """Leaves what was synced, and by chance some of what was not."""
        now = {path.name: path for path in self.folder.iterdir()}
        contents = {self._file(path): path.read_bytes() for path in now.values()}
        names = self._names if dice.random() < 0.5 else {name: self._file(path) for name, path in now.items()}
        for path in now.values():
            path.unlink()
        self._made.clear()
        for name, file in names.items():
            synced, written = self._synced.get(file, b""), contents.get(file)
            if written is not None and written.startswith(synced):
                synced = written[: dice.randint(len(synced), len(written))]
            elif written is not None and dice.random() < 0.5:
                synced = written
            (self.folder / name).write_bytes(synced)
        self._names = {path.name: self._file(path) for path in self.folder.iterdir()}
        self._synced = {self._file(path): path.read_bytes() for path in self.folder.iterdir()}


def draft(number: int, kind: str = "push") -> Draft:
    return Draft(kind, f"2026-11-30T12:{number // 60 % 60:02d}:{number % 60:02d}.000Z", "b", float(number), ("a1",), {"x": number})  # fmt: skip


class AuditLogMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = memory_folder()
        self.disk = FaultyDisk(self.folder)
        self.number = 0
        self.acknowledged: list[int] = []
        self.start()

    def teardown(self) -> None:
        self.files.close()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        self.disk.left = None
        self.files = ChainFiles(self.folder, disk=self.disk, segment_bytes=2500, most_segments=3)
        self.files.open()

    def commit(self, count: int) -> None:
        drafts = [draft(self.number + one) for one in range(count)]
        self.number += count
        self.files.commit(drafts)
        self.acknowledged += [int(one.fields["x"]) for one in drafts]

    def crash(self, power: bool, dice: random.Random) -> None:
        self.files.close()
        if power:
            self.disk.cut_power(dice)
        assert [str(one) for one in verify_folder(self.folder).problems] == []

    @rule(count=st.integers(1, 6))
    def append(self, count: int) -> None:
        self.commit(count)

    @rule(
        count=st.integers(1, 6),
        step=st.integers(0, 12),
        part=st.floats(0, 1),
        power=st.booleans(),
        seed=st.integers(0, 99),
    )
    def crash_in_a_commit(self, count: int, step: int, part: float, power: bool, seed: int) -> None:
        self.disk.fails(step, Crash(), part)
        with suppress(Crash):
            self.commit(count)
        self.crash(power, random.Random(seed))
        self.start()

    @rule(step=st.integers(0, 8), power=st.booleans(), seed=st.integers(0, 99))
    def crash_in_a_start(self, step: int, power: bool, seed: int) -> None:
        self.files.close()
        self.disk.fails(step, Crash())
        files = ChainFiles(self.folder, disk=self.disk, segment_bytes=2500, most_segments=3)
        with suppress(Crash):
            files.open()
        files.close()
        self.crash(power, random.Random(seed))
        self.start()

    @rule(count=st.integers(1, 6), step=st.integers(0, 8), part=st.floats(0, 1))
    def refuse(self, count: int, step: int, part: float) -> None:
        self.disk.fails(step, OSError(28, "No space left on device"), part)
        with suppress(OSError):
            self.commit(count)
        self.disk.left = None

    @rule()
    def restart(self) -> None:
        self.files.close()
        self.start()

    @invariant()
    def intact(self) -> None:
        assert [str(one) for one in verify_folder(self.folder).problems] == []
        found = [
            parse(line)
            for path in segments(self.folder)
            for line in path.read_bytes().splitlines()
            if line.endswith(b"}")
        ]
        listed = [entry.fields["x"] for entry in found if entry.kind == "push"]
        assert len(listed) == len(set(listed))
        oldest = listed[0] if listed else 0
        assert {one for one in self.acknowledged if one >= oldest} <= set(listed)


TestAuditLogMachine = AuditLogMachine.TestCase
TestAuditLogMachine.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, phases=(Phase.explicit, Phase.generate)
)


@pytest.mark.parametrize("power", [False, True])
def test_each_step_of_a_commit_that_begins_a_new_file(tmp_path: Path, power: bool) -> None:
    """All steps in turn, with every part of a write."""
    for step in range(16):
        for part in (0.0, 0.5, 1.0):
            folder = tmp_path / f"{step}-{part}"
            disk = FaultyDisk(folder)
            files = ChainFiles(folder, disk=disk, segment_bytes=1500, most_segments=2)
            files.open()
            for number in range(9):
                files.commit([draft(number)])
            disk.fails(step, Crash(), part)
            with suppress(Crash):
                for number in range(9, 12):
                    files.commit([draft(number)])
            files.close()
            if power:
                disk.cut_power(random.Random(step))
            assert [str(one) for one in verify_folder(folder).problems] == []
            disk.left = None
            files = ChainFiles(folder, disk=disk, segment_bytes=1500, most_segments=2)
            files.open()
            files.commit([draft(99, "stop")])
            assert "trouble" not in files.found
            assert [str(one) for one in verify_folder(folder).problems] == []
            files.close()


def test_a_disk_that_refuses_between_two_removals_leaves_no_gap(memory_path: Path) -> None:
    """Two files are removed at once where a crash left an empty one."""
    disk = FaultyDisk(memory_path)
    for step in range(12):
        folder = memory_path / str(step)
        files = ChainFiles(folder, disk=disk, segment_bytes=2500, most_segments=3)
        files.open()
        while len(segments(folder)) < 3:
            files.commit([draft(0)])
        files.close()
        state = read_state(folder)
        assert state is not None
        (folder / f"{state.n:010d}.jsonl").touch()
        files.open()
        while segments(folder)[-1].stat().st_size < 2500:
            files.commit([draft(0)])
        assert len(segments(folder)) == 4
        disk.fails(step, OSError(28, "No space left on device"))
        with suppress(OSError):
            files.commit([draft(0)])
        disk.left = None
        files.close()
        assert [str(one) for one in verify_folder(folder).problems] == []
