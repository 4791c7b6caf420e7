"""An autopilot's MAVLink messages as fields of a `Drone`: one pure function for each message.

The message tables are those of `mavlink_dialect`. Numbers that mean "not known" are left out: 0/0, a fix
below 2D, heading 65535, voltage 0 and 65535, battery -1, NaN. Source: MAVLink's common.xml and
ardupilotmega.xml; the custom modes of ArduPilot and PX4.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from firmware_bridge.mavlink_dialect import dialect

Fields: TypeAlias = dict[str, Any]

ARDUPILOT, PX4, INVALID = 3, 12, 8
NO_VEHICLES = frozenset({5, 6, 26, 27})
"""Types with an autopilot of their own that are not vehicles: antenna tracker, ground station, gimbal,
ADS-B."""
FIXES = {0: "none", 1: "none", 2: "2d", 3: "3d", 4: "dgps", 5: "rtk", 6: "rtk", 7: "3d", 8: "3d"}
ABSOLUTE, CONSTANT = 16, 128
"""Estimator flags: the position is absolute; it is only assumed constant."""
YAW_LOCK, YAW_OF_VEHICLE, YAW_OF_EARTH = 16, 32, 64
MODES = {
    "COPTER_MODE": (2, 3, 4, 13, 14, 15, 29, 35, 43),
    "PLANE_MODE": (1, 16, 19, 20, 21, 22, 23, 24, 25, 28),
    "ROVER_MODE": (10, 11),
    "SUB_MODE": (12,),
}
"""ArduPilot's modes by type of vehicle."""
PX4_MODES = {
    1: "MANUAL", 2: "ALTCTL", 3: "POSCTL", 5: "ACRO", 6: "OFFBOARD", 7: "STABILIZED", 8: "RATTITUDE",
    10: "TERMINATION",
}  # fmt: skip
PX4_AUTO = {
    1: "READY",
    2: "TAKEOFF",
    3: "LOITER",
    4: "MISSION",
    5: "RTL",
    6: "LAND",
    8: "FOLLOW",
    9: "PRECLAND",
}


def is_vehicle(heartbeat: Any) -> bool:
    return heartbeat.autopilot != INVALID and heartbeat.type not in NO_VEHICLES


def read_heartbeat(message: Any) -> Fields:
    return {
        "vehicle": _name("MAV_TYPE", message.type),
        "mode": _mode(message),
        "armed": bool(message.base_mode & 128),
        "status": _name("MAV_STATE", message.system_status),
    }


def _mode(message: Any) -> str | None:
    if not message.base_mode & 1:
        return None
    number = message.custom_mode
    if message.autopilot == PX4:
        main, sub = number >> 16 & 0xFF, number >> 24
        return PX4_AUTO.get(sub, "AUTO") if main == 4 else PX4_MODES.get(main)
    if message.autopilot != ARDUPILOT:
        return None
    enum = next((enum for enum, types in MODES.items() if message.type in types), "")
    name = _name(enum, number)
    return f"MODE_{number}" if name is None else name.upper().replace("FLY_BY_WIRE_", "FBW")


def _name(enum: str, number: int) -> str | None:
    """``quadrotor`` for MAV_TYPE 2."""
    entry = dialect().enums.get(enum, {}).get(number)
    if entry is None or entry.name.endswith("ENUM_END"):
        return None
    return str(entry.name).removeprefix(enum + "_").lower()


def read_position(message: Any) -> Fields:
    """GLOBAL_POSITION_INT: the estimate of the autopilot from all its sensors."""
    place = position_fields(message.lat, message.lon, message.alt, message.relative_alt)
    if not place:
        return {}
    speed_mps = math.hypot(message.vx, message.vy) / 100
    course = {"course_deg": _turned(math.atan2(message.vy, message.vx))} if speed_mps > 0.5 else {}
    heading = {"heading_deg": message.hdg / 100} if message.hdg < 36_000 else {}
    return place | {"speed_mps": round(speed_mps, 2), "climb_mps": -message.vz / 100} | course | heading


def read_fix(message: Any) -> Fields:
    """GPS_RAW_INT: the receiver's own report."""
    fields: Fields = {"fix": FIXES.get(message.fix_type)}
    if message.satellites_visible != 255 and (message.satellites_visible or fields["fix"] in ("none", None)):
        fields["satellites"] = message.satellites_visible  # a fix from none: the number is not reported
    if 0 < message.eph < 65535 and fields["fix"] != "none":
        fields["hdop"] = message.eph / 100
    if 0 < message.h_acc < 2**32 - 1 and fields["fix"] != "none":
        fields["error_m"] = message.h_acc / 1000
    return fields


def read_fix_position(message: Any) -> Fields:
    """GPS_RAW_INT, for vehicles that send no other position."""
    return position_fields(message.lat, message.lon, message.alt) if message.fix_type >= 2 else {}


def position_fields(lat: int, lon: int, alt_mm: int, height_mm: int | None = None) -> Fields:
    """Degrees and metres; nothing where the position is 0/0 or out of range."""
    if (lat == 0 and lon == 0) or abs(lat) > 900_000_000 or abs(lon) > 1_800_000_000:
        return {}
    height = {} if height_mm is None else {"height_m": height_mm / 1000}
    return {"lat": lat / 1e7, "lon": lon / 1e7, "alt_m": alt_mm / 1000} | height


