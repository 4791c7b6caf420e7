"""The sea: how a boat heaves, rolls and pitches. Pure."""

import math
import random
from dataclasses import dataclass
from functools import cached_property

PARTS = 6
PERIOD_S = 4.0
ROLL_DEG_PER_M, PITCH_DEG_PER_M = 8.0, 3.0
"""How far a small boat turns per metre of the wave's height above calm water."""


@dataclass(frozen=True)
class Waves:
    """A sea of this significant wave height: sums of sines, by a seed."""

    height_m: float
    seed: int = 0

    @cached_property
    def _parts(self) -> tuple[tuple[float, float, float], ...]:
        """Amplitude, angular speed and phase of each sine."""
        chance = random.Random(f"waves {self.seed}")
        amplitude = self.height_m / 4 * math.sqrt(2 / PARTS)  # significant height: four times the RMS
        return tuple(
            (amplitude, math.tau / (PERIOD_S * chance.uniform(0.6, 1.6)), chance.uniform(0, math.tau))
            for _ in range(PARTS)
        )

    @property
    def greatest_heave_m(self) -> float:
        """No wave is higher above calm water."""
        return sum(amplitude for amplitude, _, _ in self._parts)

    def heave_m(self, second: float) -> float:
        """How far the boat is above its place in calm water."""
        return sum(amplitude * math.sin(speed * second + phase) for amplitude, speed, phase in self._parts)

    def roll_deg(self, second: float) -> float:
        """To starboard; the boat rolls behind the wave."""
        return ROLL_DEG_PER_M * self.heave_m(second - 0.7)

    def pitch_deg(self, second: float) -> float:
        """Bow up."""
        return PITCH_DEG_PER_M * self.heave_m(second - 1.3)
