"""The pictures of the alert that is open: people in them are covered, and each look is in the audit log."""

import asyncio
import base64

from nicegui import background_tasks, ui

from console.agent_client import AgentError, AgentUnreachableError
from console.pages.device import Device
from console.web.session import Session

MOST_PICTURES = 6
RETRY_S = 4.0
RETRIES = 20
"""The clip of an alert is complete some seconds after it."""


class AlertPictures:
    """Asks for the pictures of one alert, once each; those that do not exist yet it asks for again."""

    def __init__(self, device: Device, session: Session) -> None:
        self._device, self._session = device, session
        self._alert_id: str | None = None
        self._task: asyncio.Task[None] | None = None
        t = session.t
        self._pictures = ui.row().classes("rp-alert-pictures")
        self._note = ui.label().classes("rp-quiet").mark("picture-note")
        with ui.dialog() as self._large, ui.card().classes("rp-large"):
            self._large_picture = ui.element("img").classes("full-width")
            self._large_picture.props(f'alt="{t("The picture, enlarged")}"')
            ui.button(t("Close the picture"), on_click=self._large.close).props("flat")

    def show(self, alert_id: str | None, count: int) -> None:
        """Shows at most ``count`` pictures of an alert; none for another one any more."""
        if alert_id == self._alert_id:
            return
        self._alert_id = alert_id
        if self._task is not None:
            self._task.cancel()
        self._pictures.clear()
        self._note.set_text("")
        self._task = None
        if alert_id is not None and count:
            fetch = self._fetch(alert_id, min(count, MOST_PICTURES))
            self._task = background_tasks.create(fetch, name="pictures")

    async def _fetch(self, alert_id: str, count: int) -> None:
        for n in range(1, count + 1):
            for _ in range(RETRIES if n == 1 else 1):
                if self._pictures.is_deleted:
                    return
                try:
                    picture = await self._device.client.picture(alert_id, n)
                except (AgentError, AgentUnreachableError) as error:
                    if n == 1:
                        self._note.set_text(self._session.t("No picture yet: {why}", why=str(error)))
                        await asyncio.sleep(RETRY_S)
                    continue
                self._note.set_text("")
                self._add("data:image/jpeg;base64," + base64.b64encode(picture.jpeg).decode(), n)
                break
            else:
                return

    def _add(self, url: str, n: int) -> None:
        def enlarge() -> None:
            self._large_picture.props(f'src="{url}"')
            self._large.open()

        alt = self._session.t("Picture {n}, people are covered", n=n)
        with self._pictures, ui.element("button").classes("rp-alert-picture").mark(f"picture-{n}") as button:
            ui.element("img").props(f'src="{url}" alt="{alt}"')
        button.props('type="button"').on("click", enlarge)
