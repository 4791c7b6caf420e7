"""Draws the page *Cameras*: the large picture with the tiles of the others, and the panels beside it."""

import asyncio

from nicegui import ui

from agent.domain.yaml_loader import BadConfig
from agent.runtime.sanitize import printable
from console.agent_client import AgentError
from console.pages.cameras.desk import CameraDesk
from console.pages.cameras.draw_panel import draw_shapes_panel
from console.pages.cameras.ground_panel import draw_ground_panel
from console.pages.cameras.picture_panel import BigPicture, draw_tile
from console.pages.cameras.proposal import CameraInForce, camera_in_force
from console.pages.cameras.rule_panel import draw_rule_panel
from console.pages.cameras.state_panel import draw_load_panel, draw_progress_panel
from console.pages.cameras.try_panel import draw_try_panel
from console.pages.device import Device
from console.pages.frame import draw_frame
from console.web.session import Session
from console.web.widgets.live import Live


def build(device: Device, session: Session) -> None:
    """Draws the page."""
    live, content = draw_frame(device, session, session.t("Cameras"))
    with content:
        waiting = ui.label(session.t("Waiting for the agent …")).props('role="status"')
        place = ui.column().classes("full-width rp-cameras")

    async def begin() -> None:
        """Draws once the agent has answered: the page has waited for it, not failed."""
        while place.default_slot.children == []:
            try:
                cameras = (await device.client.hello())["cameras"]
                chosen = cameras[0] if cameras else None
                if chosen is not None:
                    now = await read_in_force(device, chosen)
            except (OSError, AgentError):
                await asyncio.sleep(0.5)
                continue
            waiting.set_visibility(False)
            with place:
                if chosen is None:
                    ui.label(session.t("No camera is configured: add one under Configuration."))
                    return
                CamerasPage(device, session, live, cameras, place).show(chosen, now)

    live.run(begin)


async def read_in_force(device: Device, camera: str) -> CameraInForce:
    """The camera in the configuration in force."""
    config = await device.client.config()
    try:
        return camera_in_force(config["text"], camera, config["revision"])
    except BadConfig as error:
        raise AgentError(printable(error)) from error


class CamerasPage:
    """One camera large, the others as tiles. A click on a tile makes it the large one."""

    def __init__(
        self, device: Device, session: Session, live: Live, cameras: list[str], place: ui.column
    ) -> None:
        self._device, self._session, self._live = device, session, live
        self._cameras, self._place = cameras, place
        self._before = live.jobs()
        """Those that are not of one camera."""

    def show(self, camera: str, now: CameraInForce) -> None:
        """Draws the page for ``camera``."""
        session = self._session
        desk = CameraDesk.of(now)
        desk.may_draw = session.may("push")
        for job in self._live.jobs() - self._before:
            self._live.end(job)
        self._place.clear()
        with self._place, ui.element("div").classes("rp-cameras-grid"):
            with ui.column().classes("rp-cameras-left"):
                picture = BigPicture(self._device, session, self._live, camera, desk)
                others = [one for one in self._cameras if one != camera]
                if others:
                    with ui.element("div").classes("rp-tiles"):
                        for other in others:
                            draw_tile(self._device, session, self._live, other, self._choose)
            with ui.column().classes("rp-cameras-right"):
                self._draw_panels(desk, picture)
            self._live.every(5.0, lambda: self._look_for_change(desk))

    def _draw_panels(self, desk: CameraDesk, picture: BigPicture) -> None:
        t = self._session.t
        with ui.tabs().props("dense no-caps inline-label mobile-arrows").classes("full-width") as tabs:
            ui.tab("draw", t("Zones and rules"), icon="polyline").mark("tab-draw")
            ui.tab("why", t("Why"), icon="help_outline").mark("tab-why")
            ui.tab("ground", t("Ground points"), icon="straighten").mark("tab-ground")
            ui.tab("load", t("Detector"), icon="speed").mark("tab-load")

        def choose(name: str) -> None:
            desk.task = "ground" if name == "ground" else "shapes"
            desk.changed()

        tabs.on_value_change(lambda event: choose(str(event.value)))
        with ui.tab_panels(tabs, value="draw", animated=False).classes("full-width rp-panels"):
            with ui.tab_panel("draw"):
                draw_shapes_panel(self._session, desk)
                draw_rule_panel(self._session, desk, picture)
                draw_try_panel(self._device, self._session, self._live, desk, read_in_force)
            with ui.tab_panel("why"):
                draw_progress_panel(self._session, picture)
            with ui.tab_panel("ground"):
                draw_ground_panel(self._device, self._session, desk, read_in_force)
            with ui.tab_panel("load"):
                draw_load_panel(self._device, self._session, self._live, self._cameras)

    async def _choose(self, camera: str) -> None:
        """Makes another camera the large one."""
        try:
            now = await read_in_force(self._device, camera)
        except (OSError, AgentError) as error:
            ui.notify(printable(error), type="negative")
            return
        self.show(camera, now)

    async def _look_for_change(self, desk: CameraDesk) -> None:
        """Somebody else may have pushed a configuration: what is drawn here stays on top of it."""
        try:
            now = await read_in_force(self._device, desk.now.name)
        except (OSError, AgentError):
            return
        if now.text != desk.now.text:
            desk.take_in_force(now)
