"""What was said is on disk, or still in the inbox; who waits for that waits no longer and no shorter."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from agent.domain.message import Message, new_id
from agent.outbox.write_buffer import WriteBuffer


def message() -> Message:
    return Message(lane="alert", topic="alert", id=new_id(), body=b"{}")


class Disk:
    """An outbox that takes what it is given, or nothing; ``pause`` holds a write up."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.remembered: dict[str, bytes] = {}
        self.fails: BaseException | None = None
        self.pause: asyncio.Event | None = None

    def expect(self, messages: Iterable[Message]) -> None:
        pass

    async def put(self, *messages: Message, remember: Mapping[str, bytes], amended: list[Message]) -> None:
        if self.pause is not None:
            await self.pause.wait()
        if self.fails is not None:
            raise self.fails
        self.taken += [one.id for one in messages]
        self.remembered |= remember


def inbox() -> tuple[WriteBuffer, Disk]:
    disk = Disk()
    return WriteBuffer(disk), disk  # type: ignore[arg-type]  it has the one method that is called


def play(scene: Any) -> None:
    asyncio.run(asyncio.wait_for(scene(), 120))


def test_what_is_written_leaves_and_whoever_waits_is_told() -> None:
    async def scene() -> None:
        box, disk = inbox()
        assert box.written() is None
        box.add(first := message())
        kept = box.written()
        assert kept is not None
        assert not kept.done()
        await box.wait()
        await box.write({"active": b"[]"})
        assert (disk.taken, disk.remembered, kept.done(), bool(box)) == (
            [first.id],
            {"active": b"[]"},
            True,
            False,
        )

    play(scene)


@pytest.mark.parametrize("error", [OSError(28, "No space"), RuntimeError("a bug"), asyncio.CancelledError()])
def test_what_was_not_written_stays_in_order_and_who_waits_waits(error: BaseException) -> None:
    async def scene() -> None:
        box, disk = inbox()
        disk.fails = error
        box.add(first := message())
        early = box.written()
        with pytest.raises(type(error)):
            await box.write({})
        box.add(second := message())
        late = box.written()
        assert early is not None
        assert late is not None
        assert not early.done()
        disk.fails = None
        await box.wait()
        await box.write({})
        await asyncio.sleep(0)
        assert (disk.taken, early.done(), late.done()) == ([first.id, second.id], True, True)

    play(scene)


def test_who_asks_during_a_write_and_adds_nothing_waits_for_that_write_only() -> None:
    async def scene() -> None:
        box, disk = inbox()
        disk.pause = asyncio.Event()
        box.add(message())
        writing = asyncio.ensure_future(box.write({}))
        await asyncio.sleep(0)
        kept = box.written()
        disk.pause.set()
        await writing
        assert kept is not None
        assert kept.done()
        assert box.written() is None

    play(scene)


def test_who_adds_during_a_write_waits_for_the_next() -> None:
    async def scene() -> None:
        box, disk = inbox()
        disk.pause = asyncio.Event()
        box.add(first := message())
        writing = asyncio.ensure_future(box.write({}))
        await asyncio.sleep(0)
        box.add(second := message())
        kept = box.written()
        disk.pause.set()
        await writing
        assert kept is not None
        assert (disk.taken, kept.done(), bool(box)) == ([first.id], False, True)
        await box.wait()
        await box.write({})
        assert (disk.taken, kept.done()) == ([first.id, second.id], True)

    play(scene)


def test_two_who_write_at_once_say_each_message_once() -> None:
    """The agent ends while its keeper writes."""

    async def scene() -> None:
        box, disk = inbox()
        disk.pause = asyncio.Event()
        box.add(first := message())
        keeper = asyncio.ensure_future(box.write({}))
        await asyncio.sleep(0)
        box.add(second := message())
        last = asyncio.ensure_future(box.write({}))
        await asyncio.sleep(0)
        disk.pause.set()
        assert (await keeper, await last) == ([first], [second])
        assert (disk.taken, bool(box)) == ([first.id, second.id], False)

    play(scene)


def test_who_gave_up_waiting_keeps_nobody_else_waiting() -> None:
    async def scene() -> None:
        box, disk = inbox()
        disk.pause = asyncio.Event()
        box.add(first := message())
        early = box.written()
        writing = asyncio.ensure_future(box.write({}))
        await asyncio.sleep(0)
        late = box.written()
        assert early is not None
        assert late is not None
        early.cancel()
        disk.pause.set()
        assert (await writing, late.done()) == ([first], True)

    play(scene)
