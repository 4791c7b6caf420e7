"""The quantities of boat instruments: unit and valid range of each, and factors of the sentences' units."""

from firmware_bridge.nmea.transducers import TRANSDUCERS
from firmware_bridge.units import KNOT_MPS

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
"""Patterns of all quantities that a decoder may emit."""


TURNS, PITCH = ("1/min", -10_000.0, 10_000.0), ("percent", -100.0, 100.0)


MPS = {b"N": KNOT_MPS, b"M": 1.0, b"K": 1 / 3.6, b"S": 1609.344 / 3600}


METRES = {b"M": 1.0, b"f": 0.3048, b"F": 1.8288}


PASCALS = {b"B": 100_000.0, b"I": 3386.389}


NAUTICAL_M = {b"N": 1852.0}


CELSIUS = {b"C": 1.0}
