"""The proof of a run's delivery: alert messages counted on the disks of agent and centre."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from agent.outbox.outbox import Outbox
from centre.message_store import MessageStore
from centre.sequence_gaps import IssuedNumbers, Lane, Ranges
from simulators.checker.disks import read_centre


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
    return (await counted_delivery(device, data, db))[0]


async def counted_delivery(device: str, data: Path, db: Path) -> tuple[DeliveryProof, dict[str, Ranges]]:
    """The proof, and by lane the numbers that the centre lacks. OSError where a disk can't be read."""
    outbox = await asyncio.to_thread(Outbox.open, data)
    try:
        numbers = [IssuedNumbers(**issued) for issued in await outbox.highest_numbers()]
        owed = (await outbox.depth())["alert"]
    finally:
        await asyncio.to_thread(outbox.close)
    last: dict[tuple[Lane, str], int] = {(one.lane, one.epoch): one.last for one in numbers}
    for one in (await asyncio.to_thread(read_centre, db)).get(device, []):
        if one["lane"] in (
            "alert",
            "result",
        ):  # an agent that owes nothing does not list its numbers any more
            key = (one["lane"], one["epoch"])
            last[key] = max(one["seq"], last.get(key, 0))
    absent: dict[str, Ranges] = {}
    store = MessageStore(db)
    try:
        for (lane, epoch), highest in last.items():
            issued = IssuedNumbers(lane=lane, epoch=epoch, last=highest)
            absent.setdefault(lane, []).extend(store.missing(device, issued, 1))
    finally:
        store.close()
    raised = sum(highest for (lane, _), highest in last.items() if lane == "alert")
    missing = sum(end - first + 1 for first, end in absent.get("alert", []))
    return DeliveryProof(raised, raised - missing, owed), {
        lane: runs for lane, runs in absent.items() if runs
    }
