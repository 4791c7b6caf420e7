"""Makes data from outside safe: parsed as a JSON object, and shown on a terminal as one plain line. Pure."""

import json
import math
import re
from typing import Any, TextIO, cast

MAX_SHOWN = 500
"""Characters of one value that people are shown."""


def json_object(payload: bytes) -> dict[str, Any] | None:
    """The JSON object in a payload; None for anything else (a picture, garbage, NaN)."""
    try:
        body = json.loads(payload, parse_constant=_number, parse_float=_number)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def printable(value: object) -> str:
    """``value`` for people, without characters that control a terminal, break a line or can't be printed."""
    text = str(value)[:MAX_SHOWN]
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""C0, DEL and C1 except tab and line feed, and characters that change the direction or the line of a text."""


def escaped(text: str) -> str:
    """``text`` with each character that controls a terminal as ``\\uXXXX``, which JSON reads as the same."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class PlainText:
    """A text stream that writes `escaped` text to ``raw``: for standard output and error, so that no command
    passes control characters of a file, a recording or a broker to the terminal."""

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        self.raw.write(escaped(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def escaping_stream(stream: TextIO) -> TextIO:
    """``stream`` as `PlainText`."""
    return cast(TextIO, PlainText(stream))


def raw_stream(stream: TextIO) -> TextIO:
    """The stream below `escaping_stream`, for writers that escape values themselves and draw."""
    return stream.raw if isinstance(stream, PlainText) else stream


def as_list(value: object) -> list[Any]:
    """``value`` where it is a list; empty for anything else."""
    return value if isinstance(value, list) else []


def as_dict(value: object) -> dict[str, Any]:
    """``value`` where it is a mapping; empty for anything else."""
    return value if isinstance(value, dict) else {}


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a JSON number")
    return number
