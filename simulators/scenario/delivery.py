"""The proof of a run's delivery: alert messages counted on the disks of agent and centre."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from agent.outbox.outbox import Outbox
from centre.message_store import MessageStore
from centre.sequence_gaps import IssuedNumbers, Ranges


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
    absent: dict[str, Ranges] = {}
    store = MessageStore(db)
    try:
        for issued in numbers:
            absent.setdefault(issued.lane, []).extend(store.missing(device, issued, 1))
    finally:
        store.close()
    raised = sum(issued.last for issued in numbers if issued.lane == "alert")
    missing = sum(last - first + 1 for first, last in absent.get("alert", []))
    return DeliveryProof(raised, raised - missing, owed), {
        lane: runs for lane, runs in absent.items() if runs
    }
