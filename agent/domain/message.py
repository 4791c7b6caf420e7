"""Every topic and payload in one place: the contract with the centre.

A message up is ``<root>/<device>/<topic>`` and a JSON object: the envelope (``schema``, ``id``, ``device``,
``session``, ``epoch``, ``seq``, ``at``, ``clock``, and where true ``historical``, ``simulated``)
with the message's own fields beside it. ``epoch`` and ``seq`` belong to the store and are added where it
hands a message out (`wire`); all else is fixed when the message is made, so a repeat is the same message.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

import uuid_utils

ROOT = "ringpost/v1"
SIMULATED_ROOT = "ringpost-sim/v1"
MAX_BODY = 8 * 1024
"""Bytes that a message up may take, ``media`` aside."""

RESTAMP_FROM = timedelta(seconds=5)
"""A message may wait for the disk; only a clock that differs by more than this was set."""
_AT = re.compile(rb'"at":"([^"]+)"')

Lane: TypeAlias = Literal["alert", "result", "status", "position", "telemetry", "media"]
LANES: tuple[Lane, ...] = ("alert", "result", "status", "position", "telemetry", "media")
"""First to last: what goes out before what."""

KEEP_LATEST: frozenset[Lane] = frozenset({"status", "position"})
"""Lanes in which a newer message replaces an unsent one of the same topic."""

NEED_RECEIPT: frozenset[Lane] = frozenset({"alert", "result"})
"""Lanes that leave the disk on the centre's receipt only (with ``delivery: receipt``)."""

RANKS: Mapping[str, int] = {"critical": 0, "warning": 1, "info": 2}
"""What goes first within the lane ``alert``; whatever has no severity ranks as critical."""
LAST_RANK = 3
"""What the centre has asked for again goes after everything that it never had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message up, before the store has numbered it. ``topic`` is below the device's."""

    lane: Lane
    topic: str
    id: str
    body: bytes
    """A JSON object without ``epoch`` and ``seq``; in the lane ``media`` a JPEG."""
    qos: Literal[0, 1] = 1
    retain: bool = False
    expires_after: timedelta | None = None
    age_s: float | None = 0.0
    """How long ago it was made, where it was kept elsewhere before; None where nobody knows."""
    rank: int = 0
    """Its place within the lane ``alert``: see `RANKS`."""
    group: str = ""
    """Messages of one group, such as the phases of one alert, keep their order whatever their rank."""


def new_id() -> str:
    """A UUIDv7: sorts by time, and tells a repeat from a new message."""
    return str(uuid_utils.uuid7())


def stamp(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as every payload writes an instant."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(value: Any) -> bytes:
    """Compact JSON; an instant as `stamp`, a duration in seconds. ValueError for NaN and infinity."""
    return json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain
    ).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(f"no JSON for {type(value).__name__}")


def wire(
    body: bytes, epoch: str, seq: int, *, historical: bool = False, steps: Mapping[str, float] | None = None
) -> bytes:
    """The bytes that go out: ``body`` with ``epoch`` and ``seq``, and perhaps ``historical``, put in front.

    ``steps`` join ``latency_ms`` of a message that counts its latency.
    """
    extra: dict[str, Any] = {"epoch": epoch, "seq": seq}
    if historical:
        extra["historical"] = True
    if steps and b'"latency_ms":' in body:
        fields = json.loads(body)
        fields["latency_ms"].update(steps)
        body = encode(fields)
    return encode(extra)[:-1] + b"," + body[1:]


def restamp(body: bytes, age_s: float, now: datetime) -> bytes:
    """``body`` with its instants as the clock says now that they were; the same where the two agree.

    ``age_s`` is how long ago it was made by `kernel_clock.since_boot_s`. A clock that was set since
    (from 1970, by a day) would else leave wrong instants behind for ever. ``restamped_by_s`` says what was
    added.
    """
    found = _AT.search(body)
    if found is None:
        return body
    off = now - timedelta(seconds=age_s) - datetime.fromisoformat(found[1].decode())
    if abs(off) < RESTAMP_FROM:
        return body
    fields = json.loads(body)
    _shift(fields, off)
    return encode(fields | {"restamped_by_s": round(off.total_seconds(), 1)})


def shortened(body: bytes, most: int) -> bytes:
    """A ``status`` in at most ``most`` bytes where that can be: its state always, of its reasons what fits.

    For a broker whose packets are too small for all of it: a status that can't be sent says nothing.
    """
    if len(body) <= most:
        return body
    fields = json.loads(body)
    reasons = [str(reason) for reason in fields.get("reasons", ())]
    keep = ("schema", "id", "device", "session", "at", "state")
    for kept in (fields, {key: fields[key] for key in keep if key in fields}):
        for count in range(len(reasons), -1, -1):
            left_out = [f"and {len(reasons) - count} more"] if count < len(reasons) else []
            for width in (160, 80, 40):
                told = [_cut(reason, width) for reason in reasons[:count]] + left_out
                short = encode({**kept, "reasons": told, "shortened": True})
                if len(short) <= most:
                    return short
    return encode({key: fields[key] for key in ("schema", "device", "session", "state") if key in fields})


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _shift(value: Any, off: timedelta) -> None:
    """Moves each instant that this machine's clock gave, wherever it stands in ``value``."""
    if isinstance(value, list):
        for one in value:
            _shift(one, off)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key in ("at", "since") and isinstance(one, str):
                value[key] = stamp(datetime.fromisoformat(one) + off)
            else:
                _shift(one, off)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Who speaks: what every envelope carries. ``clock`` is ``{"source": …, "error_ms": …}``."""

    device: str
    root: str = ROOT

    @property
    def prefix(self) -> str:
        return f"{self.root}/{self.device}"

    @property
    def host_status(self) -> str:
        """Where the centre says whether it is there."""
        return f"{self.root}/host/status"

    def message(
        self,
        schema: str,
        fields: Mapping[str, Any],
        *,
        lane: Lane,
        topic: str,
        session: int,
        clock: Mapping[str, Any],
        at: datetime,
        retain: bool = False,
        qos: Literal[0, 1] = 1,
        expires_after: timedelta | None = None,
        rank: int = 0,
        group: str = "",
    ) -> Message:
        """A message with its envelope; fields that are None are left out."""
        identity = new_id()
        body: dict[str, Any] = {
            "schema": schema,
            "id": identity,
            "device": self.device,
            "session": session,
            "at": at,
        }
        body["clock"] = dict(clock)
        if self.root == SIMULATED_ROOT:
            body["simulated"] = True
        body.update({key: value for key, value in fields.items() if value is not None})
        return Message(
            lane=lane,
            topic=topic,
            id=identity,
            body=encode(body),
            qos=qos,
            retain=retain,
            expires_after=expires_after,
            rank=rank,
            group=group,
        )
