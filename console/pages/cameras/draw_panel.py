"""The panel in which zones and lines are chosen, named, and given as numbers: the other way than by hand."""

from collections.abc import Callable
from functools import partial

from nicegui import ui

from console.pages.cameras.desk import CameraDesk
from console.pages.cameras.shapes import Shape, problem_of
from console.web.session import Session


def draw_shapes_panel(session: Session, desk: CameraDesk) -> None:
    """Draws the panel."""
    t = session.t
    with ui.row().classes("items-center rp-actions full-width"):
        zone = ui.button(t("New zone"), icon="format_shapes", on_click=lambda: desk.begin("zone"))
        zone.mark("new-zone").props("no-caps dense")
        line = ui.button(t("New line"), icon="show_chart", on_click=lambda: desk.begin("line"))
        line.mark("new-line").props("no-caps dense")
        _tool("undo", t("Take back"), desk.undo, "undo")
        _tool("remove_circle_outline", t("Remove the corner"), desk.delete_corner, "delete-corner")
        _tool("delete", t("Remove the zone or line"), desk.remove, "remove-shape")
    if not desk.may_draw:
        zone.disable()
        line.disable()
        ui.label(t("Your role looks, and changes nothing.")).classes("rp-hint")
    hint = ui.label().classes("rp-hint").props('role="status" aria-live="polite"').mark("draw-hint")
    limits = ui.label().classes("rp-hint rp-doubt").props('role="status"').mark("view-limits")
    chips = ui.row().classes("rp-chips")
    with ui.element("div").classes("full-width") as detail:
        name = (
            ui.input(t("Name")).props("dense outlined maxlength=32").classes("full-width").mark("shape-name")
        )
        name.on("blur", lambda: _rename(desk, name))
        name.on("keydown.enter", lambda: _rename(desk, name))
        with (
            ui.expansion(t("Corners as numbers"), icon="pin")
            .classes("full-width")
            .mark("corners") as expansion
        ):
            corners = _CornerList(session, desk)
    expansion.on_value_change(lambda _: corners.show())
    known: list[tuple[str, bool, bool]] = []

    def show() -> None:
        hint.set_text(_hint(session, desk))
        hint.classes(add="rp-bad") if desk.message else hint.classes(remove="rp-bad")
        told = _limits(session, desk)
        limits.set_text(told)
        limits.set_visibility(bool(told))
        changed = set(desk.drawing.changed_ids())
        listed = [(key, key == desk.drawing.selected, key in changed) for key in desk.drawing.shapes]
        if listed != known:
            known[:] = listed
            _draw_chips(session, desk, chips)
        shape = desk.drawing.current
        detail.set_visibility(shape is not None)
        if shape is not None:
            name.set_value(shape.name)
            name.set_enabled(shape.id not in desk.drawing.kept)
            if expansion.value:
                corners.show()

    desk.listeners.append(show)
    show()


def _tool(icon: str, text: str, call: Callable[[], object], mark: str) -> None:
    button = ui.button(icon=icon, on_click=call).props("flat round dense").tooltip(text).mark(mark)
    button.props["aria-label"] = text


def _rename(desk: CameraDesk, name: ui.input) -> None:
    shape = desk.drawing.current
    if shape is not None and str(name.value) != shape.name:
        desk.rename(str(name.value).strip())


def _hint(session: Session, desk: CameraDesk) -> str:
    t, shape = session.t, desk.drawing.current
    if desk.message:
        return t(desk.message)
    if shape is None:
        return t("Choose a zone or line, or draw a new one in the picture.")
    if not shape.closed and shape.kind == "line":
        return t("Click where the line begins and where it ends.")
    if not shape.closed:
        return t("Click the corners; click the first again, or double click, to close.")
    if (problem := problem_of(shape)) is not None:
        return t(problem)
    return t("Drag a corner, or click an edge for a new one.")


def _limits(session: Session, desk: CameraDesk) -> str:
    """The limits of the detector in the selected zone, or that they are unknown without a survey."""
    found = desk.limits()
    if found is None:
        return session.t(
            "How large people are in this zone is not known: survey the camera with at least 4 ground points"
            " below, and the page says what the detector can't see."
        )
    return " ".join(f"⚠ {session.t(one.text, **one.values)}." for one in found)


def _draw_chips(session: Session, desk: CameraDesk, chips: ui.row) -> None:
    chips.clear()
    with chips:
        for shape in list(desk.drawing.shapes.values()):
            _draw_chip(session, desk, shape)


def _draw_chip(session: Session, desk: CameraDesk, shape: Shape) -> None:
    selected = shape.id == desk.drawing.selected
    is_new = shape.id not in desk.drawing.kept
    moved = not is_new and desk.drawing.kept[shape.id] != shape
    note = session.t("new") if is_new else session.t("changed") if moved else ""
    text = f"{shape.name} ({note})" if note else shape.name
    icon = "format_shapes" if shape.kind == "zone" else "show_chart"
    chip = ui.button(text, icon=icon, on_click=lambda: desk.select(None if selected else shape.id))
    chip.props("no-caps dense" + ("" if selected else " outline")).mark(f"shape-{shape.name}")
    chip.props["aria-pressed"] = "true" if selected else "false"


class _CornerList:
    """The corners of the selected shape as number fields, in percent of width and height."""

    def __init__(self, session: Session, desk: CameraDesk) -> None:
        self._session, self._desk = session, desk
        self._rows = ui.column().classes("rp-corners")
        self._shown: tuple[str, int] | None = None
        self._fields: list[tuple[ui.number, ui.number]] = []
        self._filling = False

    def show(self) -> None:
        shape = self._desk.drawing.current
        if shape is None:
            return
        if self._shown != (shape.id, len(shape.corners)):
            self._shown = shape.id, len(shape.corners)
            self._build(len(shape.corners))
        self._filling = True
        for (x, y), (left, top) in zip(self._fields, shape.corners, strict=True):
            x.set_value(round(left * 100, 2))
            y.set_value(round(top * 100, 2))
        self._filling = False

    def _build(self, count: int) -> None:
        t = self._session.t
        self._rows.clear()
        self._fields = []
        with self._rows:
            for index in range(count):
                with ui.row().classes("items-center no-wrap"):
                    ui.label(str(index + 1)).classes("rp-number")
                    left = ui.number(t("from the left, %"), min=0, max=100, step=0.5, on_change=self._typed)
                    top = ui.number(t("from the top, %"), min=0, max=100, step=0.5, on_change=self._typed)
                    for one in (left, top):
                        one.props("dense outlined")
                    left.mark(f"corner-{index + 1}-x")
                    top.mark(f"corner-{index + 1}-y")
                    _tool(
                        "close",
                        t("Remove the corner"),
                        partial(self._remove, index),
                        f"corner-{index + 1}-remove",
                    )
                self._fields.append((left, top))

    def _typed(self) -> None:
        if self._filling:
            return
        values = [(x.value, y.value) for x, y in self._fields]
        if all(isinstance(part, int | float) for pair in values for part in pair):
            self._desk.drawing.set_corners([(x / 100, y / 100) for x, y in values])
            self._desk.changed()

    def _remove(self, index: int) -> None:
        self._desk.drawing.corner = index
        self._desk.delete_corner()
