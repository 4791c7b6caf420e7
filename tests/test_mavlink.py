"""MAVLink: frames made with pymavlink in; vehicles, texts, pictures and radio out, by an injected clock."""

import math
import sys
from collections.abc import Iterable
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.control.any_protocol import default_baud
from firmware_bridge import mavlink_dialect
from firmware_bridge.drone_readings import Capture, Drone, StatusText
from firmware_bridge.mavlink.mavlink import Mavlink, MavlinkDecoder
from firmware_bridge.mavlink.signing import ReplayWindow, read_key, use_replay_window
from firmware_bridge.readings import Reading
from firmware_bridge.secret import Secret
from firmware_bridge.serial.framings import mavlink_ids
from firmware_bridge.serial.line_decoder import LineDecoder
from firmware_bridge.serial.sniffer import Sniffer
from tests.mavlink_recordings import mavlink_recordings, mavlink_score

dialect = pytest.importorskip(
    "pymavlink.dialects.v20.ardupilotmega", reason="needs the extra radio: pip install -e .[radio]"
)
KEY = bytes(range(32))
NOWHERE = 2**31 - 1


class Sender:
    """One component's end of the wire."""

    def __init__(
        self, system: int = 1, component: int = 1, key: bytes | None = None, version: int = 2
    ) -> None:
        self.codec = dialect.MAVLink(None, system, component)
        self.codec.signing.secret_key = key
        self.codec.signing.sign_outgoing = key is not None
        self.version = version

    def __call__(self, name: str, *fields: Any, **named: Any) -> bytes:
        message = getattr(self.codec, f"{name}_encode")(*fields, **named)
        frame: bytes = message.pack(self.codec, force_mavlink1=self.version == 1)
        self.codec.seq = (self.codec.seq + 1) % 256
        return frame

    def heartbeat(self, kind: int = 2, autopilot: int = 3, mode: int = 3, base: int = 0x81) -> bytes:
        return self("heartbeat", kind, autopilot, base, mode, 4)

    def position(
        self, boot_ms: int = 1000, lat: int = 320500000, lon: int = 1187800000, hdg: int = 9000
    ) -> bytes:
        return self("global_position_int", boot_ms, lat, lon, 80_000, 62_000, 300, -400, -150, hdg)

    def fix(self, kind: int = 3, lat: int = 320500001, eph: int = 90, satellites: int = 11) -> bytes:
        return self("gps_raw_int", 0, kind, lat, 1187800000, 81_000, eph, 65535, 0, 0, satellites, h_acc=1500)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def hear(frames: Iterable[bytes], decoder: MavlinkDecoder | None = None) -> list[Any]:
    decoder = decoder or MavlinkDecoder(clock=Clock())
    return [value for frame in frames for value in decoder.feed(frame)]


def last(*frames: bytes) -> Drone:
    """What a vehicle is told to be after these frames and a heartbeat."""
    drone = hear([*frames, Sender().heartbeat()])[-1]
    assert isinstance(drone, Drone)
    return drone


@pytest.mark.parametrize("version", [1, 2])
def test_a_vehicle_is_told_at_its_heartbeat_and_at_each_position(version: int) -> None:
    drone = Sender(version=version)
    values = hear(
        [
            drone.heartbeat(),
            drone("attitude", 900, math.radians(1), math.radians(-2), math.radians(-217), 0, 0, 0),
            drone("sys_status", 0, 0, 0, 0, 15_200, 1250, 71, 0, 0, 0, 0, 0, 0),
            drone.fix(),
            drone.position(),
        ]
    )
    assert values[0] == Drone(
        system=1, vehicle="quadrotor", mode="AUTO", armed=True, status="active", loss_pct=0.0
    )
    assert values[-1] == Drone(
        system=1, vehicle="quadrotor", mode="AUTO", armed=True, status="active", loss_pct=0.0,
        lat=32.05, lon=118.78, alt_m=80.0, height_m=62.0, fix="3d", satellites=11, hdop=0.9,
        error_m=1.5, speed_mps=5.0, course_deg=306.87, climb_mps=1.5,
        heading_deg=90.0, roll_deg=1.0, pitch_deg=-2.0, yaw_deg=143.0,
        battery_pct=71, battery_v=15.2, battery_a=12.5,
    )  # fmt: skip
    assert len(values) == 3  # the receiver's own position too, while there was no other


