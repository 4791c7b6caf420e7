"""The radio on the ground that receives a drone on its mission: MAVLink 1 and 2.

The messages are a pure function of the seed and the second.
"""

import math
import random
from collections.abc import Iterator
from typing import Any

from firmware_bridge.drone_readings import Drone
from firmware_bridge.mavlink_dialect import dialect
from simulators.world.mission import GIMBAL_PITCH_DEG, GIMBAL_YAW_DEG, SEA_M, Mission

COPTER = {"LOITER": 5, "GUIDED": 4, "AUTO": 3, "RTL": 6, "LAND": 9}
GROUND, RADIO, GIMBAL, CAMERA = (255, 190), (51, 68), 154, 100


class Radio:
    """``step`` returns the ground radio's output up to a second.

    The drone is on ``mission``, or flies a square from ``lat`` and ``lon``. ``loss`` of its messages
    don't arrive; ``key`` signs them; with ``far`` set it is out of reach, and only the radio sends.
    """

    def __init__(
        self,
        *,
        lat: float = 0.0,
        lon: float = 0.0,
        mission: Mission | None = None,
        seed: int = 0,
        system: int = 1,
        loss: float = 0,
        key: bytes | None = None,
    ) -> None:
        self._dialect = dialect()
        self.mission = mission or Mission(lat, lon)
        self._system, self._loss, self._key = system, loss, key
        self._chance = random.Random(seed)
        self._codecs: dict[tuple[int, int], Any] = {}
        self._tick = 0
        self.far = False
        self.sent = 0
        """The drone's messages that were put on the line."""

    def next_s(self) -> float:
        """When there is more to send."""
        return self._tick / 10

    def step(self, second: float) -> bytes:
        frames = bytearray()
        while self._tick <= second * 10:
            for frame in self._frames(self._tick):
                frames += frame
            self._tick += 1
        return bytes(frames)

    def _frames(self, tick: int) -> Iterator[bytes]:
        """The frames of a tenth of a second."""
        second = tick / 10
        drone = self.mission.at(second, self._system)
        if not self.far:
            for component, name, fields, version in self._messages(tick, drone):
                frame = self._pack((self._system, component), name, fields, version)
                if self._chance.random() >= self._loss:
                    self.sent += 1
                    yield frame
        if tick % 10 == 5:
            rssi = 190 - int(second) % 20
            yield self._pack(RADIO, "radio_status", (rssi, 0 if self.far else rssi - 5, 100, 60, 62, 0, 0), 1)

    def _messages(self, tick: int, drone: Drone) -> Iterator[tuple[int, str, tuple[Any, ...], int]]:
        """Component, message, fields and MAVLink version."""
        boot_ms = tick * 100
        lat, lon = round((drone.lat or 0) * 1e7), round((drone.lon or 0) * 1e7)
        height_mm = round((drone.height_m or 0) * 1000)
        alt_mm = round(SEA_M * 1000) + height_mm
        yaw = math.radians(drone.yaw_deg or 0)
        north, east = (round(100 * (drone.speed_mps or 0) * turn(yaw)) for turn in (math.cos, math.sin))
        level = -1 if drone.battery_pct is None else drone.battery_pct
        millivolts = round(1000 * (drone.battery_v or 0))
        if tick % 10 == 0:
            base = 0x81 if drone.armed else 0x01
            yield 1, "heartbeat", (2, 3, base, COPTER[drone.mode or ""], 4 if drone.armed else 3), 2
            yield 1, "sys_status", (0, 0, 0, 300, millivolts, 1800, level, 0, 0, 0, 0, 0, 0), 2
            yield 1, "gps_raw_int", (0, 3, lat, lon, alt_mm, 80, 120, 0, 65535, 14), 2
            yield 1, "ekf_status_report", (831, 0.1, 0.1, 0.1, 0.1, 0.1), 2
            yield GIMBAL, "heartbeat", (26, 8, 0, 0, 4), 1
            yield GIMBAL, "mount_orientation", (boot_ms, 0.0, GIMBAL_PITCH_DEG, GIMBAL_YAW_DEG), 2
        yield 1, "attitude", (boot_ms, 0.02, math.radians(drone.pitch_deg or 0), yaw, 0, 0, 0), 2
        if tick % 3 == 0:
            heading = round(100 * (drone.yaw_deg or 0)) % 36000
            yield 1, "global_position_int", (boot_ms, lat, lon, alt_mm, height_mm, north, east, 0, heading), 2
        if tick % 50 == 1:
            home = (round(self.mission.lat * 1e7), round(self.mission.lon * 1e7), round(SEA_M * 1000))
            yield 1, "home_position", (*home, 0, 0, 0, [1, 0, 0, 0], 0, 0, 0), 2
        if tick % 40 == 3 and drone.mode == "AUTO":
            place = (lat, lon, alt_mm / 1000, height_mm / 1000)
            yield 1, "camera_feedback", (0, 1, 0, tick // 40, *place, 0, -45, math.degrees(yaw), 0, 0), 1
        if tick == round(self.mission.low_s * 10):
            words = b"Failsafe: battery 1 is low at 25 percent, returning to launch"
            yield 1, "statustext", (4, words[:50], 7, 0), 2
            yield 1, "statustext", (4, words[50:], 7, 1), 2

    def _pack(self, source: tuple[int, int], name: str, fields: tuple[Any, ...], version: int) -> bytes:
        codec = self._codecs.get(source)
        if codec is None:
            codec = self._codecs[source] = self._dialect.MAVLink(None, *source)
            codec.signing.secret_key, codec.signing.sign_outgoing = self._key, self._key is not None
        message = getattr(codec, f"{name}_encode")(*fields)
        frame: bytes = message.pack(codec, force_mavlink1=version == 1)
        codec.seq = (codec.seq + 1) % 256
        return frame
