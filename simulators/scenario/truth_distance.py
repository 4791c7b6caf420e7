"""How far a reported position is from the truth of a run. Pure."""

import math
from bisect import bisect_left
from collections import defaultdict
from typing import Any

from simulators.run_record import Fields, RunRecord

EARTH_M = 6_371_008.8
"""The mean radius."""
BEFORE_S, AFTER_S = 2.0, 1.0
"""A message reports what was measured shortly before; the truth is written each second."""


def distance_m(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """The great-circle distance in metres (haversine)."""
    rise = math.radians(other_lat - lat) / 2
    turn = math.radians(other_lon - lon) / 2
    share = math.sin(rise) ** 2 + (
        math.cos(math.radians(lat)) * math.cos(math.radians(other_lat)) * math.sin(turn) ** 2
    )
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(share)))


def reported_position(message: Fields) -> tuple[float, float] | None:
    """The point of an alert, or the position of any other message."""
    body = message["body"]
    alert = body.get("alert")
    fields: Any = alert.get("point") if isinstance(alert, dict) else body
    if not isinstance(fields, dict):
        return None
    lat, lon = fields.get("lat"), fields.get("lon")
    return (lat, lon) if isinstance(lat, int | float) and isinstance(lon, int | float) else None


class TruePlaces:
    """Where each device and each object of the world was."""

    def __init__(self, record: RunRecord) -> None:
        self._places: defaultdict[str, list[tuple[float, float, float]]] = defaultdict(list)
        for one in record.truth:
            name = one.get("device") or one.get("object")
            if name is not None and "lat" in one:
                self._places[str(name)].append((one["t"], one["lat"], one["lon"]))

    def distance_m(self, message: Fields, whose: str | None = None) -> float | None:
        """Metres between a message and the truth of ``whose``, by default of its device; None without
        either. What stands still has one truth, what moves one each second: the nearest in time count."""
        reported = reported_position(message)
        places = self._places.get(whose or message["device"], [])
        if reported is None or not places:
            return None
        first = bisect_left(places, (message["t"] - BEFORE_S,))
        last = bisect_left(places, (message["t"] + AFTER_S,))
        near = places[first:last] or places[max(0, first - 1) : first] or places[:1]
        return min(distance_m(*reported, lat, lon) for _, lat, lon in near)
