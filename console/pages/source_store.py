"""The newest values of all sources on a page, with their ages, and the tracks of what moves. Pure."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from console.agent_views import SourceUpdate, SourceValue
from console.pages.words import as_number
from firmware_bridge.wgs84 import distance_m

EVENTS = frozenset({"switch", "board_state", "status_text", "capture"})
"""Values that come when something happens: their age is no fault."""
QUIET_AFTER_S = 5.0
MOST_VALUES = 2_000
"""A page that stays open for days beside a busy river keeps no more."""
TRACK_POINTS = 500
TRACK_STEP_M = 2.0
MOTION = ("lat", "lon", "speed_mps", "course_deg", "heading_deg", "error_m")


@dataclass(frozen=True, slots=True)
class KnownValue:
    """A value and the instant at which it was measured, on the clock of the caller."""

    source: str
    source_kind: str
    kind: str
    key: str
    fields: dict[str, Any]
    at_s: float
    rate_hz: float | None
    doubt: str | None
    placed_s: float | None = None
    """When its position was measured: a static report of a vessel has none of its own."""

    def age_s(self, now_s: float) -> float:
        return max(0.0, now_s - self.at_s)

    def is_stale(self, now_s: float) -> bool:
        """Whether it should have come again: by five of its intervals, as the agent counts it."""
        if self.kind in EVENTS or self.rate_hz is None:
            return False
        return self.age_s(now_s) > max(QUIET_AFTER_S, 5 / max(self.rate_hz, 1e-3))

    @property
    def place(self) -> tuple[float, float] | None:
        """Latitude and longitude."""
        lat, lon = as_number(self.fields.get("lat")), as_number(self.fields.get("lon"))
        return None if lat is None or lon is None or self.fields.get("mode") == "none" else (lat, lon)


class SourceStore:
    """Takes the updates of the stream ``sources``."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, str], KnownValue] = {}
        self.tracks: dict[str, deque[tuple[float, float]]] = {}
        """Places of each receiver since the page was opened, by source."""

    def take(self, update: SourceUpdate, now_s: float) -> None:
        """Takes an update; a snapshot replaces all."""
        if update.snapshot:
            self._values.clear()
        for value in update.values:
            self._take(value, now_s)

    def _take(self, value: SourceValue, now_s: float) -> None:
        key = value["source"], value["value_kind"], value["key"]
        at_s = now_s - (as_number(value["age_s"]) or 0.0)
        fields, placed_s = dict(value["value"]), at_s
        before = self._values.get(key)
        if value["value_kind"] == "vessel" and before is not None and fields.get("lat") is None:
            fields = {**{name: before.fields[name] for name in MOTION if name in before.fields}, **fields}
            placed_s = before.placed_s if before.placed_s is not None else before.at_s
        known = KnownValue(
            value["source"], value["kind"], value["value_kind"], value["key"], fields, at_s,
            as_number(value["rate_hz"]), value.get("doubt"), placed_s,
        )  # fmt: skip
        self._values.pop(key, None)
        self._values[key] = known  # at the end: the one silent for longest stands first
        if len(self._values) > MOST_VALUES:
            del self._values[next(iter(self._values))]
        if known.kind == "fix" and known.doubt is None and (place := known.place) is not None:
            track = self.tracks.setdefault(known.source, deque(maxlen=TRACK_POINTS))
            if not track or distance_m(track[-1], place) >= TRACK_STEP_M:
                track.append(place)

    def of_kind(self, *kinds: str) -> list[KnownValue]:
        """The values of these kinds, by source and key."""
        found = (value for value in self._values.values() if value.kind in kinds)
        return sorted(found, key=lambda value: (value.source, value.kind, value.key))

    def sources(self) -> Iterator[tuple[str, list[KnownValue]]]:
        """Each source with its values, both by name."""
        names: dict[str, list[KnownValue]] = {}
        for value in self._values.values():
            names.setdefault(value.source, []).append(value)
        for name in sorted(names):
            yield name, sorted(names[name], key=lambda value: (value.kind, value.key))

    def own_fix(self, now_s: float) -> KnownValue | None:
        """The newest position of the device that is not in doubt; that of its own AIS station otherwise."""
        fixes = [value for value in self.of_kind("fix") if value.place is not None and value.doubt is None]
        fixes = fixes or [
            value for value in self.of_kind("vessel") if value.fields.get("own") and value.place is not None
        ]
        return min(fixes, key=lambda value: value.age_s(now_s), default=None)
