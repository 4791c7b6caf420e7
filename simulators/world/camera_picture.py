"""What is in the picture of a camera: the true box of each person and boat. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.domain.geometry import XY, inside
from agent.positioning.camera_mount import Mount
from agent.vision.camera_settings import CameraSettings
from firmware_bridge.drone_readings import Drone
from models.detection import Box
from simulators.world.mission import GIMBAL_PITCH_DEG, GIMBAL_YAW_DEG
from simulators.world.people import PersonState
from simulators.world.projection import ASPECT, PicturePoint, Pinhole, Tilt
from simulators.world.tracks import Motion
from simulators.world.world import World, WorldObject

PERSON_M, SWIMMER_M, BOAT_M = (1.7, 0.55), (0.45, 0.7), (2.5, 6.0)
"""Height and width."""
ZONE_PERSON = 0.3
"""The height of a person who stands in a zone, as a fraction of the picture."""
TOO_FAR = 0.01
"""What is lower than this fraction of the picture is not in it."""
CARRIERS = {"patrol_boat": "vessel", "watch_point": "officers"}
"""What a moving device of a kind looks like: a portable watch point is carried."""
MOUNT_M = 3.0
"""The height of a camera whose mount gives none."""


@dataclass(frozen=True, slots=True)
class PictureObject:
    """An object where it truly is in the picture. ``near``: the foot's distance from the top."""

    name: str
    label: str
    box: Box

    @property
    def near(self) -> float:
        return self.box[3]


class CameraPicture:
    """One camera of a device of the world. A moving device moves its view; waves roll it."""

    def __init__(self, world: World, device: str, source: str, settings: CameraSettings) -> None:
        self._world, self._device, self._source, self.settings = world, device, source, settings
        self._plane = None
        if settings.ground is not None:
            self._plane, self._ground_px = settings.ground.plane(), settings.ground.picture

    def objects(self, second: float) -> list[PictureObject]:
        """All that is in the picture, found or not; boxes end at its edges."""
        found = [*self._zone_people(second), *self._projected(second)]
        return [one for one in found if one.box[2] - one.box[0] > 1e-3 and one.box[3] - one.box[1] > 1e-3]

    def _zone_people(self, second: float) -> Iterator[PictureObject]:
        """People in a zone of this camera: they come from the left, and leave to the right."""
        for person, state in self._world.person_states(second):
            told = person.settings
            if told.zone is None or self._world.camera_of(told) != (self._device, self._source):
                continue
            stands = point_in(self.settings.zones[told.zone])
            beyond = point_in(self.settings.zones[told.beyond]) if isinstance(told.beyond, str) else stands
            foot = _zone_foot(state, stands, beyond)
            if foot is not None:
                sway = 0.004 * math.sin(second * 0.9 + person.comes_s)
                yield PictureObject(state.name, "person", _standing((foot[0] + sway, foot[1]), ZONE_PERSON))

    def _projected(self, second: float) -> Iterator[PictureObject]:
        """What the camera's survey or mount says is in the picture."""
        pinhole = self._pinhole(second)
        if pinhole is None and self._plane is None:
            return
        in_zones = {one.settings.name for one in self._world.people if one.settings.zone is not None}
        objects = [one for one in self._world.objects(second) if one.name not in in_zones]
        objects += [
            WorldObject(name, CARRIERS[device.config["kind"]], self._world.motion(name, second))
            for name, device in self._world.devices.items()
            if name != self._device and not self._world.stands(name) and device.config.get("kind") in CARRIERS
        ]
        for one in objects:
            if (box := self._box_of(one, pinhole)) is not None:
                yield PictureObject(one.name, "person" if one.kind in ("person", "officers") else "boat", box)

    def _box_of(self, seen: WorldObject, pinhole: Pinhole | None) -> Box | None:
        if seen.kind == "drone" or seen.phase == "aboard":
            return None
        tall_m, wide_m = PERSON_M if seen.kind in ("person", "officers") else BOAT_M
        if seen.phase == "in_water":
            tall_m, wide_m = SWIMMER_M
        if seen.length_m is not None:
            tall_m, wide_m = 0.2 * seen.length_m, 0.6 * seen.length_m
        motion = seen.motion
        wet = seen.kind == "vessel" or seen.phase == "in_water"
        ground_m = self._world.settings.water_m if wet else 0.0
        if pinhole is not None:
            if pinhole.height_of(tall_m, *motion.position) < TOO_FAR:
                return None
            foot = pinhole.point(*motion.position, ground_m)
            head = pinhole.point(*motion.position, ground_m + tall_m)
        else:
            foot, head = self._surveyed(motion, tall_m)
        if foot is None or head is None or foot[1] <= head[1]:
            return None
        half = wide_m / tall_m * (foot[1] - head[1]) / ASPECT / 2
        box = (foot[0] - half, head[1], foot[0] + half, foot[1])
        return cut(box) if box[2] > 0 and box[0] < 1 and box[3] > 0 and box[1] < 1 else None

    def _surveyed(self, motion: Motion, tall_m: float) -> tuple[PicturePoint | None, PicturePoint | None]:
        """Foot and head by the survey: a metre up is as long as the longer of a metre east or north."""
        assert self._plane is not None  # noqa: S101  asked only where there is a survey
        wide, high = self._ground_px
        foot = self._plane.pixel(*motion.position)
        beside = [
            self._plane.pixel(
                motion.lat + north / 111_132,
                motion.lon + east / (111_320 * math.cos(math.radians(motion.lat))),
            )
            for east, north in ((1.0, 0.0), (0.0, 1.0))
        ]
        lengths = [math.dist(foot, one) for one in beside if foot is not None and one is not None]
        if foot is None or not lengths:
            return None, None
        return (foot[0] / wide, foot[1] / high), (foot[0] / wide, (foot[1] - tall_m * max(lengths)) / high)

    def _pinhole(self, second: float) -> Pinhole | None:
        mount = self.settings.mount
        if mount is None:
            return None
        world, fov_deg = self._world, mount.fov_deg
        mission = world.missions.get(self._device)
        if mission is not None and mount.follows is not None:
            return self._from_drone(mission.at(second), mount)
        motion, height_m = world.motion(self._device, second), mount.height_m or MOUNT_M
        body = Tilt(motion.course_deg if mount.heading_deg is None else mount.heading_deg)
        if world.floats(self._device):
            height_m += world.settings.water_m + world.waves.heave_m(second)
            body = Tilt(body.yaw_deg, world.waves.pitch_deg(second), world.waves.roll_deg(second))
        angles = Tilt(mount.yaw_deg, mount.pitch_deg, mount.roll_deg)
        return Pinhole(motion.lat, motion.lon, height_m, fov_deg, body, angles)

    def _from_drone(self, drone: Drone, mount: Mount) -> Pinhole | None:
        """From the drone itself, while it flies."""
        if drone.lat is None or drone.lon is None or not drone.height_m:
            return None
        yaw = drone.yaw_deg or 0.0
        angles = Tilt(mount.yaw_deg, mount.pitch_deg, mount.roll_deg)
        body = Tilt(yaw, drone.pitch_deg or 0.0)
        if mount.gimbal:
            body, angles = Tilt(yaw + GIMBAL_YAW_DEG, GIMBAL_PITCH_DEG), Tilt()
        return Pinhole(drone.lat, drone.lon, mount.height_m or drone.height_m, mount.fov_deg, body, angles)


