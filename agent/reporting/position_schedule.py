"""When the position goes out: on a change, and otherwise as the last message promised. Pure.

Devices that do not move would make two thirds of all messages of a city. A position goes out at once when the
receiver, its mode or its trust changes; not more often than ``position_every`` where the device has moved by
more than the error of its position; and at the latest after the ``next_within_s`` of the last one: the
heartbeat, or ``position_every`` for a device that is on its way. So a centre knows how long a position holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from firmware_bridge.wgs84 import distance_m

HEARTBEAT_S = 60.0
UNKNOWN_ERROR_M = 5.0
"""For a receiver that gives no error."""


@dataclass(slots=True)
class PositionSchedule:
    """The last position that went out. ``now_s`` is the monotonic clock; ``every_s`` the fastest rate."""

    _key: tuple[Any, ...] = ()
    _sent_s: float | None = None
    _next_s: float = 0.0
    _place: tuple[float, float] | None = None

    def due(
        self,
        key: tuple[Any, ...],
        fields: Mapping[str, Any],
        every_s: float,
        now_s: float,
        *,
        steady: bool = False,
    ) -> bool:
        """``key``: receiver, mode and trust. ``fields``: of the position as it is now. ``steady``: at the
        fastest rate, whether the device moves or not."""
        if self._sent_s is None or key != self._key or now_s >= self._next_s:
            return True
        return now_s - self._sent_s >= every_s and (steady or self._moved(fields))

    def sent(
        self,
        key: tuple[Any, ...],
        fields: Mapping[str, Any],
        every_s: float,
        now_s: float,
        *,
        steady: bool = False,
    ) -> float:
        """The position goes out: within how many seconds the next one will."""
        fast = steady or _on_its_way(fields, every_s)
        within_s = every_s if fast else max(HEARTBEAT_S, every_s)
        self._key, self._sent_s, self._next_s = key, now_s, now_s + within_s
        self._place = _place(fields)
        return within_s

    def _moved(self, fields: Mapping[str, Any]) -> bool:
        place = _place(fields)
        if place is None or self._place is None:
            return place != self._place
        return distance_m(self._place, place) > _error_m(fields)


def _place(fields: Mapping[str, Any]) -> tuple[float, float] | None:
    lat, lon = fields.get("lat"), fields.get("lon")
    return None if lat is None or lon is None else (lat, lon)


def _error_m(fields: Mapping[str, Any]) -> float:
    error_m = fields.get("error_m")
    return UNKNOWN_ERROR_M if error_m is None else float(error_m)


def _on_its_way(fields: Mapping[str, Any], every_s: float) -> bool:
    """Whether it will have moved by more than the error when ``every_s`` are over."""
    return (fields.get("speed_mps") or 0.0) * every_s > _error_m(fields)
