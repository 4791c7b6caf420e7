"""Fields of messages as the map uses them: of the expected type and size, else None. Pure.

A device may send anything under any name: no reader of a field may raise.
"""

import math
from datetime import datetime

from agent.cli.device_presence import parse_instant
from agent.runtime.sanitize import as_list, printable

MAX_TEXT = 300
"""Characters of a text that is shown."""
MAX_NAME = 64
FIRST_YEAR, LAST_YEAR = 2000, 9000


def number(value: object, low: float = -math.inf, high: float = math.inf) -> float | None:
    """A finite number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and low <= found <= high else None


def whole(value: object, low: int = 0, high: int = 2**53) -> int | None:
    """A whole number from ``low`` to ``high``."""
    return value if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high else None


def text(value: object, most: int = MAX_TEXT) -> str:
    """A text on one line without control characters; empty for anything else."""
    if not isinstance(value, str):
        return ""
    short = value[:most]
    return short if short.isprintable() else printable(short)


def name(value: object) -> str:
    """A short text, such as the name of a zone; empty for anything else."""
    return text(value, MAX_NAME)


def texts(value: object, most: int = 50) -> tuple[str, ...]:
    """The texts of a list."""
    return tuple(text(one) for one in as_list(value)[:most] if isinstance(one, str))


def instant(value: object) -> datetime | None:
    """An instant in UTC; None for one before any device, or so far ahead that no time can be added to it."""
    at = parse_instant(value)
    return at if at is not None and FIRST_YEAR <= at.year <= LAST_YEAR else None


def coordinates(lat: object, lon: object) -> tuple[float, float] | None:
    """Latitude and longitude in degrees; 0, 0 is what a receiver without a position sends."""
    north, east = number(lat, -90, 90), number(lon, -180, 180)
    return None if north is None or east is None or (north == 0 and east == 0) else (north, east)
