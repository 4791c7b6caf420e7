"""The fields of each boat instrument sentence as readings. Pure."""

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


Readings: TypeAlias = Iterator[Reading | None]
"""The readings of a sentence; None stands for a value that is present but invalid."""


def _reading(quantity: str, value: float) -> Reading | None:
    """A reading, if its value is in range."""
    unit, least, most = QUANTITIES[quantity]
    if not least <= value <= most:
        return None
    return Reading(quantity=quantity, value=round(value, 4), unit=unit)


def _value(text: bytes) -> float | None:
    return number(text, -1e9, 1e9)


def _field(quantity: str, text: bytes, factor: float = 1.0) -> Readings:
    """The reading in a field; nothing if it is empty."""
    if text:
        value = _value(text)
        yield None if value is None else _reading(quantity, value * factor)


def _single_value(quantity: str, letter: bytes) -> Callable[[Fields], Readings]:
    """A sentence of one value and the letter of its unit."""

    def take(fields: Fields) -> Readings:
        if fields[2] == letter:
            yield from _field(quantity, fields[1])
        elif fields[1]:
            yield None

    return take


def _flagged(*quantities: str) -> Callable[[Fields], Readings]:
    """A sentence of values, each followed by an A where it is valid."""

    def take(fields: Fields) -> Readings:
        for at, quantity in enumerate(quantities):
            if fields[2 * at + 2] == b"A":
                yield from _field(quantity, fields[2 * at + 1])

    return take


def _first_unit(quantity: str, fields: Fields, units: dict[bytes, float], *places: int) -> Readings:
    """The same quantity in several units: the first field that is not empty counts."""
    for place in places:
        if fields[place]:
            factor = units.get(fields[place + 1])
            if factor is None:
                yield None
            else:
                yield from _field(quantity, fields[place], factor)
            return


def _depth(quantity: str) -> Callable[[Fields], Readings]:
    return lambda fields: _first_unit(quantity, fields, METRES, 3, 1, 5)


def _dpt(fields: Fields) -> Readings:
    yield from _field("depth_below_transducer", fields[1])
    depth, offset = _value(fields[1]), _value(fields[2])
    if fields[2] and (offset is None or abs(offset) > 100):
        yield None
    elif depth is not None and offset:
        yield _reading("depth_below_surface" if offset > 0 else "depth_below_keel", depth + offset)


def _mwv(fields: Fields) -> Readings:
    if fields[5] != b"A":  # some gateways omit it: then nothing confirms the wind
        return
    wind = {b"R": "wind_apparent", b"T": "wind_true_rel"}.get(fields[2])
    if wind is None:
        yield None
        return
    yield from _field(f"{wind}_angle", fields[1])
    yield from _first_unit(f"{wind}_speed", fields, MPS, 3)


def _side_wind(wind: str) -> Callable[[Fields], Readings]:
    """Degrees to port or starboard as degrees from the bow, clockwise."""

    def take(fields: Fields) -> Readings:
        angle, side = _value(fields[1]), fields[2]
        if angle is not None and 0 <= angle <= 180 and side in (b"L", b"R"):
            yield _reading(f"{wind}_angle", angle if side == b"R" else (360 - angle) % 360)
        elif fields[1]:
            yield None
        yield from _first_unit(f"{wind}_speed", fields, MPS, 3, 5, 7)

    return take


def _mwd(fields: Fields) -> Readings:
    yield from _field("wind_true_ground_direction", fields[1])
    yield from _field("wind_true_ground_direction_magnetic", fields[3])
    yield from _first_unit("wind_true_ground_speed", fields, MPS, 7, 5)


def _vhw(fields: Fields) -> Readings:
    yield from _field("heading_true", fields[1])
    yield from _field("heading_magnetic", fields[3])
    yield from _first_unit("speed_through_water", fields, MPS, 5, 7)


def _hdg(fields: Fields) -> Readings:
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
    """Degrees to the east; None where the field is empty, ValueError where it is invalid."""
    value = _value(text)
    if not text:
        return None
    if value is None or not 0 <= value <= 180 or side not in (b"E", b"W"):
        raise ValueError
    return -value if side == b"W" else value


def _vtg(fields: Fields) -> Readings:
    if fields[2] == b"T" and fields[9] in (b"", b"A", b"D"):
        yield from _field("course_over_ground_true", fields[1])
        yield from _first_unit("speed_over_ground", fields, MPS, 5, 7)


def _mda(fields: Fields) -> Readings:
    yield from _first_unit("air_pressure", fields, PASCALS, 3, 1)
    yield from _first_unit("air_temperature", fields, CELSIUS, 5)
    yield from _first_unit("water_temperature", fields, CELSIUS, 7)
    yield from _field("relative_humidity", fields[9])
    yield from _first_unit("dew_point", fields, CELSIUS, 11)
    yield from _field("wind_true_ground_direction", fields[13])
    yield from _field("wind_true_ground_direction_magnetic", fields[15])
    yield from _first_unit("wind_true_ground_speed", fields, MPS, 19, 17)


def _vlw(fields: Fields) -> Readings:
    for at, way in ((1, "through_water"), (5, "over_ground")):
        yield from _first_unit(f"distance_{way}", fields, NAUTICAL_M, at)
        yield from _first_unit(f"trip_distance_{way}", fields, NAUTICAL_M, at + 2)


def _rpm(fields: Fields) -> Readings:
    machine = {b"E": "engine", b"S": "shaft"}.get(fields[1])
    if fields[5] == b"V" or not fields[3]:
        return
    if machine is None or not (fields[2].isdigit() and len(fields[2]) < 3):
        yield None
        return
    for name, text, (unit, least, most) in (("speed", fields[3], TURNS), ("pitch", fields[4], PITCH)):
        value = number(text, least, most)
        if value is not None:
            yield Reading(quantity=f"{machine}_{int(fields[2])}_{name}", value=value, unit=unit)
        elif text:
            yield None


SENTENCES: dict[bytes, Callable[[Fields], Readings]] = {
    b"DBT": _depth("depth_below_transducer"), b"DBS": _depth("depth_below_surface"),
    b"DBK": _depth("depth_below_keel"), b"DPT": _dpt,
    b"MWV": _mwv, b"MWD": _mwd, b"VWR": _side_wind("wind_apparent"), b"VWT": _side_wind("wind_true_rel"),
    b"VHW": _vhw, b"MTW": _single_value("water_temperature", b"C"),
    b"HDT": _single_value("heading_true", b"T"), b"HDM": _single_value("heading_magnetic", b"M"),
    b"THS": _flagged("heading_true"), b"HDG": _hdg,
    b"RSA": _flagged("rudder_angle", "rudder_angle_port"), b"ROT": _flagged("rate_of_turn"),
    b"VTG": _vtg, b"XDR": transduced, b"MDA": _mda, b"VLW": _vlw, b"RPM": _rpm,
}  # fmt: skip
"""The handler of each known sentence."""