# heartbeat: type, autopilot, custom mode, base mode; what is told
VEHICLES = [
    ("a copter", (2, 3, 6, 0x81), ("quadrotor", "RTL", True)),
    ("a plane", (1, 3, 5, 0x01), ("fixed_wing", "FBWA", False)),
    ("a quadplane", (20, 3, 21, 0x01), ("vtol_quadrotor", "QRTL", False)),
    ("a rover", (10, 3, 4, 0x01), ("ground_rover", "HOLD", False)),
    ("a boat", (11, 3, 10, 0x81), ("surface_boat", "AUTO", True)),
    ("a submarine", (12, 3, 19, 0x81), ("submarine", "MANUAL", True)),
    ("a mode that is newer than we", (2, 3, 77, 0x81), ("quadrotor", "MODE_77", True)),
    ("PX4 on a mission", (2, 12, 4 << 16 | 4 << 24, 0x81), ("quadrotor", "MISSION", True)),
    ("PX4 by hand", (13, 12, 3 << 16, 0x01), ("hexarotor", "POSCTL", False)),
    ("PX4 in what is newer than we", (2, 12, 60 << 16, 0x01), ("quadrotor", None, False)),
    ("another autopilot", (2, 9, 3, 0x81), ("quadrotor", None, True)),
    ("no custom mode", (2, 3, 3, 0x80), ("quadrotor", None, True)),
    ("a type that is newer than we", (200, 3, 3, 0x81), (None, "MODE_3", True)),
]


@pytest.mark.parametrize(
    ("said", "told"), [case[1:] for case in VEHICLES], ids=[case[0] for case in VEHICLES]
)
def test_vehicles_and_their_modes(said: tuple[int, int, int, int], told: tuple[Any, ...]) -> None:
    kind, autopilot, mode, base = said
    [drone] = hear([Sender().heartbeat(kind, autopilot, mode, base)])
    assert (drone.vehicle, drone.mode, drone.armed) == told


NO_VEHICLES = [
    ("a ground station", (255, 190), (6, 8)),
    ("a radio that says so", (51, 68), (18, 8)),
    ("an ADS-B receiver", (1, 156), (27, 8)),
    ("an ADS-B receiver with an autopilot", (3, 1), (27, 3)),
    ("a gimbal", (1, 154), (26, 8)),
    ("a camera", (1, 100), (30, 8)),
    ("a companion computer", (1, 191), (18, 8)),
    ("an antenna tracker", (2, 1), (5, 3)),
]


@pytest.mark.parametrize(
    ("source", "kind"), [case[1:] for case in NO_VEHICLES], ids=[case[0] for case in NO_VEHICLES]
)
def test_what_is_no_vehicle_is_not_told(source: tuple[int, int], kind: tuple[int, int]) -> None:
    other = Sender(*source)
    assert (
        hear([other.heartbeat(*kind), other.position(), other.heartbeat(*kind), other.position(2000)]) == []
    )


def test_positions_before_the_first_heartbeat_are_told_with_it() -> None:
    drone = Sender()
    decoder = MavlinkDecoder(clock=Clock())
    assert hear([drone.fix(), drone.position(1000), drone.position(1300, lat=320500009)], decoder) == []
    values = hear([drone.heartbeat()], decoder)
    assert [(one.lat, one.mode) for one in values] == [
        (32.0500001, None),
        (32.05, None),
        (32.0500009, None),
        (32.0500009, "AUTO"),
    ]


