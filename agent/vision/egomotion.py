"""The camera's own movement between two pictures: corners are tracked, and most must agree. Pure.

Source of the idea: sparse optical flow as BoT-SORT compensates with it (Aharon et al., 2022).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.detection import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CORNERS, MIN_CORNERS = 80, 12
MIN_AGREEING = 0.5
"""Share of the corners that one movement must explain…"""
MAX_STILL = 0.3
"""…and share of corners that may stand still: with more, objects move in front of a still camera."""
MIN_SPREAD = 0.4
"""Share of the picture, in both directions, over which the agreeing corners must spread."""
MIN_MOVE_PX, FAR_SHARE = 1.0, 0.01
"""Movement below the first (pixels of 320) is ignored; from the second (share of the picture) on, zones
have moved visibly."""


@dataclass(frozen=True, slots=True)
class Egomotion:
    """An affine map of picture points (fractions of the picture) from one picture to the next."""

    across: tuple[float, float, float]
    down: tuple[float, float, float]

    @property
    def far(self) -> bool:
        """Whether zones no longer cover what they were drawn for."""
        moves = ((self.point(x, y), (x, y)) for x in (0, 1) for y in (0, 1))
        return max(max(abs(new[0] - old[0]), abs(new[1] - old[1])) for new, old in moves) >= FAR_SHARE

    def point(self, x: float, y: float) -> tuple[float, float]:
        """The present position of a point that was at ``x, y``."""
        (a, b, c), (d, e, f) = self.across, self.down
        return a * x + b * y + c, d * x + e * y + f

    def box(self, box: Box) -> Box:
        """The present box of what was in ``box``; upright, scaled by the zoom only."""
        (a, b, _), (d, e, _) = self.across, self.down
        zoom = abs(a * e - b * d) ** 0.5
        x, y = self.point((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        wide, tall = zoom * (box[2] - box[0]) / 2, zoom * (box[3] - box[1]) / 2
        return x - wide, y - tall, x + wide, y + tall


def estimate_egomotion(before: "NDArray[Any]", now: "NDArray[Any]") -> Egomotion | None:
    """Egomotion from two grey pictures of one size (uint8); None: the camera stood still, or unclear."""
    import cv2
    import numpy as np

    found: Any = cv2.goodFeaturesToTrack(before, MAX_CORNERS, 0.02, 12)
    if found is None or len(found) < MIN_CORNERS:
        return None
    followed: Any = None
    followed, good, _ = cv2.calcOpticalFlowPyrLK(before, now, found, followed, winSize=(15, 15), maxLevel=3)
    here = good.ravel() == 1
    was, is_ = found[here].reshape(-1, 2), followed[here].reshape(-1, 2)
    if len(was) < MIN_CORNERS:
        return None
    if float((np.hypot(*(is_ - was).T) < 0.7 * MIN_MOVE_PX).mean()) > MAX_STILL:
        return None
    matrix, agree = cv2.estimateAffinePartial2D(was, is_, method=cv2.RANSAC, ransacReprojThreshold=1.5)
    if matrix is None:
        return None
    inside = agree.ravel() == 1
    rows, columns = now.shape
    spread = np.ptp(was[inside], axis=0) / (columns, rows)
    if inside.mean() < MIN_AGREEING or spread.min() < MIN_SPREAD:
        return None
    edges = np.array([(x, y, 1) for x in (0, columns) for y in (0, rows)], float)
    if np.hypot(*(edges @ matrix.T - edges[:, :2]).T).max() < MIN_MOVE_PX:
        return None
    (a, b, c), (d, e, f) = matrix.tolist()
    return Egomotion((a, b * rows / columns, c / columns), (d * columns / rows, e, f / rows))
