"""Receivers on the page *Sources*: state, quality over the last minutes, and on demand the sky."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from nicegui import ui

from console.agent_views import RawBytes
from console.pages.device import Device
from console.pages.satellites import Sky
from console.pages.source_store import KnownValue, SourceStore
from console.pages.words import NONE, Kind, as_number, number_text
from console.web.session import Session
from console.web.widgets.chart import SkyPlot, TimeChart
from console.web.widgets.live import Job, Live
from console.web.widgets.rows import Rows
from console.web.widgets.state_chip import StateChip

POINTS = 300
EVERY_S = 2.0


class GnssPanel:
    """One card for each receiver."""

    def __init__(self, device: Device, session: Session, live: Live, store: SourceStore) -> None:
        self._store = store
        self._heading = ui.label(session.t("Receivers")).classes("text-h6")
        self._heading.props('role="heading" aria-level="2"')
        with ui.column().classes("full-width").mark("gnss") as column:
            self._cards = Rows(column, lambda one: _Card(device, session, live, one.source).drawn(store))
        live.every(EVERY_S, self._draw)

    def _draw(self) -> None:
        fixes = self._store.of_kind("fix")
        self._heading.set_visibility(bool(fixes))
        self._cards.show((value.source, value) for value in fixes)


class _Card:
    def __init__(self, device: Device, session: Session, live: Live, source: str) -> None:
        self._device, self._session, self._live, self._source = device, session, live, source
        self._errors: deque[tuple[float, float]] = deque(maxlen=POINTS)
        self._strengths: deque[tuple[float, float]] = deque(maxlen=POINTS)
        self._job: Job | None = None
        self._sky = Sky()

    def drawn(self, store: SourceStore) -> tuple[ui.element, Callable[[KnownValue], None]]:
        t = self._session.t
        with ui.card().classes("full-width") as card:
            with ui.row().classes("full-width items-center"):
                ui.label(self._source).classes("text-subtitle1 text-weight-medium")
                chips = {name: StateChip() for name in ("fix", "jamming", "spoofing", "antenna")}
            with ui.row().classes("rp-facts full-width"):
                figures = {
                    name: _figure(words)
                    for name, words in (
                        ("satellites", t("Satellites used / seen")), ("cn0", t("Signal (C/N0)")),
                        ("hdop", "HDOP"), ("error", t("Error")), ("speed", t("Speed")),
                        ("alt", t("Altitude")),
                    )
                }  # fmt: skip
            chart = TimeChart(
                t("Quality since the page was opened"), (t("Error"), t("Signal (C/N0)")), ("m", "dBHz")
            )
            self._button = ui.button(t("Show the sky"), icon="travel_explore", on_click=self._toggle)
            self._button.props("outline").mark(f"sky-{self._source}")
            self._place = ui.row().classes("full-width items-start")
            self._note = ui.label().classes("rp-quiet")

        def show(value: KnownValue) -> None:
            now_s, fields = time.monotonic(), value.fields
            state = next(
                (one.fields for one in store.of_kind("gnss_state") if one.source == self._source), {}
            )
            self._chips(chips, value, state, now_s)
            for name, text in self._figures(fields).items():
                figures[name].set_text(text)
            self._note_quality(value, now_s)
            chart.show([_ago(self._errors, now_s), _ago(self._strengths, now_s)])
            self._show_sky(now_s)

        return card, show

    def _chips(
        self, chips: dict[str, StateChip], value: KnownValue, state: dict[str, Any], now_s: float
    ) -> None:
        t, mode = self._session.t, value.fields.get("mode")
        kind: Kind = "bad" if mode == "none" else "doubt" if value.doubt or value.is_stale(now_s) else "good"
        words = t("no position") if mode == "none" else str(mode)
        why = t("stale") if value.is_stale(now_s) else value.doubt or ""
        chips["fix"].show(kind, f"{words}: {why}" if why else words)
        good = {"jamming": "ok", "spoofing": "none", "antenna": "ok"}
        names = {"jamming": t("jamming"), "spoofing": t("spoofing"), "antenna": t("antenna")}
        for name, well in good.items():
            found = state.get(name)
            chips[name].element.set_visibility(found is not None)
            chips[name].show("good" if found == well else "bad", f"{names[name]}: {found}")

    def _figures(self, fields: dict[str, Any]) -> dict[str, str]:
        session = self._session
        error, speed, alt = (as_number(fields.get(name)) for name in ("error_m", "speed_mps", "alt_m"))
        used, seen = number_text(fields.get("satellites")), number_text(fields.get("satellites_seen"))
        return {
            "satellites": f"{used} / {seen}",
            "cn0": number_text(fields.get("cn0_dbhz"), "dBHz"),
            "hdop": number_text(fields.get("hdop")),
            "error": NONE if error is None else f"±{session.distance(error)}",
            "speed": NONE if speed is None else session.speed(speed),
            "alt": NONE if alt is None else session.distance(alt),
        }

    def _note_quality(self, value: KnownValue, now_s: float) -> None:
        if value.is_stale(now_s):
            return
        for points, name in ((self._errors, "error_m"), (self._strengths, "cn0_dbhz")):
            number = as_number(value.fields.get(name))
            if number is not None:
                points.append((now_s, number))

    def _toggle(self) -> None:
        t = self._session.t
        if self._job is not None:
            self._stop("")
            return
        self._button.set_text(t("Hide the sky"))
        with self._place:
            self._plot = SkyPlot(t("Satellites by direction and strength"))
            with ui.column().classes("rp-grow rp-tight rp-satellites") as column:
                self._bars = Rows(column, _bar)
        source = self._source
        self._job = self._live.follow(lambda: self._device.client.raw(source), self._take, self._stop)

    def _take(self, raw: RawBytes) -> None:
        self._sky.take(raw.data, time.monotonic())

    def _stop(self, reason: str) -> None:
        self._live.end(self._job)
        self._job = None
        self._place.clear()
        self._note.set_text(reason)
        self._button.set_text(self._session.t("Show the sky"))

    def _show_sky(self, now_s: float) -> None:
        if self._job is None:
            return
        found = self._sky.satellites(now_s)
        self._plot.show(
            [(one.elevation_deg, one.azimuth_deg, one.cn0_dbhz, str(one.number)) for one in found]
        )
        self._bars.show(
            (f"{one.system} {one.number}", (f"{one.system} {one.number}", one.cn0_dbhz)) for one in found[:32]
        )
        waiting = self._session.t("No satellites in its bytes yet.")
        self._note.set_text("" if found else waiting)


def _figure(name: str) -> ui.label:
    with ui.column().classes("rp-fact"):
        ui.label(name).classes("rp-quiet")
        return ui.label().classes("text-weight-medium")


def _bar(_one: tuple[str, int]) -> tuple[ui.element, Callable[[tuple[str, int]], None]]:
    with ui.row().classes("full-width no-wrap items-center rp-satellite") as row:
        name = ui.label()
        with ui.element("div").classes("rp-bar"):
            part = ui.element("div").classes("rp-strength")
        text = ui.label().classes("rp-number")

    def show(new: tuple[str, int]) -> None:
        name.set_text(new[0])
        part.style(f"width: {min(100, 2 * new[1])}%")
        text.set_text(f"{new[1]} dBHz" if new[1] else NONE)

    return row, show


def _ago(points: deque[tuple[float, float]], now_s: float) -> list[tuple[float, float]]:
    return [(round(at_s - now_s, 1), value) for at_s, value in points]
