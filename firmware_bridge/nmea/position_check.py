"""Checks a position against the others of its epoch, and against the previous fix. Pure."""

from dataclasses import dataclass

from firmware_bridge.nmea.sentence import DAY_MS
from firmware_bridge.wgs84 import Position, distance_m

AGREE_M = 50.0
"""Positions of one epoch that are further apart contradict each other."""


SAME_M = 0.5
"""The tolerance for equal positions, which may have a digit more or less."""


ASSUMED_SPEED_MPS = 100.0
"""The assumed speed of a receiver that reports none."""


MAX_GAP_MS = 10_000
"""After a longer gap a position must be confirmed: the time may be damaged as well."""


@dataclass(frozen=True, slots=True)
class TimedPosition:
    """A position with its time of day and speed."""

    position: Position
    ms: int | None
    speed_mps: float


def agreed_position(found: list[Position]) -> Position | None:
    """Of the positions that another confirms, the one that most repeat; of several the last."""
    best, most = None, -1
    for at in range(len(found) - 1, -1, -1):
        apart = [
            0.0 if other == found[at] else distance_m(found[at], other)
            for number, other in enumerate(found)
            if number != at
        ]
        same = sum(apart_m <= SAME_M for apart_m in apart)
        if apart and min(apart) <= AGREE_M and same > most:
            best, most = found[at], same
    return best


def within_reach(now: TimedPosition, before: TimedPosition | None) -> bool:
    """Whether a receiver at ``before`` can be at ``now``, with room for its noise."""
    if before is None:
        return False
    apart_s = 1.0
    if now.ms is not None and before.ms is not None:
        apart_ms = (now.ms - before.ms) % DAY_MS
        apart_s = max(1.0, min(apart_ms, DAY_MS - apart_ms, MAX_GAP_MS) / 1000)
    reach_m = 30 + (10 + 1.5 * max(now.speed_mps, before.speed_mps)) * apart_s
    return distance_m(before.position, now.position) <= reach_m
