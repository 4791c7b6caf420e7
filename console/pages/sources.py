"""The page *Sources*: what each one says now, how old that is, and what it looks like on the wire."""

import time
from collections.abc import Callable

from nicegui import ui

from console.agent_views import SourceUpdate
from console.pages.around_panel import AroundPanel
from console.pages.device import Device
from console.pages.frame import draw_frame
from console.pages.gnss_panel import GnssPanel
from console.pages.raw_panel import RawPanel
from console.pages.source_store import KnownValue, SourceStore
from console.pages.sources_view import Gauge, SourceGroup, ValueRow, drone_fields, gauges, groups
from console.web.session import Session
from console.web.widgets.rows import Rows
from console.web.widgets.state_chip import StateChip

NO_LINE = frozenset({"camera", "gpsd", "modbus"})
"""Kinds of sources without a stream of bytes."""


def build(device: Device, session: Session) -> None:
    """Draws the page."""
    live, content = draw_frame(device, session, session.t("Sources"))
    store = SourceStore()

    def device_name() -> str:
        return device.hello["device"] if device.hello is not None else "?"

    with content:
        page = SourcesPage(session, store)
        around = AroundPanel(session, store, device_name)
        GnssPanel(device, session, live, store)
        raw = RawPanel(device, session, live)

    def take(update: SourceUpdate) -> None:
        store.take(update, time.monotonic())

    def draw() -> None:
        now_s = time.monotonic()
        page.show(now_s)
        around.show(now_s)
        if device.hello is not None:
            raw.offer([name for name, kind in device.hello["sources"].items() if kind not in NO_LINE])

    with content:
        live.follow(device.client.sources, take)
        live.every(1.0, draw)


class SourcesPage:
    """Instruments, drones, and a card for each source."""

    def __init__(self, session: Session, store: SourceStore) -> None:
        self._session, self._store = session, store
        with ui.row().classes("rp-facts full-width").mark("gauges") as row:
            self._gauges = Rows(row, _gauge)
        with ui.row().classes("full-width").mark("drones") as row:
            self._drones = Rows(row, self._drone)
        with ui.element("div").classes("rp-cards").mark("sources") as cards:
            self._groups = Rows(cards, self._group)
        self._none = ui.label(session.t("No values yet.")).classes("rp-quiet")

    def show(self, now_s: float) -> None:
        """Draws what is known now."""
        found = groups(self._store, self._session, now_s)
        self._none.set_visibility(not found)
        self._groups.show((group.name, group) for group in found)
        self._gauges.show((gauge.name, gauge) for gauge in gauges(self._store, self._session, now_s))
        drones = self._store.of_kind("drone")
        self._drones.show((f"{value.source}/{value.key}", value) for value in drones)

    def _group(self, group: SourceGroup) -> tuple[ui.element, Callable[[SourceGroup], None]]:
        with ui.card().classes("rp-tight").mark("source") as card:
            with ui.row().classes("full-width items-center"):
                head = StateChip()
                head.element.classes("text-subtitle1")
                ui.label(group.kind).classes("rp-quiet")
            note = ui.label().classes("rp-quiet")
            with ui.element("div").classes("rp-table rp-values") as table:
                rows = Rows(table, _value)

        def show(new: SourceGroup) -> None:
            head.show(new.fresh, new.name)
            note.set_text(new.note)
            rows.show((row.key, row) for row in new.rows)

        return card, show

    def _drone(self, _value: KnownValue) -> tuple[ui.element, Callable[[KnownValue], None]]:
        t = self._session.t
        with ui.card().classes("rp-tight").mark("drone") as card:
            state = StateChip()
            state.element.classes("text-subtitle1")
            with ui.row().classes("rp-facts") as row:
                facts = Rows(row, _fact)

        def show(new: KnownValue) -> None:
            lost = new.fields.get("state") == "lost"
            words = t("drone {n}: connection lost", n=new.key) if lost else t("drone {n}", n=new.key)
            state.show("bad" if lost else "good", words)
            facts.show((name, (name, text)) for name, text in drone_fields(new.fields, self._session))

        return card, show


def _fact(one: tuple[str, str]) -> tuple[ui.element, Callable[[tuple[str, str]], None]]:
    with ui.column().classes("rp-fact") as tile:
        ui.label(one[0]).classes("rp-quiet")
        text = ui.label().classes("text-weight-medium")

    def show(new: tuple[str, str]) -> None:
        text.set_text(new[1])

    return tile, show


def _gauge(gauge: Gauge) -> tuple[ui.element, Callable[[Gauge], None]]:
    with ui.column().classes("rp-fact rp-gauge") as tile:
        ui.label(gauge.name).classes("rp-quiet")
        with ui.row().classes("no-wrap items-center"):
            needle = ui.icon("navigation", size="28px").props('aria-hidden="true"')
            text = ui.label().classes("text-h5")
        note = StateChip()

    def show(new: Gauge) -> None:
        text.set_text(new.text)
        needle.set_visibility(new.turn_deg is not None)
        if new.turn_deg is not None:
            needle.style(f"transform: rotate({new.turn_deg:.0f}deg)")
        note.show(new.kind, new.note)
        tile.classes(add="rp-stale") if new.kind == "doubt" else tile.classes(remove="rp-stale")

    return tile, show


def _value(row: ValueRow) -> tuple[ui.element, Callable[[ValueRow], None]]:
    with ui.element("div").classes("rp-line").mark("value") as line:
        ui.label(row.name).classes("rp-quiet")
        text = ui.label().classes("text-weight-medium")
        age, rate = ui.label().classes("rp-number"), ui.label().classes("rp-number rp-quiet")
        note = StateChip("doubt")
        note.element.classes("rp-note")

    def show(new: ValueRow) -> None:
        text.set_text(new.text)
        age.set_text(new.age)
        rate.set_text(new.rate)
        note.element.set_visibility(bool(new.note))
        note.show("doubt", new.note)
        line.classes(add="rp-stale") if new.kind == "doubt" else line.classes(remove="rp-stale")

    return line, show
