"""The content of one UBX epoch so far: validity, position, satellites. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from firmware_bridge.wgs84 import Position

MODES: dict[int, Literal["2d", "3d"]] = {2: "2d", 3: "3d", 4: "3d", 5: "3d"}
"""gpsFix: 1 is dead reckoning alone, which is not a live position; with 5, time only, the position is
held."""


TIME_ONLY = 5


@dataclass(slots=True)
class UbxEpoch:
    """The combined content of the messages of one epoch."""

    tow_ms: int
    has_validity: bool = False
    rejected: bool = False
    mode: Literal["2d", "3d"] | None = None
    position: Position | None = None
    time: datetime | None = None
    week: int | None = None
    reported: bool = False
    known: dict[str, Any] = field(default_factory=dict)
    """The other fields of `Fix`."""


def add_validity(epoch: UbxEpoch, mode: int, flags: int) -> None:
    """Adds one message's validity; a single negative is enough to reject the epoch."""
    epoch.has_validity = True
    if not flags & 1 or mode not in MODES:
        epoch.rejected = True
    elif epoch.mode != "2d":
        epoch.mode = MODES[mode]
    if mode == TIME_ONLY:
        epoch.known["held"] = True


def add_satellites(epoch: UbxEpoch, cn0s: bytes, elevations: bytes) -> None:
    """Adds the satellites above the horizon or received (an unknown elevation is below it), and their mean
    C/N0.
    """
    levels = [cn0 for cn0 in cn0s if 0 < cn0 < 100]
    seen = sum(elevation <= 90 or cn0 > 0 for cn0, elevation in zip(cn0s, elevations, strict=False))
    epoch.known["satellites_seen"] = seen
    epoch.known["cn0_dbhz"] = round(sum(levels) / len(levels), 1) if levels else None