drone = Sender()
# what is said, and the position that is told
POSITIONS = [
    ("nothing", [], None),
    ("the estimator's", [drone.fix(), drone.position()], 32.05),
    ("the estimator's, which vouches for it", [drone("ekf_status_report", 831, 0, 0, 0, 0, 0), drone.position()], 32.05),
    ("the first, before a word of the receiver: by optical flow", [drone.position()], None),
    ("and then the receiver has none", [drone.position(), drone.fix(0), drone.position(1300)], None),
    ("and then it has one", [drone.position(), drone.fix(), drone.position(1300)], 32.05),
    ("of a vehicle that never tells of its receiver", [drone.position(at) for at in range(1000, 7000, 250)], 32.05),
    ("0/0", [drone.position(lat=0, lon=0)], None),
    ("0/0 after one that was good", [drone.fix(0), drone.position(), drone.position(1300, 0, 0)], None),
    ("out of range", [drone.position(lat=NOWHERE, lon=NOWHERE)], None),
    ("on the equator", [drone.fix(), drone.position(lat=0)], 0.0),
    ("the receiver's, where there is no other", [drone.fix()], 32.0500001),
    ("the receiver's in 2D", [drone.fix(2)], 32.0500001),
    ("the receiver's without a fix", [drone.fix(1)], None),
    ("no receiver at all", [drone.fix(0)], None),
    ("the receiver at 0/0", [drone("gps_raw_int", 0, 3, 0, 0, 0, 90, 90, 0, 0, 11)], None),
    ("the estimator's is the better", [drone.position(), drone.fix()], 32.05),
    ("the estimator's without a fix", [drone.fix(1), drone.position()], None),
    ("without a fix, but the estimator knows", [drone.fix(0), drone("ekf_status_report", 831, 0, 0, 0, 0, 0), drone.position()], 32.05),
    ("with a fix, but the estimator does not", [drone.fix(), drone("ekf_status_report", 1 | 128, 0, 0, 0, 0, 0), drone.position()], 32.0500001),
    ("with a fix, and an estimator that does not run", [drone.fix(), drone("ekf_status_report", 0, 0, 0, 0, 0, 0), drone.position()], 32.05),
    ("without a fix, and such an estimator", [drone.fix(0), drone("ekf_status_report", 0, 0, 0, 0, 0, 0), drone.position()], None),
    ("an estimator that stopped", [drone.fix(), drone("ekf_status_report", 1, 0, 0, 0, 0, 0), drone("ekf_status_report", 0, 0, 0, 0, 0, 0), drone.position()], 32.05),
    ("stale by the vehicle's own clock", [drone.position(1000), drone("attitude", 9000, 0, 0, 0, 0, 0, 0)], None),
    ("before it was started again", [drone.position(900_000), drone("attitude", 500, 0, 0, 0, 0, 0, 0)], None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "lat"), [case[1:] for case in POSITIONS], ids=[case[0] for case in POSITIONS]
)
def test_a_position_is_told_only_where_it_is_valid_and_fresh(said: list[bytes], lat: float | None) -> None:
    assert last(*said).lat == lat


# what is said that means "not known", and the fields that must be absent
UNKNOWN = [
    (drone.position(hdg=65535), ["heading_deg"]),
    (drone.fix(eph=65535, satellites=255), ["hdop", "satellites"]),
    (drone.fix(1), ["hdop", "error_m"]),
    (drone("sys_status", 0, 0, 0, 0, 65535, -1, -1, 0, 0, 0, 0, 0, 0), ["battery_v", "battery_a", "battery_pct"]),
    (drone("sys_status", 0, 0, 0, 0, 0, -1, 101, 0, 0, 0, 0, 0, 0), ["battery_v", "battery_pct"]),
    (drone("battery_status", 0, 0, 0, 32767, [65535] * 10, -1, -1, -1, -1), ["battery_v", "battery_a", "battery_pct"]),
    (drone("attitude", 0, math.nan, 0, 0, 0, 0, 0), ["roll_deg", "pitch_deg", "yaw_deg"]),
    (drone("home_position", 0, 0, 0, 0, 0, 0, [1, 0, 0, 0], 0, 0, 0), ["home_lat", "home_lon", "home_alt_m"]),
    (drone("mount_orientation", 0, math.nan, math.nan, math.nan), ["gimbal_pitch_deg", "gimbal_yaw_deg"]),
    (drone("gimbal_device_attitude_status", 0, 0, 0, 0, [math.nan] * 4, 0, 0, 0, 0), ["gimbal_pitch_deg"]),
]  # fmt: skip


@pytest.mark.parametrize(("said", "absent"), UNKNOWN)
def test_what_is_not_known_is_absent(said: bytes, absent: list[str]) -> None:
    told = last(said)
    assert [name for name in absent if getattr(told, name) is not None] == []


