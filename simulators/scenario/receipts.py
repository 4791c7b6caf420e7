"""Whether the centre has messages, and their devices the receipts. Pure."""

from collections.abc import Sequence
from typing import Any

from simulators.run_record import Fields, RunRecord

RECEIPT_S = 5.0
"""A receipt that was given this long before the end of the run has arrived."""


def receipts_missing(messages: Sequence[Fields], record: RunRecord) -> list[str]:
    """The messages that are not committed, or whose device has no receipt; one that has it does not keep the
    message any more."""
    committed: set[Any] = {one.get("id") for one in record.events if one["event"] == "committed"}
    receipts_s: dict[Any, float] = {}
    owed_s: dict[Any, float] = {}
    for one in record.events:
        if one["event"] == "receipt":
            receipts_s |= {
                identity: one["t"] for identity in one.get("ids", ()) if identity not in receipts_s
            }
        elif one["event"] == "on_disk":
            owed_s |= {entry["id"]: one["t"] for entry in one["messages"] if entry.get("state") == "owed"}
    ids = [one["body"].get("id") for one in messages]
    kept = [
        one["body"].get("id")
        for one in messages
        if _is_kept(receipts_s.get(one["body"].get("id")), owed_s.get(one["body"].get("id")), one, record)
    ]
    problems = {
        "not committed at the centre": [one for one in ids if one not in committed],
        "committed, but without receipt": [one for one in ids if one in committed and one not in receipts_s],
        "the device has not taken the receipt": kept,
    }
    return [f"{problem}: {', '.join(map(str, wrong[:3]))}" for problem, wrong in problems.items() if wrong]


def _is_kept(receipt_s: float | None, owed_s: float | None, message: Fields, record: RunRecord) -> bool:
    """Whether a device still owes a message long after its receipt. One that was killed soon after may: what
    it had not written durably is as it was before."""
    if receipt_s is None or owed_s is None or owed_s - receipt_s <= RECEIPT_S:
        return False
    return not any(
        one["event"] == "killed"
        and one.get("device") == message["device"]
        and 0 <= one["t"] - receipt_s <= RECEIPT_S
        for one in record.events
    )
