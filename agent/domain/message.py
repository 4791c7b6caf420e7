"""A message to the centre: its lane, its body, and the order in which lanes and alerts go out.

`agent.mqtt.envelope` gives a message its envelope and its bytes on the wire.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from agent.host.entropy import uuid7

ROOT = "ringpost/v1"
"""The first levels of each topic, except of simulated devices."""
SIMULATED_ROOT = "ringpost-sim/v1"
MAX_BODY = 8 * 1024
"""The largest body of a message to the centre, in bytes; ``media`` is exempt."""


Lane: TypeAlias = Literal["alert", "result", "status", "position", "telemetry", "media"]
LANES: tuple[Lane, ...] = ("alert", "result", "status", "position", "telemetry", "media")
"""In the order in which they are sent."""

LATEST_LANES: tuple[Lane, ...] = ("status", "position")
"""Lanes in which a newer message replaces an unsent one of the same topic."""

RECEIPT_LANES: tuple[Lane, ...] = ("alert", "result")
"""Lanes whose messages are deleted only on a receipt of the centre (with ``delivery: receipt``)."""

BULK_LANES: tuple[Lane, ...] = ("telemetry", "media")
"""Lanes whose messages are written in batches."""

RANKS: Mapping[str, int] = {"critical": 0, "warning": 1, "info": 2}
"""The order within the lane ``alert``, by severity; a message without one ranks as critical."""
LAST_RANK = 3
"""Messages that the centre has requested again are sent after those that it never had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to the centre, not yet numbered. ``topic`` is relative to the device's."""

    lane: Lane
    topic: str
    id: str
    body: bytes
    """A JSON object without ``epoch`` and ``seq``; in the lane ``media`` a JPEG."""
    qos: Literal[0, 1] = 1
    retain: bool = False
    expires_after: timedelta | None = None
    age_s: float | None = 0.0
    """Its age in seconds, where it was stored elsewhere before; None if unknown."""
    rank: int = 0
    """Its place within the lane ``alert``: see `RANKS`."""
    group: str = ""
    """Messages of one group, such as the phases of one alert, keep their order whatever their rank."""


def new_id() -> str:
    """A UUIDv7: sorts by time, and distinguishes a repeat from a new message."""
    return uuid7()


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
