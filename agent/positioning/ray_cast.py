"""Where on the ground a pixel of a camera on a boat, a drone or a mast lies: from where and how it looks.

Angles in degrees: yaw clockwise from true north, pitch up, roll to the right, turned in this order. The
ground, or the water, is level and ``height_m`` below the camera. Pure; metres as in `ground`.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.positioning.ground_plane import Place
from firmware_bridge.wgs84 import metres_per_degree

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRIES = 1000
"""So many cameras that could be this one are asked too; the radius holds for 95 % of them."""
HOLDS, FARTHEST_M = 0.95, 5000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Angles:
    """How something is turned, or how surely that is known."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """A camera in the world, and one sigma of each: of its position (each way), its height and its angles.

    ``body`` is how the boat or the drone is turned, ``mount`` how the camera sits in it.
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
    """A point of the picture in 0..1 of its width and height, and one sigma of each."""

    x: float
    y: float
    sigma_x: float = 0.0
    sigma_y: float = 0.0


def locate(pose: Pose, pixel: Pixel, fov_deg: float, aspect: float) -> Place | None:
    """The ground under a pixel; None where it is the sky, or may as well be.

    ``fov_deg`` is across the picture, ``aspect`` its width by its height. The radius is where 95 % of the
    cameras that this one could be, by its sigmas, see the same pixel: no formula holds near the horizon.
    """
    import numpy as np

    off = np.random.default_rng(5).standard_normal((TRIES + 1, 8))
    off[0] = 0  # the camera as it is said to be
    sigma, width = pose.sigma, 2 * math.tan(math.radians(fov_deg) / 2)
    across = (pixel.x + off[:, 0] * pixel.sigma_x - 0.5) * width
    down = (pixel.y + off[:, 1] * pixel.sigma_y - 0.5) * width / aspect
    rays = np.stack([np.ones(TRIES + 1), across, down], 1)  # ahead, right, down
    rays = _turn(rays, pose.mount.roll_deg, pose.mount.pitch_deg, pose.mount.yaw_deg)
    rays = _turn(
        rays,
        pose.body.roll_deg + off[:, 2] * sigma.roll_deg,
        pose.body.pitch_deg + off[:, 3] * sigma.pitch_deg,
        pose.body.yaw_deg + off[:, 4] * sigma.yaw_deg,
    )
    height_m = np.maximum(pose.height_m + off[:, 5] * pose.height_sigma_m, 0.1)
    falls = rays[:, 2] * FARTHEST_M > height_m * np.hypot(rays[:, 0], rays[:, 1])
    if not falls[0] or falls.mean() < HOLDS:
        return None
    north, east = rays[:, :2].T * np.where(falls, height_m / np.where(falls, rays[:, 2], 1), np.inf)
    north, east = north + off[:, 6] * pose.position_sigma_m, east + off[:, 7] * pose.position_sigma_m
    radius = np.quantile(np.hypot(north - north[0], east - east[0]), HOLDS, method="higher")
    if not np.isfinite(radius):
        return None
    east_m, north_m = metres_per_degree(pose.lat)
    return Place(pose.lat + float(north[0]) / north_m, pose.lon + float(east[0]) / east_m, float(radius))


def _turn(rays: "NDArray[Any]", roll_deg: Any, pitch_deg: Any, yaw_deg: Any) -> "NDArray[Any]":
    """Rays (ahead, right, down) as they look from outside: rolled, then pitched, then yawed."""
    import numpy as np

    ahead, right, down = rays.T
    sin, cos = np.sin(np.radians(roll_deg)), np.cos(np.radians(roll_deg))
    right, down = right * cos - down * sin, right * sin + down * cos
    sin, cos = np.sin(np.radians(pitch_deg)), np.cos(np.radians(pitch_deg))
    ahead, down = ahead * cos + down * sin, down * cos - ahead * sin
    sin, cos = np.sin(np.radians(yaw_deg)), np.cos(np.radians(yaw_deg))
    ahead, right = ahead * cos - right * sin, ahead * sin + right * cos
    return np.stack([ahead, right, down], 1)
