"""Which position of an NMEA epoch is accepted: agreed by two sentences, or within reach. Pure."""

from dataclasses import dataclass

from firmware_bridge.nmea.sentence import DAY_MS
from firmware_bridge.wgs84 import Position, distance_m

AGREE_M = 50.0
"""Positions of one epoch that lie further apart than this contradict each other."""


SAME_M = 0.5
"""The same position, with a digit more or less."""


ASSUMED_SPEED_MPS = 100.0
"""What a receiver may do that doesn't say how fast it is."""


MAX_GAP_MS = 10_000
"""Who was away longer must be confirmed: a time may be damaged as well."""


@dataclass(frozen=True, slots=True)
class TimedPosition:
    """A position, when it was so, and how fast."""

    position: Position
    ms: int | None
    speed_mps: float


def agreed_position(found: list[Position]) -> Position | None:
    """Of those positions that another confirms, the one that most repeat; of several the last."""
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
    """Whether a receiver that was there can be here, with room for its noise."""
    if before is None:
        return False
    apart_s = 1.0
    if now.ms is not None and before.ms is not None:
        apart_ms = (now.ms - before.ms) % DAY_MS
        apart_s = max(1.0, min(apart_ms, DAY_MS - apart_ms, MAX_GAP_MS) / 1000)
    reach_m = 30 + (10 + 1.5 * max(now.speed_mps, before.speed_mps)) * apart_s
    return distance_m(before.position, now.position) <= reach_m
