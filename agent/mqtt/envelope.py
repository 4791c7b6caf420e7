"""The envelope of a message, and its bytes on the wire: the contract with the centre.

A message is published at ``<root>/<device>/<topic>`` and is a JSON object: the envelope (``schema``, ``id``,
``device``, ``session``, ``epoch``, ``seq``, ``at``, ``clock``, and where true ``historical``, ``simulated``)
with the message's own fields beside it. ``epoch`` and ``seq`` belong to the store; `wire` adds them when the
message is sent. All else is fixed when the message is made, so a repeat is the same message.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from agent.domain.message import ROOT, SIMULATED_ROOT, Lane, Message, encode, new_id, stamp

RESTAMP_FROM = timedelta(seconds=5)
"""A message may wait for the disk: only a clock that differs by more than this was set meanwhile."""
_AT = re.compile(rb'"at":"([^"]+)"')


def wire(
    body: bytes, epoch: str, seq: int, *, historical: bool = False, steps: Mapping[str, float] | None = None
) -> bytes:
    """The bytes on the wire: ``epoch`` and ``seq``, and ``historical`` where true, in front of ``body``.

    ``steps`` are added to ``latency_ms`` of a message that measures its latency.
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
    """``body`` with its instants corrected to the present clock; unchanged where the two agree.

    ``age_s`` is its age by `agent.host.clock.since_boot_s`. A clock that was set meanwhile (from 1970, by a
    day) would otherwise leave wrong instants for ever. ``restamped_by_s`` is the correction.
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
    """A ``status`` in at most ``most`` bytes where possible: always its state, its reasons as they fit.

    For a broker with a small packet limit: a status that cannot be sent tells the centre nothing.
    """
    if len(body) <= most:
        return body
    fields = json.loads(body)
    reasons = [str(reason) for reason in fields.get("reasons", ())]
    keep = ("schema", "id", "device", "session", "at", "simulated", "state")
    for kept in (fields, {key: fields[key] for key in keep if key in fields}):
        for count in range(len(reasons), -1, -1):
            left_out = [f"and {len(reasons) - count} more"] if count < len(reasons) else []
            for width in (160, 80, 40):
                shown = [_cut(reason, width) for reason in reasons[:count]] + left_out
                short = encode({**kept, "reasons": shown, "shortened": True})
                if len(short) <= most:
                    return short
    least = ("schema", "device", "session", "simulated", "state")
    return encode({key: fields[key] for key in least if key in fields})


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _shift(value: Any, off: timedelta) -> None:
    """Moves each instant of this machine's clock in ``value``, at any depth."""
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
    """The device that each message names, and the root of its topics."""

    device: str
    root: str = ROOT

    @property
    def prefix(self) -> str:
        return f"{self.root}/{self.device}"

    @property
    def host_status(self) -> str:
        """The topic of the centre's own status."""
        return f"{self.root}/host/status"

    def last_will(self, session: int, connected_at: datetime) -> tuple[str, bytes]:
        """Topic and body of what the broker publishes where the connection ends without a goodbye."""
        body: dict[str, Any] = {
            "schema": "status/1",
            "device": self.device,
            "session": session,
            "state": "offline",
            "connected_at": connected_at,
        }
        if self.root == SIMULATED_ROOT:
            body["simulated"] = True
        return f"{self.prefix}/status", encode(body)

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
        """A message with its envelope; fields that are None are left out.

        ``clock`` is ``{"source": …, "error_ms": …}``.
        """
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