def point_in(zone: Sequence[XY]) -> XY:
    """A point inside a polygon: the mean of its corners, or the innermost of a grid."""
    middle = sum(x for x, _ in zone) / len(zone), sum(y for _, y in zone) / len(zone)
    if inside(middle, zone):
        return middle
    grid = [(x / 50, y / 50) for x in range(1, 50) for y in range(1, 50)]
    within = [point for point in grid if inside(point, zone)]
    return max(within, key=lambda point: min(math.dist(point, corner) for corner in zone), default=middle)


def _zone_foot(state: PersonState, stands: XY, beyond: XY) -> XY | None:
    """The foot of a person in a zone; None out of sight."""
    if state.phase == "walking":
        return -0.1 + state.progress * (stands[0] + 0.1), stands[1]
    if state.phase == "leaving":
        return beyond[0] + state.progress * (1.1 - beyond[0]), beyond[1]
    if state.phase in ("beyond_railing", "standing"):
        share = state.progress if state.phase == "beyond_railing" else 0.0
        return stands[0] + share * (beyond[0] - stands[0]), stands[1] + share * (beyond[1] - stands[1])
    return None


def _standing(foot: XY, tall: float) -> Box:
    half = 0.38 * tall / ASPECT / 2
    return cut((foot[0] - half, foot[1] - tall, foot[0] + half, foot[1]))


def cut(box: Box) -> Box:
    """The part of a box in the picture."""
    left, top, right, bottom = (round(max(0.0, min(1.0, side)), 5) for side in box)
    return left, top, right, bottom
