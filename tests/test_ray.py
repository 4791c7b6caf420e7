"""A ray from a boat or a drone meets the water where it should, within the radius that it states."""

import math
from typing import Any

import numpy as np
import pytest

from agent.positioning.ray_cast import Angles, Pixel, Pose, locate
from firmware_bridge.wgs84 import metres_per_degree

LAT, LON = 32.09, 118.73
FOV, ASPECT = 60.0, 16 / 9
TALL = math.tan(math.radians(FOV) / 2) / ASPECT  # of half the picture at distance 1


def away(pose: Pose, pixel: Pixel, fov: float = FOV) -> tuple[float, float, float]:
    """Metres east and north of the camera, and the radius."""
    place = locate(pose, pixel, fov, ASPECT)
    assert place is not None
    east_m, north_m = metres_per_degree(LAT)
    return (place.lon - LON) * east_m, (place.lat - LAT) * north_m, place.error_m


def sure(**fields: Any) -> Pose:
    exact: dict[str, Any] = {"position_sigma_m": 0, "height_sigma_m": 0, "sigma": Angles()}
    return Pose(**({"lat": LAT, "lon": LON, "height_m": 10.0, "body": Angles()} | exact | fields))


MIDDLE = Pixel(x=0.5, y=0.5)
DOWN = Angles(pitch_deg=-45)


@pytest.mark.parametrize(
    ("pose", "pixel", "expected"),
    [
        (sure(body=DOWN), MIDDLE, (0, 10)),
        (sure(body=Angles(pitch_deg=-45, yaw_deg=90)), MIDDLE, (10, 0)),
        (sure(body=Angles(pitch_deg=-90)), MIDDLE, (0, 0)),
        (sure(mount=DOWN, body=Angles(yaw_deg=180)), MIDDLE, (0, -10)),
        (sure(mount=Angles(pitch_deg=-45, yaw_deg=90)), MIDDLE, (10, 0)),
        (sure(mount=Angles(pitch_deg=-45, yaw_deg=90), body=Angles(roll_deg=15)), MIDDLE, (10 / math.tan(math.radians(60)), 0)),
        (sure(mount=DOWN, body=Angles(pitch_deg=15)), MIDDLE, (0, 10 / math.tan(math.radians(30)))),
        (sure(body=Angles(pitch_deg=-90)), Pixel(x=1, y=0.5), (10 * math.tan(math.radians(30)), 0)),
        (sure(body=Angles(pitch_deg=-90)), Pixel(x=0.5, y=0), (0, 10 * TALL)),
        (sure(mount=Angles(pitch_deg=-90), body=Angles(roll_deg=10)), MIDDLE, (-10 * math.tan(math.radians(10)), 0)),
        (sure(), Pixel(x=0.5, y=1), (0, 10 / TALL)),
        (sure(body=Angles(roll_deg=180)), Pixel(x=0.5, y=0), (0, 10 / TALL)),
    ],
)  # fmt: skip
def test_a_pixel_lies_where_geometry_says(pose: Pose, pixel: Pixel, expected: tuple[float, float]) -> None:
    east, north, radius = away(pose, pixel)
    assert (east, north) == pytest.approx(expected, abs=1e-6)
    assert radius == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("pose", "pixel"),
    [
        (sure(), MIDDLE),
        (sure(), Pixel(x=0.5, y=0.2)),
        (sure(body=Angles(pitch_deg=60)), Pixel(x=0.5, y=1)),
        (sure(height_m=3, sigma=Angles(pitch_deg=3)), Pixel(x=0.5, y=0.52)),
        (sure(height_m=3), Pixel(x=0.5, y=0.501, sigma_y=0.02)),
    ],
)
def test_the_sky_or_what_may_be_sky_has_no_ground(pose: Pose, pixel: Pixel) -> None:
    assert locate(pose, pixel, FOV, ASPECT) is None


BOAT = {
    "height_m": (3.0, 0.3),
    "yaw": (200.0, 4.0),
    "pitch": (-6.0, 1.5),
    "roll": (0.0, 2.0),
    "position": 3.0,
    "ys": (0.6, 0.95),
}
DRONE = {
    "height_m": (60.0, 2.0),
    "yaw": (140.0, 4.0),
    "pitch": (-50.0, 1.0),
    "roll": (2.0, 1.0),
    "position": 2.0,
    "ys": (0.05, 0.95),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["boat", "drone"])
def test_the_stated_radius_holds_for_95_percent(name: str) -> None:
    offs, unlocated = scatter({"boat": BOAT, "drone": DRONE}[name], 600)
    inside = float(np.mean([off <= radius for off, radius in offs]))
    print(
        f"{name}: median {np.median([off for off, _ in offs]):.1f} m, stated {np.median([r for _, r in offs]):.1f} m, inside {inside:.3f}, without {unlocated}"
    )
    assert inside >= 0.94  # 600 tries of 95 % scatter by 0.9 %
    assert unlocated < 120


def scatter(scene: Any, tries: int) -> tuple[list[tuple[float, float]], int]:
    """(metres off, radius stated) of objects that a camera sees which is not quite where and as it says."""
    random = np.random.default_rng(11)
    offs, unlocated = [], 0
    for _ in range(tries):
        height, yaw, pitch, roll = (
            random.normal(*scene[key]) for key in ("height_m", "yaw", "pitch", "roll")
        )
        x, y = random.uniform(0.05, 0.95), random.uniform(*scene["ys"])
        truth = locate(
            sure(height_m=height, body=Angles(yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll)),
            Pixel(x=x, y=y),
            FOV,
            ASPECT,
        )
        if truth is None:
            continue
        east_m, north_m = metres_per_degree(LAT)
        said = Pose(
            lat=LAT + random.normal(0, scene["position"]) / north_m,
            lon=LON + random.normal(0, scene["position"]) / east_m,
            height_m=scene["height_m"][0],
            body=Angles(yaw_deg=scene["yaw"][0], pitch_deg=scene["pitch"][0], roll_deg=scene["roll"][0]),
            position_sigma_m=scene["position"],
            height_sigma_m=scene["height_m"][1],
            sigma=Angles(yaw_deg=scene["yaw"][1], pitch_deg=scene["pitch"][1], roll_deg=scene["roll"][1]),
        )
        seen = Pixel(x=x + random.normal(0, 0.005), y=y + random.normal(0, 0.01), sigma_x=0.005, sigma_y=0.01)
        place = locate(said, seen, FOV, ASPECT)
        if place is None:
            unlocated += 1
        else:
            off = math.hypot((place.lat - truth.lat) * north_m, (place.lon - truth.lon) * east_m)
            offs.append((off, place.error_m))
    return offs, unlocated
