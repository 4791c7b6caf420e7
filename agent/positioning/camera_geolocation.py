"""Gives alerts of cameras their place on the ground: by surveyed points, or by how the camera sits and looks.

The pose of a boat or a drone is put together from what other sources say, as it was when the frame was taken.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from agent.domain.findings import Finding, Point
from agent.domain.observations import CameraState, Observation
from agent.positioning.camera_mount import Mount, Surveyed
from agent.positioning.fix_quality import accepted_fix
from agent.positioning.ground_plane import Ground
from agent.positioning.ray_cast import Angles, Pixel, Pose, locate
from firmware_bridge.readings import Drone, Fix, Reading
from models.detection import Box

FOOT_TALL, FOOT_WIDE = 0.065, 0.1
"""One sigma of a box's lower edge, as a share of its height, and of its middle, as a share of its width.

Measured with the default model on 99 labelled persons.
"""
REMEMBERED_S = 5.0
FRESH_S = 2.0
"""A heading or an attitude that is further from the frame than this says nothing of it."""
COURSE_FROM_MPS, COURSE_SIGMA_DEG = 1.5, 12.0
"""A boat that makes way points about where it goes, but for wind and current; one that drifts does not."""
HEADING_SIGMA_DEG = {"heading_true": 3.0, "heading_magnetic": 8.0}
LEVELS = {"angle_roll": "roll", "angle_heel": "roll", "roll": "roll",
          "angle_pitch": "pitch", "angle_ptch": "pitch", "angle_trim": "pitch", "pitch": "pitch"}  # fmt: skip
LEVEL_SIGMA_DEG = 1.0
DRONE_SIGMA = Angles(yaw_deg=4.0, pitch_deg=1.5, roll_deg=1.5)
DRONE_HEIGHT_SIGMA_M = 3.0
POSITION_SIGMA_M = 5.0


@dataclass(frozen=True, slots=True)
class _HeldAngles:
    """An angle or a drone, and when it was so."""

    at_s: float
    value: Any
    sigma_deg: float = 0.0


class CameraGeolocator:
    """Hears what every source says; ``placed`` gives a camera's finding its point.

    ``place`` says where the device itself is, as the point of an alert.
    """

    def __init__(self, place: Callable[[float], Mapping[str, Any] | None]) -> None:
        self._place = place
        self._planes: dict[str, tuple[Ground, tuple[int, int]]] = {}
        self._mounts: dict[str, Mount] = {}
        self._aspects: dict[str, float] = {}
        self._heard: dict[tuple[str, str], deque[_HeldAngles]] = {}
        self.troubles: list[str] = []
        """Surveyed points that give no places, or poor ones, for ``health``."""

    def configure(self, surveyed: Mapping[str, Surveyed], mounts: Mapping[str, Mount]) -> None:
        """By camera. Points that give no plane give no places."""
        self._mounts, self._planes = dict(mounts), {}
        for camera, survey in surveyed.items():
            with suppress(OSError, ValueError):  # told by the doubt
                self._planes[camera] = survey.plane(), survey.picture
        doubts = {camera: survey.doubt() for camera, survey in surveyed.items()}
        self.troubles = [f"{camera}: {doubt}" for camera, doubt in doubts.items() if doubt]

    def hear(self, observation: Observation) -> None:
        """Remembers what bears on a pose for a few seconds."""
        value, source = observation.value, observation.source
        if isinstance(value, CameraState) and value.height:
            self._aspects[source] = value.width / value.height
        if not self._mounts:
            return
        match value:
            case Drone(state="live"):
                self._note(observation, "drone", value)
            case Fix():
                course, speed = value.course_deg, value.speed_mps or 0.0
                if course is not None and speed >= COURSE_FROM_MPS and accepted_fix(observation):
                    self._note(observation, "course", course, COURSE_SIGMA_DEG)
            case Reading(quantity=quantity) if quantity in HEADING_SIGMA_DEG:
                self._note(observation, quantity, value.value, HEADING_SIGMA_DEG[quantity])
            case Reading(quantity="magnetic_variation"):
                self._note(observation, "variation", value.value)
            case Reading(quantity=quantity) if quantity in LEVELS:
                self._note(observation, LEVELS[quantity], value.value, LEVEL_SIGMA_DEG)

    def placed(self, finding: Finding, at_s: float) -> Finding:
        """``finding`` with the point of its box, where that can be told; its frame was taken at ``at_s``."""
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
        foot = Pixel(x=(box[0] + box[2]) / 2, y=box[3], sigma_x=FOOT_WIDE * wide, sigma_y=FOOT_TALL * tall)
        place = locate(pose, foot, mount.fov_deg, self._aspects.get(camera, 16 / 9))
        return None if place is None else Point(place.lat, place.lon, round(place.error_m, 1), "ground_ray")

    def _drone_pose(self, mount: Mount, at_s: float) -> Pose | None:
        """By what an autopilot says of itself, or of its gimbal."""
        heard = self._nearest("drone", at_s, mount.follows)
        if heard is None:
            return None
        drone: Drone = heard.value
        height_m = mount.height_m if mount.height_m is not None else drone.height_m
        yaw, pitch, roll = drone.yaw_deg, drone.pitch_deg, drone.roll_deg
        if mount.gimbal:
            yaw, pitch, roll = drone.gimbal_yaw_deg, drone.gimbal_pitch_deg, drone.gimbal_roll_deg or 0.0
        if drone.lat is None or drone.lon is None or height_m is None or height_m <= 0:
            return None
        if yaw is None or pitch is None or roll is None:
            return None
        sits = Angles(yaw_deg=mount.yaw_deg, pitch_deg=mount.pitch_deg, roll_deg=mount.roll_deg)
        return Pose(
            lat=drone.lat,
            lon=drone.lon,
            height_m=height_m,
            body=Angles(yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll),
            mount=Angles() if mount.gimbal else sits,
            position_sigma_m=(drone.error_m or POSITION_SIGMA_M)
            + (drone.speed_mps or 0.0) * abs(heard.at_s - at_s),
            height_sigma_m=max(DRONE_HEIGHT_SIGMA_M, mount.height_sigma_m),
            sigma=_both(DRONE_SIGMA, mount.sigma_deg),
        )

    def _boat_pose(self, mount: Mount, at_s: float) -> Pose | None:
        """By where the device is, if that holds, and by the best that tells how it lies."""
        place = self._place(at_s)
        heading = self._heading(mount, at_s)
        if place is None or "trust" in place or heading is None or mount.height_m is None:
            return None
        level = {
            what: self._nearest(what, at_s) or _HeldAngles(at_s, 0.0, mount.sigma_deg)
            for what in ("roll", "pitch")
        }
        surveyed = place.get("how") == "surveyed"
        return Pose(
            lat=place["lat"],
            lon=place["lon"],
            height_m=mount.height_m,
            body=Angles(yaw_deg=heading.value, pitch_deg=level["pitch"].value, roll_deg=level["roll"].value),
            mount=Angles(yaw_deg=mount.yaw_deg, pitch_deg=mount.pitch_deg, roll_deg=mount.roll_deg),
            position_sigma_m=place.get("error_m") or (0.5 if surveyed else POSITION_SIGMA_M),
            height_sigma_m=mount.height_sigma_m,
            sigma=_both(
                Angles(
                    yaw_deg=heading.sigma_deg,
                    pitch_deg=level["pitch"].sigma_deg,
                    roll_deg=level["roll"].sigma_deg,
                ),
                mount.sigma_deg,
            ),
        )

    def _heading(self, mount: Mount, at_s: float) -> _HeldAngles | None:
        if mount.heading_deg is not None:
            return _HeldAngles(at_s, mount.heading_deg)
        if (true := self._nearest("heading_true", at_s, mount.follows)) is not None:
            return true
        magnetic = self._nearest("heading_magnetic", at_s, mount.follows)
        if magnetic is not None:
            variation = self._nearest("variation", at_s)
            if variation is None:
                return magnetic
            return _HeldAngles(
                magnetic.at_s, magnetic.value + variation.value, HEADING_SIGMA_DEG["heading_true"]
            )
        return self._nearest("course", at_s)

    def _note(self, observation: Observation, what: str, value: Any, sigma_deg: float = 0.0) -> None:
        heard = self._heard.setdefault((what, observation.source), deque())
        heard.append(_HeldAngles(observation.mono_s, value, sigma_deg))
        while observation.mono_s - heard[0].at_s > REMEMBERED_S:
            heard.popleft()

    def _nearest(self, what: str, at_s: float, source: str | None = None) -> _HeldAngles | None:
        """What was said nearest to ``at_s``, if that is near enough."""
        said = [
            one
            for (about, who), heard in self._heard.items()
            if about == what and source in (None, who)
            for one in heard
            if abs(one.at_s - at_s) <= FRESH_S
        ]
        return min(said, key=lambda one: abs(one.at_s - at_s), default=None)


def _on_plane(plane: Ground, picture: tuple[int, int], box: Box) -> Point | None:
    columns, rows = picture
    unsure_px = FOOT_WIDE * (box[2] - box[0]) * columns, FOOT_TALL * (box[3] - box[1]) * rows
    place = plane.locate((box[0] + box[2]) / 2 * columns, box[3] * rows, unsure_px)
    return None if place is None else Point(place.lat, place.lon, round(place.error_m, 1), "ground_plane")


def _both(one: Angles, other_deg: float) -> Angles:
    return Angles(
        yaw_deg=math.hypot(one.yaw_deg, other_deg),
        pitch_deg=math.hypot(one.pitch_deg, other_deg),
        roll_deg=math.hypot(one.roll_deg, other_deg),
    )
