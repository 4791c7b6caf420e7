"""Formats values as text lines with units and aligned columns."""

from dataclasses import fields
from datetime import datetime
from typing import Any

from agent.domain.message import stamp
from firmware_bridge.readings import Value

UNITS: dict[str, tuple[str, int]] = {
    "_mps": (" m/s", 1),
    "_dps": ("°/s", 1),
    "_deg": ("°", 1),
    "_pct": (" %", 0),
    "_dbhz": (" dBHz", 0),
    "_dbm": (" dBm", 0),
    "_ms": (" ms", 0),
    "_v": (" V", 1),
    "_a": (" A", 1),
    "_s": (" s", 1),
    "_m": (" m", 1),
}
"""Suffix of a field name: its unit, and the number of decimals."""
BARE = frozenset({"quantity", "value", "unit", "name", "on", "text", "mode", "state", "severity", "time"})
"""Fields that are printed without their name."""


class TextTable:
    """Formats one line per value. A column is as wide as its widest cell so far, per kind of value."""

    def __init__(self) -> None:
        self._widths: dict[tuple[str, str], int] = {}

    def line(self, at: datetime, value: Value) -> str:
        """Time, kind, and all fields that have a value."""
        cells = []
        for field in fields(value):
            column = (value.kind, field.name)
            if field.name == "kind":
                continue
            text = cell(field.name, getattr(value, field.name))
            width = self._widths[column] = max(len(text), self._widths.get(column, 0))
            if width:
                cells.append(text.rjust(width) if field.name == "value" else text.ljust(width))
        return f"{stamp(at)[11:23]}  {value.kind.replace('_', ' '):10}  {'  '.join(cells)}".rstrip()


def cell(name: str, value: Any) -> str:
    """``alt_m`` 11.28 becomes "alt 11.3 m"; a field without a value becomes an empty cell."""
    if value is None or (isinstance(value, dict | tuple) and not value):
        return ""
    if name == "on":
        return ("off", "on")[value]
    if name.endswith(("lat", "lon")):
        north_east, south_west = "NS" if name.endswith("lat") else "EW"
        label = name[:-3].replace("_", " ")
        return f"{label}{abs(value):.6f}°{north_east if value >= 0 else south_west}"
    ending = next((ending for ending in UNITS if name.endswith(ending)), "")
    label = "" if name in BARE else name.removesuffix(ending).replace("_", " ") + " "
    return label + _text(value, *UNITS.get(ending, ("", -1)))


def _text(value: Any, unit: str, decimals: int) -> str:
    if isinstance(value, bool):
        return ("no", "yes")[value]
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, float):
        return (f"{value:g}" if decimals < 0 else f"{value:.{decimals}f}") + unit
    if isinstance(value, dict):
        return ", ".join(f"{one} {count}" for one, count in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return f"{value}{unit}"
