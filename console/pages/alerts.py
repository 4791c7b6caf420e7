"""The page *Alerts*: what is active, what was, and what a person answers."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from nicegui import ui

from console.agent_client import AgentError, AgentUnreachableError
from console.agent_views import SentMessage
from console.pages.alert_detail import AlertDetail
from console.pages.alerts_view import AlertRow, alert_rows, moment
from console.pages.device import Device
from console.pages.frame import draw_frame
from console.pages.words import age_text
from console.web.session import Session
from console.web.widgets.rows import Rows
from console.web.widgets.severity_mark import SeverityMark
from console.web.widgets.state_chip import StateChip

LIMIT = 200
MOST_ROWS = 60
"""Alerts that are drawn, at most: the list stays quick on a phone."""
REFRESH_S = 5.0


def build(device: Device, session: Session) -> None:
    """Draws the page."""
    live, content = draw_frame(device, session, session.t("Alerts"))
    with content:
        page = AlertsPage(device, session)
        live.follow(device.client.results, page.on_message)
        live.run(page.refresh_for_ever)
        live.every(1.0, page.show_ages)


class AlertsPage:
    """The list, and beside it the alert that is open."""

    def __init__(self, device: Device, session: Session) -> None:
        self._device, self._session = device, session
        self._due = asyncio.Event()
        self._all: list[AlertRow] = []
        self._open_id: str | None = None
        self._ages: dict[str, tuple[AlertRow, ui.label]] = {}
        t = session.t
        with ui.row().classes("full-width items-center"):
            self._words = ui.input(t("Search"), on_change=self._draw).props("dense outlined clearable")
            self._words.classes("rp-grow").mark("search")
            self._simulated = StateChip("doubt", t("simulated"))
            self._only_active = ui.switch(t("Only active"), on_change=self._draw).mark("only-active")
        with ui.element("div").classes("rp-alerts"):
            with ui.column().classes("full-width rp-tight") as column:
                self._none = ui.label(t("No alert.")).classes("rp-quiet")
                with ui.column().classes("full-width rp-list").mark("alerts") as rows:
                    self._rows = Rows(rows, self._draw_row)
                self._more = ui.label().classes("rp-quiet")
            column.props(f'role="region" aria-label="{t("Alerts")}"')
            self._detail = AlertDetail(device, session, self._close)

    def on_message(self, message: SentMessage) -> None:
        """The device raises, changes or ends an alert."""
        if message.topic.endswith(("alert", "alerts/active")):
            self._due.set()

    async def refresh_for_ever(self) -> None:
        """Asks for the alerts when one changes, and every `REFRESH_S`."""
        while True:
            self._due.clear()
            try:
                alerts = await self._device.client.alerts(LIMIT)
            except (AgentError, AgentUnreachableError):
                await asyncio.sleep(1.0)
                continue
            self._all = alert_rows(alerts, self._session)
            self._draw()
            await asyncio.sleep(0.8)  # a burst of messages is one change
            try:
                async with asyncio.timeout(REFRESH_S):
                    await self._due.wait()
            except TimeoutError:
                continue

    def show_ages(self) -> None:
        """Counts on."""
        now = datetime.now(UTC)
        for row, label in self._ages.values():
            label.set_text(age_text(row.age_s(now)))

    def _draw(self) -> None:
        words = self._words.value or ""
        chosen = [
            row for row in self._all if row.matches(words) and (row.active or not self._only_active.value)
        ]
        self._none.set_visibility(not chosen)
        hello = self._device.hello
        self._simulated.element.set_visibility(hello is not None and hello["simulated"])
        shown = chosen[:MOST_ROWS]
        self._rows.show((row.alert_id, row) for row in shown)
        kept = {row.alert_id for row in shown}
        self._ages = {key: one for key, one in self._ages.items() if key in kept}
        left_out = len(chosen) - len(shown)
        self._more.set_text(self._session.t("and {n} more: search for them", n=left_out) if left_out else "")
        opened = next((row for row in self._all if row.alert_id == self._open_id), None)
        self._detail.show(opened)
        self.show_ages()

    def _open(self, alert_id: str) -> None:
        self._open_id = alert_id
        self._draw()

    def _close(self) -> None:
        self._open_id = None
        self._draw()

    def _draw_row(self, row: AlertRow) -> tuple[ui.element, Callable[[AlertRow], None]]:
        alert_id, t = row.alert_id, self._session.t
        with ui.element("div").classes("rp-alert").props('role="button" tabindex="0"').mark("alert") as line:
            with ui.row().classes("full-width items-center no-wrap"):
                severity = SeverityMark(self._session)
                state = ui.label().classes("rp-grow rp-quiet")
                age = ui.label().classes("rp-number")
            text = ui.label().classes("text-weight-medium")
            note = ui.label().classes("rp-quiet")
        line.on("click", lambda: self._open(alert_id))
        line.on("keydown.enter", lambda: self._open(alert_id))

        def show(new: AlertRow) -> None:
            self._ages[new.alert_id] = new, age
            severity.show(new.severity, drill=new.drill)
            waits = new.active and not new.answered
            words = t("active, not answered") if waits else new.answer if new.active else new.end
            again = t("raised again {n} ×", n=new.escalation) if new.escalation and waits else ""
            state.set_text(" · ".join(filter(None, (words, again))))
            text.set_text(new.text)
            since = moment(new.since, self._session) if new.since else ""
            note.set_text(" · ".join(filter(None, (since, new.where, new.rule))))
            line.classes(
                add="rp-active-alert" if new.active else "rp-ended-alert",
                remove="rp-ended-alert" if new.active else "rp-active-alert",
            )
            chosen = new.alert_id == self._open_id
            line.classes(add="rp-chosen") if chosen else line.classes(remove="rp-chosen")

        return line, show
