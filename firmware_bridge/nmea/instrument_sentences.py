"""The fields of each sentence of a boat instrument, as readings. Pure."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from firmware_bridge.nmea.quantities import (
    CELSIUS,
    METRES,
    MPS,
    NAUTICAL_M,
    PASCALS,
    PITCH,
    QUANTITIES,
    TURNS,
)
from firmware_bridge.nmea.sentence import number
from firmware_bridge.nmea.transducers import transduced
from firmware_bridge.readings import Reading

Fields: TypeAlias = list[bytes]


Told: TypeAlias = Iterator[Reading | None]
"""What a sentence says; None stands for what is there and cannot be."""


def _reading(quantity: str, value: float) -> Reading | None:
    """A reading, if its value can be."""
    unit, least, most = QUANTITIES[quantity]
    if not least <= value <= most:
        return None
    return Reading(quantity=quantity, value=round(value, 4), unit=unit)


def _value(text: bytes) -> float | None:
    return number(text, -1e9, 1e9)


def _told(quantity: str, text: bytes, factor: float = 1.0) -> Told:
    """What stands in a field; nothing, if it is empty."""
    if text:
        value = _value(text)
        yield None if value is None else _reading(quantity, value * factor)


def _plain(quantity: str, letter: bytes) -> Callable[[Fields], Told]:
    """A sentence of one value and the letter of its unit."""

    def take(fields: Fields) -> Told:
        if fields[2] == letter:
            yield from _told(quantity, fields[1])
        elif fields[1]:
            yield None

    return take


def _flagged(*quantities: str) -> Callable[[Fields], Told]:
    """A sentence of values, each with an A where it is valid."""

    def take(fields: Fields) -> Told:
        for at, quantity in enumerate(quantities):
            if fields[2 * at + 2] == b"A":
                yield from _told(quantity, fields[2 * at + 1])

    return take


def _first(quantity: str, fields: Fields, units: dict[bytes, float], *places: int) -> Told:
    """The same quantity stands there in several units: the first that is there counts."""
    for place in places:
        if fields[place]:
            factor = units.get(fields[place + 1])
            if factor is None:
                yield None
            else:
                yield from _told(quantity, fields[place], factor)
            return


def _depth(quantity: str) -> Callable[[Fields], Told]:
    return lambda fields: _first(quantity, fields, METRES, 3, 1, 5)


def _dpt(fields: Fields) -> Told:
    yield from _told("depth_below_transducer", fields[1])
    depth, offset = _value(fields[1]), _value(fields[2])
    if fields[2] and (offset is None or abs(offset) > 100):
        yield None
    elif depth is not None and offset:
        yield _reading("depth_below_surface" if offset > 0 else "depth_below_keel", depth + offset)


def _mwv(fields: Fields) -> Told:
    if fields[5] != b"A":  # some gateways leave it out: then nobody vouches for the wind
        return
    wind = {b"R": "wind_apparent", b"T": "wind_true_rel"}.get(fields[2])
    if wind is None:
        yield None
        return
    yield from _told(f"{wind}_angle", fields[1])
    yield from _first(f"{wind}_speed", fields, MPS, 3)


def _side_wind(wind: str) -> Callable[[Fields], Told]:
    """Degrees to port or starboard become degrees from the bow, clockwise."""

    def take(fields: Fields) -> Told:
        angle, side = _value(fields[1]), fields[2]
        if angle is not None and 0 <= angle <= 180 and side in (b"L", b"R"):
            yield _reading(f"{wind}_angle", angle if side == b"R" else (360 - angle) % 360)
        elif fields[1]:
            yield None
        yield from _first(f"{wind}_speed", fields, MPS, 3, 5, 7)

    return take


def _mwd(fields: Fields) -> Told:
    yield from _told("wind_true_ground_direction", fields[1])
    yield from _told("wind_true_ground_direction_magnetic", fields[3])
    yield from _first("wind_true_ground_speed", fields, MPS, 7, 5)


def _vhw(fields: Fields) -> Told:
    yield from _told("heading_true", fields[1])
    yield from _told("heading_magnetic", fields[3])
    yield from _first("speed_through_water", fields, MPS, 5, 7)


def _hdg(fields: Fields) -> Told:
    sensor = _value(fields[1])
    if sensor is None or not 0 <= sensor <= 360:
        if fields[1]:
            yield None
        return
    try:
        deviation, variation = _east(fields[2], fields[3]), _east(fields[4], fields[5])
    except ValueError:
        yield None
        return
    magnetic = sensor + (deviation or 0)
    yield _reading("heading_magnetic", magnetic % 360)
    if variation is not None:
        yield _reading("magnetic_variation", variation)
        yield _reading("heading_true", (magnetic + variation) % 360)


def _east(text: bytes, side: bytes) -> float | None:
    """Degrees to the east; None where it is empty, ValueError where it can't be."""
    value = _value(text)
    if not text:
        return None
    if value is None or not 0 <= value <= 180 or side not in (b"E", b"W"):
        raise ValueError
    return -value if side == b"W" else value