def read_attitude(message: Any) -> Fields:
    return angles(message.roll, message.pitch, message.yaw)


def angles(roll: float, pitch: float, yaw: float) -> Fields:
    """Radians as degrees, the yaw from north; nothing where an angle is not known."""
    if not all(map(math.isfinite, (roll, pitch, yaw))):
        return {}
    level = {"roll_deg": round(math.degrees(roll), 2), "pitch_deg": round(math.degrees(pitch), 2)}
    return level | {"yaw_deg": _turned(yaw)}


def quaternion_angles(quaternion: Iterable[float]) -> Fields:
    """A rotation (w, x, y, z) as `angles`."""
    w, x, y, z = quaternion
    if not 0.9 < math.sqrt(w * w + x * x + y * y + z * z) < 1.1:  # also where one is NaN
        return {}
    return angles(
        math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
        math.asin(max(-1.0, min(1.0, 2 * (w * y - z * x)))),
        math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
    )


def _turned(radians: float) -> float:
    return round(math.degrees(radians) % 360, 2) % 360


def read_mount(message: Any) -> Fields:
    """MOUNT_ORIENTATION: roll and pitch against the horizon, yaw against the vehicle; in degrees."""
    return _gimbal(angles(*map(math.radians, (message.roll, message.pitch, message.yaw))), of_vehicle=True)


def read_gimbal(message: Any) -> Fields:
    """GIMBAL_DEVICE_ATTITUDE_STATUS; an old gimbal's yaw lock shows the frame of its yaw."""
    of_vehicle = bool(message.flags & YAW_OF_VEHICLE) or not message.flags & (YAW_LOCK | YAW_OF_EARTH)
    return _gimbal(quaternion_angles(message.q), of_vehicle=of_vehicle)


def _gimbal(fields: Fields, *, of_vehicle: bool) -> Fields:
    named = {f"gimbal_{name}": value for name, value in fields.items()}
    return named | {"of_vehicle": of_vehicle} if named else {}


def read_power(message: Any) -> Fields:
    """SYS_STATUS of the first battery."""
    volts = {"battery_v": message.voltage_battery / 1000} if 0 < message.voltage_battery < 65535 else {}
    return volts | _charge(message)


def read_battery(message: Any) -> Fields:
    """BATTERY_STATUS: cells in mV, or all of them as the first; 65535 and 0 are none."""
    cells = [volts for volts in (*message.voltages, *message.voltages_ext) if 0 < volts < 65534]
    return ({"battery_v": round(sum(cells) / 1000, 3)} if cells else {}) | _charge(message)


def _charge(message: Any) -> Fields:
    amperes = {"battery_a": message.current_battery / 100} if message.current_battery >= 0 else {}
    known = 0 <= message.battery_remaining <= 100
    return amperes | ({"battery_pct": message.battery_remaining} if known else {})


def read_home(message: Any) -> Fields:
    place = position_fields(message.latitude, message.longitude, message.altitude)
    return {f"home_{name}": value for name, value in place.items()}


def read_estimate(message: Any) -> Fields:
    """EKF_STATUS_REPORT of ArduPilot, ESTIMATOR_STATUS of PX4; an estimator that does not run (DCM) sends
    0.
    """
    if not message.flags:
        return {}
    return {"absolute": bool(message.flags & ABSOLUTE) and not message.flags & CONSTANT}


def read_feedback(message: Any) -> Fields:
    """CAMERA_FEEDBACK of ArduPilot, as a `Capture`; metres and degrees are floats in it."""
    alt_m, height_m = message.alt_msl, message.alt_rel
    known = math.isfinite(alt_m) and math.isfinite(height_m)
    place = (
        position_fields(message.lat, message.lng, *map(round, (alt_m * 1000, height_m * 1000)))
        if known
        else {}
    )
    return (
        {"number": message.img_idx}
        | place
        | angles(*map(math.radians, (message.roll, message.pitch, message.yaw)))
    )


def read_captured(message: Any) -> Fields:
    """CAMERA_IMAGE_CAPTURED of MAVLink cameras, as a `Capture`."""
    place = position_fields(message.lat, message.lon, message.alt, message.relative_alt)
    return {"number": message.image_index} | place | quaternion_angles(message.q)


MESSAGE_FIELDS: dict[str, tuple[tuple[str, Callable[[Any], Fields]], ...]] = {
    "HEARTBEAT": (("heartbeat", read_heartbeat),),
    "GLOBAL_POSITION_INT": (("position", read_position),),
    "GPS_RAW_INT": (("fix", read_fix), ("fix_position", read_fix_position)),
    "ATTITUDE": (("attitude", read_attitude),),
    "MOUNT_ORIENTATION": (("gimbal", read_mount),),
    "GIMBAL_DEVICE_ATTITUDE_STATUS": (("gimbal", read_gimbal),),
    "SYS_STATUS": (("power", read_power),),
    "BATTERY_STATUS": (("battery", read_battery),),
    "HOME_POSITION": (("home", read_home),),
    "EKF_STATUS_REPORT": (("estimate", read_estimate),),
    "ESTIMATOR_STATUS": (("estimate", read_estimate),),
}
"""For each message that is decoded: the groups of fields in it, and their functions."""
OF_ANY_COMPONENT = frozenset({"MOUNT_ORIENTATION", "GIMBAL_DEVICE_ATTITUDE_STATUS"})
"""Accepted from any component; other messages from the autopilot only."""
