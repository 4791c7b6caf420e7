"""A device's outbox and a centre, through whatever happens to either: each alert that was accepted is at the
centre, still owed, or told as lost; and no number ever names two messages."""

import asyncio
import json
import shutil
import threading
from collections import defaultdict
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from agent.domain.message import Lane, Message, encode, new_id
from agent.outbox.outbox import Outbox
from agent.outbox.rows import Row
from tests.memory import memory_folder
from tests.thorough import all_or
from tests.waiting import until

T = TypeVar("T")
FIRST: tuple[Lane, ...] = ("alert", "result")


class Life(RuleBasedStateMachine):
    """Rules are what happens; the centre is a set of ids with their numbers, and receipts that may be late."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = [patch("agent.outbox.disk_thread.HANGS_S", 0.02)]
        for one in self.patches:
            one.start()
        self.loop = asyncio.new_event_loop()
        self.root = memory_folder()
        self.copies = 0
        self.folder = self.root / "data"
        self.outbox = self.run(self.opened())
        self.accepted: set[str] = set()
        self.names: dict[tuple[str, Lane, int], str] = {}
        self.centre: dict[str, tuple[str, Lane, int]] = {}
        self.gaps: dict[tuple[str, Lane], list[tuple[int, int]]] = defaultdict(list)
        self.only_there: set[str] = set()
        """What the card has lost with an image: if the centre loses it too, nobody has it."""
        self.late: list[str] = []
        self.image: tuple[Path, set[str]] | None = None
        self.hanging: threading.Event | None = None
        self.writing: list[asyncio.Future[None]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def opened(self) -> Outbox:
        return Outbox.open(self.folder, 32_000_000)

    def teardown(self) -> None:
        self.come_back()
        self.everything_reaches_the_centre_or_is_told()
        self.outbox.close()
        self.loop.close()
        shutil.rmtree(self.root)
        for one in self.patches:
            one.stop()

    # What the device does.

    @rule(ranks=st.lists(st.integers(0, 2), min_size=1, max_size=4), group=st.sampled_from(("", "a", "b")))
    def put(self, ranks: list[int], group: str) -> None:
        given = []
        for rank in ranks:
            identity = new_id()
            body = encode({"id": identity})
            given.append(Message(lane="alert", topic="alert", id=identity, body=body, rank=rank, group=group))

        async def keep() -> None:
            await self.outbox.put(*given)
            self.accepted.update(one.id for one in given)

        async def begin() -> None:
            task = asyncio.ensure_future(keep())
            if self.hanging is None:
                await task
            else:
                self.writing.append(task)
                await until(lambda: self.outbox.hangs, every_s=0.002)
                await asyncio.sleep(0)

        self.run(begin())
        if len(self.writing) > 1:
            self.come_back()

    @rule(limit=st.integers(1, 9), arrives=st.booleans())
    def hand_out(self, limit: int, arrives: bool) -> None:
        rows = self.run(self.outbox.due(limit, FIRST))
        if arrives:  # else the link was lost with them
            self.arrive(rows)

    @rule(limit=st.integers(1, 9))
    def deliver(self, limit: int) -> None:
        """As it is on most days: it arrives, and so does the receipt."""
        rows = self.run(self.outbox.due(limit, FIRST))
        self.arrive(rows)
        self.run(self.outbox.record_receipts([row.id for row in rows]))

    def arrive(self, rows: list[Row]) -> None:
        """The centre commits what comes, and its receipts are under way."""
        for row in rows:
            assert self.names.setdefault(row.key, row.id) == row.id, "a number names two messages"
            self.centre[row.id] = row.key
            self.late.append(row.id)
            body = json.loads(row.body)
            if row.topic == "gap":
                gap = body["gap"]
                self.gaps[body["of_epoch"], gap["lane"]].append((gap["first"], gap["last"]))

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def receipt(self, data: st.DataObject) -> None:
        """Some arrive, in whatever order, perhaps in another life of the device."""
        some = data.draw(st.lists(st.sampled_from(self.late), max_size=8))
        self.run(self.outbox.record_receipts([*some, new_id(), "forged"]))

    @rule()
    def reconnect(self) -> None:
        self.outbox.rewind()

    @rule(count=st.integers(1, 9), kept=st.integers(0, 3))
    def a_day_and_a_backup(self, count: int, kept: int) -> None:
        """All goes well, and then the centre is restored."""
        self.come_back()
        self.put([0] * count, "")
        self.deliver(count)
        self.restore_centre(kept)

    @rule()
    def crash(self) -> None:
        """kill -9: the files as they are now; what the disk did not take is lost, and was never accepted."""
        self.lose_power(self.copy())

    def lose_power(self, folder: Path) -> None:
        for task in self.writing:
            task.cancel()
        self.writing = []
        if self.hanging is not None:
            self.hanging.set()
            self.hanging = None
        self.outbox.close()
        self.folder = folder
        self.outbox = self.run(self.opened())

    def copy(self) -> Path:
        self.copies += 1
        copy = self.root / str(self.copies)
        shutil.copytree(self.folder, copy, ignore=shutil.ignore_patterns("*-shm"))
        return copy

    @precondition(lambda self: self.hanging is None)
    @rule()
    def take_image(self) -> None:
        self.image = self.copy(), set(self.accepted)

    @precondition(lambda self: self.image is not None)
    @rule()
    def restore_image(self) -> None:
        """What came after the image and is not at the centre is gone with the card: nobody can keep that."""
        assert self.image is not None
        (image, known), self.image = self.image, None
        self.copies += 1
        card = self.root / str(self.copies)
        shutil.copytree(image, card)
        self.lose_power(card)
        self.only_there |= self.accepted - known
        self.accepted &= known | self.centre.keys()

    @precondition(lambda self: self.hanging is None)
    @rule()
    def hang(self) -> None:
        self.hanging = threading.Event()
        self.outbox.thread.submit(lambda event=self.hanging: event.wait(60))
        self.run(until(lambda: self.outbox.hangs, every_s=0.002))

    @precondition(lambda self: self.hanging is not None)
    @rule()
    def comes_back(self) -> None:
        self.come_back()

    def come_back(self) -> None:
        if self.hanging is not None:
            self.hanging.set()
            self.hanging = None
            self.settle()

    def settle(self) -> None:
        async def calm() -> None:
            if self.writing:
                await asyncio.gather(*self.writing)
            for _ in range(4):
                await asyncio.wrap_future(self.outbox.thread.submit(lambda: None))
                await asyncio.sleep(0)

        self.run(calm())
        self.writing = []

    # What the centre does.

    @precondition(lambda self: self.hanging is None and self.centre)
    @rule(kept=st.integers(0, 3))
    def restore_centre(self, kept: int) -> None:
        """From a backup that has only the oldest ``kept`` messages."""
        lost = list(self.centre)[kept:]
        for identity in lost:
            del self.centre[identity]
        self.gaps.clear()
        self.accepted -= self.only_there & set(lost)

    def numbers(self) -> dict[tuple[str, Lane], int]:
        return {(one["epoch"], one["lane"]): one["last"] for one in self.run(self.outbox.highest_numbers())}

    @precondition(lambda self: self.hanging is None)
    @rule()
    def ask_again(self) -> None:
        """The centre compares ``health`` with what it has."""
        for (epoch, lane), last in self.numbers().items():
            has = {seq for of, one, seq in self.centre.values() if (of, one) == (epoch, lane)}
            for first, end in self.gaps[epoch, lane]:
                has.update(range(first, end + 1))
            lacks = [number for number in range(1, last + 1) if number not in has]
            if lacks:
                self.run(self.outbox.resend(lane, epoch, [(number, number) for number in lacks]))

    def everything_reaches_the_centre_or_is_told(self) -> None:
        with patch(
            "agent.outbox.disk_thread.HANGS_S", 60
        ):  # a busy machine is not taken for a disk that hangs
            for _ in range(3):  # asking makes gaps, which have numbers themselves
                self.drain()
                self.ask_again()
            self.drain()
        untold = []
        for identity in self.accepted - self.centre.keys():
            keys = [key for key, name in self.names.items() if name == identity]
            told = any(
                first <= seq <= last for epoch, lane, seq in keys for first, last in self.gaps[epoch, lane]
            )
            if not told:
                untold.append(identity)
        assert untold == []

    def drain(self) -> None:
        self.outbox.rewind()
        while rows := self.run(self.outbox.due(50, FIRST)):
            self.arrive(rows)
            self.run(self.outbox.record_receipts([row.id for row in rows]))


TestLife = pytest.mark.slow(Life.TestCase)
TestLife.settings = settings(
    max_examples=all_or(18, 60),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
