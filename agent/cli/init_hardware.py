"""Sources for a configuration, from the devices that are plugged in. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from agent.cli.devices import CONSOLE, Device

KINDS = {"ubx": "ubx", "mavlink": "mavlink", "cobs": "sensor_board", "vedirect": "vedirect", "nmea": "nmea"}
"""The kind of source for each framing, the most telling first: a u-blox receiver speaks NMEA as well."""
NAMES = {"ubx": "gnss", "mavlink": "autopilot", "sensor_board": "board", "vedirect": "battery", "ais": "ais"}
RATELESS = frozenset({"sensor_board"})
"""Kinds on USB, where a baud rate has no meaning."""


@dataclass(frozen=True)
class FoundSource:
    """One source of the configuration. ``kind`` is None for a port on which nothing was recognised."""

    name: str
    kind: str | None
    port: str
    description: str
    baud: int | None = None
    has_fixes: bool = False


def sources_of(found: Iterable[Device]) -> list[FoundSource]:
    """A source for each free port with a known protocol and for each camera; others without a kind.

    The port of the kernel console is left out.
    """
    names: Counter[str] = Counter()
    sources = []
    for device in found:
        if device.note == CONSOLE:
            continue
        kind = _kind(device)
        base = "cam" if device.kind == "camera" else _base(kind, device)
        names[base] += 1
        number = str(names[base]) if base == "cam" or names[base] > 1 else ""
        sources.append(
            FoundSource(
                name=f"{base}{number}",
                kind=kind,
                port=device.use,
                description=_describe(device),
                baud=None if kind in RATELESS else device.baud,
                has_fixes="fix" in device.values,
            )
        )
    return sources


def _kind(device: Device) -> str | None:
    if device.kind == "camera":
        return "camera"
    kind = next((kind for framing, kind in KINDS.items() if framing in device.protocols), None)
    if kind == "nmea" and "vessel" in device.values and "fix" not in device.values:
        return "ais"
    return kind


def _base(kind: str | None, device: Device) -> str:
    if kind == "nmea":
        return "gnss" if "fix" in device.values else "instruments"
    return NAMES.get(kind or "", "port")


def _describe(device: Device) -> str:
    held = f"held by {', '.join(device.held_by)}" if device.held_by else None
    words = (device.description, device.heard, held, device.note)
    return "; ".join(word for word in words if word)


def guess_kind(found: Iterable[FoundSource]) -> str:
    """The kind of device that usually has these sources."""
    kinds = {source.kind for source in found}
    for source_kind, device_kind in (
        ("mavlink", "drone_ground_station"),
        ("ais", "patrol_boat"),
        ("camera", "checkpoint_camera"),
    ):
        if source_kind in kinds:
            return device_kind
    return "watch_point"
