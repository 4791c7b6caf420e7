"""Geolocation of a fixed camera's pixels, with error: a homography through surveyed points.

Metres are east and north on the tangent plane at the first point.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firmware_bridge.wgs84 import metres_per_degree

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHI2_95 = 5.991
"""The 95 % quantile of chi-squared with two degrees of freedom."""


@dataclass(frozen=True, slots=True)
class ControlPoint:
    """A surveyed point: its pixel, and its position (WGS-84, degrees)."""

    x: float
    y: float
    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class GroundPoint:
    """A position on the ground (WGS-84, degrees); the true one is within ``error_m`` with 95 %."""

    lat: float
    lon: float
    error_m: float


class GroundPlane:
    """The plane through ``points``; ``click_px``: one sigma of a pixel as read.

    ValueError: fewer than four points, or points in a line.
    """

    def __init__(self, points: Sequence[ControlPoint], click_px: float = 2.0) -> None:
        import numpy as np

        if len(points) < 4:
            raise ValueError(f"{len(points)} surveyed points; at least 4 are required, no three in a line")
        self._lat, self._lon = points[0].lat, points[0].lon
        self._east_m, self._north_m = metres_per_degree(self._lat)
        pixels = np.array([(point.x, point.y) for point in points])
        metres = np.array(
            [((m.lon - self._lon) * self._east_m, (m.lat - self._lat) * self._north_m) for m in points]
        )
        self._plane = _fit_homography(pixels, metres)
        off = _project(np.linalg.inv(self._plane), metres) - pixels
        self.residuals_px: list[float] = [float(one) for one in np.hypot(off[:, 0], off[:, 1])]
        freedom = 2 * len(points) - 8
        spread = math.sqrt(float((off**2).sum()) / freedom) if freedom else 0.0
        self.sigma_px = max(click_px, spread)
        # the plane with each coordinate of each point disturbed by one sigma: its sensitivity to errors
        self._disturbed = []
        for index in range(pixels.size):
            moved = pixels.copy()
            moved.flat[index] += self.sigma_px
            self._disturbed.append(_fit_homography(moved, metres))
        self._horizon = self._plane[2] / (self._plane[2] @ [*pixels.mean(0), 1])
        self.centre_m: NDArray[Any] = np.array([*metres.mean(0), 1.0])
        """The middle of the points, homogeneous."""

    @property
    def homography(self) -> "NDArray[Any]":
        """3x3, from homogeneous pixels to homogeneous metres east and north of the first point."""
        return self._plane

    def locate(
        self, x: float, y: float, pixel_sigma_px: tuple[float, float] = (0.0, 0.0)
    ) -> GroundPoint | None:
        """The ground at a pixel; None at or above the horizon.

        ``pixel_sigma_px``: one sigma of the pixel itself, across and down, beside the error of the points.
        """
        import numpy as np

        if self._horizon @ [x, y, 1] <= 0:
            return None
        across, down = (math.hypot(self.sigma_px, one) for one in pixel_sigma_px)
        near = np.array([(x, y), (x + across, y), (x, y + down)])
        if (near @ self._horizon[:2] + self._horizon[2] <= 0).any():
            return None
        centre, *beside = _project(self._plane, near)
        shifts = [one - centre for one in beside] + [
            _project(plane, near[:1])[0] - centre for plane in self._disturbed
        ]
        spread = np.array(shifts).T @ np.array(shifts)
        if not np.isfinite(spread).all():
            return None
        radius = math.sqrt(CHI2_95 * float(np.linalg.eigvalsh(spread)[-1]))
        return GroundPoint(
            self._lat + float(centre[1]) / self._north_m, self._lon + float(centre[0]) / self._east_m, radius
        )

    def horizon_y(self, x: float) -> float | None:
        """How far down the horizon is at ``x``, in pixels; None where the plane has none in view there."""
        across, down, offset = (float(one) for one in self._horizon)
        return None if abs(down) < 1e-12 else -(across * x + offset) / down

    def pixel(self, lat: float, lon: float) -> tuple[float, float] | None:
        """The pixel of a position on the ground; None behind the camera."""
        import numpy as np

        metres = np.array([[(lon - self._lon) * self._east_m, (lat - self._lat) * self._north_m]])
        x, y = (float(one) for one in _project(np.linalg.inv(self._plane), metres)[0])
        seen = math.isfinite(x) and math.isfinite(y) and self._horizon @ [x, y, 1] > 0
        return (x, y) if seen else None


def _project(plane: "NDArray[Any]", points: "NDArray[Any]") -> "NDArray[Any]":
    import numpy as np

    turned = np.column_stack([points, np.ones(len(points))]) @ plane.T
    result: NDArray[Any] = turned[:, :2] / turned[:, 2:]
    return result


def _fit_homography(pixels: "NDArray[Any]", metres: "NDArray[Any]") -> "NDArray[Any]":
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
