"""The proof of a run's delivery: alert messages counted on the disks of agent and centre."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.outbox.outbox import Outbox
from centre.message_store import MessageStore
from centre.sequence_gaps import IssuedNumbers, Ranges, lost_numbers, ranges
from simulators.checker.disks import read_centre
from simulators.run_record import Fields, RunRecord


@dataclass(frozen=True, slots=True)
class DeliveryProof:
    """Alert messages of a run: ``raised`` by the agent, ``committed`` by the centre, ``owed``: still in the
    agent's outbox, ``lost``: in neither."""

    raised: int = 0
    committed: int = 0
    owed: int = 0

    @property
    def lost(self) -> int:
        return self.raised - self.committed - self.owed

    def __add__(self, other: "DeliveryProof") -> "DeliveryProof":
        return DeliveryProof(
            self.raised + other.raised, self.committed + other.committed, self.owed + other.owed
        )

    def __str__(self) -> str:
        return f"raised {self.raised}, committed {self.committed}, owed {self.owed}, lost {self.lost}"


async def delivery_proof(device: str, data: Path, db: Path) -> DeliveryProof:
    """Counts on the disks of agent and centre; the agent has ended. OSError where one can't be read."""
    outbox = await asyncio.to_thread(Outbox.open, data)
    try:
        numbers = [IssuedNumbers(**issued) for issued in await outbox.highest_numbers()]
        owed = (await outbox.depth())["alert"]
    finally:
        await asyncio.to_thread(outbox.close)
    last = {issued.epoch: issued.last for issued in numbers if issued.lane == "alert"}
    for lane, epoch, number in _numbers((await asyncio.to_thread(read_centre, db)).get(device, [])):
        if lane == "alert":  # an agent that owes nothing does not list its numbers any more
            last[epoch] = max(number, last.get(epoch, 0))
    store = MessageStore(db)
    try:
        absent = sum(
            end - first + 1
            for epoch, highest in last.items()
            for first, end in store.missing(device, IssuedNumbers(lane="alert", epoch=epoch, last=highest), 1)
        )
    finally:
        store.close()
    raised = sum(last.values())
    return DeliveryProof(raised, raised - absent, owed)


def counted_delivery(record: RunRecord, device: str) -> tuple[DeliveryProof, dict[str, Ranges]]:
    """The proof from the state of both disks in the record, and by lane the numbers that are in neither.

    Numbers that a ``gap`` message explains were given to no message.
    """
    events = [one for one in record.events if one.get("device") == device]
    on_disk = [entry for one in events if one["event"] == "on_disk" for entry in one["messages"]]
    at_centre = [entry for one in events if one["event"] == "at_centre" for entry in one["messages"]]
    owed = _numbers(entry for entry in on_disk if entry["state"] == "owed")
    committed, known = _numbers(at_centre), _numbers(on_disk)
    lost: dict[str, Ranges] = {}
    raised = 0
    for lane, epoch in sorted({(lane, epoch) for lane, epoch, _ in committed | known}):
        issued = range(1, 1 + max(seq for one, of, seq in committed | known if (one, of) == (lane, epoch)))
        explained = {
            number
            for first, last in _gaps(record, on_disk, device, lane, epoch)
            for number in range(first, last + 1)
        }
        given = [number for number in issued if number not in explained or (lane, epoch, number) in committed]
        raised += len(given) * (lane == "alert")
        missing = [number for number in given if (lane, epoch, number) not in committed | owed]
        if missing:
            lost.setdefault(lane, []).extend(ranges(missing))
    alerts = [{one for one in numbers if one[0] == "alert"} for numbers in (committed, owed)]
    return DeliveryProof(raised, len(alerts[0]), len(alerts[1] - alerts[0])), lost


def _numbers(entries: Iterable[Fields]) -> set[tuple[str, str, int]]:
    """Lane, epoch and number of each entry."""
    return {(one["lane"], one["epoch"], one["seq"]) for one in entries if "seq" in one}


def _gaps(
    record: RunRecord, on_disk: Sequence[Fields], device: str, lane: str, epoch: str
) -> Iterator[tuple[int, int]]:
    """First and last of the numbers that gap messages declare lost, sent or still on the disk."""
    sent = [one["body"] for one in record.messages if (one["device"], one["topic"]) == (device, "gap")]
    for body in (*sent, *(one["body"] for one in on_disk if one.get("topic") == "gap")):
        found = lost_numbers(body)
        if found is not None and (found.lane, found.epoch) == (lane, epoch):
            yield found.first, found.last
