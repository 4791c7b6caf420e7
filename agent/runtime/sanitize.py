"""What came from a broker may be anything: read as JSON, and shown on a terminal as one plain line. Pure."""

import json
import math
import re
from typing import Any, TextIO, cast

MOST_SHOWN = 500
"""Characters of one word that people are shown."""


def readable(payload: bytes) -> dict[str, Any] | None:
    """The JSON object in a payload; None for anything else (a picture, garbage, NaN)."""
    try:
        body = json.loads(payload, parse_constant=_number, parse_float=_number)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def printable(value: object) -> str:
    """``value`` for people: nothing in it steers a terminal, breaks a line or can't be written."""
    text = str(value)[:MOST_SHOWN]
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


_STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""All of C0, DEL and C1 but tab and line feed, and what changes the direction or the line of a text."""


def escaped(text: str) -> str:
    """``text`` with each character that steers a terminal as ``\\uXXXX``: in JSON that is the same string."""
    return _STEERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class PlainText:
    """A text stream that writes `escaped` text to ``raw``: for standard output and error, so that no verb
    prints what a file, a recording or a broker would have a terminal do."""

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        self.raw.write(escaped(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def plain(stream: TextIO) -> TextIO:
    """``stream`` as `PlainText`."""
    return cast(TextIO, PlainText(stream))


def terminal(stream: TextIO) -> TextIO:
    """The stream below `plain`, for writers that clean their words themselves and draw with escapes."""
    return stream.raw if isinstance(stream, PlainText) else stream


def as_list(value: object) -> list[Any]:
    """A list that should be one; empty for anything else."""
    return value if isinstance(value, list) else []


def as_dict(value: object) -> dict[str, Any]:
    """A mapping that should be one; empty for anything else."""
    return value if isinstance(value, dict) else {}


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number of JSON")
    return number
