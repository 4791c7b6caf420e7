"""Boat instruments over NMEA 0183: sentences in, one `Reading` for each quantity that they tell.

    $SDDBT,feet,f,metres,M,fathoms,F   below the transducer; DBS below the surface, DBK below the keel
    $SDDPT,metres,offset,range         offset above 0: transducer to surface, below 0: transducer to keel
    $WIMWV,angle,R,speed,N,A           R apparent, T true, both from the bow; A valid, and nothing else is
    $WIMWD,true,T,magnetic,M,knots,N,m/s,M        where the wind comes from, over ground
    $WIVWR,angle,L,knots,N,m/s,M,km/h,K           apparent, L or R of the bow; VWT true
    $VWVHW,true,T,magnetic,M,knots,N,km/h,K       heading and speed through water
    $YXMTW,degrees,C    $HEHDT,degrees,T    $HCHDM,degrees,M    $HETHS,degrees,A
    $HCHDG,sensor,deviation,E,variation,E         magnetic = sensor + deviation, true = magnetic + variation
    $WIMDA,inHg,I,bar,B,air,C,water,C,humidity,absolute,dew point,C,wind true,T,magnetic,M,knots,N,m/s,M
    $VWVLW,miles,N,since reset,N,over ground,N,since reset,N
    $ERRPM,E,number,1/min,pitch,A                 E engine, S shaft
    $AGRSA,rudder,A,port rudder,A    $TIROT,degrees a minute,A    $IIVTG,course,T,,M,knots,N,…
    $YXXDR,{type,value,unit,name} x n             one that is broken takes no other with it

    quantity                        unit      from
    depth_below_transducer          m         DBT, DPT
    depth_below_surface             m         DBS, DPT
    depth_below_keel                m         DBK, DPT
    wind_apparent_angle             deg       MWV R, VWR    from the bow, clockwise, 0 to 360
    wind_apparent_speed             m/s       MWV R, VWR
    wind_true_rel_angle             deg       MWV T, VWT    from the bow too: true is the wind on the water
    wind_true_rel_speed             m/s       MWV T, VWT
    wind_true_ground_direction      deg       MWD           from true north; …_magnetic from magnetic
    wind_true_ground_speed          m/s       MWD
    speed_through_water             m/s       VHW
    water_temperature               degC      MTW
    heading_true                    deg       HDT, THS, HDG, VHW
    heading_magnetic                deg       HDM, HDG, VHW
    magnetic_variation              deg       HDG           east above 0
    rudder_angle, rudder_angle_port deg       RSA           to starboard above 0
    rate_of_turn                    deg/min   ROT           to starboard above 0
    course_over_ground_true         deg       VTG of an instrument; that of a GNSS receiver is in its fix
    speed_over_ground               m/s       VTG likewise
    air_pressure                    Pa        MDA
    air_temperature, dew_point      degC      MDA
    relative_humidity               percent   MDA
    distance_through_water          m         VLW; trip_… since it was reset, …_over_ground likewise
    engine_N_speed, shaft_N_speed   1/min     RPM; N is the number, 0 that of the one amidships
    engine_N_pitch, shaft_N_pitch   percent   RPM
    temperature_NAME, pressure_NAME, …        XDR, see `transducers.py`

Any talker but vendors' ``$P…``, numbers too. What is empty is absent; what is no number, has another unit
or lies where it can't (`QUANTITIES`) is counted as bad and not told. Source: NMEA 0183 v4.11, and recordings.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from firmware_bridge.nmea.sentence import number, seal
from firmware_bridge.nmea.transducers import TRANSDUCERS, transduced
from firmware_bridge.readings import Reading, Value
from firmware_bridge.units import KNOT_MPS

Fields: TypeAlias = list[bytes]
Told: TypeAlias = Iterator[Reading | None]
"""What a sentence says; None stands for what is there and cannot be."""

# quantity: unit, least, most
QUANTITIES: dict[str, tuple[str, float, float]] = {
    "depth_below_transducer": ("m", 0, 12_000),
    "depth_below_surface": ("m", 0, 12_000),
    "depth_below_keel": ("m", -20, 12_000),
    "wind_apparent_angle": ("deg", 0, 360),
    "wind_apparent_speed": ("m/s", 0, 120),
    "wind_true_rel_angle": ("deg", 0, 360),
    "wind_true_rel_speed": ("m/s", 0, 120),
    "wind_true_ground_direction": ("deg", 0, 360),
    "wind_true_ground_direction_magnetic": ("deg", 0, 360),
    "wind_true_ground_speed": ("m/s", 0, 120),
    "speed_through_water": ("m/s", -20, 60),
    "water_temperature": ("degC", -5, 60),
    "heading_true": ("deg", 0, 360),
    "heading_magnetic": ("deg", 0, 360),
    "magnetic_variation": ("deg", -180, 180),
    "rudder_angle": ("deg", -90, 90),
    "rudder_angle_port": ("deg", -90, 90),
    "rate_of_turn": ("deg/min", -7200, 7200),
    "course_over_ground_true": ("deg", 0, 360),
    "speed_over_ground": ("m/s", 0, 100),
    "air_pressure": ("Pa", 80_000, 120_000),
    "air_temperature": ("degC", -60, 70),
    "dew_point": ("degC", -80, 60),
    "relative_humidity": ("percent", 0, 100),
    "distance_through_water": ("m", 0, 1e9),
    "trip_distance_through_water": ("m", 0, 1e9),
    "distance_over_ground": ("m", 0, 1e9),
    "trip_distance_over_ground": ("m", 0, 1e9),
}
NAMES = (
    *QUANTITIES,
    r"(engine|shaft)_\d+_(speed|pitch)",
    *sorted(rf"{quantity}(_[a-z0-9_]+)?" for quantity in {quantity for quantity, *_ in TRANSDUCERS.values()}),
)
"""Patterns of all quantities that are told."""
TURNS, PITCH = ("1/min", -10_000.0, 10_000.0), ("percent", -100.0, 100.0)
GNSS = frozenset({b"GP", b"GL", b"GA", b"GB", b"BD", b"GQ", b"GI", b"GN"})
"""Talkers whose VTG belongs to a fix."""
MPS = {b"N": KNOT_MPS, b"M": 1.0, b"K": 1 / 3.6, b"S": 1609.344 / 3600}
METRES = {b"M": 1.0, b"f": 0.3048, b"F": 1.8288}
PASCALS = {b"B": 100_000.0, b"I": 3386.389}
NAUTICAL_M = {b"N": 1852.0}
CELSIUS = {b"C": 1.0}
ALL_FIELDS = 21
"""A sentence that ends early lacks its last fields."""


class InstrumentDecoder:
    """Checked sentences in, readings out. ``bad`` counts those whose content cannot be."""

    framings = ("nmea",)

    def __init__(self) -> None:
        self.bad = 0

    def feed(self, sentence: bytes) -> list[Value]:
        """What an instrument's sentence says; nothing for all others, which are never split."""
        kind = sentence[3:6]
        take = TAKES.get(kind)
        if take is None or sentence[6:7] != b"," or sentence[:1] != b"$" or sentence[1:2] == b"P":
            return []
        if kind == b"VTG" and sentence[1:3] in GNSS:
            return []
        fields = sentence.partition(b"*")[0].split(b",")
        told = list(take(fields + [b""] * (ALL_FIELDS - len(fields))))
        self.bad += None in told
        return [reading for reading in told if reading is not None]

    def pause(self) -> list[Value]:
        """Nothing is held back."""
        return []

    def replies(self) -> bytes:
        """Nothing: it only listens."""
        return b""


