"""Spares the detector frames in which nothing can be new: motion, a live track or the heartbeat opens.

Motion alone would drop half of the frames in which somebody stands still, so it is never the only reason. Who
stands still is looked at again and again, only not as often.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from agent.domain.durations import Duration
from agent.vision.egomotion import Egomotion, egomotion
from models.detection import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

Reason: TypeAlias = Literal["camera_moves", "view_changes", "motion", "track", "heartbeat", "no_gate"]
WIDTH, HEIGHT = 320, 180
"""Motion is looked for in a grey picture of this size."""
CHANGED = 15
"""Grey levels, after smoothing, from which a pixel differs: above the noise of a lit sensor."""
LEAST_PIXELS = 12
"""A person 40 pixels tall in 1080 lines is about 20 pixels of the small picture."""
MAY_MOVE_SHARE, VIEW_CHANGES_SHARE = 0.1, 0.3
"""Where more of the picture than this changes at once, the camera may have moved, or else the light."""
LEARNING = 0.05
"""How much of each frame goes into the background."""
ANCHOR_S = 1.0
"""So old a picture may be against which the camera's movement is measured."""
LIVE_S = 4.0
"""A track is live for this long after the last detection: as long as the tracker keeps a lost one."""
STILL_EVERY_S = 0.5
"""While nothing moves, live tracks are looked at this often."""


class Motion(BaseModel):
    """Whether frames without motion, track or heartbeat are spared the detector."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: bool = False
    heartbeat: Duration = Field(default=timedelta(seconds=5), gt=timedelta(0), le=timedelta(minutes=1))
    """A frame is looked at this often, whatever moves: so what slipped in unseen is found."""
    camera_moves: bool = False
    """On a boat, a drone, a mast: the camera's own movement is measured in each frame, gate or not."""


@dataclass(frozen=True, slots=True)
class MotionDecision:
    """A first impression of a frame: why it should be looked at, or None; how the camera moved before it."""

    reason: Reason | None
    egomotion: Egomotion | None = None


class MotionGate:
    """``glance`` at each frame in order; tell it with ``detected`` when the detector saw something."""

    def __init__(self, motion: Motion) -> None:
        self._motion = motion
        self._background: Any = None
        self._before: Any = None
        self._anchor: Any = None
        self._anchored_s = 0.0
        self._looked_s = self._detected_s = float("-inf")

    def glance(self, frame: Frame, now_s: float) -> MotionDecision:
        """The first impression of a frame; ``now_s`` is its monotonic time."""
        if not self._motion.gate and not self._motion.camera_moves:
            return MotionDecision("no_gate")
        small = shrink(frame)
        share, pixels = self._changed(small)
        moved = self._moved(small, share, now_s)
        if moved is not None or share > VIEW_CHANGES_SHARE:
            self._background = small.astype("float32")  # the old one says nothing about the new view
        self._before = small
        reason = self._reason(share, pixels, moved, now_s) if self._motion.gate else "no_gate"
        if reason is not None:
            self._looked_s = now_s
        return MotionDecision(reason, moved)

    def detected(self, now_s: float) -> None:
        """The detector saw something in the frame of ``now_s`` that is tracked, or may be once seen again."""
        self._detected_s = now_s

    def _moved(self, small: "NDArray[Any]", share: float, now_s: float) -> Egomotion | None:
        """How the camera moved since it last did; held against one picture until it shows, however slow."""
        moved = None
        if self._anchor is not None and (self._motion.camera_moves or share > MAY_MOVE_SHARE):
            moved = egomotion(self._anchor, small)
        if moved is not None or now_s - self._anchored_s > ANCHOR_S or self._anchor is None:
            self._anchor, self._anchored_s = small, now_s
        return moved

    def _reason(self, share: float, pixels: int, moved: Egomotion | None, now_s: float) -> Reason | None:
        if moved is not None:
            return "camera_moves"
        if share > VIEW_CHANGES_SHARE:
            return "view_changes"
        if pixels >= LEAST_PIXELS:
            return "motion"
        since_s = now_s - self._looked_s
        if now_s - self._detected_s <= LIVE_S and since_s >= STILL_EVERY_S:
            return "track"
        if since_s >= self._motion.heartbeat.total_seconds():
            return "heartbeat"
        return None

    def _changed(self, small: "NDArray[Any]") -> tuple[float, int]:
        """Share and number of pixels unlike the background or the frame before."""
        import cv2

        if self._background is None:
            self._background = small.astype("float32")
        differs = cv2.absdiff(small, cv2.convertScaleAbs(self._background))
        if self._before is not None:
            differs = cv2.max(differs, cv2.absdiff(small, self._before))
        pixels = cv2.countNonZero(cv2.threshold(differs, CHANGED, 1, cv2.THRESH_BINARY)[1])
        cv2.accumulateWeighted(small, self._background, LEARNING)
        return pixels / (WIDTH * HEIGHT), pixels


def shrink(frame: Frame) -> "NDArray[Any]":
    """The picture grey, smooth and small: uint8, `HEIGHT` x `WIDTH`."""
    import cv2

    picture: Any = frame
    if frame.shape[0] > 2 * HEIGHT and frame.shape[1] > 2 * WIDTH:
        picture = cv2.resize(picture, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    grey: NDArray[Any] = cv2.blur(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), (3, 3))
    return grey
