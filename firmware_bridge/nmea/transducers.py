"""XDR: transducers of all kinds in one sentence, in groups of type, value, unit and name. Pure.

    $IIXDR,P,1.02481,B,Baro,C,19.5,C,TempAir    pressure_baro 102481 Pa, temperature_tempair 19.5 degC

Own code, because libraries lose the whole sentence where one group is damaged.
"""

import re
from collections.abc import Iterator

from firmware_bridge.nmea.sentence import number
from firmware_bridge.readings import Reading

# XDR type and unit: quantity, unit, factor, offset, least, most
TRANSDUCERS: dict[tuple[bytes, bytes], tuple[str, str, float, float, float, float]] = {
    (b"A", b"D"): ("angle", "deg", 1, 0, -360, 360),
    (b"C", b"C"): ("temperature", "degC", 1, 0, -100, 1500),
    (b"C", b"F"): ("temperature", "degC", 5 / 9, -160 / 9, -100, 1500),
    (b"C", b"K"): ("temperature", "degC", 1, -273.15, -100, 1500),
    (b"D", b"M"): ("displacement", "m", 1, 0, -12_000, 12_000),
    (b"F", b"H"): ("frequency", "Hz", 1, 0, 0, 1e9),
    (b"H", b"P"): ("relative_humidity", "percent", 1, 0, 0, 100),
    (b"I", b"A"): ("current", "A", 1, 0, -10_000, 10_000),
    (b"L", b"S"): ("salinity", "ppt", 1, 0, 0, 400),
    (b"P", b"B"): ("pressure", "Pa", 100_000, 0, 0, 1e8),
    (b"P", b"P"): ("pressure", "Pa", 1, 0, 0, 1e8),
    (b"R", b"L"): ("flow", "m3/s", 0.001, 0, 0, 1000),
    (b"T", b"R"): ("rotation", "1/min", 1, 0, 0, 100_000),
    (b"U", b"V"): ("voltage", "V", 1, 0, -10_000, 10_000),
    (b"V", b"M"): ("volume", "m3", 1, 0, 0, 1e6),
    (b"V", b"P"): ("level", "percent", 1, 0, 0, 100),
}

UNITS = {kind: unit for kind, unit in reversed(TRANSDUCERS) if kind not in (b"C", b"P", b"V")} | {b"C": b"C"}
"""The unit that is meant where it is omitted; a pressure's unit follows from its value, that of a volume
or level is unknown."""
BARS = 50.0
"""A pressure below this is in bars, above 10,000 in pascals."""

_NOT_A_NAME = re.compile(r"[^a-z0-9]+").sub


def transduced(fields: list[bytes]) -> Iterator[Reading | None]:
    """The reading of each complete and known group; None for a group with an invalid value.

    Anything else is skipped field by field, so that a damaged group affects no other.
    """
    at = 1
    while at + 2 < len(fields):
        text, unit = fields[at + 1], fields[at + 2] or _unit(fields[at], fields[at + 1])
        found = TRANSDUCERS.get((fields[at], unit))
        value = number(text, -1e9, 1e9)
        if found is None or (text and value is None):
            if found is not None:
                yield None
            at += 1
            continue
        if value is not None:
            quantity, si_unit, factor, offset, least, most = found
            value = value * factor + offset
            name = _slug(fields[at + 3]) if at + 3 < len(fields) else ""
            quantity = f"{quantity}_{name}" if name else quantity
            reading = Reading(quantity=quantity, value=round(value, 4), unit=si_unit)
            yield reading if least <= value <= most else None
        at += 4


def _unit(kind: bytes, text: bytes) -> bytes:
    """The unit of a transducer that omits it; empty where it is unknown."""
    if kind != b"P":
        return UNITS.get(kind, b"")
    value = number(text, 0.0, 1e9)
    return b"" if value is None or BARS <= value < 10_000 else b"B" if value < BARS else b"P"


def _slug(name: bytes) -> str:
    return _NOT_A_NAME("_", name.decode("ascii", "replace").lower()).strip("_")[:24]
