"""An order: what somebody wants of a device, in the bytes that their keys have signed.

The signed payload is ``{"device": NAME or "group": NAME, "counters": {key id: N}, "nonce"?, "expires"?,
"body": {…}}``; the kind of order is part of the signature as the envelope's payload type.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from agent.domain.message import encode
from agent.runtime.sanitize import as_dict, json_object
from agent.trust.counters import MAX_COUNTER
from agent.trust.dsse import Signed, parse
from agent.trust.signing_key import SigningKey

Kind: TypeAlias = Literal["push", "command", "ack", "receipt"]
KINDS: tuple[Kind, ...] = get_args(Kind)
GROUP = "group:"


def payload_type(kind: Kind) -> str:
    return f"application/vnd.ringpost.{kind}+json"


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signed, and its roles on this device."""

    key_id: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Order:
    """An order whose signatures match. ``target`` is a device, or ``group:NAME``."""

    kind: Kind
    target: str
    body: dict[str, Any]
    signers: tuple[Signer, ...]
    counters: Mapping[str, int]
    """By scope: see `agent.trust.counters`."""
    nonce: str | None
    expires: datetime | None
    digest: str
    """SHA-256 of the signed payload, in hex."""

    @property
    def key_ids(self) -> tuple[str, ...]:
        return tuple(signer.key_id for signer in self.signers)

    def has_role(self, *names: str) -> bool:
        """Whether a signer has one of these roles."""
        return any(signer.roles.intersection(names) for signer in self.signers)


class Payload(BaseModel):
    """The signed payload of an order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str | None = Field(default=None, min_length=1, max_length=32)
    group: str | None = Field(default=None, min_length=1, max_length=64)
    counters: dict[str, int] = Field(default_factory=dict, max_length=8)
    nonce: str | None = Field(default=None, max_length=64)
    expires: AwareDatetime | None = None
    body: dict[str, Any]

    @model_validator(mode="after")
    def _one_target(self) -> "Payload":
        if (self.device is None) == (self.group is None):
            raise ValueError("exactly one of device and group must be given")
        if any(not 0 < value <= MAX_COUNTER for value in self.counters.values()):
            raise ValueError(f"counters must be 1 to {MAX_COUNTER}")
        return self

    @property
    def target(self) -> str:
        return self.device if self.device is not None else f"{GROUP}{self.group}"


def peek_body(data: bytes) -> dict[str, Any]:
    """The body of an envelope whose signatures nobody has looked at; empty where there is none.

    Good for the id in the answer to an order that is refused, and for nothing that has an effect.
    """
    with suppress(ValueError):
        return as_dict((json_object(parse(data).payload) or {}).get("body"))
    return {}


def digest_of(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


def sign_order(
    kind: Kind,
    target: str,
    body: Mapping[str, Any],
    keys: Sequence[SigningKey],
    *,
    counters: Mapping[str, int] | None = None,
    nonce: str | None = None,
    expires: datetime | None = None,
) -> bytes:
    """The envelope of an order, signed by ``keys``; ``counters`` names one for each key that will sign."""
    whom = {"group": target.removeprefix(GROUP)} if target.startswith(GROUP) else {"device": target}
    fields: dict[str, Any] = {**whom}
    if counters:
        fields["counters"] = dict(counters)
    if nonce is not None:
        fields["nonce"] = nonce
    if expires is not None:
        fields["expires"] = expires
    unsigned = Signed(payload_type(kind), encode({**fields, "body": body}), ())
    return _with_signatures(unsigned, keys).dump()


def add_signature(envelope: bytes, key: SigningKey) -> bytes:
    """``envelope`` with the signature of ``key`` too. ValueError where it is no envelope."""
    signed = parse(envelope)
    others = tuple(one for one in signed.signatures if one[0] != key.key_id)
    return _with_signatures(Signed(signed.payload_type, signed.payload, others), [key]).dump()


def _with_signatures(signed: Signed, keys: Sequence[SigningKey]) -> Signed:
    data = signed.signed_bytes()
    added = tuple((key.key_id, key.sign(data)) for key in keys)
    return Signed(signed.payload_type, signed.payload, (*signed.signatures, *added))
