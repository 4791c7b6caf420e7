"""Geolocation by ray casting: a pixel of a camera on a boat, a drone or a mast, from the camera's pose.

Angles in degrees: yaw clockwise from true north, pitch up, roll to the right, turned in this order. The
ground, or the water, is level and ``height_m`` below the camera. Pure; metres east and north.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.positioning.ground_plane import GroundPoint
from firmware_bridge.wgs84 import metres_per_degree

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES = 1000
"""Monte-Carlo samples of the pose; the radius holds for `COVERAGE` of them."""
COVERAGE, MAX_RANGE_M = 0.95, 5000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Angles:
    """An orientation, or one sigma of it."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """A camera in the world, with one sigma of its position (each axis), its height and its angles.

    ``body``: orientation of the boat or drone; ``mount``: orientation of the camera in it.
    """

    lat: float
    lon: float
    height_m: float
    body: Angles
    mount: Angles = Angles()
    position_sigma_m: float = 3.0
    height_sigma_m: float = 0.5
    sigma: Angles = Angles(yaw_deg=3.0, pitch_deg=2.0, roll_deg=2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixel:
    """A point of the picture in 0..1 of its width and height, with one sigma of each."""

    x: float
    y: float
    sigma_x: float = 0.0
    sigma_y: float = 0.0


def locate(pose: Pose, pixel: Pixel, fov_deg: float, aspect: float) -> GroundPoint | None:
    """The ground at a pixel; None where it may be the sky, or is beyond `MAX_RANGE_M`.

    ``fov_deg``: horizontal field of view; ``aspect``: width by height. The radius comes from `SAMPLES` random
    poses within the sigmas: no closed formula holds near the horizon.
    """
    import numpy as np

    deviations = np.random.default_rng(5).standard_normal((SAMPLES + 1, 8))
    deviations[0] = 0  # the nominal pose
    sigma, width = pose.sigma, 2 * math.tan(math.radians(fov_deg) / 2)
    across = (pixel.x + deviations[:, 0] * pixel.sigma_x - 0.5) * width
    down = (pixel.y + deviations[:, 1] * pixel.sigma_y - 0.5) * width / aspect
    rays = np.stack([np.ones(SAMPLES + 1), across, down], 1)  # ahead, right, down
    rays = _rotate(rays, pose.mount.roll_deg, pose.mount.pitch_deg, pose.mount.yaw_deg)
    rays = _rotate(
        rays,
        pose.body.roll_deg + deviations[:, 2] * sigma.roll_deg,
        pose.body.pitch_deg + deviations[:, 3] * sigma.pitch_deg,
        pose.body.yaw_deg + deviations[:, 4] * sigma.yaw_deg,
    )
    height_m = np.maximum(pose.height_m + deviations[:, 5] * pose.height_sigma_m, 0.1)
    hits_ground = rays[:, 2] * MAX_RANGE_M > height_m * np.hypot(rays[:, 0], rays[:, 1])
    if not hits_ground[0] or hits_ground.mean() < COVERAGE:
        return None
    north, east = rays[:, :2].T * np.where(
        hits_ground, height_m / np.where(hits_ground, rays[:, 2], 1), np.inf
    )
    north, east = (
        north + deviations[:, 6] * pose.position_sigma_m,
        east + deviations[:, 7] * pose.position_sigma_m,
    )
    radius = np.quantile(np.hypot(north - north[0], east - east[0]), COVERAGE, method="higher")
    if not np.isfinite(radius):
        return None
    east_m, north_m = metres_per_degree(pose.lat)
    return GroundPoint(
        pose.lat + float(north[0]) / north_m, pose.lon + float(east[0]) / east_m, float(radius)
    )


def _rotate(rays: "NDArray[Any]", roll_deg: Any, pitch_deg: Any, yaw_deg: Any) -> "NDArray[Any]":
    """Rays (ahead, right, down) in the outer frame: rolled, then pitched, then yawed."""
    import numpy as np

    ahead, right, down = rays.T
    sin, cos = np.sin(np.radians(roll_deg)), np.cos(np.radians(roll_deg))
    right, down = right * cos - down * sin, right * sin + down * cos
    sin, cos = np.sin(np.radians(pitch_deg)), np.cos(np.radians(pitch_deg))
    ahead, down = ahead * cos + down * sin, down * cos - ahead * sin
    sin, cos = np.sin(np.radians(yaw_deg)), np.cos(np.radians(yaw_deg))
    ahead, right = ahead * cos - right * sin, ahead * sin + right * cos
    return np.stack([ahead, right, down], 1)
