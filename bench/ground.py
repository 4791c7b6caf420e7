"""Accuracy of the geolocation: a synthetic world, cameras with calibration errors, boxes with jitter.

Off: metres between the reported point and the true position of the person. Inside: the share of points that
are nearer to the truth than their reported radius (95 % is promised). Without: the share without a point.
"""

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np

from agent.domain.findings import Finding, Point
from agent.domain.observations import CameraState, Observation
from agent.positioning.camera_geolocation import FOOT_SIGMA_HEIGHT, FOOT_SIGMA_WIDTH, CameraGeolocator
from agent.positioning.camera_mount import GroundSurvey, Mount
from agent.positioning.ray_cast import Angles
from firmware_bridge.drone_readings import Drone
from firmware_bridge.readings import Reading
from firmware_bridge.wgs84 import metres_per_degree
from models.detection import Box

NOW = datetime.now(UTC)
LAT, LON = 32.09, 118.73
EAST_M, NORTH_M = metres_per_degree(LAT)
COLUMNS, ROWS, FOV = 1920, 1080, 60.0
PERSON_M = 1.7
Off = tuple[float, float, float] | None
"""Metres off, reported radius, metres from the camera; None if no point was reported."""


def projected(
    height_m: float, angles: Angles, east: float, north: float, up: float = 0.0
) -> tuple[float, float]:
    """The pixel, in 0..1, of a place near a camera ``height_m`` above the origin; the inverse of `locate`."""
    yaw, pitch, roll = (math.radians(one) for one in (angles.yaw_deg, angles.pitch_deg, angles.roll_deg))
    ahead, right, down = (
        north * math.cos(yaw) + east * math.sin(yaw),
        east * math.cos(yaw) - north * math.sin(yaw),
        height_m - up,
    )
    ahead, down = (
        ahead * math.cos(pitch) - down * math.sin(pitch),
        down * math.cos(pitch) + ahead * math.sin(pitch),
    )
    right, down = (
        right * math.cos(roll) + down * math.sin(roll),
        down * math.cos(roll) - right * math.sin(roll),
    )
    width = 2 * math.tan(math.radians(FOV) / 2)
    return right / ahead / width + 0.5, down / ahead / width * COLUMNS / ROWS + 0.5


def person(
    random: np.random.Generator, height_m: float, angles: Angles, east: float, north: float
) -> Box | None:
    """The box that a detector draws around a person there; None if the person is partly outside."""
    (x, foot), (_, head) = (
        projected(height_m, angles, east, north),
        projected(height_m, angles, east, north, PERSON_M),
    )
    tall = foot - head
    wide = tall * ROWS / COLUMNS / 2.5
    if not (0.02 < head < foot < 0.98 and 0.02 < x < 0.98 and tall > 0.015):
        return None
    x, foot = x + random.normal(0, FOOT_SIGMA_WIDTH * wide), foot + random.normal(0, FOOT_SIGMA_HEIGHT * tall)
    return x - wide / 2, foot - tall, x + wide / 2, foot


def measured(where: CameraGeolocator, box: Box, at: tuple[float, float]) -> Off:
    finding = Finding(key="k", text="t", since=NOW, source="cam", box=box)
    point: Point | None = where.with_point(finding, 0).point
    if point is None or point.error_m is None:
        return None
    off = math.hypot((point.lon - LON) * EAST_M - at[0], (point.lat - LAT) * NORTH_M - at[1])
    return off, point.error_m, math.hypot(*at)


def fixed(marks: int, tries: int = 40) -> Iterator[Off]:
    """A camera 12 m up, pitched 20 degrees down; its points have errors of 2 pixels and 5 cm (1 sigma)."""
    random = np.random.default_rng(marks)
    angles = Angles(yaw_deg=30, pitch_deg=-20)
    for _ in range(tries):
        points: list[dict[str, float]] = []
        while len(points) < marks:
            ahead, aside = random.uniform(18, 70), random.uniform(-0.5, 0.5)
            corners = [(18, -0.45), (18, 0.45), (70, -0.45), (70, 0.45)]
            if len(points) < 4:
                ahead, aside = corners[len(points)]
            east, north = _around(30, ahead, aside * ahead)
            x, y = projected(12, angles, east, north)
            if 0 < x < 1 and 0 < y < 1:
                points.append(
                    {
                        "x": min(max(x * COLUMNS + random.normal(0, 2), 0), COLUMNS),
                        "y": min(max(y * ROWS + random.normal(0, 2), 0), ROWS),
                        "lat": LAT + (north + random.normal(0, 0.05)) / NORTH_M,
                        "lon": LON + (east + random.normal(0, 0.05)) / EAST_M,
                    }
                )
        where = CameraGeolocator(lambda _: None)
        where.configure(
            {"cam": GroundSurvey.model_validate({"picture": [COLUMNS, ROWS], "points": points})}, {}
        )
        for _ in range(20):
            ahead = random.uniform(20, 65)
            at = _around(30, ahead, random.uniform(-0.4, 0.4) * ahead)
            box = person(random, 12, angles, *at)
            if box is not None:
                yield measured(where, box, at)


