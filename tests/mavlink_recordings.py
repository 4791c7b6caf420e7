"""Real MAVLink recordings, and what a correct reader gets of them: counted by pymavlink and another framer."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_bridge.catalogue import protocols
from firmware_bridge.drone_readings import Drone, StatusText
from firmware_bridge.mavlink.mavlink import SEVERITIES
from firmware_bridge.serial.line_decoder import LineDecoder
from firmware_bridge.serial.sniffer import Sniffer
from tests.recordings import SHARED, expectation


@dataclass(frozen=True)
class Told:
    """Of one thing that a MAVLink recording says: how often it should be told, and is; and what never should."""

    what: str
    expected: int
    found: int
    wrong: int = 0
    least: float = 1.0


def mavlink_recordings(folder: Path = SHARED) -> list[Path]:
    return sorted(path for path in (folder / "mavlink").glob("*.[tr]log"))


def mavlink_score(path: Path, chunk: int = 4096) -> list[Told]:
    """Messages by type and by source, positions, texts, batteries and radio levels, against another reader."""
    data, wanted = path.read_bytes(), expectation(path)
    pieces = [data[start : start + chunk] for start in range(0, len(data), chunk)]
    sniffer = Sniffer(("mavlink",))
    heads = [_mavlink_head(packet.data) for piece in pieces for packet in sniffer.feed(piece)]
    types = Counter(kind for kind, _ in heads)
    sources = Counter(source for _, source in heads)
    ear = LineDecoder(protocols()["mavlink"]())
    values = [value for piece in pieces for value in ear.feed(piece)] + ear.pause()
    drones = [value for value in values if isinstance(value, Drone)]
    positions = wanted["global_position_int"]["every_20th"]
    texts = [(value.severity, value.text) for value in values if isinstance(value, StatusText)]
    volts = [round(1000 * one.battery_v) for one in drones if one.battery_v is not None]
    battery = wanted["battery_mV"]
    vehicles = {change[0] for change in wanted["heartbeat_changes"] if _is_vehicle(change)}
    told = {f"{one.system}/1" for one in drones}
    most = wanted["own_framer_messages"]
    return [
        _counted("messages by type", wanted["by_type"], types, most),
        _counted("messages by source", wanted["by_source"], sources, most),
        Told("positions", len(positions), sum(any(_at(one, place) for one in drones) for place in positions)),
        Told("vehicles", len(vehicles), len(vehicles & told), len(told - vehicles)),
        Told(
            "texts",
            len(wanted["statustext"]),
            sum((SEVERITIES[level], text) in texts for level, text in wanted["statustext"]),
        ),
        Told(
            "battery, least and most",
            2 if battery["n"] else 0,
            (min(volts, default=0) == battery["min"]) + (max(volts, default=0) == battery["max"]),
            sum(not battery["min"] <= one <= battery["max"] for one in volts) if battery["n"] else len(volts),
        ),
    ]


def _mavlink_head(frame: bytes) -> tuple[str, str]:
    """Type and source, as ``system/component``."""
    from pymavlink.dialects.v20.ardupilotmega import mavlink_map

    old = frame[0] == 0xFE
    number = frame[5] if old else int.from_bytes(frame[7:10], "little")
    system, component = frame[3:5] if old else frame[5:7]
    return str(mavlink_map[number].msgname), f"{system}/{component}"


def _counted(what: str, wanted: dict[str, int], found: Counter[str], most: int) -> Told:
    """pymavlink, who counted, loses a few: no more should be found than a framer that resynchronises finds."""
    expected = Counter(wanted)
    return Told(what, expected.total(), (expected & found).total(), max(0, found.total() - most), least=0.999)


def _is_vehicle(change: list[Any]) -> bool:
    """``source, type, autopilot, …``"""
    return change[2] != 8 and change[1] not in (5, 6, 26, 27)


def _at(drone: Drone, place: list[float]) -> bool:
    """``boot ms, lat, lon, altitude, height, heading``"""
    _, lat, lon, alt_m, height_m, heading_deg = place
    if drone.lat is None or drone.lon is None or drone.height_m is None or drone.alt_m is None:
        return False
    there = abs(drone.lat - lat) < 2e-7 and abs(drone.lon - lon) < 2e-7
    high = abs(drone.alt_m - alt_m) < 0.002 and abs(drone.height_m - height_m) < 0.002
    return there and high and abs((drone.heading_deg or 0) - heading_deg) < 0.011
