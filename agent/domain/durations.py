"""A duration as a technician writes it: ``20s``, ``500ms``, ``2m``, ``7d``, or a number of seconds."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
MAX_DURATION = timedelta(days=366)
PATTERN = r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$"


def parse_duration(value: Any) -> timedelta:
    """A duration from ``20s``, a number of seconds or a timedelta; ValueError names the right form."""
    if isinstance(value, timedelta):
        return value
    found = None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        found = timedelta(seconds=value)
    if isinstance(value, str) and len(value) <= 24 and (match := re.match(PATTERN, value)):
        number = float(match[1])
        if number < 1e9:
            found = timedelta(**{UNITS[match[2]]: number})
    if found is not None and found <= MAX_DURATION:
        return found
    if found is not None:
        raise ValueError(f"{value!r} is too long; the maximum is {format_duration(MAX_DURATION)}")
    raise ValueError(f"{value!r} is not a duration; write a number and ms, s, m, h or d, such as 20s or 1.5m")


def format_duration(value: timedelta) -> str:
    """The shortest exact form of a duration, such as ``90s`` or ``2m``."""
    milliseconds = round(value.total_seconds() * 1000)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": PATTERN}, {"type": "number", "minimum": 0}]}),
]
"""A field that is parsed by `parse_duration` and written by `format_duration`."""


def human_duration(seconds: float) -> str:
    """A duration for people, rounded down: ``45 s``, ``12 min``, ``3 h``."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
