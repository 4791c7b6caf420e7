"""One NMEA 0183 sentence: its fields as numbers, times and degrees, and its checksum. Pure.

    $GPRMC,061231.00,A,3206.97200,N,11844.42400,E,…*hh    hh: exclusive or of all bytes between $ and *

An incomplete or invalid field is None.
"""

import re

DAY_MS = 86_400_000

_CLOCK = re.compile(rb"([01]\d|2[0-3])([0-5]\d)([0-5]\d|60)(?:\.(\d{0,9}))?").fullmatch
_MINUTES = rb"([0-5]\d(?:\.\d*)?|60(?:\.0*)?)"  # some receivers round up to 60.0000
_LAT = re.compile(rb"(\d\d)" + _MINUTES).fullmatch
_LON = re.compile(rb"(\d{3})" + _MINUTES).fullmatch
_NORTH = {b"N": 1, b"S": -1, b"n": 1, b"s": -1}
_EAST = {b"E": 1, b"W": -1, b"e": 1, b"w": -1}
_NUMBER = re.compile(rb"-?(?:\d{1,9}(?:\.\d*)?|\.\d+)").fullmatch


def number(text: bytes, least: float, most: float) -> float | None:
    """The number in ``text`` if it is within the range."""
    if _NUMBER(text) is None:
        return None
    value = float(text)
    return value if least <= value <= most else None


def clock_ms(text: bytes) -> int | None:
    """Milliseconds of the day in ``hhmmss.sss``; 23:59:60 is valid."""
    found = _CLOCK(text)
    if found is None:
        return None
    hours, minutes, seconds, rest = found.groups(b"")
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(rest[:3].ljust(3, b"0"))


def position(lat: bytes, north: bytes, lon: bytes, east: bytes) -> tuple[float, float] | None:
    """Latitude and longitude in ``ddmm.mm,N,dddmm.mm,E``: all digits present, in range, and not 0/0."""
    lat_found, lon_found = _LAT(lat), _LON(lon)
    if lat_found is None or lon_found is None or north not in _NORTH or east not in _EAST:
        return None
    lat_deg = int(lat_found[1]) + float(lat_found[2]) / 60
    lon_deg = int(lon_found[1]) + float(lon_found[2]) / 60
    if lat_deg > 90 or lon_deg > 180 or lat_deg == lon_deg == 0:
        return None
    return lat_deg * _NORTH[north], lon_deg * _EAST[east]


def format_position(lat: float, lon: float) -> str:
    """``ddmm.mmmmm,N,dddmm.mmmmm,E``"""
    north, north_minutes = divmod(round(abs(lat) * 60, 5), 60)
    east, east_minutes = divmod(round(abs(lon) * 60, 5), 60)
    return (
        f"{int(north):02d}{north_minutes:08.5f},{'NS'[lat < 0]},"
        f"{int(east):03d}{east_minutes:08.5f},{'EW'[lon < 0]}"
    )


def seal(body: str) -> bytes:
    """A sentence on the wire: ``$body*hh`` and a line end."""
    checksum = 0
    for byte in body.encode("ascii"):
        checksum ^= byte
    return f"${body}*{checksum:02X}\r\n".encode("ascii")
