"""What a camera's detector would find: boxes, labels and confidence, with its misses. Pure.

It stands in for capture and inference; the agent's own tracker, zones and rules come after it.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.vision.camera_settings import CameraSettings
from models.detection import Box, Detection
from simulators.world.camera_picture import CameraPicture, PictureObject, cut
from simulators.world.projection import ASPECT
from simulators.world.world import World

PICTURE = (1280, 720)
"""Width and height in pixels."""
SMALLEST = 0.025
"""An object lower than this is never found; three times as high it is found as well as any."""
BEST_SCORE, SCORE_SIGMA = 0.82, 0.04
NIGHT_SCORE, UNLIT_SCORE, RAIN_SCORE = 0.12, 0.45, 0.15
"""How much confidence is lost at night with and without lamps, and in the heaviest rain."""
DAY_MISSES, NIGHT_MISSES, RAIN_MISSES = 0.01, 0.05, 0.10
"""The chance that a frame misses an object."""
HIDDEN = 0.7
"""An object of which nearer ones cover this much is not found."""
INFERENCE_S, INFERENCE_SIGMA_S = 0.12, 0.02


@dataclass(frozen=True, slots=True)
class CameraFrame:
    """One inference. ``detections`` in no particular order, at any confidence."""

    number: int
    detections: tuple[Detection, ...]
    delay_s: float
    """From the frame to its detections."""
    camera_moves: bool = False


class CameraView:
    """One camera of a device: the detections of the frame that it takes at a second."""

    def __init__(self, world: World, device: str, source: str, settings: CameraSettings) -> None:
        self._world, self._device, self._source, self.settings = world, device, source, settings
        self._picture = CameraPicture(world, device, source, settings)

    def objects(self, second: float) -> list[PictureObject]:
        """The true boxes."""
        return self._picture.objects(second)

    def frame(self, second: float) -> CameraFrame:
        """What is found in the frame taken at this second."""
        chance = random.Random(f"{self._world.seed} {self._device} {self._source} {second:.3f}")
        objects, found = self.objects(second), []
        for seen in objects:
            covers = (_covered(seen.box, other.box) for other in objects if other.near > seen.near)
            if (detection := self._detect(seen, max(covers, default=0.0), second, chance)) is not None:
                found.append(detection)
        delay_s = max(0.03, chance.gauss(INFERENCE_S, INFERENCE_SIGMA_S))
        return CameraFrame(
            number=round(second * self.settings.fps),
            detections=tuple(found),
            delay_s=round(delay_s, 4),
            camera_moves=self._turns(second),
        )

    def _detect(
        self, seen: PictureObject, hidden: float, second: float, chance: random.Random
    ) -> Detection | None:
        """The detection of one object; the same number of random draws whatever comes of it."""
        blur, noise, missed = [chance.gauss(0, 1) for _ in range(4)], chance.gauss(0, 1), chance.random()
        left, top, right, bottom = seen.box
        tall = bottom - top
        dark = self._darkness(second)
        rain = self._world.settings.rain
        if missed < DAY_MISSES + (NIGHT_MISSES - DAY_MISSES) * dark + RAIN_MISSES * rain or hidden >= HIDDEN:
            return None
        size = min(1.0, (tall - SMALLEST) / (2 * SMALLEST))
        if size <= 0:
            return None
        lost = (NIGHT_SCORE if self._world.settings.lit else UNLIT_SCORE) * dark + RAIN_SCORE * rain
        score = BEST_SCORE * (0.4 + 0.6 * size) - lost - 0.3 * hidden + SCORE_SIGMA * noise
        edge = [0.015 * tall * one for one in blur]
        box = cut((left + edge[0] / ASPECT, top + edge[1], right + edge[2] / ASPECT, bottom + edge[3]))
        return Detection(seen.label, round(max(0.02, min(0.99, score)), 3), box)

    def _darkness(self, second: float) -> float:
        """0 by day, 1 at night, in between while it dawns."""
        return max(0.0, min(1.0, -self._world.sun_deg(second) / 6))

    def _turns(self, second: float) -> bool:
        """Whether the picture moves by more than a degree within a fifth of a second."""
        if self._world.stands(self._device):
            return False
        now, before = (self._world.motion(self._device, at).course_deg for at in (second, second - 0.2))
        return abs((now - before + 180) % 360 - 180) > 1.0


def camera_view(world: World, device: str, source: str) -> CameraView:
    """The view of a camera as the device's configuration has it. ValueError: its section is invalid."""
    from agent.vision.camera import Camera

    section: Mapping[str, Any] = world.devices[device].sources("camera")[source]
    return CameraView(world, device, source, Camera.model_validate(dict(section)))


def _covered(box: Box, other: Box) -> float:
    """The share of ``box`` that ``other`` covers."""
    wide = min(box[2], other[2]) - max(box[0], other[0])
    tall = min(box[3], other[3]) - max(box[1], other[1])
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return max(0.0, wide) * max(0.0, tall) / whole if whole > 0 else 0.0