def encode(*readings: Reading, talker: str = "II") -> bytes:
    """Sentences that say these readings; ValueError for a quantity that stands in none."""
    said = {one.quantity: f"{one.value / SAID_IN.get(one.quantity, 1):.6g}" for one in readings}
    bodies = []
    for quantities, body in SAYS:
        if any(quantity in said for quantity in quantities):
            bodies.append(talker + body.format(*(said.pop(quantity, "") for quantity in quantities)))
    if said:
        known = ", ".join(quantity for quantities, _ in SAYS for quantity in quantities)
        raise ValueError(f"no sentence for {', '.join(said)}; known: {known}")
    return b"".join(map(seal, bodies))


SAYS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("depth_below_transducer",), "DBT,,f,{0},M,,F"),
    (("depth_below_surface",), "DBS,,f,{0},M,,F"),
    (("depth_below_keel",), "DBK,,f,{0},M,,F"),
    (("wind_apparent_angle", "wind_apparent_speed"), "MWV,{0},R,{1},M,A"),
    (("wind_true_rel_angle", "wind_true_rel_speed"), "MWV,{0},T,{1},M,A"),
    (
        ("wind_true_ground_direction", "wind_true_ground_direction_magnetic", "wind_true_ground_speed"),
        "MWD,{0},T,{1},M,,N,{2},M",
    ),
    (("speed_through_water",), "VHW,,T,,M,{0},N,,K"),
    (("water_temperature",), "MTW,{0},C"),
    (("heading_true",), "HDT,{0},T"),
    (("heading_magnetic",), "HDM,{0},M"),
    (("rudder_angle", "rudder_angle_port"), "RSA,{0},A,{1},A"),
    (("rate_of_turn",), "ROT,{0},A"),
)
"""Sentences that are made: the quantities that stand in each, in their order."""
SAID_IN = {"speed_through_water": KNOT_MPS}
"""Units of sentences that are not ours."""


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
