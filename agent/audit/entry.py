"""One entry of the audit log: a line of JSON, signed with a key that is used once. Pure.

    {"n", "at", "boot", "mono", "kind", "who", "fields", "before", "next", "sig"}

``before`` is the SHA-256 of the previous line, ``next`` the public key of the next entry, ``sig`` the ed25519
signature over the line without ``sig``. The seed of the next key is a hash of the seed of this one.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.domain.message import encode
from agent.trust.signing_key import signature_matches

MAX_ENTRY = 4096
"""Bytes of the fields of one entry; longer ones are replaced by their size."""
MAX_TEXT = 500
"""Characters of one text in an entry."""
ANCHORS = frozenset({"start", "checkpoint", "stop"})
"""Kinds of entry that go to the centre; they name their own key."""

_SIGNATURE = b',"sig":"'
_END = re.compile(_SIGNATURE + rb'[0-9a-f]{128}"}')
_ENTRY, _ANCHOR, _NEXT = b"ringpost audit entry\0", b"ringpost audit anchor\0", b"ringpost audit next\0"


@dataclass(frozen=True, slots=True)
class Draft:
    """What an entry will say, with its instant; it has no number yet."""

    kind: str
    at: str
    boot: str
    mono: float
    who: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One parsed line; the signature is not checked yet."""

    n: int
    at: str
    kind: str
    who: tuple[str, ...]
    fields: dict[str, Any]
    before: str
    next: str
    signature: bytes
    line: bytes

    @property
    def hash(self) -> str:
        return line_hash(self.line)

    @property
    def own_key(self) -> str | None:
        """The public key that signs this entry, where the entry names it."""
        key = self.fields.get("key") if self.kind in ANCHORS else None
        return key if isinstance(key, str) else None

    def signed_by(self, public: str) -> bool:
        """Whether the key ``public`` (hex) signed this line."""
        return signature_is_valid(public, self.signature, _ENTRY + _signed_part(self.line))

    def anchored_by(self, device_key: str) -> bool:
        """Whether the device key ``device_key`` (hex) signed this `start`, `checkpoint` or `stop`."""
        try:
            signature = bytes.fromhex(str(self.fields.get("device_sig")))
        except ValueError:
            return False
        signed = anchor_bytes(str(self.fields.get("log")), self.n, self.before, str(self.fields.get("key")))
        return signature_is_valid(device_key, signature, signed)


def line_hash(line: bytes) -> str:
    """The hash by which the next entry names this line (without its line feed)."""
    return hashlib.sha256(line).hexdigest()


def next_seed(seed: bytes) -> bytes:
    """The seed of the next entry's key; there is no way back."""
    return hashlib.sha256(_NEXT + seed).digest()


def public_key(seed: bytes) -> str:
    """The public key of a seed, in hex."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw().hex()


def signature_is_valid(public: str, signature: bytes, data: bytes) -> bool:
    """Whether the ed25519 key ``public`` (hex) made ``signature`` over ``data``."""
    try:
        return signature_matches(bytes.fromhex(public), signature, data)
    except ValueError:
        return False


def anchor_bytes(log: str, n: int, before: str, key: str) -> bytes:
    """What the device key signs: all earlier entries through ``before``, and the entry through its key."""
    return _ANCHOR + encode([log, n, before, key])


def seal(draft: Draft, n: int, seed: bytes, before: str) -> bytes:
    """The line of an entry, without its line feed."""
    head = {"n": n, "at": draft.at, "boot": draft.boot, "mono": draft.mono, "kind": draft.kind}
    tail = {"before": before, "next": public_key(next_seed(seed))}
    body = encode({**head, "who": list(draft.who), "fields": encodable(draft.fields), **tail})
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(_ENTRY + body)
    return body[:-1] + _SIGNATURE + signature.hex().encode() + b'"}'


def parse(line: bytes) -> Entry:
    """The entry in a line. ValueError where it is none, or where anything follows its signature."""
    if _END.fullmatch(line[line.rfind(_SIGNATURE) :]) is None:
        raise ValueError("no entry of the audit log: its end is not its signature")
    try:
        body = json.loads(line)
        entry = Entry(
            n=body["n"],
            at=body["at"],
            kind=body["kind"],
            who=tuple(body["who"]),
            fields=body["fields"],
            before=body["before"],
            next=body["next"],
            signature=bytes.fromhex(body["sig"]),
            line=line,
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no entry of the audit log: {error}") from error
    texts = (entry.at, entry.kind, entry.before, entry.next, *entry.who)
    types_match = isinstance(entry.n, int) and isinstance(entry.fields, dict)
    if not types_match or not all(isinstance(text, str) for text in texts):
        raise ValueError("no entry of the audit log: wrong types")
    return entry


def encodable(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` as JSON can hold them, bounded in size."""
    try:
        short = _shortened(dict(fields))
        size = len(encode(short))
    except (ValueError, TypeError, RecursionError) as error:
        return {"unencodable": str(error).encode("ascii", "replace").decode()[:MAX_TEXT]}
    return short if size <= MAX_ENTRY else {"oversized": size}


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else value[: MAX_TEXT - 1] + "…"
    if isinstance(value, Mapping):
        return {str(key): _shortened(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_shortened(one) for one in value]
    return value


def _signed_part(line: bytes) -> bytes:
    return line[: line.rindex(_SIGNATURE)] + b"}" if _SIGNATURE in line else b""
