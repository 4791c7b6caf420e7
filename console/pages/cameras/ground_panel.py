"""The panel of surveyed ground points: a click in the picture, then a click on the map or two numbers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

from nicegui import ui

from console.agent_client import AgentError
from console.order_steps import OrderStep
from console.pages.cameras.desk import CameraDesk
from console.pages.cameras.ground import LEAST, Fit
from console.pages.cameras.proposal import CameraInForce, push_fields
from console.pages.device import Device
from console.web.session import Session
from console.web.widgets.map import MapView
from console.web.widgets.map_objects import NAMED, MapObject, Scene
from console.web.widgets.order import OrderLine, order_button, order_desk

CONFIRM_WITHIN_S = 120.0


def draw_ground_panel(
    device: Device, session: Session, desk: CameraDesk,
    read: Callable[[Device, str], Awaitable[CameraInForce]],
) -> None:  # fmt: skip
    """Draws the panel."""
    GroundPanel(device, session, desk, read)


class GroundPanel:
    """The list of points, the map, and the button that sends them through the same path as a rule."""

    def __init__(
        self, device: Device, session: Session, desk: CameraDesk,
        read: Callable[[Device, str], Awaitable[CameraInForce]],
    ) -> None:  # fmt: skip
        self._device, self._session, self._desk, self._read = device, session, desk, read
        self._shown: object = None
        self._fields: dict[tuple[int, str], ui.number] = {}
        t = session.t
        ui.label(
            t("1. Click a point on the ground in the picture. 2. Click it on the map, or type its position.")
        ).classes("rp-hint")
        self._quality = ui.label().props('role="status"').mark("fit-quality")
        self._rows = ui.column().classes("full-width rp-points")
        self._is_placed = False
        """Whether the map shows the place of the points."""
        self._map_place = ui.element("div").classes("full-width rp-map")
        self._map: MapView | None = None
        self._line = OrderLine(session)
        self._save = order_button(
            session, "Try on the device", "push", self._push, icon="science", line=self._line,
            on_end=self._ended,
        )  # fmt: skip
        self._save.props("no-caps")
        desk.listeners.append(self._show)
        self._show()

    def _show(self) -> None:
        if self._desk.task != "ground":
            return
        ground = self._desk.ground
        fit = self._desk.fit()
        self._tell(fit)
        state = (tuple(ground.points), ground.selected)
        if state != self._shown:
            self._shown = state
            self._draw_rows(fit)
        self._draw_map()
        good = isinstance(fit, Fit) and ground.is_changed
        self._save.set_enabled(good)

    def _tell(self, fit: Fit | str) -> None:
        t, ground = self._session.t, self._desk.ground
        whole = sum(one.is_whole for one in ground.points)
        bad = False
        if ground.file is not None and not ground.points:
            text = t(
                "The points in force are in a file at the device ({file}); new ones replace it.",
                file=ground.file,
            )
        elif whole < LEAST:
            text = t("{count} of at least {least} points", count=whole, least=LEAST)
        elif isinstance(fit, str):
            text, bad = t("No fit: {why}", why=fit), True
        elif fit.is_poor:
            text, bad = t("Poor fit: check point {n} first", n=fit.worst + 1), True
        elif fit.is_exact:
            text = t("Four points always fit: add a fifth to detect a mistake")
        else:
            text = t(
                "Good fit: at most {px} px off; grid of {step} m", px=f"{fit.residuals[fit.worst].px:.1f}",
                step=fit.grid_m,
            )  # fmt: skip
        self._quality.set_text(text)
        self._quality.classes(add="rp-bad") if bad else self._quality.classes(remove="rp-bad")

    def _draw_rows(self, fit: Fit | str) -> None:
        t, ground = self._session.t, self._desk.ground
        residuals = fit.residuals if isinstance(fit, Fit) else {}
        self._rows.clear()
        self._fields.clear()
        with self._rows:
            for index, point in enumerate(ground.points):
                with ui.row().classes("items-center no-wrap full-width"):
                    chosen = index == ground.selected
                    number = ui.button(str(index + 1), on_click=lambda index=index: self._select(index))
                    number.props("round dense" + ("" if chosen else " outline")).mark(f"point-{index + 1}")
                    for key, value, name in (
                        ("lat", point.lat, t("Latitude")),
                        ("lon", point.lon, t("Longitude")),
                    ):
                        one = ui.number(name, value=value, format="%.7f", step=0.00001)
                        one.props("dense outlined").mark(f"point-{index + 1}-{key}")
                        one.on("blur", lambda index=index: self._typed(index))
                        one.on("keydown.enter", lambda index=index: self._typed(index))
                        self._fields[index, key] = one
                    found = residuals.get(index)
                    metres = "" if found is None or found.metres is None else f"{found.metres:.2f} m"
                    ui.label(metres).classes("rp-residual").mark(f"point-{index + 1}-residual")
                    remove = ui.button(icon="close", on_click=lambda index=index: self._remove(index))
                    remove.props("flat round dense")
                    remove.props["aria-label"] = t("Remove the point")

    def _select(self, index: int) -> None:
        self._desk.ground.selected = index
        self._desk.changed()

    def _remove(self, index: int) -> None:
        self._desk.ground.remove(index)
        self._desk.changed()

    def _typed(self, index: int) -> None:
        lat, lon = (self._fields[index, key].value for key in ("lat", "lon"))
        if isinstance(lat, int | float) and isinstance(lon, int | float):
            self._desk.ground.selected = index
            self._desk.ground.locate(float(lat), float(lon))
            self._desk.changed()

    # --- the map -----------------------------------------------------------------------------------------

    def _draw_map(self) -> None:
        if self._map is None:
            with self._map_place:
                self._map = MapView(self._session, self._middle() or (0.0, 0.0), 18, on_point=self._on_point)
                self._map.mark("ground-map")
        if not self._is_placed and (middle := self._middle()) is not None:
            self._is_placed = True
            self._map.look_at(*middle)
        at, chosen = datetime.now(UTC), self._desk.ground.selected
        self._map.show(
            Scene(
                [
                    MapObject(
                        f"point-{index + 1}", str(index + 1), "point", "online", one.lat, one.lon, at,
                        emphasis=NAMED,
                    )
                    for index, one in enumerate(self._desk.ground.points)
                    if one.lat is not None and one.lon is not None
                ],
                at,
                selected=None if chosen is None else f"point-{chosen + 1}",
            )
        )  # fmt: skip

    def _middle(self) -> tuple[float, float] | None:
        """Where the map begins: at a point, or at the surveyed place of the device."""
        for one in self._desk.ground.points:
            if one.lat is not None and one.lon is not None:
                return one.lat, one.lon
        return self._desk.now.place

    def _on_point(self, lat: float, lon: float) -> None:
        self._desk.ground.locate(lat, lon)
        self._desk.changed()

    # --- the trial ---------------------------------------------------------------------------------------

    def _push(self) -> AsyncIterator[OrderStep]:
        patch = {"sources": {self._desk.now.name: {"ground": self._desk.ground.patch()}}}
        desk = order_desk(self._session, self._device.client)
        return desk.push(push_fields(patch, CONFIRM_WITHIN_S), within_s=2 * CONFIRM_WITHIN_S)

    async def _ended(self, step: OrderStep) -> None:
        if step.succeeded:
            try:
                now = await self._read(self._device, self._desk.now.name)
            except (OSError, AgentError):
                return
            self._desk.ground.kept = list(self._desk.ground.points)
            self._desk.take_in_force(now)
