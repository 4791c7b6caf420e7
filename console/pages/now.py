"""The page *Now*: is the device well, and if not, what to do."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from nicegui import ui

from console.agent_views import Now
from console.pages.checks_panel import ChecksPanel
from console.pages.device import Device
from console.pages.frame import draw_frame
from console.pages.latency_view import Bar, rule_bars
from console.pages.now_view import (
    Fact,
    PartRow,
    Rates,
    Trouble,
    facts,
    link_mark,
    outbox_mark,
    part_rows,
    state_mark,
    troubles,
)
from console.pages.words import instant
from console.web.session import Session
from console.web.widgets.ledger_bar import LedgerBar
from console.web.widgets.rows import Rows
from console.web.widgets.severity_chips import SeverityChips
from console.web.widgets.state_chip import StateChip

CHECKS_EVERY = timedelta(minutes=5)
Drawn = tuple[ui.element, Callable[..., None]]


def build(device: Device, session: Session) -> None:
    """Draws the page."""
    live, content = draw_frame(device, session, session.t("Now"))
    with content:
        page = NowPage(device, session)

    async def check_sometimes() -> None:
        made_at = device.checks.made_at
        if made_at is None or datetime.now(UTC) - made_at > CHECKS_EVERY:
            await device.check()

    with content:
        live.follow(lambda: device.client.now(1.0), page.show)
        live.every(1.0, page.checks.show)
        live.every(30.0, check_sometimes)


class NowPage:
    """The elements of one page; `show` changes them in place."""

    def __init__(self, device: Device, session: Session) -> None:
        self._device, self._t, self._session = device, session.t, session
        self._rates = Rates()
        with ui.row().classes("rp-headline full-width"):
            self._state = StateChip()
            self._state.element.classes("rp-big").mark("device-state")
            self._active = SeverityChips(session)
            self._simulated = StateChip("doubt", session.t("simulated"))
            self._rescue = StateChip("doubt")
            self._name = ui.label().classes("rp-quiet").mark("device-name")
        self._simulated.element.set_visibility(False)
        self._rescue.element.set_visibility(False)
        with ui.column().classes("full-width rp-troubles").mark("troubles") as column:
            self._troubles = Rows(column, self._trouble)
        with ui.card().classes("full-width"), ui.column().classes("rp-tight"):
            self._link = StateChip()
            self._outbox = StateChip()
            self._outbox.element.mark("outbox")
            self._since = ui.label().classes("rp-quiet")
        with ui.row().classes("rp-facts full-width").mark("facts") as row:
            self._facts = Rows(row, self._fact)
        self._heading("Parts", session.t("Parts"))
        with ui.element("div").classes("rp-table rp-parts").mark("parts") as table:
            self._parts = Rows(table, self._part)
        with (
            ui.expansion(session.t("Jobs of the agent that are well")).classes("full-width"),
            ui.element("div").classes("rp-table rp-parts").mark("jobs") as table,
        ):
            self._jobs = Rows(table, self._part)
        self._heading("Latency", session.t("From the event to the broker's confirmation"))
        self._no_latency = ui.label(session.t("No alert since the agent's start.")).classes("rp-quiet")
        with ui.column().classes("full-width").mark("latency") as column:
            self._bars = Rows(column, self._bar)
        self.checks = ChecksPanel(device, session)

    def show(self, now: Now) -> None:
        """One report of the device."""
        t = self._t
        found = troubles(now, self._device.checks.remedies, t)
        state = state_mark(now, t)
        self._state.show(state.kind, state.text)
        self._active.show(now["active"])
        hello = self._device.hello
        if hello is not None:
            self._name.set_text(f"{hello['device']} · {hello['kind']} · ringpost {hello['version']}")
            self._simulated.element.set_visibility(hello["simulated"])
        rescue = now["rescue_mode"]
        self._rescue.element.set_visibility(bool(rescue))
        if rescue:
            self._rescue.show("doubt", t("rescue mode until {until}", until=self._time(rescue.get("until"))))
        self._troubles.show((trouble.text, trouble) for trouble in found)
        link, outbox = link_mark(now, t), outbox_mark(now, t)
        self._link.show(link.kind, link.text)
        self._outbox.show(outbox.kind, outbox.text)
        self._since.set_text(t("counted since {at}", at=self._time(now["counts"].get("since"))))
        self._facts.show((fact.name, fact) for fact in facts(now, t))
        at = instant(now["at"])
        rows = part_rows(now, self._rates, at.timestamp() if at else 0.0, t)
        sources = self._device.hello["sources"] if self._device.hello is not None else {}
        jobs = [row for row in rows if row.name not in sources and row.rank == 2]
        self._parts.show((row.name, row) for row in rows if row not in jobs)
        self._jobs.show((row.name, row) for row in jobs)
        bars = rule_bars(now["latency"], t)
        self._no_latency.set_visibility(not bars)
        self._bars.show((bar.name, bar) for bar in bars)

    def _time(self, value: object) -> str:
        at = instant(value)
        return "?" if at is None else f"{at.astimezone(self._session.zone):%Y-%m-%d} {self._session.time(at)}"

    def _heading(self, mark: str, text: str) -> None:
        ui.label(text).classes("text-h6").props('role="heading" aria-level="2"').mark(f"heading-{mark}")

    def _trouble(self, _trouble: Trouble) -> Drawn:
        with ui.row().classes("rp-trouble no-wrap") as row:
            ui.icon("error", size="22px").props('aria-hidden="true"')
            with ui.column().classes("rp-tight"):
                text, remedy = ui.label().classes("text-weight-medium"), ui.label()

        def show(new: Trouble) -> None:
            text.set_text(new.text)
            remedy.set_text(f"→ {new.remedy}")

        return row, show

    def _fact(self, fact: Fact) -> Drawn:
        with ui.column().classes("rp-fact") as tile:
            ui.label(fact.name).classes("rp-quiet")
            value = StateChip()

        def show(new: Fact) -> None:
            value.show(new.mark, new.value)

        return tile, show

    def _part(self, part: PartRow) -> Drawn:
        with ui.element("div").classes("rp-line").mark("part") as row:
            ui.label(part.name).classes("text-weight-medium rp-name")
            running, sending, valid = StateChip(), StateChip(), StateChip()
            age, rate = ui.label().classes("rp-number"), ui.label().classes("rp-number")
            trouble = ui.label().classes("rp-note")

        def show(new: PartRow) -> None:
            for chip, mark in ((running, new.running), (sending, new.sending), (valid, new.valid)):
                chip.show(mark.kind, mark.text)
            age.set_text(new.age)
            rate.set_text(new.rate)
            trouble.set_text(new.trouble)

        return row, show

    def _bar(self, bar: Bar) -> Drawn:
        with ui.card().classes("full-width rp-tight") as card:
            with ui.row().classes("full-width items-baseline"):
                ui.label(bar.name).classes("text-weight-medium")
                total, note = ui.label().classes("text-h6"), ui.label().classes("rp-quiet")
            strip = LedgerBar()

        def show(new: Bar) -> None:
            total.set_text(new.total)
            note.set_text(new.note)
            strip.show(new.steps)

        return card, show
