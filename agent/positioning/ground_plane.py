"""Where on the ground a pixel of a fixed camera lies, with its error: a plane through surveyed points.

Metres are counted east and north on the plane that touches the Earth at the first point.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firmware_bridge.wgs84 import metres_per_degree

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHI2_95 = 5.991
"""Within this (two dimensions) lie 95 % of all points."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A surveyed point: where it is in the picture (pixels) and in the world (WGS-84)."""

    x: float
    y: float
    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Place:
    """A point on the ground; with 95 % it is true within ``error_m``."""

    lat: float
    lon: float
    error_m: float


class Ground:
    """The plane through ``marks``; ``click_px`` is how surely a pixel is read (one sigma)."""

    def __init__(self, marks: Sequence[Mark], click_px: float = 2.0) -> None:
        import numpy as np

        if len(marks) < 4:
            raise ValueError(f"{len(marks)} surveyed points; at least 4 are wanted, no three in a line")
        self._lat, self._lon = marks[0].lat, marks[0].lon
        self._east_m, self._north_m = metres_per_degree(self._lat)
        pixels = np.array([(mark.x, mark.y) for mark in marks])
        metres = np.array(
            [((m.lon - self._lon) * self._east_m, (m.lat - self._lat) * self._north_m) for m in marks]
        )
        self._plane = _fit(pixels, metres)
        off = _through(np.linalg.inv(self._plane), metres) - pixels
        self.residuals_px: list[float] = [float(one) for one in np.hypot(off[:, 0], off[:, 1])]
        freedom = 2 * len(marks) - 8
        spread = math.sqrt(float((off**2).sum()) / freedom) if freedom else 0.0
        self.sigma_px = max(click_px, spread)
        # what each coordinate of each mark, wrong by one sigma, would make of the plane
        self._wrong = []
        for index in range(pixels.size):
            moved = pixels.copy()
            moved.flat[index] += self.sigma_px
            self._wrong.append(_fit(moved, metres))
        self._horizon = self._plane[2] / (self._plane[2] @ [*pixels.mean(0), 1])

    def locate(self, x: float, y: float, unsure_px: tuple[float, float] = (0.0, 0.0)) -> Place | None:
        """The ground under a pixel; None at or above the horizon.

        ``unsure_px``: how surely the pixel itself is known, across and down (one sigma), beside the marks.
        """
        import numpy as np

        if self._horizon @ [x, y, 1] <= 0:
            return None
        across, down = (math.hypot(self.sigma_px, one) for one in unsure_px)
        near = np.array([(x, y), (x + across, y), (x, y + down)])
        if (near @ self._horizon[:2] + self._horizon[2] <= 0).any():
            return None
        here, *beside = _through(self._plane, near)
        shifts = [one - here for one in beside] + [
            _through(plane, near[:1])[0] - here for plane in self._wrong
        ]
        spread = np.array(shifts).T @ np.array(shifts)
        if not np.isfinite(spread).all():
            return None
        radius = math.sqrt(CHI2_95 * float(np.linalg.eigvalsh(spread)[-1]))
        return Place(
            self._lat + float(here[1]) / self._north_m, self._lon + float(here[0]) / self._east_m, radius
        )

    def pixel(self, lat: float, lon: float) -> tuple[float, float] | None:
        """Where a place on the ground is seen; None behind the camera."""
        import numpy as np

        metres = np.array([[(lon - self._lon) * self._east_m, (lat - self._lat) * self._north_m]])
        x, y = (float(one) for one in _through(np.linalg.inv(self._plane), metres)[0])
        seen = math.isfinite(x) and math.isfinite(y) and self._horizon @ [x, y, 1] > 0
        return (x, y) if seen else None


def _through(plane: "NDArray[Any]", points: "NDArray[Any]") -> "NDArray[Any]":
    import numpy as np

    turned = np.column_stack([points, np.ones(len(points))]) @ plane.T
    result: NDArray[Any] = turned[:, :2] / turned[:, 2:]
    return result


def _fit(pixels: "NDArray[Any]", metres: "NDArray[Any]") -> "NDArray[Any]":
    """The homography from pixels to metres, by the normalised direct linear transform (Hartley 1997)."""
    import numpy as np

    def scaled(points: "NDArray[Any]") -> "tuple[NDArray[Any], NDArray[Any]]":
        centre, size = points.mean(0), float(points.std()) or 1.0
        matrix = np.array([[1 / size, 0, -centre[0] / size], [0, 1 / size, -centre[1] / size], [0, 0, 1]])
        return (points - centre) / size, matrix

    (source, first), (target, second) = scaled(pixels), scaled(metres)
    rows = []
    for (x, y), (east, north) in zip(source, target, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -east * x, -east * y, -east])
        rows.append([0, 0, 0, x, y, 1, -north * x, -north * y, -north])
    _, strengths, axes = np.linalg.svd(np.array(rows))
    if strengths[7] < 1e-6 * strengths[0]:
        raise ValueError("the surveyed points lie in a line or on one spot: spread them over the picture")
    plane: NDArray[Any] = np.linalg.inv(second) @ axes[-1].reshape(3, 3) @ first
    return plane
