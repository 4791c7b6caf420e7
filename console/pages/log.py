"""The page *Log and audit*: what the agent does, and what was ordered and looked at."""

from collections.abc import AsyncIterator

from nicegui import ui

from console.agent_client import AgentClient
from console.agent_views import LogLine
from console.pages.audit_panel import AuditPanel
from console.pages.device import Device
from console.pages.downloads import make_bundle
from console.pages.frame import draw_frame
from console.pages.log_view import LEVELS, MOST_SHOWN, LogFilter, LogRing, line_text
from console.web.rights import VIEWER
from console.web.session import Session
from console.web.widgets.line_view import LineView
from console.web.widgets.live import Live

FLUSH_S = 0.4


def build(device: Device, session: Session) -> None:
    """Draws the page."""
    live, content = draw_frame(device, session, session.t("Log and audit"))
    with content:
        with ui.row().classes("full-width items-center"):
            _draw_downloads(device, session)
        LogPanel(device.client, session, live)
        AuditPanel(device, session, live)


class LogPanel:
    """The log: by level and words, following or not."""

    def __init__(self, agent: AgentClient, session: Session, live: Live) -> None:
        self._session, self._ring = session, LogRing()
        t = session.t
        ui.label(t("Log")).classes("text-h6").props('role="heading" aria-level="2"')
        with ui.row().classes("full-width items-center"):
            self._level = ui.select(list(LEVELS), value="info", on_change=self._filter)
            self._level.classes("rp-level").props(f'dense outlined label="{t("Level and above")}"').mark(
                "log-level"
            )
            self._words = ui.input(t("Search"), on_change=self._filter).props(
                "dense outlined clearable debounce=200"
            )
            self._words.classes("rp-grow").mark("log-search")
            ui.switch(
                t("Follow"), value=True, on_change=lambda event: self._view.set_follow(event.value)
            ).mark("log-follow")
            ui.button(t("Download the log"), icon="download", on_click=self._download).props("outline").mark(
                "log-download"
            )
        self._view: LineView = LineView(t("Log"), MOST_SHOWN).mark("log")

        def lines() -> AsyncIterator[LogLine]:
            self._ring.clear()
            self._draw()
            return agent.log("debug")

        live.follow(lines, self._ring.add)
        live.every(FLUSH_S, self._flush)

    def _flush(self) -> None:
        lines, left_out = self._ring.batch()
        shown = [line_text(line, self._session) for line in lines]
        if left_out:
            text = self._session.t("… {n} lines came too fast to be shown; a filter finds them", n=left_out)
            shown.insert(0, ("note", text))
        self._view.append(shown)

    def _filter(self) -> None:
        self._ring.filter = LogFilter(str(self._level.value), self._words.value or "")
        self._draw()

    def _draw(self) -> None:
        self._view.replace([line_text(line, self._session) for line in self._ring.chosen()])

    def _download(self) -> None:
        ui.download.content(self._ring.text(), "ringpost-log.jsonl", "application/jsonl")


def _draw_downloads(device: Device, session: Session) -> None:
    t = session.t

    async def download() -> None:
        button.disable()
        note.set_text(t("The checks run first: it takes up to a minute."))
        try:
            data = await make_bundle(device.config_file, device.data)
        except (OSError, TimeoutError) as error:
            note.set_text(str(error) or t("It takes too long."))
            return
        finally:
            button.enable()
        note.set_text(
            t("Look through it, then send it to the control room: it has no secrets and no pictures.")
        )
        ui.download.content(data, "ringpost-doctor.zip", "application/zip")

    button = ui.button(t("Download the bundle for support"), icon="folder_zip", on_click=download)
    button.props("outline").mark("bundle")
    note = ui.label().classes("rp-quiet")
    if session.roles == {VIEWER}:
        button.disable()
        note.set_text(t("Your role does not allow this"))
