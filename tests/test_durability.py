"""What survives a power cut: the order of commits, fsyncs and renames, without a power cut.

`bench.power_cuts` replays real disk states; a short run of it is the last test here.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.domain.message import Lane, Message, new_id
from agent.outbox.outbox import Outbox
from agent.runtime.atomic_files import write_durably
from tests.memory import MEMORY
from tests.sqlite_trace import FULL, Trace, traced

ALERTS = "alerts.db"
ROOT = Path(__file__).resolve().parents[1]


def message(lane: Lane = "alert", size: int = 10, expires_after: timedelta | None = None) -> Message:
    body = b'{"x":"' + b"x" * size + b'"}'
    return Message(lane=lane, topic=lane, id=new_id(), body=body, expires_after=expires_after)


class Device:
    """An outbox in a folder, and the promises that it gave. Each step is named in `STEPS`."""

    def __init__(self, folder: Path, trace: Trace) -> None:
        self.folder, self.trace = folder, trace
        self.outbox = Outbox.open(folder)
        self.promised: list[str] = []

    async def alert(self) -> None:
        one = message()
        await self.outbox.put(one)
        self.check(one.id)

    async def note(self) -> None:
        text = new_id()
        await self.outbox.put(message("telemetry"), remember={"note": text.encode()})
        self.check(text.encode().hex())

    async def session(self) -> None:
        number = await self.outbox.next_session()
        self.check(f"'session', x'{str(number).encode().hex()}'")

    async def receipt(self) -> None:
        await self.outbox.record_receipts([row.id for row in await self.outbox.due(2, ["alert"])])

    async def delivered(self) -> None:
        self.outbox.mark_delivered(await self.outbox.due(2, ["alert", "result"]))
        await self.outbox.depth()

    async def asked_again(self) -> None:
        await self.outbox.resend("alert", self.outbox.epoch("alert"), [(1, 3)])

    async def restart(self) -> None:
        self.outbox.close()
        self.outbox = Outbox.open(self.folder)

    async def damaged(self) -> None:
        self.outbox.close()
        with (self.folder / ALERTS).open("r+b") as file:
            file.seek(100)
            file.write(b"\xa5" * 4000)
        self.outbox = Outbox.open(self.folder)

    async def deleted(self) -> None:
        (self.folder / ALERTS).unlink()
        await self.alert()

    def check(self, text: str) -> None:
        """The call returned: a power cut from now on must not undo what it wrote."""
        assert self.trace.is_durable(text, ALERTS)


STEPS = [
    Device.alert, Device.note, Device.session, Device.receipt, Device.delivered, Device.asked_again,
    Device.restart, Device.damaged, Device.deleted,
]  # fmt: skip


@settings(max_examples=30)
@given(st.lists(st.sampled_from(STEPS), max_size=8))
@example([Device.alert, Device.receipt])
@example([Device.alert, Device.delivered])
@example([Device.alert, Device.damaged])
@example([Device.alert, Device.deleted])
def test_what_put_returned_for_is_durable_whatever_was_done_before(
    steps: list[Callable[[Device], Awaitable[None]]],
) -> None:
    """An alert, a note and a session number are committed under ``synchronous=FULL`` before `put` returns."""

    async def scene() -> None:
        with tempfile.TemporaryDirectory(dir=MEMORY) as name, traced() as trace:
            device = Device(Path(name), trace)
            for step in (*steps, Device.alert, Device.note, Device.session):
                await step(device)
            device.outbox.close()

    asyncio.run(scene())


def test_a_deleted_store_is_written_durably_before_it_gets_its_name(tmp_path: Path) -> None:
    async def scene() -> None:
        with traced() as trace:
            device = Device(tmp_path, trace)
            await device.alert()
            before = len(trace.events)
            await device.deleted()
            device.outbox.close()
        calls = [event for event in trace.events[before:] if event[1] in ("close", "replace", "fsync")]
        copy = f"{ALERTS}.rescued"
        assert calls[:1] == [(copy, "close")]
        assert calls.index((ALERTS, "replace")) < calls.index((tmp_path.name, "fsync"))
        assert trace.closed_at[copy] == FULL

    asyncio.run(scene())


def test_a_file_is_on_the_disk_before_it_gets_its_name_and_the_name_before_the_return(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(b"old")
    with traced() as trace:
        write_durably(path, b"new")
    assert trace.events == [("ledger.new", "fsync"), ("ledger", "replace"), (tmp_path.name, "fsync")]
    assert path.read_bytes() == b"new"


async def expire(outbox: Outbox) -> None:
    await outbox.put(*(message("telemetry", expires_after=timedelta(seconds=-1)) for _ in range(3)))
    await outbox.depth()
    assert await outbox.due(10, ["telemetry"]) == []


async def fill_with_pictures(outbox: Outbox) -> None:
    for _ in range(50):
        await outbox.put(*(message("media", 60_000) for _ in range(5)))
        await outbox.depth()


async def fill_with_telemetry(outbox: Outbox) -> None:
    for _ in range(40):
        await outbox.put(*(message("telemetry", 4000) for _ in range(50)))
        await outbox.depth()


@pytest.mark.parametrize(
    ("fill", "file", "call"),
    [
        (expire, "telemetry-", "DELETE FROM owed"),
        (fill_with_pictures, "media-", "unlink"),
        (fill_with_telemetry, "telemetry-", "replace"),
    ],
)
def test_a_gap_is_durable_before_its_rows_are_deleted(
    fill: Callable[[Outbox], Awaitable[None]], file: str, call: str, tmp_path: Path
) -> None:
    """A power cut in between leaves rows that were announced as lost, never a loss that nobody announced."""

    async def scene() -> None:
        with traced() as trace:
            outbox = Outbox.open(tmp_path, 8_000_000)
            await fill(outbox)
            outbox.close()
        gaps = losses = 0
        for name, what in trace.events:
            gaps += name == ALERTS and what.startswith("INSERT") and "'gap', x'" in what
            if name.startswith(file) and name.endswith(".db") and what.startswith(call):
                losses += 1
                assert gaps > 0
                assert gaps >= losses or call.startswith("DELETE")
        assert losses > 0

    asyncio.run(scene())


def _may_trace() -> bool:
    """Whether strace is here, and this process may use it."""
    strace = shutil.which("strace")
    return (
        strace is not None and subprocess.run([strace, "-o", os.devnull, "true"], check=False).returncode == 0
    )


def test_a_short_replay_of_power_cuts_loses_nothing() -> None:
    """`bench.power_cuts`: real writes and fsyncs, of which a power cut leaves any part that it may."""
    if not _may_trace():
        pytest.skip("install strace, and allow ptrace, to replay power cuts")
    command = [sys.executable, "-m", "bench.power_cuts", "12", "3", "30"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert "0 alerts lost, 0 numbers given twice" in run.stdout
