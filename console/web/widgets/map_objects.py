"""What a map shows, and the messages that tell a browser what has changed. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

State = Literal[
    "online", "degraded", "silent", "offline", "stopped", "unknown", "critical", "warning", "info", "handled"
]
Symbol = Literal["boat", "vessel", "drone", "post", "metro", "watch", "person", "point", "alert"]
Sector = tuple[float | None, float]
"""Bearing and width in degrees of what is not seen; all around where the bearing is None."""
PLAIN, NAMED, RINGED = 0, 1, 2
"""Emphasis: NAMED has its label and is in no cluster, RINGED has a ring as well."""


@dataclass(frozen=True, slots=True)
class MapObject:
    """A symbol. ``label`` and ``note`` may come from outside: they are drawn as text."""

    id: str
    label: str
    symbol: Symbol
    state: State
    lat: float
    lon: float
    measured_at: datetime
    stale: bool = False
    """Drawn faded and dashed, with its age."""
    course_deg: float | None = None
    error_m: float | None = None
    blind: tuple[Sector, ...] = ()
    emphasis: int = PLAIN
    note: str = ""


@dataclass(frozen=True, slots=True)
class MapLine:
    """A track, or the way of a force. ``points``: latitude, longitude."""

    points: tuple[tuple[float, float], ...]
    colour: str = "#0072B2"
    width: float = 3.0
    dash: bool = False
    label: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "points": [[round(lat, 6), round(lon, 6)] for lat, lon in self.points],
            "colour": self.colour,
            "width": self.width,
            "dash": self.dash,
            "label": self.label,
        }


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a map shows at one instant. ``committed_at``: the newest message in it, for measurements."""

    objects: Sequence[MapObject]
    at: datetime
    lines: tuple[MapLine, ...] = ()
    selected: str | None = None
    past: bool = False
    committed_at: datetime | None = None


class SceneChanges:
    """Turns scenes into messages for one browser: each has only what differs from the one before."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._looks: dict[int, tuple[Any, ...]] = {}
        self._places: dict[int, tuple[Any, ...]] = {}
        self._next = 0
        self._rest: tuple[Any, ...] | None = None
        self._lines: tuple[MapLine, ...] | None = None

    def message(self, scene: Scene) -> dict[str, Any]:
        """The first message has all of the scene and ``reset``."""
        message: dict[str, Any] = {"at": _milliseconds(scene.at)}
        if self._rest is None:
            message["reset"] = True
        looks, moves, seen = self._changed(scene)
        if looks:
            message["set"] = looks
        if moves:
            message["move"] = moves
        if gone := [number for name, number in self._numbers.items() if name not in seen]:
            message["gone"] = gone
            self._forget(seen)
        if scene.lines != self._lines:
            self._lines, message["lines"] = scene.lines, [line.as_json() for line in scene.lines]
        if (scene.selected, scene.past) != self._rest:
            self._rest = scene.selected, scene.past
            message["select"], message["past"] = self._rest
        if scene.committed_at is not None:
            message["committed"] = _milliseconds(scene.committed_at)
        return message

    def _changed(self, scene: Scene) -> tuple[list[list[Any]], list[int], set[str]]:
        looks: list[list[Any]] = []
        moves: list[int] = []
        seen: set[str] = set()
        now_s = scene.at.timestamp()
        for one in scene.objects:
            seen.add(one.id)
            number = self._numbers.get(one.id)
            if number is None:
                number = self._numbers[one.id] = self._next
                self._next += 1
            look = (
                one.label,
                one.symbol,
                one.state,
                one.stale,
                one.error_m,
                one.blind,
                one.emphasis,
                one.note,
            )
            if self._looks.get(number) != look:
                self._looks[number] = look
                looks.append([number, one.id, *look])
            place = (one.lat, one.lon, one.course_deg, one.measured_at)
            if self._places.get(number) != place:
                self._places[number] = place
                course = -1 if one.course_deg is None else round(one.course_deg)
                age = max(0, round((now_s - one.measured_at.timestamp()) * 10))
                moves += (number, round(one.lat * 1e6), round(one.lon * 1e6), course, age)
        return looks, moves, seen

    def _forget(self, seen: Iterable[str]) -> None:
        kept = set(seen)
        for name in [name for name in self._numbers if name not in kept]:
            number = self._numbers.pop(name)
            self._looks.pop(number, None)
            self._places.pop(number, None)


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _look(one: MapObject) -> tuple[Any, ...]:
    return one.label, one.symbol, one.state, one.stale, one.error_m, one.blind, one.emphasis, one.note
