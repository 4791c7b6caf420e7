"""Spares the detector frames in which nothing can be new: motion, a live track or the heartbeat opens.

Motion alone would drop half of the frames in which somebody stands still, so it is never the only reason.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from agent.durations import Duration
from models.detection import Frame

Reason: TypeAlias = Literal["camera_moves", "motion", "track", "heartbeat"]
WIDTH, HEIGHT = 320, 180
"""Motion is looked for in a grey picture of this size."""
CHANGED = 15
"""Grey levels, after smoothing, from which a pixel differs: above the noise of a lit sensor."""
LEAST_PIXELS = 12
"""A person 40 pixels tall in 1080 lines is about 20 pixels of the small picture."""
MOVES_SHARE = 0.3
"""Where more of the picture than this changes at once, it is the camera (or the light) that changes."""
LEARNING = 0.05
"""How much of each frame goes into the background."""
LIVE_S = 4.0
"""The gate stays open for this long after the last detection: as long as the tracker keeps a lost track."""


class Motion(BaseModel):
    """Whether frames without motion, track or heartbeat are spared the detector."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: bool = False
    heartbeat: Duration = Field(default=timedelta(seconds=5), gt=timedelta(0), le=timedelta(minutes=1))
    """A frame is looked at this often, whatever moves: so what slipped in unseen is found."""


@dataclass(frozen=True, slots=True)
class Glance:
    """A first impression of a frame: why it should be looked at, or None."""

    reason: Reason | None


class Gate:
    """``reason`` it each frame in order; tell it with ``detected`` when the detector saw something."""

    def __init__(self, motion: Motion) -> None:
        self._motion = motion
        self._background: Any = None
        self._before: Any = None
        self._looked_s = self._detected_s = float("-inf")

    def glance(self, frame: Frame, now_s: float) -> Glance:
        """The first impression of a frame; ``now_s`` is its monotonic time."""
        return Glance(self.reason(frame, now_s))

    def reason(self, frame: Frame, now_s: float) -> Reason | None:
        """Why this frame should be looked at, or None; ``now_s`` is the frame's monotonic time."""
        if not self._motion.gate:
            return "heartbeat"
        share, pixels = self._changed(frame)
        reason: Reason | None = None
        if share > MOVES_SHARE:
            reason = "camera_moves"
        elif pixels >= LEAST_PIXELS:
            reason = "motion"
        elif now_s - self._detected_s <= LIVE_S:
            reason = "track"
        elif now_s - self._looked_s >= self._motion.heartbeat.total_seconds():
            reason = "heartbeat"
        if reason is not None:
            self._looked_s = now_s
        return reason

    def detected(self, now_s: float) -> None:
        """The detector saw something in the frame of ``now_s``, however unsure."""
        self._detected_s = now_s

    def _changed(self, frame: Frame) -> tuple[float, int]:
        """Share and number of pixels unlike the background or the frame before."""
        import cv2
        import numpy as np

        small = cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        grey = cv2.blur(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), (3, 3)).astype(np.float32)
        if self._background is None:
            self._background = grey.copy()
            self._before = grey
        differs = (np.abs(grey - self._background) > CHANGED) | (np.abs(grey - self._before) > CHANGED)
        pixels = int(np.count_nonzero(differs))
        share = pixels / differs.size
        if share > MOVES_SHARE:
            self._background = grey.copy()  # the old one says nothing about the new view
        else:
            self._background += LEARNING * (grey - self._background)
        self._before = grey
        return share, pixels
