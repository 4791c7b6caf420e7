"""One track: a Kalman filter of constant velocity."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.vision.egomotion import Egomotion
from models.detection import Box, Detection

if TYPE_CHECKING:
    pass

VEHICLES = frozenset({"car", "truck", "bus", "van"})
"""Detectors take these for each other; a track is what it was taken for most."""
CONFIRMED_AFTER, TENTATIVE_S = 2, 1.0
"""A track is reported from its n-th detection on, if the second came soon: one flicker is nobody."""
COAST_S = 2.5
"""What is out of sight slows down with this time constant."""
NOISE, UNSURE_NOISE, PUSH, FIRST_SPEED = 0.1, 0.2, 2.0, 3.0
"""In sizes of the object: of a measured edge; of acceleration (a second squared); of speed at first sight."""


@dataclass(slots=True)
class _Track:
    number: int
    kind: str
    seen_s: float
    sure_s: float
    state: list[float]  # centre x, y, width, height
    speed: list[float] = field(default_factory=lambda: [0.0] * 4)
    spread: tuple[float, float, float] = (NOISE**2, 0.0, FIRST_SPEED**2)  # of place, both, speed; in sizes
    votes: dict[str, float] = field(default_factory=dict)
    hits: int = 1
    needs: int = CONFIRMED_AFTER
    missed: int = 0
    """Looks since its last sure detection."""

    @property
    def label(self) -> str:
        return max(self.votes, key=lambda label: self.votes[label])

    @property
    def confirmed(self) -> bool:
        return self.hits >= self.needs

    def ahead(self, now_s: float) -> list[float]:
        """Where it should be now: centre x, y, width, height."""
        coast_s = COAST_S * -math.expm1((self.seen_s - now_s) / COAST_S)
        x, y, wide, tall = (at + speed * coast_s for at, speed in zip(self.state, self.speed, strict=True))
        return [x, y, max(wide, self.state[2] / 2), max(tall, self.state[3] / 2)]

    def follow(self, detection: Detection, now_s: float, sure: bool) -> None:
        noise = NOISE if sure else UNSURE_NOISE
        passed_s = max(now_s - self.seen_s, 1e-3)
        place, both, fast = self.spread
        place += passed_s * (2 * both + passed_s * fast) + PUSH**2 * passed_s**4 / 4
        both += passed_s * fast + PUSH**2 * passed_s**3 / 2
        fast += PUSH**2 * passed_s**2
        gain, speed_gain = place / (place + noise**2), both / (place + noise**2)
        self.spread = (place * (1 - gain), both * (1 - gain), fast - speed_gain * both)
        for index, (expected, seen) in enumerate(
            zip(self.ahead(now_s), _centred(detection.box), strict=True)
        ):
            self.state[index] = expected + gain * (seen - expected)
            self.speed[index] += speed_gain * (seen - expected)
        self.seen_s = now_s
        if sure:
            self.sure_s, self.missed = now_s, 0
            self.hits += 1
        self.votes[detection.label] = self.votes.get(detection.label, 0.0) + detection.score

    def move(self, egomotion: Egomotion) -> None:
        self.state = _centred(egomotion.box(_edges(self.state)))


def kind_of(label: str) -> str:
    """What a detector does not take for something of another kind."""
    return "vehicle" if label in VEHICLES else label


def _centred(box: Box) -> list[float]:
    left, top, right, bottom = box
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]


def _edges(state: Sequence[float]) -> Box:
    x, y, wide, tall = state
    return x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2
