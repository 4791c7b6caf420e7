"""A disk that hangs stops nobody who has something to send, and makes nobody believe that it is safe."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.domain.message import Lane, Message, encode, new_id
from agent.outbox.outbox import Outbox
from agent.outbox.write_buffer import WriteBuffer
from tests.waiting import play, until


def message(lane: Lane = "alert", **more: Any) -> Message:
    identity = new_id()
    topic = more.pop("topic", lane)
    return Message(lane=lane, topic=topic, id=identity, body=encode({"id": identity}), **more)


class Disk:
    """Its next step takes until `come_back`."""

    def __init__(self, outbox: Outbox) -> None:
        self.back = threading.Event()
        self.outbox = outbox
        outbox.thread.submit(lambda: None).result()

    def hang(self, within: str = "put") -> None:
        store: Any = self.outbox.storage.alerts.store
        really: Callable[..., Any] = getattr(store, within)

        def hanging(*args: Any, **more: Any) -> Any:
            setattr(store, within, really)
            self.back.wait(180)
            return really(*args, **more)

        setattr(store, within, hanging)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Outbox, Disk]]:
    outbox = Outbox.open(folder, 32_000_000)
    disk = Disk(outbox)
    try:
        yield outbox, disk
    finally:
        disk.back.set()
        await asyncio.to_thread(outbox.close)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.outbox.disk_thread.HANGS_S", 0.1)


async def hung(outbox: Outbox) -> None:
    await until(lambda: outbox.hangs)


async def calm(outbox: Outbox) -> None:
    """Until the thread has done all that it was given, and what that led to."""
    for _ in range(5):
        await asyncio.wrap_future(outbox.thread.submit(lambda: None))
        await asyncio.sleep(0)


async def rest(outbox: Outbox) -> list[str]:
    """What a fresh start would send: that is, what is owed."""
    outbox.rewind()
    return [row.id for row in await outbox.due(1000)]


def test_while_it_hangs_alerts_and_status_go_out_and_nobody_is_told_they_are_safe(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as (outbox, disk):
            inbox = WriteBuffer(outbox)
            disk.hang()
            inbox.add(first := message())
            writing = asyncio.ensure_future(inbox.write({}))
            await hung(outbox)
            kept = inbox.written()
            inbox.add(second := message(), status := message("status"), message("telemetry"))
            rows = await outbox.due(10)
            assert [row.id for row in rows] == [first.id, second.id, status.id]
            assert await outbox.due(10) == []
            assert "the disk takes" in outbox.troubles["hangs"]
            assert kept is not None
            assert not kept.done()
            disk.back.set()
            await writing
            await inbox.write({})
            assert kept.done()
            # What comes from the disk then are repeats, and each message is there once.
            assert [one for one in await rest(outbox) if one != status.id][:2] == [first.id, second.id]
            assert (await outbox.depth())["alert"] == 2
            assert "the disk took" in outbox.troubles["hangs"]

    play(scene)


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_was_received_or_delivered_meanwhile_leaves_once_the_disk_is_back(
    tmp_path: Path, when: str
) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as (outbox, disk):
            disk.hang()
            given = [message() for _ in range(4)]
            writing = asyncio.ensure_future(outbox.put(*given[:2]))
            await hung(outbox)
            waiting = asyncio.ensure_future(outbox.put(*given[2:]))
            await asyncio.sleep(0)
            rows = await outbox.due(10, ["alert"])
            assert [row.id for row in rows] == [one.id for one in given]
            if when == "after":
                disk.back.set()
                await asyncio.gather(writing, waiting)
            outbox.mark_delivered([rows[0], rows[2]])
            await outbox.record_receipts([given[1].id])
            disk.back.set()
            await asyncio.gather(writing, waiting)
            await calm(outbox)
            assert await rest(outbox) == [given[3].id]
            found = await outbox.resend("alert", outbox.epoch("alert"), [(2, 2)])
            assert found.resent == 1  # what has its receipt is in the history

    play(scene)


def test_what_was_read_while_nobody_waited_any_more_is_handed_out_next(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as (outbox, disk):
            given = [message() for _ in range(3)]
            await outbox.put(*given)
            disk.hang("due")
            assert await outbox.due(10, ["alert"]) == []
            disk.back.set()
            await calm(outbox)
            assert [row.id for row in await outbox.due(10, ["alert"])] == [one.id for one in given]
            assert await outbox.due(10, ["alert"]) == []

    play(scene)


def test_a_connection_begins_while_it_hangs(tmp_path: Path) -> None:
    """Its number, its greeting, what is owed: none of it waits for the disk."""

    async def scene() -> None:
        async with opened(tmp_path) as (outbox, disk):
            disk.hang()
            writing = asyncio.ensure_future(outbox.put(alert := message()))
            await hung(outbox)
            async with asyncio.timeout(60):
                assert await outbox.next_session() == 1
                outbox.rewind()
                await outbox.put_within(status := message("status"), remember={"clock": b"1"})
                rows = await outbox.due(10)
                assert [row.id for row in rows] == [alert.id, status.id]
                assert (await outbox.depth())["alert"] == 0  # as it was last known
                assert await outbox.pending([rows[0].key]) == {rows[0].key}
                assert await outbox.highest_numbers() == []
                outbox.rewind(["alert"])
                (again,) = await outbox.due(10)
                assert again.key == rows[0].key
                assert [row.id for row in await outbox.by_id([alert.id, "no"])] == [alert.id]
            disk.back.set()
            await writing

    play(scene)


def test_from_memory_the_order_is_that_of_the_disk(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as (outbox, disk):
            disk.hang()
            given = [
                message(rank=2, group="a"),
                message(rank=1),
                message(rank=0, group="a"),
                message("result"),
                message("status", topic="status"),
                message("status", topic="status"),
                message("position", qos=0, expires_after=timedelta(seconds=9)),
            ]
            writing = asyncio.ensure_future(outbox.put(*given))
            await hung(outbox)
            urgent = await outbox.due(10, ["alert"], 0)
            rows = urgent + await outbox.due(10)
            assert [given.index(one) for row in rows for one in given if one.id == row.id] == [
                0,
                2,
                1,
                3,
                5,
                6,
            ]
            assert [row.seq for row in rows] == [1, 2, 3, 1, 1, 1]
            assert {row.epoch for row in rows} != {outbox.epoch("alert")}
            assert rows[-1].expires_s == pytest.approx(9, abs=1)
            disk.back.set()
            await writing

    play(scene)


def test_a_disk_that_is_only_slow_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.outbox.disk_thread.HANGS_S", 10.0)

    async def scene() -> None:
        async with opened(tmp_path) as (outbox, disk):
            disk.hang()
            writing = asyncio.ensure_future(outbox.put(given := message()))
            await asyncio.sleep(0)
            reading = asyncio.ensure_future(outbox.due(10))
            await until(lambda: outbox.thread.busy_s() > 0.15)  # so long as it hangs in the other tests
            assert not reading.done()
            disk.back.set()
            await writing
            assert [(row.id, row.epoch) for row in await reading] == [(given.id, outbox.epoch("alert"))]
            assert outbox.troubles == {}

    play(scene)