def test_of_several_batteries_the_lowest_charge_is_told() -> None:
    first = drone("battery_status", 0, 0, 0, 2000, [4000, 3990, 4010, *[65535] * 7], 900, 0, 0, 64)
    second = drone("battery_status", 1, 0, 0, 2000, [65535] * 10, -1, 0, 0, 22)
    told = last(first, second)
    assert (told.battery_pct, told.battery_v, told.battery_a) == (22, 12.0, 9.0)
    told = last(first, drone("sys_status", 0, 0, 0, 0, 12_100, 1000, 60, 0, 0, 0, 0, 0, 0))
    assert (told.battery_pct, told.battery_v, told.battery_a) == (60, 12.1, 10.0)


def test_home() -> None:
    told = last(drone("home_position", 320400000, 1187700000, 12_000, 0, 0, 0, [1, 0, 0, 0], 0, 0, 0))
    assert (told.home_lat, told.home_lon, told.home_alt_m) == (32.04, 118.77, 12.0)


EAST = drone("attitude", 1000, 0, 0, math.radians(90), 0, 0, 0)


def quaternion(pitch_deg: float, yaw_deg: float) -> list[float]:
    pitch, yaw = math.radians(pitch_deg) / 2, math.radians(yaw_deg) / 2
    return [
        math.cos(pitch) * math.cos(yaw),
        -math.sin(pitch) * math.sin(yaw),
        math.sin(pitch) * math.cos(yaw),
        math.cos(pitch) * math.sin(yaw),
    ]


gimbal = Sender(1, 154)
# what is said, and the gimbal's pitch and its yaw from north
GIMBALS = [
    ("a mount", [EAST, drone("mount_orientation", 0, 0, -45, 20)], (-45.0, 110.0)),
    ("a mount, the vehicle's yaw unknown", [drone("mount_orientation", 0, 0, -45, 20)], (-45.0, None)),
    ("against the earth", [EAST, gimbal("gimbal_device_attitude_status", 0, 0, 0, 64, quaternion(-30, 200), 0, 0, 0, 0)], (-30.0, 200.0)),
    ("against the vehicle", [EAST, gimbal("gimbal_device_attitude_status", 0, 0, 0, 32, quaternion(-30, 200), 0, 0, 0, 0)], (-30.0, 290.0)),
    ("an old one with its yaw locked", [EAST, gimbal("gimbal_device_attitude_status", 0, 0, 0, 16, quaternion(-30, 20), 0, 0, 0, 0)], (-30.0, 20.0)),
    ("an old one that follows", [EAST, gimbal("gimbal_device_attitude_status", 0, 0, 0, 0, quaternion(-30, 20), 0, 0, 0, 0)], (-30.0, 110.0)),
    ("another system's", [EAST, Sender(9, 154)("gimbal_device_attitude_status", 0, 0, 0, 64, quaternion(-30, 200), 0, 0, 0, 0)], (None, None)),
]  # fmt: skip


@pytest.mark.parametrize(("said", "told"), [case[1:] for case in GIMBALS], ids=[case[0] for case in GIMBALS])
def test_where_the_gimbal_looks(said: list[bytes], told: tuple[float | None, float | None]) -> None:
    vehicle = Sender()
    found = hear([vehicle.heartbeat(), *said, vehicle.heartbeat()])[-1]
    assert (found.gimbal_pitch_deg, found.gimbal_yaw_deg) == pytest.approx(told, abs=0.01)


def test_pictures() -> None:
    feedback = drone("camera_feedback", 0, 1, 0, 17, 320500000, 1187800000, 80.5, 62.5, 0, -90, 143, 0, 0)
    captured = Sender(1, 100)(
        "camera_image_captured",
        0,
        0,
        1,
        320500000,
        1187800000,
        80_500,
        62_500,
        quaternion(-90 + 1, 0),
        18,
        1,
        b"",
    )
    failed = Sender(1, 100)("camera_image_captured", 0, 0, 1, 0, 0, 0, 0, [0] * 4, 19, 0, b"")
    blind = Sender(1, 100)("camera_image_captured", 0, 0, 1, 0, 0, 0, 0, [0] * 4, 20, 1, b"")
    values = hear([feedback, captured, failed, blind])
    assert [one.number for one in values] == [17, 18, 20]
    assert values[0] == Capture(
        system=1, number=17, lat=32.05, lon=118.78, alt_m=80.5, height_m=62.5, roll_deg=0, pitch_deg=-90, yaw_deg=143
    )  # fmt: skip
    assert (values[1].pitch_deg, values[1].lat) == (pytest.approx(-89, abs=0.01), 32.05)
    assert values[2] == Capture(system=1, number=20)


