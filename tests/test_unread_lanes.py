"""A lane that is known to be empty is not asked for; nothing that is written is missed."""

import asyncio
import threading
from pathlib import Path

import pytest

from agent.domain.message import LANES, RECEIPT_LANES, Lane, Message
from agent.outbox import outbox as outbox_module
from agent.outbox.outbox import Outbox


def message(number: int, lane: Lane = "alert") -> Message:
    return Message(lane=lane, topic=lane, id=f"{lane}-{number}", body=b"{}")


def count_questions(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> list[list[Lane]]:
    asked: list[list[Lane]] = []
    due = outbox.storage.due

    def counted(limit: int, lanes: list[Lane], most_rank: int) -> object:
        asked.append(list(lanes))
        return due(limit, lanes, most_rank)

    monkeypatch.setattr(outbox.storage, "due", counted)
    return asked


def test_empty_lanes_are_not_asked_for(memory_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        outbox = Outbox.open(memory_path)
        asked = count_questions(outbox, monkeypatch)
        assert await outbox.due(5, RECEIPT_LANES) == []
        assert await outbox.due(5, RECEIPT_LANES) == []
        assert asked == [list(RECEIPT_LANES)]
        await outbox.put(*(message(number) for number in range(7)))
        assert len(await outbox.due(5, RECEIPT_LANES)) == 5
        assert len(await outbox.due(5, RECEIPT_LANES)) == 2
        assert await outbox.due(5, RECEIPT_LANES) == []
        assert len(asked) == 3
        outbox.rewind(["alert"])
        assert len(await outbox.due(9, RECEIPT_LANES)) == 7
        assert asked[-1] == ["alert"]
        await outbox.depth()  # every few seconds: whatever may have moved is found
        await outbox.due(9, LANES)
        assert asked[-1] == list(LANES)
        outbox.close()

    asyncio.run(scene())


def test_what_is_written_during_a_read_is_read_next(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        outbox = Outbox.open(memory_path)
        count_questions(outbox, monkeypatch)
        due = outbox.storage.due
        reads, go_on = threading.Event(), threading.Event()

        def slow(limit: int, lanes: list[Lane], most_rank: int) -> object:
            found = due(limit, lanes, most_rank)
            reads.set()
            assert go_on.wait(60)
            return found

        monkeypatch.setattr(outbox.storage, "due", slow)
        reading = asyncio.ensure_future(outbox.due(5, ["alert"]))
        await asyncio.to_thread(reads.wait, 60)
        writing = asyncio.ensure_future(outbox.put(message(1)))
        await asyncio.sleep(0)
        go_on.set()
        assert await reading == []
        await writing
        assert [row.id for row in await outbox.due(5, ["alert"])] == ["alert-1"]
        outbox.close()

    asyncio.run(scene())


def test_a_disk_that_hangs_wakes_the_sender(memory_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have slept, as there was nothing to send: the message is in memory."""
    monkeypatch.setattr(outbox_module, "HANGS_S", 0.05)
    monkeypatch.setattr("agent.outbox.disk_thread.HANGS_S", 0.05)

    async def scene() -> None:
        outbox = Outbox.open(memory_path)
        while await outbox.due(9):
            pass
        outbox.changed.clear()
        go_on = threading.Event()
        put = outbox.storage.put
        monkeypatch.setattr(outbox.storage, "put", lambda *given: go_on.wait(60) and put(*given))
        writing = asyncio.ensure_future(outbox.put(message(1)))
        async with asyncio.timeout(60):
            await outbox.changed.wait()
        assert [row.id for row in await outbox.due(9)] == ["alert-1"]
        go_on.set()
        await writing
        outbox.close()

    asyncio.run(scene())
