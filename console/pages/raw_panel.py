"""Raw bytes of a line on the page *Sources*: on demand, as hex and text, with a stop."""

from collections.abc import Sequence

from nicegui import ui

from console.agent_views import RawBytes
from console.pages.device import Device
from console.pages.sources_view import hex_lines
from console.web.session import Session
from console.web.widgets.line_view import Line, LineView
from console.web.widgets.live import Job, Live

MOST_SHOWN = 300
FLUSH_S = 0.5
STOP_AFTER_S = 600.0
"""It stops by itself: nobody is meant to forget it."""


class RawPanel:
    """Shows the bytes that a line receives; they go on being decoded."""

    def __init__(self, device: Device, session: Session, live: Live) -> None:
        self._device, self._session, self._live = device, session, live
        self._job: Job | None = None
        self._waiting: list[Line] = []
        self._count, self._ran_s = 0, 0.0
        t = session.t
        ui.label(t("Raw bytes")).classes("text-h6").props('role="heading" aria-level="2"')
        with ui.row().classes("items-center"):
            self._source = ui.select([], on_change=self._stop_quietly).classes("rp-level").mark("raw-source")
            self._source.props(f'dense outlined label="{t("Line")}"')
            self._button = ui.button(t("Show"), icon="play_arrow", on_click=self._toggle).mark("raw-toggle")
            self._button.props("outline")
            self._note = ui.label().classes("rp-quiet").mark("raw-note")
        self._view = LineView(t("Raw bytes"), MOST_SHOWN).classes("rp-short").mark("raw")
        self._view.set_visibility(False)
        live.every(FLUSH_S, self._flush)

    def offer(self, sources: Sequence[str]) -> None:
        """The sources that can be chosen."""
        if list(sources) != self._source.options:
            chosen = self._source.value
            value = chosen if chosen in sources else next(iter(sources), None)
            self._source.set_options(list(sources), value=value)

    def _toggle(self) -> None:
        if self._job is not None:
            self._stop("")
            return
        source = self._source.value
        if source is None:
            return
        self._waiting, self._count, self._ran_s = [], 0, 0.0
        self._view.set_visibility(True)
        self._view.replace([])
        self._button.set_text(self._session.t("Stop"))
        self._button.set_icon("stop")
        self._job = self._live.follow(lambda: self._device.client.raw(source), self._take, self._stop)

    def _take(self, raw: RawBytes) -> None:
        if raw.left_out:
            text = self._session.t("… {n} bytes came too fast to be shown", n=raw.left_out)
            self._waiting.append(("note", text))
        self._waiting += [("info", line) for line in hex_lines(raw.data, self._count)]
        self._count += len(raw.data)
        del self._waiting[:-MOST_SHOWN]

    def _flush(self) -> None:
        if self._job is None:
            return
        self._view.append(self._waiting)
        self._waiting = []
        self._note.set_text(self._session.t("{n} bytes", n=self._count))
        self._ran_s += FLUSH_S
        if self._ran_s > STOP_AFTER_S:
            self._stop(self._session.t("stopped by itself after 10 minutes"))

    def _stop_quietly(self) -> None:
        if self._job is not None:
            self._stop("")

    def _stop(self, reason: str) -> None:
        self._live.end(self._job)
        self._job = None
        self._note.set_text(reason or self._note.text)
        self._button.set_text(self._session.t("Show"))
        self._button.set_icon("play_arrow")
