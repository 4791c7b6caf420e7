"""One track: a Kalman filter of constant velocity over a box's centre and size. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.vision.egomotion import Egomotion
from models.detection import Box, Detection

VEHICLES = frozenset({"car", "truck", "bus", "van"})
"""Labels that detectors confuse: one label group. A track has the label with the most votes."""
CONFIRMED_AFTER, TENTATIVE_S = 2, 1.0
"""A track is confirmed at its n-th detection; an unconfirmed one is dropped after this many seconds."""
EDGE = 0.02
"""An object whose box is so near to the left or right edge may have left the picture."""
COAST_TIME_S = 2.5
"""Time constant with which the predicted speed decays while the object is not detected."""
EDGE_SIGMA, UNSURE_EDGE_SIGMA, ACCELERATION_SIGMA, INITIAL_SPEED_SIGMA = 0.1, 0.2, 2.0, 3.0
"""Standard deviations in object sizes: of a detected edge at normal and at low confidence; of acceleration
(per second squared); of the initial speed."""


@dataclass(slots=True)
class ObjectTrack:
    """The state of one tracked object; times are monotonic, coordinates fractions of the picture."""

    number: int
    kind: str
    seen_s: float
    sure_s: float
    state: list[float]  # centre x, y, width, height
    speed: list[float] = field(default_factory=lambda: [0.0] * 4)
    spread: tuple[float, float, float] = (
        EDGE_SIGMA**2,
        0.0,
        INITIAL_SPEED_SIGMA**2,
    )  # (co)variance: position, both, speed
    votes: dict[str, float] = field(default_factory=dict)
    hits: int = 1
    needs: int = CONFIRMED_AFTER
    missed: int = 0
    """Inferences since its last confident detection."""

    @property
    def label(self) -> str:
        return max(self.votes, key=lambda label: self.votes[label])

    @property
    def confirmed(self) -> bool:
        return self.hits >= self.needs

    def at_edge(self) -> bool:
        """Whether it was last detected at the left or right edge of the picture, and may have left it."""
        return self.state[0] - self.state[2] / 2 < EDGE or self.state[0] + self.state[2] / 2 > 1 - EDGE

    def predict(self, now_s: float) -> list[float]:
        """The predicted centre x, y, width and height at ``now_s``."""
        coast_s = COAST_TIME_S * -math.expm1((self.seen_s - now_s) / COAST_TIME_S)
        x, y, wide, tall = self.state
        across, down, wider, taller = self.speed
        return [
            x + across * coast_s,
            y + down * coast_s,
            max(wide + wider * coast_s, wide / 2),
            max(tall + taller * coast_s, tall / 2),
        ]

    def update(self, detection: Detection, now_s: float, sure: bool) -> None:
        """Corrects the state by a detection; ``sure``: at normal confidence."""
        noise = EDGE_SIGMA if sure else UNSURE_EDGE_SIGMA
        passed_s = max(now_s - self.seen_s, 1e-3)
        place, both, fast = self.spread
        place += passed_s * (2 * both + passed_s * fast) + ACCELERATION_SIGMA**2 * passed_s**4 / 4
        both += passed_s * fast + ACCELERATION_SIGMA**2 * passed_s**3 / 2
        fast += ACCELERATION_SIGMA**2 * passed_s**2
        gain, speed_gain = place / (place + noise**2), both / (place + noise**2)
        self.spread = (place * (1 - gain), both * (1 - gain), fast - speed_gain * both)
        expected = self.predict(now_s)
        off = [seen - at for seen, at in zip(centred(detection.box), expected, strict=True)]
        self.state = [at + gain * by for at, by in zip(expected, off, strict=True)]
        self.speed = [speed + speed_gain * by for speed, by in zip(self.speed, off, strict=True)]
        self.seen_s = now_s
        if sure:
            self.sure_s, self.missed = now_s, 0
            self.hits += 1
        self.votes[detection.label] = self.votes.get(detection.label, 0.0) + detection.score

    def move(self, egomotion: Egomotion) -> None:
        """Moves the state with the picture."""
        self.state = centred(egomotion.box(box_of(self.state)))


def label_group(label: str) -> str:
    """The group of labels that detectors confuse with this one."""
    return "vehicle" if label in VEHICLES else label


def centred(box: Box) -> list[float]:
    """Centre x, y, width and height of a box."""
    left, top, right, bottom = box
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]


def box_of(state: Sequence[float]) -> Box:
    """The box of a centre x, y, width and height."""
    x, y, wide, tall = state
    return x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2
