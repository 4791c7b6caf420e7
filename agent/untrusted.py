"""What came from a broker may be anything: read as JSON, and shown on a terminal as one plain line. Pure."""

import json
import math
from typing import Any

MOST_SHOWN = 500
"""Characters of one word that people are shown."""


def readable(payload: bytes) -> dict[str, Any] | None:
    """The JSON object in a payload; None for anything else (a picture, garbage, NaN)."""
    try:
        body = json.loads(payload, parse_constant=_number, parse_float=_number)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def shown(value: object) -> str:
    """``value`` for people: nothing in it steers a terminal, breaks a line or can't be written."""
    text = str(value)[:MOST_SHOWN]
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def listed(value: object) -> list[Any]:
    """A list that should be one; empty for anything else."""
    return value if isinstance(value, list) else []


def mapped(value: object) -> dict[str, Any]:
    """A mapping that should be one; empty for anything else."""
    return value if isinstance(value, dict) else {}


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number of JSON")
    return number
