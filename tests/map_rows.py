"""Messages as the centre commits them, for tests of the map."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.domain.message import encode, new_id, stamp
from centre.map.stored_message import StoredMessage, parse_row
from centre.message_header import MessageHeader, ReceivedMessage
from centre.message_store import MessageStore

NOON = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)
BIRTH = {
    "kind": "patrol_boat",
    "ring": "inner_city",
    "domain": "water",
    "site": "Greywharf",
    "post": "boat 7",
}


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


class Rows:
    """Numbers messages as the database does; writes them into one with ``write``."""

    def __init__(self) -> None:
        self.row = 0

    def __call__(
        self,
        topic: str,
        at_s: float = 0.0,
        *,
        device: str = "boat-7",
        received_s: float | None = None,
        **body: Any,
    ) -> StoredMessage:
        self.row += 1
        head = {"id": f"m{self.row}", "device": device, "session": 1, "epoch": "e", "seq": self.row}
        head |= {} if topic == "will" else {"at": stamp(later(at_s))}
        received_s = at_s if received_s is None else received_s
        return parse_row(self.row, device, topic, stamp(later(received_s)), encode({**head, **body}).decode())

    def alert(
        self, at_s: float, alert_id: str = "a1", device: str = "boat-7", **fields: Any
    ) -> StoredMessage:
        beside = {
            key: fields.pop(key)
            for key in ("historical", "simulated", "drill", "latency_ms")
            if key in fields
        }
        alert = {
            "alert_id": alert_id,
            "phase": "new",
            "severity": "critical",
            "text": "person in the water",
            **fields,
        }
        return self("alert", at_s, device=device, alert=alert, **beside)


def write(db: Path, messages: list[tuple[str, str, float, dict[str, Any]]]) -> None:
    """Writes (device, topic, second after noon, body) as a centre does; a will where the topic is ``will``."""
    store = MessageStore(db)
    try:
        for number, (device, topic, at_s, body) in enumerate(messages, 1):
            if topic == "will":
                store.keep_wills([(device, encode(body))])
                continue
            header = MessageHeader(id=new_id(), device=device, epoch="e", seq=number, at=stamp(later(at_s)))
            fields = {"id": header.id, "device": device, "epoch": "e", "seq": number, "at": header.at} | body
            store.keep([ReceivedMessage(topic, header, encode(fields))], later(at_s))
    finally:
        store.close()
