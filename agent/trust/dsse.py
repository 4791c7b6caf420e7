"""Signed envelopes: DSSE (Dead Simple Signing Envelope) with ed25519. Pure.

``{"payloadType": T, "payload": base64(P), "signatures": [{"keyid": K, "sig": base64}]}``: each signature is
over the pre-authentication encoding of T and P, the bytes as sent. There is no field that names an algorithm,
so there is none to confuse. Source: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agent.domain.message import encode
from agent.runtime.sanitize import json_object

MAX_BYTES = 512 * 1024
"""The largest envelope; the largest push, 256 KiB, needs 342 KiB in base64."""
MAX_SIGNATURES = 8
SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Signed:
    """A parsed envelope; its signatures are not verified, so ``payload`` must not be parsed yet."""

    payload_type: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]
    """Key id and signature."""

    def signed_bytes(self) -> bytes:
        """The bytes that each signature covers."""
        return pre_authentication_encoding(self.payload_type, self.payload)

    def dump(self) -> bytes:
        """The envelope on the wire."""
        return encode(
            {
                "payloadType": self.payload_type,
                "payload": base64.b64encode(self.payload).decode(),
                "signatures": [
                    {"keyid": key_id, "sig": base64.b64encode(signature).decode()}
                    for key_id, signature in self.signatures
                ],
            }
        )


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """``DSSEv1 LEN(type) type LEN(payload) payload``."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def is_envelope(data: bytes) -> bool:
    """Whether ``data`` looks like an envelope, however wrong it is."""
    return b'"payloadType"' in data[:MAX_BYTES]


def parse(data: bytes) -> Signed:
    """The envelope in ``data``. ValueError: one line that says what is wrong."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES // 1024} KiB")
    fields = json_object(data)
    if fields is None:
        raise ValueError("is not a JSON object")
    payload_type, signatures = fields.get("payloadType"), fields.get("signatures")
    if not isinstance(payload_type, str) or not isinstance(fields.get("payload"), str):
        raise ValueError("is not a signed envelope: payloadType and payload must be texts")
    if not isinstance(signatures, list) or not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise ValueError(f"signatures must be a list of 1 to {MAX_SIGNATURES}")
    payload = _base64(fields["payload"], "payload")
    if not payload_type.isascii():
        raise ValueError("payloadType must be ASCII")
    return Signed(payload_type, payload, tuple(_signatures(signatures)))


def _signatures(entries: list[Any]) -> Iterable[tuple[str, bytes]]:
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("keyid"), str):
            raise ValueError("each signature must be an object with keyid and sig")
        signature = _base64(entry.get("sig"), "sig")
        if len(signature) != SIGNATURE_BYTES:
            raise ValueError(f"sig must have {SIGNATURE_BYTES} bytes")
        yield entry["keyid"], signature


def _base64(text: Any, name: str) -> bytes:
    if not isinstance(text, str):
        raise ValueError(f"{name} must be base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{name} is not base64") from None