def text(message: str | bytes, number: int = 0, piece: int = 0, severity: int = 4) -> bytes:
    said = message.encode() if isinstance(message, str) else message
    return drone("statustext", severity, said, number, piece)


LONG = "PreArm: " + "Compass 2 is not calibrated, " * 4
CHINESE = ("电池电量低" * 5).encode()
# frames, and the texts that are told
TEXTS = [
    ("one", [text("PreArm: GPS 1: Bad fix")], ["PreArm: GPS 1: Bad fix"]),
    ("in Chinese", [text("电量低")], ["电量低"]),
    ("cut inside a letter", [text(CHINESE[:50], 3), text(CHINESE[50:], 3, 1)], [CHINESE.decode()]),
    ("with what is not to be printed", [text("bad\x07\x1b[2J")], ["bad[2J"]),
    ("in three pieces", [text(LONG[:50], 3), text(LONG[50:100], 3, 1), text(LONG[100:], 3, 2)], [LONG]),
    ("a piece lacks", [text(LONG[:50], 3), text(LONG[100:], 3, 2)], [LONG[:50] + "…" + LONG[100:]]),
    ("the first piece lacks", [text(LONG[50:100], 3, 1), text(LONG[100:], 3, 2)], ["…" + LONG[50:]]),
    ("the end lacks", [text(LONG[:50], 3), text("next", 4)], [LONG[:50], "next"]),
    ("the end lacks, and it is quiet", [text(LONG[:50], 3)], [LONG[:50]]),
    ("fifty, and done", [text(LONG[:50])], [LONG[:50]]),
]


@pytest.mark.parametrize(("said", "told"), [case[1:] for case in TEXTS], ids=[case[0] for case in TEXTS])
def test_texts(said: list[bytes], told: list[str]) -> None:
    decoder = MavlinkDecoder(clock=Clock())
    values = [*hear(said, decoder), *decoder.pause()]
    assert values == [StatusText(system=1, component=1, severity="warning", text=one) for one in told]


def test_the_severities_of_texts() -> None:
    values = hear([text("a", severity=0), text("b", severity=7), text("c", severity=200)])
    assert [one.severity for one in values] == ["emergency", "debug", "debug"]


radio = Sender(51, 68)


def test_a_radio_tells_its_levels_and_is_no_sign_of_life() -> None:
    said = hear(
        [
            radio("radio_status", 190, 0, 100, 60, 255, 0, 0),
            Sender(1, 1)("radio_status", 40, 50, 100, 60, 255, 0, 0),
        ]
    )
    assert said == [
        Reading(quantity="radio_rssi", value=-27.0, unit="dBm"),
        Reading(quantity="radio_noise", value=-95.4, unit="dBm"),
        Reading(quantity="radio_rssi", value=40, unit="raw"),
        Reading(quantity="radio_noise", value=60, unit="raw"),
        Reading(quantity="radio_remote_rssi", value=50, unit="raw"),
    ]


def test_a_heartbeat_that_stops_is_told_once_with_the_last_position_and_its_age() -> None:
    clock = Clock()
    decoder = MavlinkDecoder(clock=clock)
    vehicle = Sender()
    hear([vehicle.heartbeat(), vehicle.position()], decoder)
    told: list[Any] = []
    for _ in range(20):  # the radio talks on, and a companion on the ground that uses the same system
        clock.now_s += 0.5
        told += hear(
            [radio("radio_status", 190, 0, 100, 60, 255, 0, 0), Sender(1, 191).heartbeat(18, 8)], decoder
        )
        told += decoder.pause()
    [lost] = [one for one in told if isinstance(one, Drone)]
    assert (lost.state, lost.lat, lost.height_m, lost.position_age_s) == ("lost", 32.05, 62.0, 5.5)
    assert (lost.mode, lost.armed, lost.roll_deg) == ("AUTO", True, None)
    [back] = hear([vehicle.heartbeat()], decoder)
    assert (back.state, back.lat, back.position_age_s) == ("live", None, None)


