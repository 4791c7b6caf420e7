"""The empty views that scenes are composed into, with their ground, zones and lines.

Corners are fractions of the picture. The ground is a plane under a level pinhole camera: somebody of 1.7 m
whose feet are at ``y`` is ``slope * (y - horizon)`` picture heights tall.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from agent.domain.zones import Corner
from bench.scenes import HEIGHT, VISION, WIDTH
from bench.scenes.sprites import Picture, median_of

FOCAL = 1.1
"""Focal length in picture heights: about 78 degrees across."""
PERSON_M = 1.7


@dataclass(frozen=True)
class Place:
    """A view: where its picture is from, its crop in pixels, its ground (``near``: rows people walk on)."""

    name: str
    picture: str
    crop: tuple[int, int, int, int]
    horizon: float
    slope: float
    ground: tuple[float, float]
    columns: tuple[float, float]
    water: bool = False
    grey: bool = False
    beyond_from: float = 0.0
    """From which share of the ground's rows on the zone ``beyond`` begins: the plaza has a real passer-by."""

    def height(self, y: float, metres: float = PERSON_M) -> float:
        """The height of something ``metres`` tall that stands at row ``y``, in picture heights."""
        return self.slope * (y - self.horizon) * metres / PERSON_M

    def to_ground(self, x: float, y: float) -> tuple[float, float]:
        """Metres across and away of a point of the ground."""
        away = FOCAL * PERSON_M / (self.slope * (y - self.horizon))
        return (x - 0.5) * WIDTH / HEIGHT * away / FOCAL, away

    def to_picture(self, across: float, away: float) -> tuple[float, float]:
        """The inverse of `to_ground`."""
        y = self.horizon + FOCAL * PERSON_M / (self.slope * away)
        return 0.5 + across * FOCAL / away * HEIGHT / WIDTH, y

    def at(self, x: float, y: float) -> Corner:
        """A point by its shares of ``columns`` and ``ground``."""
        return (
            round(self.columns[0] + x * (self.columns[1] - self.columns[0]), 4),
            round(self.ground[0] + y * (self.ground[1] - self.ground[0]), 4),
        )

    def zones(self) -> dict[str, list[Corner]]:
        """The zones by name: floor, bay and lane overlap; ``beyond`` is past the railing."""
        if self.water:
            return {
                "water": [(0.0, self.ground[0]), (1.0, self.ground[0]), (1.0, 1.0), (0.0, 1.0)],
                "fairway": [self.at(0.3, 0.1), self.at(0.62, 0.1), self.at(0.62, 0.9), self.at(0.3, 0.9)],
            }
        floor = [self.at(0.2, 0.12), self.at(0.55, 0.12), self.at(0.55, 1.0), self.at(0.2, 1.0)]
        back = self.beyond_from
        beyond = [self.at(0.8, back), self.at(1, back), self.at(1, 1), self.at(0.8, 1)]
        return {"floor": floor, "beyond": beyond}

    def line(self) -> tuple[Corner, Corner]:
        """The line that is crossed, from the back to the front."""
        return (self.at(0.68, 0), self.at(0.68, 1))


_OPEN = "pictures/images/openimages_"
PLACES = {
    place.name: place
    for place in (
        Place("yard", "vtest", (0, 104, 768, 432), -0.325, 0.279, (0.24, 0.98), (0, 1)),
        Place("hall", "one-by-one-person-detection", (0, 0, 768, 432), -0.26, 0.743, (0.62, 0.98), (0, 1)),
        Place(
            "arcade", _OPEN + "3469a3da252519ec.jpg", (0, 100, 1280, 720), 0.42, 1.07, (0.72, 0.98), (0.4, 1),
            grey=True,
        ),
        Place(
            "plaza", _OPEN + "3ed89b3527ba8c92.jpg", (0, 109, 1280, 720), 0.5, 0.83, (0.74, 0.97), (0, 1),
            beyond_from=0.4,
        ),
        Place("street", _OPEN + "9ef0b3d937312656.jpg", (0, 240, 1280, 720), 0.03, 0.71, (0.6, 0.97), (0, 1)),
        Place(
            "river", "boat_crossing_synthetic", (0, 0, 1280, 720), 0.31, 0.42, (0.42, 0.95), (0.25, 1),
            water=True,
        ),
        Place(
            "lagoon", _OPEN + "2cd17895052069e9.jpg", (0, 131, 1280, 720), 0.47, 0.57, (0.72, 0.96),
            (0.15, 1), water=True,
        ),
        Place(
            "lake", _OPEN + "3f52b76929dd48d8.jpg", (0, 60, 960, 540), 0.43, 0.68, (0.52, 0.95), (0, 1),
            water=True,
        ),
    )
}  # fmt: skip


@cache
def view(name: str) -> Picture:
    """The empty picture of a place, `HEIGHT` x `WIDTH`."""
    place = PLACES[name]
    path = VISION / place.picture
    picture = np.asarray(cv2.imread(str(path)), np.uint8) if path.is_file() else median_of(place.picture)
    left, top, wide, tall = place.crop
    return np.asarray(cv2.resize(picture[top : top + tall, left : left + wide], (WIDTH, HEIGHT)), np.uint8)