def _vtg(fields: Fields) -> Told:
    if fields[2] == b"T" and fields[9] in (b"", b"A", b"D"):
        yield from _told("course_over_ground_true", fields[1])
        yield from _first("speed_over_ground", fields, MPS, 5, 7)


def _mda(fields: Fields) -> Told:
    yield from _first("air_pressure", fields, PASCALS, 3, 1)
    yield from _first("air_temperature", fields, CELSIUS, 5)
    yield from _first("water_temperature", fields, CELSIUS, 7)
    yield from _told("relative_humidity", fields[9])
    yield from _first("dew_point", fields, CELSIUS, 11)
    yield from _told("wind_true_ground_direction", fields[13])
    yield from _told("wind_true_ground_direction_magnetic", fields[15])
    yield from _first("wind_true_ground_speed", fields, MPS, 19, 17)


def _vlw(fields: Fields) -> Told:
    for at, way in ((1, "through_water"), (5, "over_ground")):
        yield from _first(f"distance_{way}", fields, NAUTICAL_M, at)
        yield from _first(f"trip_distance_{way}", fields, NAUTICAL_M, at + 2)


def _rpm(fields: Fields) -> Told:
    what = {b"E": "engine", b"S": "shaft"}.get(fields[1])
    if fields[5] == b"V" or not fields[3]:
        return
    if what is None or not (fields[2].isdigit() and len(fields[2]) < 3):
        yield None
        return
    for name, text, (unit, least, most) in (("speed", fields[3], TURNS), ("pitch", fields[4], PITCH)):
        value = number(text, least, most)
        if value is not None:
            yield Reading(quantity=f"{what}_{int(fields[2])}_{name}", value=value, unit=unit)
        elif text:
            yield None


TAKES: dict[bytes, Callable[[Fields], Told]] = {
    b"DBT": _depth("depth_below_transducer"), b"DBS": _depth("depth_below_surface"),
    b"DBK": _depth("depth_below_keel"), b"DPT": _dpt,
    b"MWV": _mwv, b"MWD": _mwd, b"VWR": _side_wind("wind_apparent"), b"VWT": _side_wind("wind_true_rel"),
    b"VHW": _vhw, b"MTW": _plain("water_temperature", b"C"),
    b"HDT": _plain("heading_true", b"T"), b"HDM": _plain("heading_magnetic", b"M"),
    b"THS": _flagged("heading_true"), b"HDG": _hdg,
    b"RSA": _flagged("rudder_angle", "rudder_angle_port"), b"ROT": _flagged("rate_of_turn"),
    b"VTG": _vtg, b"XDR": transduced, b"MDA": _mda, b"VLW": _vlw, b"RPM": _rpm,
}  # fmt: skip
"""Each sentence that is understood."""