def _around(yaw_deg: float, ahead: float, right: float) -> tuple[float, float]:
    yaw = math.radians(yaw_deg)
    return ahead * math.sin(yaw) + right * math.cos(yaw), ahead * math.cos(yaw) - right * math.sin(yaw)


def moving(
    mount: Mount,
    truth: dict[str, float],
    sigma: dict[str, float],
    reach: tuple[float, float],
    tries: int = 1500,
) -> Iterator[Off]:
    """A camera whose true height, angles and place differ from the configured ones by ``sigma``."""
    random = np.random.default_rng(3)
    for _ in range(tries):
        really = {name: value + random.normal(0, sigma[name]) for name, value in truth.items()}
        angles = Angles(yaw_deg=really["yaw"], pitch_deg=really["pitch"], roll_deg=really["roll"])
        ahead = random.uniform(*reach)
        at = _around(really["yaw"], ahead, random.uniform(-0.4, 0.4) * ahead)
        box = person(random, really["height"], angles, *at)
        if box is None:
            continue
        lat, lon = (
            LAT + random.normal(0, sigma["position"]) / NORTH_M,
            LON + random.normal(0, sigma["position"]) / EAST_M,
        )
        where = CameraGeolocator(
            lambda _, lat=lat, lon=lon: {"lat": lat, "lon": lon, "error_m": sigma["position"], "how": "gnss"}
        )
        where.configure({}, {"cam": mount})
        where.on_observation(
            Observation("cam", NOW, 0, CameraState(frames=1, skipped=0, width=COLUMNS, height=ROWS))
        )
        if mount.height_m is None:
            said = Drone(
                system=1,
                lat=lat,
                lon=lon,
                height_m=truth["height"],
                yaw_deg=truth["yaw"],
                pitch_deg=truth["pitch"],
                roll_deg=truth["roll"],
                error_m=sigma["position"],
            )
            where.on_observation(Observation("radio", NOW, 0, said))
        else:
            where.on_observation(
                Observation("gyro", NOW, 0, Reading(quantity="heading_true", value=truth["yaw"], unit="deg"))
            )
        yield measured(where, box, at)


def measure() -> dict[str, Any]:
    boat = Mount(fov_deg=FOV, height_m=4.0, pitch_deg=-8, sigma_deg=2.0, height_sigma_m=0.3)
    boat_sigma = {
        "height": 0.3,
        "yaw": math.hypot(3, 2),
        "pitch": math.hypot(2, 2),
        "roll": math.hypot(2, 2),
        "position": 3.0,
    }
    drone = Mount(fov_deg=FOV, sigma_deg=1.0)
    drone_sigma = {
        "height": 3.0,
        "yaw": math.hypot(4, 1),
        "pitch": math.hypot(1.5, 1),
        "roll": math.hypot(1.5, 1),
        "position": 2.0,
    }
    cases = {
        "fixed, 4 points": fixed(4),
        "fixed, 6 points": fixed(6),
        "fixed, 9 points": fixed(9),
        "boat, 10 to 60 m": moving(
            boat, {"height": 4.0, "yaw": 200, "pitch": -8, "roll": 0}, boat_sigma, (10, 60)
        ),
        "drone at 60 m": moving(
            drone, {"height": 60, "yaw": 140, "pitch": -50, "roll": 2}, drone_sigma, (20, 90)
        ),
    }
    found: dict[str, Any] = {}
    for name, offs in cases.items():
        every = list(offs)
        points = np.array([one for one in every if one is not None])
        found[name] = (
            f"off {np.median(points[:, 0]):.1f} m (p95 {np.percentile(points[:, 0], 95):.1f}), "
            f"told {np.median(points[:, 1]):.1f} m, inside {(points[:, 0] <= points[:, 1]).mean():.3f}, "
            f"without {1 - len(points) / len(every):.3f}, of {len(every)}"
        )
    return found


if __name__ == "__main__":
    print(json.dumps(measure()))
