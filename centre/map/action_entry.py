"""What an officer did about an alert, as an entry of the map: signed, and never changed. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

from agent.domain.message import encode, stamp
from agent.runtime.sanitize import as_list, json_object
from agent.trust.dsse import Signed, parse
from agent.trust.order import digest_of
from agent.trust.signing_key import SigningKey
from centre.map.field_values import instant

ENTRY_TYPE = "application/vnd.ringpost.map-entry+json"
ActionKind: TypeAlias = Literal["answer", "hand_over", "note", "call_out", "result"]
"""``answer`` and ``call_out``: an order was sent; ``result``: what became of it (``fields.of``)."""
KINDS: frozenset[str] = frozenset(get_args(ActionKind))
MAX_ROLE, MAX_TEXT = 64, 1000


@dataclass(frozen=True, slots=True)
class ActionEntry:
    """One entry. ``n`` numbers all entries of a map database, also of several processes."""

    n: int
    at: datetime
    kind: ActionKind
    device: str
    alert_id: str
    role: str
    """The role of the person, never a name."""
    key_ids: tuple[str, ...]
    text: str
    fields: Mapping[str, Any]
    """``hand_over``: ``to``. ``answer``: ``action``. ``call_out``: ``device``, ``command``. ``result``:
    ``of``, ``state``."""
    envelope: bytes = b""
    """The entry as its keys signed it (DSSE); empty for a ``result``, which the device made."""

    @property
    def key(self) -> tuple[str, str]:
        """The alert that it is about."""
        return self.device, self.alert_id

    @property
    def digest(self) -> str:
        """SHA-256 of what was signed; empty for an unsigned entry."""
        return digest_of(parse(self.envelope).payload) if self.envelope else ""


def sign_entry(
    keys: Sequence[SigningKey],
    at: datetime,
    kind: ActionKind,
    key: tuple[str, str],
    role: str,
    text: str,
    fields: Mapping[str, Any],
) -> bytes:
    """The envelope of an entry, signed by ``keys``."""
    body = {
        "kind": kind, "at": stamp(at), "device": key[0], "alert_id": key[1], "role": role, "text": text,
        "fields": fields,
    }  # fmt: skip
    unsigned = Signed(ENTRY_TYPE, encode(body), ())
    data = unsigned.signed_bytes()
    return Signed(ENTRY_TYPE, unsigned.payload, tuple((one.key_id, one.sign(data)) for one in keys)).dump()


def matches_envelope(entry: ActionEntry) -> bool:
    """Whether the columns of an entry say what was signed."""
    try:
        signed = parse(entry.envelope)
    except ValueError:
        return False
    body = json_object(signed.payload) or {}
    said = (body.get("kind"), body.get("device"), body.get("alert_id"), body.get("role"), body.get("text"))
    ids = tuple(key_id for key_id, _ in signed.signatures)
    return (
        signed.payload_type == ENTRY_TYPE
        and said == (entry.kind, entry.device, entry.alert_id, entry.role, entry.text)
        and body.get("fields") == dict(entry.fields)
        and instant(body.get("at")) == entry.at
        and ids == entry.key_ids
    )


def key_ids_of(value: str) -> tuple[str, ...]:
    """The key ids of a row."""
    found = as_list((json_object(value.encode()) or {}).get("keys"))
    return tuple(one for one in found if isinstance(one, str))
