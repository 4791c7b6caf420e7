"""The proof at the end of a run: alert messages counted on both disks."""

import asyncio
import json
from pathlib import Path

import pytest

from agent.outbox.outbox import Outbox
from centre.message_header import MessageHeader, ReceivedMessage
from centre.message_store import MessageStore
from simulators.scenario.delivery import delivery_proof
from tests.outbox_rig import message


@pytest.mark.parametrize(
    ("raised", "committed", "confirmed", "expected"),
    [
        (3, (1, 2, 3), (1, 2, 3), "raised 3, committed 3, owed 0, lost 0"),
        (3, (1, 3), (1, 3), "raised 3, committed 2, owed 1, lost 0"),
        (3, (1,), (1, 2), "raised 3, committed 1, owed 1, lost 1"),
        (1, (), (), "raised 1, committed 0, owed 1, lost 0"),
    ],
)
def test_the_proof_counts_on_both_disks(
    tmp_path: Path, raised: int, committed: tuple[int, ...], confirmed: tuple[int, ...], expected: str
) -> None:
    """``confirmed``: the agent has a receipt, and deletes the message; without its commit it is lost."""

    async def raise_alerts() -> str:
        outbox = Outbox.open(tmp_path / "data")
        messages = [message(topic="alert") for _ in range(raised)]
        await outbox.put(*messages)
        await outbox.record_receipts([messages[number - 1].id for number in confirmed])
        epoch = outbox.epoch("alert")
        await asyncio.to_thread(outbox.close)
        return epoch

    epoch = asyncio.run(raise_alerts())
    store = MessageStore(tmp_path / "centre.db")
    for number in committed:
        body = {"id": f"i{number}", "device": "d", "session": 1, "epoch": epoch, "seq": number}
        payload = json.dumps(body | {"schema": "alert/1", "at": "2026-11-28T06:12:31.410Z"}).encode()
        store.keep([ReceivedMessage("alert", MessageHeader.model_validate_json(payload), payload)])
    store.close()
    proof = asyncio.run(delivery_proof("d", tmp_path / "data", tmp_path / "centre.db"))
    assert str(proof) == expected
