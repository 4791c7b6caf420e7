"""Distance and speed along a way by the second: speed limits, halts, and one acceleration. Pure; SI units."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the way with its speed limit."""

    length_m: float
    limit_mps: float


@dataclass(frozen=True, slots=True)
class Phase:
    """A time of constant acceleration, from ``began_s`` at ``began_m``."""

    began_s: float
    began_m: float
    speed_mps: float
    mps2: float

    def at(self, second: float) -> tuple[float, float]:
        """Distance and speed."""
        for_s = second - self.began_s
        return (
            self.began_m + self.speed_mps * for_s + self.mps2 * for_s**2 / 2,
            max(0.0, self.speed_mps + self.mps2 * for_s),
        )


class SpeedProfile:
    """A drive over ``stretches`` from standstill to standstill, as fast as the limits allow.

    ``halts_s``: how long it stands before a stretch, by its number; 0 is a stop without a wait.
    """

    def __init__(self, stretches: Sequence[Stretch], mps2: float, halts_s: Mapping[int, float]) -> None:
        limits = [one.limit_mps for one in stretches]
        speeds = [0.0, *(min(pair) for pair in pairwise(limits)), 0.0]
        for number in halts_s:
            speeds[number] = 0.0
        for number, one in enumerate(stretches):  # no faster than it can accelerate to
            speeds[number + 1] = min(speeds[number + 1], _reached(speeds[number], mps2, one.length_m))
        for number in reversed(range(len(stretches))):  # no faster than it can brake from
            reached = _reached(speeds[number + 1], mps2, stretches[number].length_m)
            speeds[number] = min(speeds[number], reached)
        self._phases: list[Phase] = []
        self._began: list[float] = []
        second = along_m = 0.0
        self.starts_s: list[float] = []
        """When each stretch begins, after the halt before it; last: when the whole ends."""
        for number, (one, start, end) in enumerate(zip(stretches, speeds[:-1], speeds[1:], strict=True)):
            if halt_s := halts_s.get(number, 0.0):
                self._add(Phase(second, along_m, 0.0, 0.0))
                second += halt_s
            self.starts_s.append(second)
            top = min(one.limit_mps, math.sqrt((2 * mps2 * one.length_m + start**2 + end**2) / 2))
            ramps = ((start, mps2, (top - start) / mps2), (top, -mps2, (top - end) / mps2))
            covered = sum(speed * for_s + rate * for_s**2 / 2 for speed, rate, for_s in ramps)
            level_s = max(0.0, one.length_m - covered) / top
            for speed, rate, for_s in (ramps[0], (top, 0.0, level_s), ramps[1]):
                if for_s > 1e-12:
                    self._add(Phase(second, along_m, speed, rate))
                    along_m, _ = self._phases[-1].at(second + for_s)
                    second += for_s
        self.starts_s.append(second)
        self._length_m = along_m

    @property
    def duration_s(self) -> float:
        return self.starts_s[-1]

    def at(self, second: float) -> tuple[float, float]:
        """Distance in metres and speed in m/s; it stands before the start and after the end."""
        if second <= 0:
            return 0.0, 0.0
        if second >= self.duration_s:
            return self._length_m, 0.0
        return self._phases[bisect_right(self._began, second) - 1].at(second)

    def _add(self, phase: Phase) -> None:
        self._phases.append(phase)
        self._began.append(phase.began_s)


def _reached(speed_mps: float, mps2: float, length_m: float) -> float:
    return math.sqrt(speed_mps**2 + 2 * mps2 * length_m)
