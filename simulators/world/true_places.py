"""Where everything truly was in a run, and what messages say of it. Pure."""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from firmware_bridge.wgs84 import Position
from simulators.run_record import Fields, RunRecord

EARTH_M = 6_371_008.8
"""The mean radius."""


def distance_m(one: Position, other: Position) -> float:
    """The great-circle distance (haversine)."""
    lat, lon, to_lat, to_lon = map(math.radians, (*one, *other))
    share = math.sin((to_lat - lat) / 2) ** 2
    share += math.cos(lat) * math.cos(to_lat) * math.sin((to_lon - lon) / 2) ** 2
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(share)))


class TruePlaces:
    """Where each device and each object truly was, in between by a straight line."""

    def __init__(self, record: RunRecord) -> None:
        self._places: defaultdict[str, list[tuple[float, float, float]]] = defaultdict(list)
        self._kinds: dict[str, str] = {}
        self._began: datetime | None = None
        for one in record.events:
            if one["event"] == "began" and (at := _instant(one.get("at"))) is not None:
                self._began = at - timedelta(seconds=one["t"])
        self.events = [one for one in record.truth if "event" in one]
        for one in record.truth:
            name = one.get("device") or one.get("object")
            if name is not None and "lat" in one:
                self._places[str(name)].append((one["t"], one["lat"], one["lon"]))
                self._kinds[str(name)] = one.get("kind", "device")

    def at(self, name: str, second: float) -> Position | None:
        """The place; None before it was there, and after an object has gone. A device stays where it was."""
        places = self._places.get(name)
        if not places or second < places[0][0] - 1:
            return None
        number = bisect_right(places, (second, math.inf, math.inf))
        before = places[max(0, number - 1)]
        if number >= len(places):
            gone = self._kinds[name] != "device" and second > before[0] + 1
            return None if gone else before[1:]
        after = places[number]
        span_s = after[0] - before[0]
        share = 0.0 if span_s <= 0 else max(0.0, (second - before[0]) / span_s)
        turn = (after[2] - before[2] + 180) % 360 - 180
        return before[1] + share * (after[1] - before[1]), before[2] + share * turn

    def holds_s(self, message: Fields) -> float:
        """The second of the run for which a message says where something is.

        It may have waited long on the device's disk: its own instant counts, unless that is impossible.
        """
        said, sent_s = _instant(message["body"].get("at")), float(message["t"])
        if said is not None and self._began is not None:
            said_s = (said - self._began).total_seconds()
            sent_s = said_s if 0 <= said_s <= sent_s else sent_s
        return sent_s - age_s(message)

    def speed_mps(self, name: str, second: float) -> float:
        """The mean speed over two seconds around."""
        before, after = self.at(name, second - 1), self.at(name, second + 1)
        return 0.0 if before is None or after is None else distance_m(before, after) / 2

    def objects(self, kinds: Iterable[str]) -> list[str]:
        """The names of all objects of these kinds; ``device`` for the devices."""
        wanted = set(kinds)
        return [name for name, kind in self._kinds.items() if kind in wanted]

    def error_m(self, message: Fields, whose: str | None = None) -> float | None:
        """Metres between what a message says and the truth of ``whose``, by default of its device, at the
        time for which it says it; None without either."""
        reported = reported_position(message)
        if reported is None:
            return None
        true = self.at(whose or message["device"], self.holds_s(message))
        return None if true is None else distance_m(reported, true)


def reported_position(message: Fields) -> Position | None:
    """The point of an alert, or the position of any other message."""
    fields = position_fields(message)
    lat, lon = fields.get("lat"), fields.get("lon")
    return (lat, lon) if isinstance(lat, int | float) and isinstance(lon, int | float) else None


def position_fields(message: Fields) -> Mapping[str, Any]:
    """The fields of a message that say where something is."""
    body = message["body"]
    alert = body.get("alert")
    fields = alert.get("point") if isinstance(alert, Mapping) else body
    return fields if isinstance(fields, Mapping) else {}


def age_s(message: Fields) -> float:
    """How long before its sending the position held."""
    found = position_fields(message).get("age_s", 0.0)
    return float(found) if isinstance(found, int | float) else 0.0


def _instant(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