def test_unknown_ids_and_damaged_frames_are_no_sign_of_life() -> None:
    clock = Clock()
    ear = LineDecoder([MavlinkDecoder(clock=clock)])
    assert len(ear.feed(drone.heartbeat())) == 1
    unknown = bytearray(drone.heartbeat())
    unknown[7:10] = b"\xff\xff\x0f"
    damaged = drone.heartbeat()[:-1] + b"\0"
    told: list[Any] = []
    for _ in range(8):
        clock.now_s += 1
        told += ear.feed(bytes(unknown) + damaged) + ear.pause()
    assert [one.state for one in told] == ["lost"]


def test_an_estimator_that_does_not_run_loses_no_height_speed_and_course() -> None:
    told = last(drone.fix(), drone("ekf_status_report", 0, 0, 0, 0, 0, 0), drone.position())
    assert (told.height_m, told.speed_mps, told.course_deg, told.heading_deg) == (62.0, 5.0, 306.87, 90.0)


def of_one_number(first: Sender, second: Sender, clock: Clock, boots_ms: tuple[int, int]) -> Iterable[bytes]:
    """Two vehicles with one system number, in turn, each 0.5 s; the second is elsewhere and not armed."""
    for step in range(20):
        clock.now_s += 0.5
        yield from (first.heartbeat(), first.fix(), first.position(boots_ms[0] + 500 * step))
        yield from (second.heartbeat(base=1), second.fix(lat=321000000))
        yield second.position(boots_ms[1] + 500 * step, lat=321000000)


@pytest.mark.parametrize(
    ("boots_ms", "ahead"),
    [((500_000, 3000), 0), ((3000, 500_000), 0), ((7000, 7000), 100), ((500_000, 3000), 40)],
    ids=["two clocks", "the other way round", "two counts of frames", "both"],
)
def test_two_vehicles_with_one_number_are_a_trouble_and_no_mixed_report(
    boots_ms: tuple[int, int], ahead: int
) -> None:
    clock = Clock()
    decoder = MavlinkDecoder(clock=clock, lost_after_s=3600)
    ear, first, second = LineDecoder([decoder]), Sender(), Sender()
    second.codec.seq = ahead
    told = [ear.feed(frame) for frame in of_one_number(first, second, clock, boots_ms)]
    assert ear.state().trouble == "two vehicles are system 1: give each its own number"
    assert [value for values in told[30:] for value in values] == []
    clock.now_s += 31  # one of both was switched off
    alone = hear([first.heartbeat(), first.fix(), first.position(boots_ms[0] + 41_000)], decoder)
    assert {(one.lat, one.armed) for one in alone if one.lat} <= {(32.0500001, True), (32.05, True)}
    assert alone != []
    assert ear.state().trouble is None


@pytest.mark.parametrize("lose", [(), (7, 8, 30, 41, 42, 43, 60)])
def test_one_vehicle_is_one(lose: tuple[int, ...]) -> None:
    """Which starts again, loses frames, and whose frames come twice or overtake each other."""
    clock = Clock()
    decoder = MavlinkDecoder(clock=clock)
    one, frames = Sender(), []
    for step in range(60):
        boot_ms = 200_000 + 250 * step if step < 30 else 250 * (step - 30)
        frames += [one.heartbeat(), one.fix(), one.position(boot_ms)]
    frames = [frame for place, frame in enumerate(frames) if place not in lose]
    for place in range(10, len(frames) - 2, 9):
        frames[place], frames[place + 1] = frames[place + 1], frames[place]
        frames.insert(place, frames[place])
    for frame in frames:
        clock.now_s += 0.08
        decoder.feed(frame)
        assert decoder.trouble is None


def test_a_router_that_beats_under_the_vehicles_number_takes_nothing_from_it() -> None:
    """Such as mavp2p as 1/1, with the type of a ground station."""
    clock = Clock()
    decoder = MavlinkDecoder(clock=clock)
    vehicle, router = Sender(), Sender()
    router.codec.seq = 90
    told = hear([vehicle.heartbeat(), vehicle.fix()], decoder)
    for step in range(30):
        clock.now_s += 0.5
        told += hear(
            [router.heartbeat(6, 8), vehicle.heartbeat(), vehicle.fix(), vehicle.position(1000 + 500 * step)],
            decoder,
        )
    assert all(one.lat is not None for one in told[2:])
    assert told[-1].loss_pct == 0.0
    assert decoder.trouble is None


