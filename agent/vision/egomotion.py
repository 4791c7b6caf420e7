"""How did the camera itself move between two pictures? Corners are followed, and most must agree. Pure.

Source of the idea: sparse optical flow as BoT-SORT compensates with it (Aharon et al., 2022).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.detection import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

CORNERS, LEAST_CORNERS = 80, 12
AGREE = 0.5
"""Share of the corners that one movement has to explain…"""
STAND_STILL = 0.3
"""…and share that may stand still meanwhile: more, and things move before a camera that does not."""
SPREAD = 0.4
"""Share of the picture, both ways, over which those that agree have to be spread."""
LEAST_PX, FAR = 1.0, 0.01
"""In a picture 320 wide, less is no matter; from that share of the picture on, zones are elsewhere."""


@dataclass(frozen=True, slots=True)
class Egomotion:
    """Where a point that stands in the world moves to in the picture; coordinates are fractions of it."""

    across: tuple[float, float, float]
    down: tuple[float, float, float]

    @property
    def far(self) -> bool:
        """Whether what was at a place in the picture is plainly no longer there."""
        moves = ((self.point(x, y), (x, y)) for x in (0, 1) for y in (0, 1))
        return max(max(abs(new[0] - old[0]), abs(new[1] - old[1])) for new, old in moves) >= FAR

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where what was at ``x, y`` is now."""
        (a, b, c), (d, e, f) = self.across, self.down
        return a * x + b * y + c, d * x + e * y + f

    def box(self, box: Box) -> Box:
        """Where what was in ``box`` is now; it stays upright and keeps its size but for the zoom."""
        (a, b, _), (d, e, _) = self.across, self.down
        zoom = abs(a * e - b * d) ** 0.5
        x, y = self.point((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        wide, tall = zoom * (box[2] - box[0]) / 2, zoom * (box[3] - box[1]) / 2
        return x - wide, y - tall, x + wide, y + tall


def egomotion(before: "NDArray[Any]", now: "NDArray[Any]") -> Egomotion | None:
    """From two grey pictures of one size (uint8); None where the camera stood still, or it can't be told."""
    import cv2
    import numpy as np

    found: Any = cv2.goodFeaturesToTrack(before, CORNERS, 0.02, 12)
    if found is None or len(found) < LEAST_CORNERS:
        return None
    followed: Any = None
    followed, good, _ = cv2.calcOpticalFlowPyrLK(before, now, found, followed, winSize=(15, 15), maxLevel=3)
    here = good.ravel() == 1
    was, is_ = found[here].reshape(-1, 2), followed[here].reshape(-1, 2)
    if len(was) < LEAST_CORNERS:
        return None
    if float((np.hypot(*(is_ - was).T) < 0.7 * LEAST_PX).mean()) > STAND_STILL:
        return None
    matrix, agree = cv2.estimateAffinePartial2D(was, is_, method=cv2.RANSAC, ransacReprojThreshold=1.5)
    if matrix is None:
        return None
    inside = agree.ravel() == 1
    rows, columns = now.shape
    spread = np.ptp(was[inside], axis=0) / (columns, rows)
    if inside.mean() < AGREE or spread.min() < SPREAD:
        return None
    edges = np.array([(x, y, 1) for x in (0, columns) for y in (0, rows)], float)
    if np.hypot(*(edges @ matrix.T - edges[:, :2]).T).max() < LEAST_PX:
        return None
    (a, b, c), (d, e, f) = matrix.tolist()
    return Egomotion((a, b * rows / columns, c / columns), (d * columns / rows, e, f / rows))
