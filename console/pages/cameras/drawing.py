"""The drawing on a camera's picture: zones and lines, one of them selected, with undo. Pure.

Coordinates are shares of the picture (0..1), as in the configuration. Shapes of the configuration in force
can be changed; what differs from it is `changed` until it is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.domain.geometry import area, from_path, inside
from agent.domain.zones import Corner
from console.pages.cameras.shapes import (
    NAME,
    SNAP,
    Kind,
    Shape,
    as_corners,
    as_lists,
    problem_of,
    rounded,
    to_edge,
)

SAME = 0.006
"""Two taps so near are one place."""
UNDO_STEPS = 100
MAX_CORNERS = 64


@dataclass(frozen=True, slots=True)
class _State:
    shapes: tuple[Shape, ...]
    selected: str | None
    corner: int | None


@dataclass(slots=True)
class Drawing:
    """The shapes of one camera. `begin`, `tap`, `close` … are what the hand does; each can be undone."""

    kept: dict[str, Shape] = field(default_factory=dict)
    """By id: the shapes in force."""
    shapes: dict[str, Shape] = field(default_factory=dict)
    selected: str | None = None
    corner: int | None = None
    """The selected corner of the selected shape."""
    _past: list[_State] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        zones: Mapping[str, Sequence[Sequence[float]]],
        lines: Mapping[str, Sequence[Sequence[float]]] | None = None,
    ) -> "Drawing":
        """The shapes in force; lines are named after their rules."""
        shapes = {}
        for kind, named in (("zone", zones), ("line", lines or {})):
            for name, corners in named.items():
                one = Shape(name, "zone" if kind == "zone" else "line", as_corners(corners), closed=True)
                shapes[one.id] = one
        return cls(dict(shapes), dict(shapes))

    @property
    def current(self) -> Shape | None:
        """The selected shape."""
        return self.shapes.get(self.selected or "")

    @property
    def is_drawing(self) -> bool:
        """Whether the selected shape is not closed yet."""
        return self.current is not None and not self.current.closed

    def rebase(self, other: "Drawing") -> None:
        """Takes the shapes in force of ``other``; what was changed here stays."""
        changed = {key: self.shapes.get(key) for key in self.changed_ids()}
        self.kept = dict(other.kept)
        self.shapes = dict(other.kept)
        for key, one in changed.items():
            if one is None:
                self.shapes.pop(key, None)
            else:
                self.shapes[key] = one
        if self.selected not in self.shapes:
            self.selected = self.corner = None
        self._past.clear()

    # --- what the hand does ------------------------------------------------------------------------------

    def begin(self, kind: Kind) -> Shape:
        """A new zone or line without corners, selected."""
        self._drop_unfinished()
        self._remember()
        one = Shape(self.free_name(kind), kind)
        self.shapes[one.id] = one
        self.selected, self.corner = one.id, None
        return one

    def tap(self, x: float, y: float, corner: int | None = None, edge: int | None = None) -> None:
        """A click or touch at a place, on a corner, or on an edge of the selected shape.

        While a shape is drawn it adds a corner, or closes it at the first; otherwise it selects a corner,
        inserts one into an edge, or selects the shape at that place.
        """
        one = self.current
        if one is not None and not one.closed:
            if corner == 0 and one.kind == "zone" and len(one.corners) >= 3:
                self.close()
            elif corner is None or corner < len(one.corners) - 1:
                self._add(one, x, y)
        elif one is not None and corner is not None and corner < len(one.corners):
            self.corner = corner
        elif one is not None and edge is not None and edge < len(one.corners):
            self.insert(edge, x, y)
        else:
            self.select(self.at(x, y))

    def double(self, x: float, y: float) -> None:
        """A double click: closes the zone that is drawn. The first click has added its corner already."""
        del x, y
        if self.is_drawing:
            self.close()

    def close(self) -> bool:
        """Closes the shape that is drawn; False where it has too few corners."""
        one = self.current
        if one is None or one.closed or len(one.corners) < (3 if one.kind == "zone" else 2):
            return False
        self._remember()
        self.shapes[one.id] = replace(one, closed=True)
        self.corner = None
        return True

    def move(self, corner: int, x: float, y: float) -> None:
        """Puts a corner of the selected shape to another place."""
        one = self.current
        if one is None or not 0 <= corner < len(one.corners):
            return
        self._remember()
        corners = list(one.corners)
        corners[corner] = self.snapped(x, y)
        self.shapes[one.id] = replace(one, corners=tuple(corners))
        self.corner = corner

    def nudge(self, right: float, down: float) -> None:
        """Moves the selected corner by shares of the picture."""
        one = self.current
        if one is not None and self.corner is not None and self.corner < len(one.corners):
            x, y = one.corners[self.corner]
            self._remember()
            corners = list(one.corners)
            corners[self.corner] = rounded(x + right, y + down)
            self.shapes[one.id] = replace(one, corners=tuple(corners))

    def insert(self, edge: int, x: float, y: float) -> None:
        """A new corner on the edge that begins at corner ``edge``."""
        one = self.current
        if one is None or one.kind != "zone" or not 0 <= edge < len(one.corners) < MAX_CORNERS:
            return
        self._remember()
        corners = (*one.corners[: edge + 1], self.snapped(x, y), *one.corners[edge + 1 :])
        self.shapes[one.id] = replace(one, corners=corners)
        self.corner = edge + 1

    def delete_corner(self, corner: int | None = None) -> bool:
        """Removes a corner (default: the selected, or the last drawn); False where the rest has no area."""
        one = self.current
        if one is None or not one.corners:
            return False
        index = corner if corner is not None else self.corner
        if index is None:
            index = len(one.corners) - 1 if not one.closed else None
        least = 0 if not one.closed else 3 if one.kind == "zone" else 2
        if index is None or not 0 <= index < len(one.corners) or len(one.corners) - 1 < least:
            return False
        self._remember()
        self.shapes[one.id] = replace(one, corners=one.corners[:index] + one.corners[index + 1 :])
        self.corner = None
        return True

    def set_corners(self, corners: Sequence[Sequence[float]]) -> None:
        """All corners of the selected shape, as numbers were typed."""
        one = self.current
        if one is not None and tuple(as_corners(corners)) != one.corners:
            self._remember()
            self.shapes[one.id] = replace(one, corners=as_corners(corners))

    def step_corner(self, by: int) -> None:
        """Selects the next or the previous corner."""
        if (one := self.current) is not None and one.corners:
            self.corner = ((self.corner if self.corner is not None else -1) + by) % len(one.corners)

    def select(self, shape_id: str | None) -> None:
        """Selects a shape, or none; a shape that is not closed is dropped."""
        if shape_id == self.selected:
            return
        self._drop_unfinished()
        self.selected = shape_id if shape_id in self.shapes else None
        self.corner = None

    def rename(self, name: str) -> str | None:
        """Another name for a selected shape that is not in force; the reason where it can't have it."""
        one = self.current
        if one is None or name == one.name:
            return None
        if one.id in self.kept:
            return "a zone in force keeps its name: rules use it"
        if NAME.fullmatch(name) is None:
            return "a name has small letters a-z, digits, - and _, at most 32"
        if f"{one.kind}:{name}" in self.shapes:
            return "this name is taken"
        self._remember()
        new = replace(one, name=name)
        self.shapes = {key if key != one.id else new.id: shape if key != one.id else new
                       for key, shape in self.shapes.items()}  # fmt: skip
        self.selected = new.id
        return None

    def remove(self) -> None:
        """Removes the selected shape."""
        if (one := self.current) is not None:
            self._remember()
            del self.shapes[one.id]
            self.selected = self.corner = None

    def undo(self) -> bool:
        """Takes back the last step; False where there is none."""
        if not self._past:
            return False
        state = self._past.pop()
        self.shapes = {one.id: one for one in state.shapes}
        self.selected, self.corner = state.selected, state.corner
        return True

    # --- what is seen ------------------------------------------------------------------------------------

    def at(self, x: float, y: float) -> str | None:
        """The id of the smallest shape at a place; a line within reach comes first."""
        near = [
            (from_path((x, y), one.corners), one)
            for one in self.shapes.values()
            if one.kind == "line" and one.closed
        ]
        lines = [(far, one.id) for far, one in near if far <= 2 * SNAP]
        if lines:
            return min(lines)[1]
        zones = [
            (area(one.corners), one.id)
            for one in self.shapes.values()
            if one.kind == "zone" and one.closed and inside((x, y), one.corners)
        ]
        return min(zones)[1] if zones else None

    def snapped(self, x: float, y: float) -> Corner:
        """The place of a corner: on the edge of the picture, or on a corner of another shape, where near."""
        for one in self.shapes.values():
            if one.id == self.selected:
                continue
            for corner in one.corners:
                if abs(corner[0] - x) <= SNAP and abs(corner[1] - y) <= SNAP:
                    return corner
        return rounded(to_edge(x), to_edge(y))

    def problems(self) -> dict[str, str]:
        """By id: what is wrong with changed shapes. A shape that is not closed counts."""
        found = {}
        for key in self.changed_ids():
            if (one := self.shapes.get(key)) is not None:
                problem = problem_of(one) if one.closed else "it is not closed yet"
                if problem is not None:
                    found[key] = problem
        return found

    def changed_ids(self) -> list[str]:
        """The ids of the shapes that are new, changed or removed."""
        keys = [key for key, one in self.shapes.items() if self.kept.get(key) != one]
        return keys + [key for key in self.kept if key not in self.shapes]

    def changed_zones(self) -> dict[str, list[list[float]] | None]:
        """The zones as a merge patch of ``zones``: corners by name, None for one that was removed."""
        return {
            key.partition(":")[2]: None if (one := self.shapes.get(key)) is None else as_lists(one.corners)
            for key in self.changed_ids()
            if key.startswith("zone:") and ((one := self.shapes.get(key)) is None or one.closed)
        }

    def free_name(self, kind: Kind) -> str:
        """A name that no shape has: ``zone-1``, ``line-1`` …"""
        number = 1
        while f"{kind}:{kind}-{number}" in self.shapes or f"{kind}:{kind}-{number}" in self.kept:
            number += 1
        return f"{kind}-{number}"

    # --- inside ------------------------------------------------------------------------------------------

    def _add(self, one: Shape, x: float, y: float) -> None:
        place = self.snapped(x, y)
        last = one.corners[-1] if one.corners else None
        if last is not None and abs(last[0] - place[0]) < SAME and abs(last[1] - place[1]) < SAME:
            return
        if len(one.corners) >= MAX_CORNERS:
            return
        self._remember()
        corners = (*one.corners, place)
        done = one.kind == "line" and len(corners) == 2
        self.shapes[one.id] = replace(one, corners=corners, closed=done)

    def _drop_unfinished(self) -> None:
        for key in [key for key, one in self.shapes.items() if not one.closed]:
            del self.shapes[key]
        if self.selected not in self.shapes:
            self.selected = self.corner = None

    def _remember(self) -> None:
        self._past.append(_State(tuple(self.shapes.values()), self.selected, self.corner))
        del self._past[:-UNDO_STEPS]