def test_two_vehicles_are_two() -> None:
    one, other = Sender(1), Sender(2)
    values = hear([one.heartbeat(), other.heartbeat(1, 3, 11), one.position(), other.position()])
    assert [(value.system, value.mode) for value in values] == [
        (1, "AUTO"),
        (2, "RTL"),
        (1, "AUTO"),
        (2, "RTL"),
    ]


def test_two_hundred_messages_a_second_are_not_two_hundred_values() -> None:
    vehicle = Sender()
    frames = [vehicle.heartbeat()]
    for millisecond in range(0, 1000, 10):
        frames.append(vehicle("attitude", millisecond, 0, 0, 0, 0, 0, 0))
        frames.append(vehicle.position(millisecond))
    assert len(hear(frames)) <= 22


def test_what_never_came_is_counted_by_the_sequence_numbers() -> None:
    vehicle, camera = Sender(), Sender(1, 100)
    decoder = MavlinkDecoder(clock=Clock())
    frames = [vehicle.heartbeat() for _ in range(300)]
    others = [camera.heartbeat(30, 8) for _ in range(300)]
    kept = [one for number, one in enumerate(frames) if number % 4]
    values = hear([one for pair in zip(kept, others, strict=False) for one in pair], decoder)
    assert values[-1].loss_pct == pytest.approx(25, abs=0.5)
    assert decoder.lost == 74
    hear([frames[-1], frames[-1]], decoder)  # twice: nothing is lost by that
    assert decoder.lost == 74


def test_only_what_is_signed_counts_where_there_is_a_key() -> None:
    signed, forged, plain, old = Sender(key=KEY), Sender(key=bytes(32)), Sender(), Sender(version=1)
    for one in (signed, forged):
        one.codec.signing.timestamp = 1000
    decoder = MavlinkDecoder(KEY, clock=Clock())
    forged.codec.signing.timestamp = 2**40
    first = signed.heartbeat()
    assert hear([forged.heartbeat(), plain.heartbeat(), old.heartbeat()], decoder) == []
    assert decoder.bad == 3
    assert len(hear([first], decoder)) == 1  # no forged time has silenced it
    assert hear([first], decoder) == []  # said again by somebody who recorded it
    assert len(hear([signed.heartbeat()], decoder)) == 1
    assert decoder.bad == 4
    assert len(hear([radio("radio_status", 190, 0, 100, 60, 255, 0, 0)], decoder)) == 2  # radios can't sign
    assert (
        len(hear([first], MavlinkDecoder(clock=Clock()))) == 1
    )  # without a key a signature is not looked at


def test_a_recording_of_another_component_is_no_new_stream() -> None:
    now, then = Sender(key=KEY), Sender(1, 2, key=KEY)
    now.codec.signing.timestamp, then.codec.signing.timestamp = 70 * 100_000, 0
    decoder = MavlinkDecoder(KEY, clock=Clock())
    assert len(hear([now.heartbeat(), then.heartbeat()], decoder)) == 1
    assert decoder.bad == 1


def test_what_was_said_before_is_not_said_again_to_a_port_that_is_opened_anew() -> None:
    """Nor to a machine that is started anew, which takes from its disk what it had heard."""
    heard, vehicle = ReplayWindow(), Sender(key=KEY)
    before = [vehicle.heartbeat(), vehicle.heartbeat()]
    assert len(hear(before, MavlinkDecoder(KEY, clock=Clock(), window=heard))) == 2
    rebooted = ReplayWindow()
    rebooted.restore(heard.dump())
    after = vehicle.heartbeat()
    for kept in (heard, rebooted):
        decoder = MavlinkDecoder(KEY, clock=Clock(), window=kept)
        assert (len(hear([*before, after], decoder)), decoder.bad) == (1, 2)
    other = MavlinkDecoder(bytes(32), clock=Clock(), window=heard)
    assert len(hear([Sender(key=bytes(32)).heartbeat()], other)) == 1  # another key begins anew
    assert len(heard.dump()) < 150
    assert KEY.hex().encode() not in heard.dump()


