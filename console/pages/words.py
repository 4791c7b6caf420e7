"""Numbers, ages and instants in words, for people. Pure."""

from collections.abc import Callable
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Literal, TypeAlias

Translate: TypeAlias = Callable[..., str]
"""`Session.t`: the English text, and values for its ``{names}``."""
Kind: TypeAlias = Literal["good", "doubt", "bad", "idle"]
"""How a state is drawn: each has a colour and a shape of its own."""

NONE = "–"


FUTURE_S = 2.0
"""Clocks of two messages may be so far apart."""


def age_text(seconds: object) -> str:
    """An age such as ``0.4 s``, ``12 s``, ``3 min``, ``5 h``, ``2 d``; ``−60 min`` of what has a time in the
    future: a clock was wrong, and it must not look new."""
    number = as_number(seconds)
    if number is None:
        return NONE
    if number < -FUTURE_S:
        return f"−{age_text(-number)}"
    if number < 9.95:
        return f"{max(0.0, number):.1f} s"
    if number < 120:
        return f"{number:.0f} s"
    if number < 7200:
        return f"{number / 60:.0f} min"
    return f"{number / 3600:.0f} h" if number < 172_800 else f"{number / 86_400:.0f} d"


def number_text(value: object, unit: str = "") -> str:
    """A number with at most four digits behind the point, and its unit."""
    number = as_number(value)
    if number is None:
        return NONE
    size = abs(number)
    digits = 0 if size >= 1000 or number == int(number) else 1 if size >= 100 else 2 if size >= 1 else 4
    text = f"{number:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text} {unit}".rstrip()


def ms_text(value: object) -> str:
    """Milliseconds as ``0.4 ms``, ``35 ms``, ``1.2 s``, ``5 min``."""
    number = as_number(value)
    if number is None:
        return NONE
    if number >= 100_000:
        return age_text(number / 1000)
    if number >= 1000:
        return f"{number / 1000:.1f} s"
    return f"{number:.0f} ms" if number >= 10 else f"{number:.1f} ms"


def bytes_text(value: object) -> str:
    """Bytes as ``12 kB`` or ``3.4 MB``."""
    number = as_number(value) or 0.0
    return f"{number / 1e6:.1f} MB" if number >= 1e6 else f"{number / 1e3:.0f} kB"


def as_number(value: object) -> float | None:
    """``value`` where it is a number (no truth value, finite)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)


def instant(value: object) -> datetime | None:
    """An ISO 8601 text as an instant; None for anything else. Without a zone it is UTC."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def shown_value(value: Any) -> str:
    """Any JSON value as one text."""
    if isinstance(value, bool):
        return "✓" if value else "✕"
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {shown_value(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(shown_value, value))
    return NONE if value is None else str(value)
