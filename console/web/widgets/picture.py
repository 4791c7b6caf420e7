"""A camera's picture with an overlay, and the hand that draws on it.

The element gets what to show in three parts: ``live`` (what the camera sees), ``drawing`` (zones, lines and
surveyed points, with what is selected), and fixed texts. It loads the picture itself, from a path of this
server below the access gate, so that a slow link skips pictures and never queues them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from nicegui.element import Element
from nicegui.events import GenericEventArguments

Mode = Literal["view", "draw", "edit", "point"]


@dataclass(frozen=True, slots=True)
class Tap:
    """A click or touch at ``x``, ``y`` (0..1), and what is under it: a corner or an edge of the selected
    shape, or a surveyed point (``shape`` is ``point``). ``double``: the second at one place."""

    x: float
    y: float
    shape: str | None = None
    corner: int | None = None
    edge: int | None = None
    double: bool = False


@dataclass(frozen=True, slots=True)
class Drag:
    """A corner or a surveyed point (``shape`` is ``point``) was dragged to ``x``, ``y`` (0..1)."""

    shape: str
    corner: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Key:
    """A key pressed on the picture: its name as in JavaScript, or ``undo``."""

    name: str
    fast: bool = False


class CameraPicture(Element, component="picture.js"):
    """``live``: camera, url, at_ms, width, height, objects, blind (reason by zone), notice, missing.
    ``drawing``: mode, shapes, corner, points, horizon, grid. See `console.pages.cameras.overlay`.

    The browser checks nothing: the server takes the coordinates as 0..1 and clips them.
    """

    def __init__(self, texts: Mapping[str, str], caption: str = "") -> None:
        super().__init__()
        self._props["texts"] = dict(texts)
        self._props["caption"] = caption
        self._props["live"] = {}
        self._props["drawing"] = {}
        self.shown_ms: list[float] = []
        """From capture to pixel in ms of the latest pictures, by the clocks of device and browser."""
        self.on("shown", self._note_shown, throttle=0.0)

    def show(self, live: Mapping[str, Any]) -> None:
        """Shows what the camera sees."""
        self._props["live"] = dict(live)
        self.update()

    def draw(self, drawing: Mapping[str, Any]) -> None:
        """Shows the drawing."""
        if self._props["drawing"] != drawing:
            self._props["drawing"] = dict(drawing)
            self.update()

    def on_hand(
        self,
        *,
        tap: Callable[[Tap], object],
        drag: Callable[[Drag], object],
        key: Callable[[Key], object],
    ) -> None:
        """Calls ``tap``, ``drag`` and ``key`` for what the hand does."""

        def tapped(event: GenericEventArguments, *, double: bool) -> None:
            args = event.args
            shape, corner, edge = args.get("shape"), _index(args.get("corner")), _index(args.get("edge"))
            name = shape if isinstance(shape, str) else None
            tap(Tap(_share(args.get("x")), _share(args.get("y")), name, corner, edge, double))

        def dragged(event: GenericEventArguments) -> None:
            args = event.args
            corner = _index(args.get("corner"))
            if corner is not None:
                drag(Drag(str(args.get("shape")), corner, _share(args.get("x")), _share(args.get("y"))))

        self.on("tap", lambda event: tapped(event, double=False))
        self.on("double", lambda event: tapped(event, double=True))
        self.on("drag", dragged)
        self.on("keyed", lambda event: key(Key(str(event.args.get("key")), bool(event.args.get("fast")))))

    def _note_shown(self, event: GenericEventArguments) -> None:
        value = event.args.get("ms")
        if isinstance(value, int | float):
            self.shown_ms = [*self.shown_ms[-199:], float(value)]


def _share(value: object) -> float:
    """A coordinate from the browser, within 0..1."""
    return min(1.0, max(0.0, float(value))) if isinstance(value, int | float) and isfinite(value) else 0.0


def _index(value: object) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 1000 else None