def test_a_source_opened_anew_goes_on_with_what_was_heard(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY.hex())
    source, frame = (
        Mavlink(port="/dev/ttyUSB0", key=Secret(file=tmp_path / "key")),
        Sender(key=KEY).heartbeat(),
    )

    def agent() -> list[int]:
        use_replay_window(ReplayWindow())
        return [len(source.decoder().feed(frame)) for _ in range(2)]

    assert copy_context().run(agent) == [1, 0]
    assert copy_context().run(agent) == [1, 0]  # another agent in the same process has not heard it


def test_what_was_kept_and_is_damaged_is_refused() -> None:
    for kept in (None, b""):
        ReplayWindow().restore(kept)
    for kept in (b"{", b"[]", b'{"a": [[1, 2]]}', b"\xff"):
        with pytest.raises(ValueError, match="validation error"):
            ReplayWindow().restore(kept)


def test_a_key_is_hex_digits_or_a_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY.hex() + "\n")
    assert read_key(Secret(file=path)) == KEY
    path.write_text("open sesame\n")
    assert read_key(Secret(file=path)).hex().startswith("41ef4bb0b23661e6")
    for content in (b"", b"\xff\xfe\x00"):
        path.write_bytes(content)
        with pytest.raises(OSError, match="64 hex digits"):
            read_key(Secret(file=path))
    path.unlink()
    with pytest.raises(OSError, match="key"):
        Mavlink(port="/dev/ttyUSB0", key=Secret(file=path)).decoders()


def test_it_only_listens_at_the_usual_rate() -> None:
    decoder = MavlinkDecoder()
    hear([drone.heartbeat(), drone("ping", 0, 0, 0, 0), drone("param_request_list", 0, 0)], decoder)
    assert decoder.replies() == b""
    assert not hasattr(decoder, "ask")
    assert Mavlink(port="/dev/ttyUSB0").baud == default_baud(["mavlink"]) == 57600
    assert default_baud(["nmea"]) is default_baud(["mavlink", "nmea"]) is None


def test_without_pymavlink_there_is_no_mavlink_and_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    mavlink_dialect.dialect.cache_clear()
    mavlink_ids.cache_clear()
    with monkeypatch.context() as patch:
        for place in mavlink_dialect.MODULES:
            patch.setitem(sys.modules, place, None)
        assert Sniffer().feed(drone.heartbeat()) == []
        with pytest.raises(OSError, match="not installed: pip install pymavlink"):
            Mavlink(port="/dev/ttyUSB0").line_decoder()
    mavlink_ids.cache_clear()
    assert len(Sniffer().feed(drone.heartbeat())) == 1


NAMES = ["heartbeat", "global_position_int", "gps_raw_int", "attitude", "sys_status", "battery_status",
         "home_position", "statustext", "mount_orientation", "gimbal_device_attitude_status", "radio_status",
         "camera_feedback", "camera_image_captured", "ekf_status_report", "estimator_status"]  # fmt: skip


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=255), st.integers(0, 3)), max_size=12))
@settings(max_examples=300, deadline=None)
def test_any_content_under_a_good_checksum_raises_nothing(said: list[tuple[str, bytes, int]]) -> None:
    decoder = MavlinkDecoder(clock=Clock())
    vehicle = Sender()
    told = hear([vehicle.heartbeat()], decoder)
    for name, content, component in said:
        kind = getattr(dialect, f"MAVLink_{name}_message")
        codec = dialect.MAVLink(None, 1, component)
        message = dialect.MAVLink_message(kind.id, kind.msgname)
        told += hear([message._pack(codec, kind.crc_extra, content)], decoder)
    told += decoder.pause()
    for one in told:
        if isinstance(one, Drone | Capture):
            assert one.lat is None or (-90 <= one.lat <= 90 and (one.lat, one.lon) != (0, 0))
            assert all(
                math.isfinite(value)
                for value in map(one.__getattribute__, one.__slots__)
                if isinstance(value, float)
            )


RECORDINGS = mavlink_recordings()


@pytest.mark.needs_shared
@pytest.mark.skipif(not RECORDINGS, reason="needs the recordings beside this folder: ../shared/data")
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recording(path: Path) -> None:
    for told in mavlink_score(path):
        assert told.found >= told.least * told.expected, told
        assert told.wrong == 0, told
    assert mavlink_score(path, 61) == mavlink_score(path)
