"""Apparent size: how tall a person is in the picture, and from how steeply above, by survey or mount.

The world is metres on the level ground: two axes along it, and up. Square pixels and an undistorted lens are
assumed; for surveyed points, the focal length follows from the points themselves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from agent.domain.geometry import inside
from agent.domain.zones import Corner
from agent.positioning.camera_mount import GroundSurvey, Mount
from agent.positioning.ground_plane import GroundPlane
from agent.positioning.ray_cast import MAX_RANGE_M
from models.detection import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERSON_M = 1.7
PERSON_ACROSS_M = 0.45
"""Across the shoulders: what is seen of a person from straight above."""
EDGE_SAMPLES = 8
"""Points on each edge of a zone at which the size is computed."""
NARROWEST_DEG, WIDEST_DEG = 4.0, 140.0
"""Bounds of the horizontal field of view that surveyed points may give."""


class SurveyedCamera(Protocol):
    """The keys of a camera that tell how it views the ground."""

    @property
    def ground(self) -> GroundSurvey | None: ...
    @property
    def mount(self) -> Mount | None: ...
    @property
    def crop(self) -> Box | None: ...


@dataclass(frozen=True, slots=True)
class ZoneView:
    """How a camera sees people whose feet are in a zone."""

    near_px: float
    """Height of a person of `PERSON_M` in pixels of the picture, where it is largest in the zone."""
    far_px: float
    """The same where it is smallest; 0 where the zone reaches the horizon."""
    steepest_deg: float
    """The steepest angle below the horizontal at which the camera looks at the zone; 90: straight down."""
    farthest_m: float
    """From the camera along the ground; infinite where the zone reaches the horizon."""


@dataclass(frozen=True, slots=True)
class GroundView:
    """A pinhole camera above the ground; pixels are those of a picture of ``columns`` by ``rows``."""

    columns: float
    rows: float
    focal_px: float
    centre_px: tuple[float, float]
    rotation: "NDArray[Any]"
    """World to camera (right, down, ahead)."""
    position: "NDArray[Any]"
    """Of the camera in the world, in metres."""

    def foot(self, corner: Corner) -> "NDArray[Any] | None":
        """The ground at a corner in 0..1; None at or above the horizon, or beyond `MAX_RANGE_M`."""
        import numpy as np

        (x, y), (middle_x, middle_y) = corner, self.centre_px
        right, down = x * self.columns - middle_x, y * self.rows - middle_y
        ray = self.rotation.T @ np.array([right, down, self.focal_px])
        if -ray[2] * MAX_RANGE_M <= self.position[2] * math.hypot(ray[0], ray[1]):
            return None
        return np.asarray(self.position - ray * (self.position[2] / ray[2]))

    def pixel(self, place: "NDArray[Any]") -> tuple[float, float] | None:
        """The pixel of a point in the world; None behind the camera."""
        right, down, ahead = (float(one) for one in self.rotation @ (place - self.position))
        if ahead <= 1e-6:
            return None
        return self.centre_px[0] + self.focal_px * right / ahead, self.centre_px[
            1
        ] + self.focal_px * down / ahead

    def person_px(self, corner: Corner) -> float | None:
        """Length in pixels of a person whose feet are at ``corner``, from above the breadth of the shoulders;
        None without ground there.
        """
        import numpy as np

        foot = self.foot(corner)
        if foot is None:
            return None
        head = foot + np.array([0, 0, min(PERSON_M, 0.95 * self.position[2])])
        head_px = self.pixel(head)
        if head_px is None:
            return None
        ahead_m = float((self.rotation @ (head - self.position))[2])
        length_px = math.hypot(head_px[0] - corner[0] * self.columns, head_px[1] - corner[1] * self.rows)
        return max(length_px, self.focal_px * PERSON_ACROSS_M / ahead_m)


def zone_view(camera: SurveyedCamera, zone: Sequence[Corner], frame_size: tuple[int, int]) -> ZoneView | None:
    """Sizes of people in ``zone`` (corners in 0..1) in frames of ``frame_size`` (width, height) pixels.

    None without survey or mount, where the mount's height or direction is a drone's, or where the surveyed
    points give no camera above the ground.
    """
    view = ground_view(camera, frame_size)
    return None if view is None else _of_zone(view, zone)


def ground_view(camera: SurveyedCamera, frame_size: tuple[int, int]) -> GroundView | None:
    """The camera as surveyed or mounted; None as for `zone_view`."""
    try:
        if camera.ground is not None:
            return _surveyed(camera.ground, camera.crop, frame_size)
        if camera.mount is not None:
            return _mounted(camera.mount, frame_size)
    except (OSError, ValueError, ImportError):  # the survey's own trouble: reported by `GroundSurvey.trouble`
        return None
    return None


def _of_zone(view: GroundView, zone: Sequence[Corner]) -> ZoneView:
    edges = zip(zone, [*zone[1:], zone[0]], strict=True)
    corners = [
        (x + (to_x - x) * step / EDGE_SAMPLES, y + (to_y - y) * step / EDGE_SAMPLES)
        for (x, y), (to_x, to_y) in edges
        for step in range(EDGE_SAMPLES)
    ]
    below = view.pixel(view.position * [1, 1, 0])
    if below is not None:
        straight_down = below[0] / view.columns, below[1] / view.rows
        if inside(straight_down, zone):
            corners.append(straight_down)
    sizes, angles, ranges = [], [], []
    for corner in corners:
        foot, size = view.foot(corner), view.person_px(corner)
        if foot is None:
            sizes.append(0.0)
            ranges.append(math.inf)
        else:
            away = math.hypot(*(foot - view.position)[:2])
            ranges.append(away)
            angles.append(math.degrees(math.atan2(float(view.position[2]), away)))
            sizes.append(size or 0.0)
    return ZoneView(max(sizes), min(sizes), max(angles, default=0.0), max(ranges))


def _mounted(mount: Mount, frame_size: tuple[int, int]) -> GroundView | None:
    """The camera on a level platform, with the angles of `agent.positioning.ray_cast`."""
    import numpy as np

    if mount.height_m is None or mount.gimbal:
        return None
    columns, rows = frame_size
    roll, pitch = math.radians(mount.roll_deg), math.radians(mount.pitch_deg)
    roll_back = np.array(
        [[math.cos(roll), math.sin(roll), 0], [-math.sin(roll), math.cos(roll), 0], [0, 0, 1]]
    )
    level = np.array(  # right, down, ahead of a pitched camera, in a world of right, ahead, up
        [[1, 0, 0], [0, math.sin(pitch), -math.cos(pitch)], [0, math.cos(pitch), math.sin(pitch)]]
    )
    return GroundView(
        columns,
        rows,
        columns / 2 / math.tan(math.radians(mount.fov_deg) / 2),
        (columns / 2, rows / 2),
        roll_back @ level,
        np.array([0.0, 0.0, mount.height_m]),
    )


def _surveyed(survey: GroundSurvey, crop: Box | None, frame_size: tuple[int, int]) -> GroundView | None:
    """The camera whose ground is the survey's plane: focal length, then pose, of its homography."""
    import numpy as np

    left, top, right, bottom = crop or (0.0, 0.0, 1.0, 1.0)
    columns, rows = survey.picture
    scale = np.diag([frame_size[0] / columns, frame_size[1] / rows, 1.0])
    centre = (
        (0.5 - left) / (right - left) * frame_size[0],
        (0.5 - top) / (bottom - top) * frame_size[1],
    )
    plane: GroundPlane = survey.plane()
    shift = np.array([[1, 0, -centre[0]], [0, 1, -centre[1]], [0, 0, 1]])
    to_picture = shift @ scale @ np.linalg.inv(plane.homography)
    to_picture /= np.linalg.norm(to_picture)
    # Both ground axes are as long in the camera, and at right angles: one complex equation for 1/focal**2.
    one, other = to_picture[:, 0], to_picture[:, 1]
    flat = complex(one[:2] @ one[:2] - other[:2] @ other[:2], 2 * one[:2] @ other[:2])
    deep = complex(one[2], other[2]) ** 2
    inverse_square = -(deep * flat.conjugate()).real / max(abs(flat) ** 2, 1e-300)
    half = frame_size[0] / (right - left) / 2
    focal = 1 / math.sqrt(max(inverse_square, 1e-300))
    focal = min(
        max(focal, half / math.tan(math.radians(WIDEST_DEG) / 2)),
        half / math.tan(math.radians(NARROWEST_DEG) / 2),
    )
    axes = np.diag([1 / focal, 1 / focal, 1.0]) @ to_picture
    axes /= math.sqrt(np.linalg.norm(axes[:, 0]) * np.linalg.norm(axes[:, 1]))
    if (axes @ plane.centre_m)[2] < 0:  # the surveyed points are in front of the camera
        axes = -axes
    raw = np.column_stack([axes[:, 0], axes[:, 1], np.cross(axes[:, 0], axes[:, 1])])
    first, _, second = np.linalg.svd(raw)
    rotation = first @ second
    position = -rotation.T @ axes[:, 2]
    if position[2] <= 0:
        return None
    return GroundView(frame_size[0], frame_size[1], focal, centre, rotation, position)
