"""Camera geolocation: the point on the ground of a camera's alert, by surveyed points or by ray casting.

The pose of a boat or a drone is assembled from other sources, at the time when the frame was taken.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from agent.domain.findings import Finding, Point
from agent.domain.observations import CameraState, Observation
from agent.positioning.camera_mount import GroundSurvey, Mount
from agent.positioning.fix_quality import accepted_fix
from agent.positioning.ground_plane import GroundPlane
from agent.positioning.ray_cast import Angles, Pixel, Pose, locate
from firmware_bridge.drone_readings import Drone
from firmware_bridge.readings import Fix, Reading
from models.detection import Box

FOOT_SIGMA_HEIGHT, FOOT_SIGMA_WIDTH = 0.065, 0.1
"""One sigma of a box's lower edge, as a share of its height, and of its middle, as a share of its width.

Measured with the default model on 99 labelled persons.
"""
HISTORY_S = 5.0
MAX_POSE_AGE_S = 2.0
"""A heading or an attitude further from the frame in time is not used for it."""
COURSE_MIN_SPEED_MPS, COURSE_SIGMA_DEG = 1.5, 12.0
"""From this speed on the course stands in for the heading, with this sigma for wind and current."""
HEADING_SIGMA_DEG = {"heading_true": 3.0, "heading_magnetic": 8.0}
TILT_QUANTITIES = {"angle_roll": "roll", "angle_heel": "roll", "roll": "roll",
          "angle_pitch": "pitch", "angle_ptch": "pitch", "angle_trim": "pitch", "pitch": "pitch"}  # fmt: skip
TILT_SIGMA_DEG = 1.0
DRONE_SIGMA = Angles(yaw_deg=4.0, pitch_deg=1.5, roll_deg=1.5)
DRONE_HEIGHT_SIGMA_M = 3.0
POSITION_SIGMA_M = 5.0


@dataclass(frozen=True, slots=True)
class _TimedValue:
    """An angle (degrees, one sigma) or a `Drone`, with its monotonic time."""

    at_s: float
    value: Any
    sigma_deg: float = 0.0


class CameraGeolocator:
    """Takes the observations of all sources; `with_point` gives a camera's finding its point.

    ``device_point`` gives the device's own position, as the point of an alert.
    """

    def __init__(self, device_point: Callable[[float], Mapping[str, Any] | None]) -> None:
        self._device_point = device_point
        self._planes: dict[str, tuple[GroundPlane, tuple[int, int]]] = {}
        self._mounts: dict[str, Mount] = {}
        self._aspects: dict[str, float] = {}
        self._history: dict[tuple[str, str], deque[_TimedValue]] = {}
        self.troubles: list[str] = []
        """Surveyed points that give no position, or a poor one, for ``health``."""

    def configure(self, surveyed: Mapping[str, GroundSurvey], mounts: Mapping[str, Mount]) -> None:
        """New settings by camera. A camera whose points give no plane gets no geolocation."""
        self._mounts, self._planes = dict(mounts), {}
        for camera, survey in surveyed.items():
            with suppress(OSError, ValueError):  # reported in `troubles`
                self._planes[camera] = survey.plane(), survey.picture
        troubles = {camera: survey.trouble() for camera, survey in surveyed.items()}
        self.troubles = [f"{camera}: {trouble}" for camera, trouble in troubles.items() if trouble]

    def on_observation(self, observation: Observation) -> None:
        """Keeps the values that make up a pose for `HISTORY_S`."""
        value, source = observation.value, observation.source
        if isinstance(value, CameraState) and value.height:
            self._aspects[source] = value.width / value.height
        if not self._mounts:
            return
        match value:
            case Drone(state="live"):
                self._remember(observation, "drone", value)
            case Fix():
                course, speed = value.course_deg, value.speed_mps or 0.0
                if course is not None and speed >= COURSE_MIN_SPEED_MPS and accepted_fix(observation):
                    self._remember(observation, "course", course, COURSE_SIGMA_DEG)
            case Reading(quantity=quantity) if quantity in HEADING_SIGMA_DEG:
                self._remember(observation, quantity, value.value, HEADING_SIGMA_DEG[quantity])
            case Reading(quantity="magnetic_variation"):
                self._remember(observation, "variation", value.value)
            case Reading(quantity=quantity) if quantity in TILT_QUANTITIES:
                self._remember(observation, TILT_QUANTITIES[quantity], value.value, TILT_SIGMA_DEG)

    def with_point(self, finding: Finding, at_s: float) -> Finding:
        """``finding`` with the point of its box, where one can be computed; ``at_s``: time of its frame."""
        if finding.point is not None or finding.box is None or finding.source is None:
            return finding
        plane, mount = self._planes.get(finding.source), self._mounts.get(finding.source)
        point = None
        if plane is not None:
            point = _on_plane(*plane, finding.box)
        elif mount is not None:
            point = self._by_ray(finding.source, mount, finding.box, at_s - mount.delay.total_seconds())
        return finding if point is None else replace(finding, point=point)

    def _by_ray(self, camera: str, mount: Mount, box: Box, at_s: float) -> Point | None:
        drone = None if mount.heading_deg is not None else self._drone_pose(mount, at_s)
        pose = drone or self._boat_pose(mount, at_s)
        if pose is None:
            return None
        wide, tall = box[2] - box[0], box[3] - box[1]
        foot = Pixel(
            x=(box[0] + box[2]) / 2,
            y=box[3],
            sigma_x=FOOT_SIGMA_WIDTH * wide,
            sigma_y=FOOT_SIGMA_HEIGHT * tall,
        )
        place = locate(pose, foot, mount.fov_deg, self._aspects.get(camera, 16 / 9))
        return None if place is None else Point(place.lat, place.lon, round(place.error_m, 1), "ground_ray")

    def _drone_pose(self, mount: Mount, at_s: float) -> Pose | None:
        """The pose from an autopilot's attitude, or from its gimbal's."""
        nearest = self._nearest("drone", at_s, mount.follows)
        if nearest is None:
            return None
        drone: Drone = nearest.value
        height_m = mount.height_m if mount.height_m is not None else drone.height_m
        yaw, pitch, roll = drone.yaw_deg, drone.pitch_deg, drone.roll_deg
        if mount.gimbal:
            yaw, pitch, roll = drone.gimbal_yaw_deg, drone.gimbal_pitch_deg, drone.gimbal_roll_deg or 0.0
        if drone.lat is None or drone.lon is None or height_m is None or height_m <= 0:
            return None
        if yaw is None or pitch is None or roll is None:
            return None
        mounted = Angles(yaw_deg=mount.yaw_deg, pitch_deg=mount.pitch_deg, roll_deg=mount.roll_deg)
        return Pose(
            lat=drone.lat,
            lon=drone.lon,
            height_m=height_m,
            body=Angles(yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll),
            mount=Angles() if mount.gimbal else mounted,
            position_sigma_m=(drone.error_m or POSITION_SIGMA_M)
            + (drone.speed_mps or 0.0) * abs(nearest.at_s - at_s),
            height_sigma_m=max(DRONE_HEIGHT_SIGMA_M, mount.height_sigma_m),
            sigma=_combined(DRONE_SIGMA, mount.sigma_deg),
        )

    def _boat_pose(self, mount: Mount, at_s: float) -> Pose | None:
        """The pose from the device's position, if that is trusted, and the best heading and tilt."""
        position = self._device_point(at_s)
        heading = self._heading(mount, at_s)
        if position is None or "trust" in position or heading is None or mount.height_m is None:
            return None
        tilt = {
            axis: self._nearest(axis, at_s) or _TimedValue(at_s, 0.0, mount.sigma_deg)
            for axis in ("roll", "pitch")
        }
        surveyed = position.get("how") == "surveyed"
        return Pose(
            lat=position["lat"],
            lon=position["lon"],
            height_m=mount.height_m,
            body=Angles(yaw_deg=heading.value, pitch_deg=tilt["pitch"].value, roll_deg=tilt["roll"].value),
            mount=Angles(yaw_deg=mount.yaw_deg, pitch_deg=mount.pitch_deg, roll_deg=mount.roll_deg),
            position_sigma_m=position.get("error_m") or (0.5 if surveyed else POSITION_SIGMA_M),
            height_sigma_m=mount.height_sigma_m,
            sigma=_combined(
                Angles(
                    yaw_deg=heading.sigma_deg,
                    pitch_deg=tilt["pitch"].sigma_deg,
                    roll_deg=tilt["roll"].sigma_deg,
                ),
                mount.sigma_deg,
            ),
        )

    def _heading(self, mount: Mount, at_s: float) -> _TimedValue | None:
        if mount.heading_deg is not None:
            return _TimedValue(at_s, mount.heading_deg)
        if (true := self._nearest("heading_true", at_s, mount.follows)) is not None:
            return true
        magnetic = self._nearest("heading_magnetic", at_s, mount.follows)
        if magnetic is not None:
            variation = self._nearest("variation", at_s)
            if variation is None:
                return magnetic
            return _TimedValue(
                magnetic.at_s, magnetic.value + variation.value, HEADING_SIGMA_DEG["heading_true"]
            )
        return self._nearest("course", at_s)

    def _remember(self, observation: Observation, quantity: str, value: Any, sigma_deg: float = 0.0) -> None:
        values = self._history.setdefault((quantity, observation.source), deque())
        values.append(_TimedValue(observation.mono_s, value, sigma_deg))
        while observation.mono_s - values[0].at_s > HISTORY_S:
            values.popleft()

    def _nearest(self, quantity: str, at_s: float, source: str | None = None) -> _TimedValue | None:
        """The value nearest in time to ``at_s``, of ``source`` or of any, within `MAX_POSE_AGE_S`."""
        candidates = [
            timed
            for (known, origin), values in self._history.items()
            if known == quantity and source in (None, origin)
            for timed in values
            if abs(timed.at_s - at_s) <= MAX_POSE_AGE_S
        ]
        return min(candidates, key=lambda timed: abs(timed.at_s - at_s), default=None)


def _on_plane(plane: GroundPlane, picture: tuple[int, int], box: Box) -> Point | None:
    """The point under the middle of a box's lower edge; ``picture``: width and height in pixels."""
    columns, rows = picture
    sigma_px = FOOT_SIGMA_WIDTH * (box[2] - box[0]) * columns, FOOT_SIGMA_HEIGHT * (box[3] - box[1]) * rows
    place = plane.locate((box[0] + box[2]) / 2 * columns, box[3] * rows, sigma_px)
    return None if place is None else Point(place.lat, place.lon, round(place.error_m, 1), "ground_plane")


def _combined(one: Angles, other_deg: float) -> Angles:
    return Angles(
        yaw_deg=math.hypot(one.yaw_deg, other_deg),
        pitch_deg=math.hypot(one.pitch_deg, other_deg),
        roll_deg=math.hypot(one.roll_deg, other_deg),
    )
