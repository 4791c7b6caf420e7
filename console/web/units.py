"""Distances, speeds and temperatures in the units of a session. Pure."""

from typing import Literal

Units = Literal["metric", "nautical", "imperial"]
UNITS: dict[Units, str] = {"metric": "Metric", "nautical": "Nautical", "imperial": "Imperial"}

_MILE_M, _FOOT_M, _NAUTICAL_MILE_M = 1609.344, 0.3048, 1852.0


def distance(metres: float, units: Units = "metric") -> str:
    """A distance with three digits, such as ``870 m``, ``1.23 km``, ``0.66 nm`` or ``412 ft``."""
    size = abs(metres)
    if units == "nautical":
        return (
            _figure(metres, "m")
            if size < 0.1 * _NAUTICAL_MILE_M
            else _figure(metres / _NAUTICAL_MILE_M, "nm")
        )
    if units == "imperial":
        return _figure(metres / _FOOT_M, "ft") if size < 0.2 * _MILE_M else _figure(metres / _MILE_M, "mi")
    return _figure(metres, "m") if size < 1000 else _figure(metres / 1000, "km")


def speed(metres_per_s: float, units: Units = "metric") -> str:
    """A speed, such as ``18.0 km/h``, ``9.7 kn`` or ``11.2 mph``."""
    if units == "nautical":
        return f"{metres_per_s * 3600 / _NAUTICAL_MILE_M:.1f} kn"
    if units == "imperial":
        return f"{metres_per_s * 3600 / _MILE_M:.1f} mph"
    return f"{metres_per_s * 3.6:.1f} km/h"


def temperature(celsius: float, units: Units = "metric") -> str:
    """A temperature to a tenth of a degree."""
    return f"{celsius * 1.8 + 32:.1f} °F" if units == "imperial" else f"{celsius:.1f} °C"


def _figure(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f} {unit}"
