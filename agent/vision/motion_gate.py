"""The motion gate: skips inference of frames without motion, live track or heartbeat.

Motion alone would skip half of the frames in which a person stands still, so it is never the only reason:
while nothing moves, live tracks get an inference at a lower rate.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from agent.domain.durations import Duration
from agent.vision.egomotion import Egomotion, estimate_egomotion
from models.detection import Box, Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

Reason: TypeAlias = Literal["camera_moves", "view_changes", "motion", "track", "heartbeat", "no_gate"]
WIDTH, HEIGHT = 320, 180
"""Size in pixels of the grey picture in which motion is detected."""
PIXEL_THRESHOLD = 15
"""Grey levels by which a pixel differs, after smoothing: above the noise of a lit sensor."""
MIN_PIXELS = 12
"""Changed pixels that count as motion. A person 40 pixels tall in 1080 lines has about 20 of them."""
MAY_MOVE_SHARE, VIEW_CHANGES_SHARE = 0.1, 0.3
"""Above the first share of changed pixels the camera may have moved; above the second the view is new."""
BACKGROUND_RATE = 0.05
"""Weight of each frame in the background average."""
ANCHOR_S = 1.0
"""Maximum age of the picture from which egomotion is measured."""
TRACK_LIVE_S = 4.0
"""A track is live this long after its last detection: as long as the tracker keeps a lost track."""
TRACK_EVERY_S = 0.5
"""Interval of inferences for live tracks while nothing moves."""
BOX_PIXELS, MAX_BOXES = 4, 16
"""Least changed pixels of a box of motion, and the number of boxes of a frame, the largest."""


class MotionSettings(BaseModel):
    """The configuration section ``motion``; ``gate``: whether inference is skipped without a reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: bool = False
    heartbeat: Duration = Field(default=timedelta(seconds=5), gt=timedelta(0), le=timedelta(minutes=1))
    """Longest interval between inferences, so that an object that entered unseen is found."""
    camera_moves: bool = False
    """For a boat, a drone or a mast: egomotion is estimated in each frame, with or without the gate."""


@dataclass(frozen=True, slots=True)
class MotionDecision:
    """Why a frame gets an inference, or None; the egomotion of the camera since the frame before.

    ``boxes``: what moves before a camera that stands still, the largest first (`MotionGate.finds_boxes`).
    """

    reason: Reason | None
    egomotion: Egomotion | None = None
    boxes: tuple[Box, ...] = ()


class MotionGate:
    """`decide` for each frame in order; `detected` after an inference that found an object to track."""

    def __init__(self, settings: MotionSettings, *, finds_boxes: bool = False) -> None:
        self.settings, self.finds_boxes = settings, finds_boxes
        self._background: Any = None
        self._before: Any = None
        self._anchor: Any = None
        self._anchored_s = 0.0
        self._inferred_s = self._detected_s = float("-inf")

    def decide(self, frame: Frame, now_s: float) -> MotionDecision:
        """Whether a frame gets an inference; ``now_s`` is its monotonic time."""
        follows = self.settings.gate or self.settings.camera_moves
        if not follows and not self.finds_boxes:
            return MotionDecision("no_gate")
        small = shrink(frame)
        changed = self._changed(small)
        pixels = int(changed.sum())
        share = pixels / changed.size
        moved = self._moved(small, share, now_s) if follows else None
        if moved is not None or share > VIEW_CHANGES_SHARE:
            self._background = small.astype("float32")  # the old background is of another view
        self._before = small
        reason = self._reason(share, pixels, moved, now_s) if self.settings.gate else "no_gate"
        if reason is not None:
            self._inferred_s = now_s
        still = moved is None and share <= MAY_MOVE_SHARE and not self.settings.camera_moves
        return MotionDecision(reason, moved, _boxes(changed) if self.finds_boxes and still else ())

    def detected(self, now_s: float) -> None:
        """The frame of ``now_s`` has an object that is tracked, or will be when it is detected again."""
        self._detected_s = now_s

    def _moved(self, small: "NDArray[Any]", share: float, now_s: float) -> Egomotion | None:
        """Egomotion since the anchor picture, which stays until movement shows, however slow."""
        moved = None
        if self._anchor is not None and (self.settings.camera_moves or share > MAY_MOVE_SHARE):
            moved = estimate_egomotion(self._anchor, small)
        if moved is not None or now_s - self._anchored_s > ANCHOR_S or self._anchor is None:
            self._anchor, self._anchored_s = small, now_s
        return moved

    def _reason(self, share: float, pixels: int, moved: Egomotion | None, now_s: float) -> Reason | None:
        if moved is not None:
            return "camera_moves"
        if share > VIEW_CHANGES_SHARE:
            return "view_changes"
        if pixels >= MIN_PIXELS:
            return "motion"
        since_s = now_s - self._inferred_s
        if now_s - self._detected_s <= TRACK_LIVE_S and since_s >= TRACK_EVERY_S:
            return "track"
        if since_s >= self.settings.heartbeat.total_seconds():
            return "heartbeat"
        return None

    def _changed(self, small: "NDArray[Any]") -> "NDArray[Any]":
        """A mask of the pixels (1) that differ from the background or from the frame before."""
        import cv2

        if self._background is None:
            self._background = small.astype("float32")
        differs = cv2.absdiff(small, cv2.convertScaleAbs(self._background))
        if self._before is not None:
            differs = cv2.max(differs, cv2.absdiff(small, self._before))
        cv2.accumulateWeighted(small, self._background, BACKGROUND_RATE)
        mask: NDArray[Any] = cv2.threshold(differs, PIXEL_THRESHOLD, 1, cv2.THRESH_BINARY)[1]
        return mask


def _boxes(changed: "NDArray[Any]") -> tuple[Box, ...]:
    """The boxes of coherent changes, the largest first."""
    import cv2
    import numpy as np

    joined = cv2.dilate(changed, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    pixels = np.bincount(labels[changed > 0], minlength=count) if count > 1 else np.zeros(count, int)
    rows, columns = changed.shape
    found = []
    for number in range(1, count):
        left, top, wide, tall = stats[number, :4].tolist()
        if pixels[number] >= BOX_PIXELS:
            box = (left / columns, top / rows, (left + wide) / columns, (top + tall) / rows)
            found.append((-int(pixels[number]), box))
    return tuple(box for _, box in sorted(found)[:MAX_BOXES])


def shrink(frame: Frame) -> "NDArray[Any]":
    """The picture in grey, small and smoothed: uint8, `HEIGHT` x `WIDTH`."""
    import cv2

    picture: Any = frame
    if frame.shape[0] > 2 * HEIGHT and frame.shape[1] > 2 * WIDTH:
        picture = cv2.resize(picture, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    grey: NDArray[Any] = cv2.blur(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), (3, 3))
    return grey
