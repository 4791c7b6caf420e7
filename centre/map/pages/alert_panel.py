"""One alert: what it is, its picture, its ledger, who has taken it, and what can be done."""

import asyncio
import base64
import tempfile
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from pathlib import Path

from nicegui import ui

from agent.runtime.error_text import describe_error
from centre.map import words
from centre.map.action_entry import ActionEntry
from centre.map.city import City
from centre.map.pages.nearest_panel import NearestPanel
from centre.map.pages.queue_panel import state_text
from centre.map.pages.view import View
from centre.map.queued_alert import QueuedAlert
from centre.map.scene import alert_place
from centre.picture_access import copy_picture
from console.order_steps import OrderStep
from console.web.session import Session
from console.web.theme import SEVERITY
from console.web.widgets.order import STATES, OrderLine, order_button

ANSWERS = (("Acknowledge", "ack", "check"), ("Close", "close", "task_alt"), ("Reject", "reject", "block"))
"""Text, action and icon of the buttons."""
NO_BROKER = "This map has no broker: it shows, and gives no orders. Start it with --broker"
WHY_LOOKED = "handles alert {alert}"


class AlertPanel:
    """Draws the selected alert of a `View`."""

    def __init__(self, city: City, session: Session, view: View) -> None:
        self._city, self._session, self._view = city, session, view
        self._drawn: tuple[str, str] | None = None
        self._facts_of: tuple[object, ...] | None = None
        self._acknowledge: ui.button | None = None
        self._answers: list[ui.button] = []
        self.nearest: NearestPanel | None = None
        self._box = ui.element("div").classes("rm-detail").mark("alert-detail")
        self.update(city.now())

    def update(self, now: datetime) -> None:
        """Shows the alert as it is; what a person has typed stays."""
        alert, now = self._view.selected(), self._view.instant(now)
        key = None if alert is None else alert.key
        if key != self._drawn or alert is None:
            self._draw(alert)
        if alert is None:
            return
        version = (alert, alert.version, self._city.entries)
        if version != self._facts_of:
            self._facts_of = version
            self._draw_facts(alert, now)
        if alert.phase == "end":  # each time: an order under way enables its button again
            for button in self._answers:
                button.disable()
        self._age.set_text(words.age(self._session, alert.age_s(now)))
        if self.nearest is not None:
            self.nearest.update(alert, now)

    def _draw(self, alert: QueuedAlert | None) -> None:
        if alert is None and self._drawn is None and self._box.default_slot.children:
            return
        self._box.clear()
        self._drawn, self._facts_of, self.nearest = None if alert is None else alert.key, None, None
        t = self._session.t
        with self._box:
            if alert is None:
                ui.label(t("Choose an alert in the queue or on the map.")).classes("rm-quiet")
                return
            with ui.row().classes("rm-panel-head no-wrap"):
                self._icon = ui.icon("report").classes("rm-alert-icon").props("aria-hidden=true")
                self._title = ui.label().classes("rm-panel-title").props("role=heading aria-level=2")
                self._title.mark("alert-title")
                ui.space()
                self._age = ui.label().classes("rm-alert-age")
            self._facts = ui.element("div").classes("rm-facts")
            self._picture = ui.element("div").classes("rm-picture")
            self._draw_actions(alert)
            self.nearest = NearestPanel(self._city, self._session, self._view, alert)
            self._ledger = ui.element("div").classes("rm-ledger")

    def _draw_facts(self, alert: QueuedAlert, now: datetime) -> None:
        session, t = self._session, self._session.t
        _, icon = SEVERITY.get(alert.severity, SEVERITY["critical"])
        kinds = words.kinds(session)
        real = alert.shown_as == "alert"
        self._icon.props(f"name={icon if real else 'science'}")
        kind = kinds.get(alert.kind, alert.kind or alert.rule)
        self._title.set_text(kind if real else f"{kinds[alert.shown_as].upper()} · {kind}")
        self._facts.clear()
        place = alert_place(alert, self._view.situation)
        with self._facts:
            if alert.text:
                ui.label(alert.text).classes("rm-alert-words")
            _fact(t("State"), state_text(session, self._city, alert, now), "alert-state")
            _fact(t("Severity"), words.severities(session).get(alert.severity, alert.severity))
            if alert.verified is not None:
                _fact(t("Second look"), words.second_look(session, alert.verified), "alert-verified")
            _fact(t("Device"), " · ".join(part for part in (alert.device, alert.camera, alert.zone) if part))
            _fact(t("Began"), words.clock(session, alert.began_at))
            if place is None:
                _fact(t("Place"), t("unknown"))
            else:
                error = "" if place[2] is None else f" ± {session.distance(place[2])}"
                own = "" if alert.point is not None else f" ({t('of the device')})"
                _fact(t("Place"), f"{place[0]:.5f} {place[1]:.5f}{error}{own}")
            if alert.answer is not None:
                at = "" if alert.answer.at is None else f" · {session.time(alert.answer.at)}"
                reason = f" · {alert.answer.reason}" if alert.answer.reason else ""
                _fact(t("Answer"), f"{alert.answer.role}: {alert.answer.action}{at}{reason}")
            for entry in self._city.actions.board.of(alert.key, now):
                if entry.kind != "result":
                    _fact(session.time(entry.at), self._entry_text(entry))
        self._draw_picture(alert)
        self._ledger.clear()
        if alert.steps_ms:
            with self._ledger, ui.expansion(t("Ledger: from the frame to the centre")).classes("w-full"):
                for step, ms in alert.steps_ms.items():
                    _fact(step, f"{ms:,.0f} ms")

    def _draw_picture(self, alert: QueuedAlert) -> None:
        self._picture.clear()
        t = self._session.t
        with self._picture:
            for name in alert.pictures[:1]:
                if self._city.pictures is None:
                    ui.label(t("Pictures are not kept here: start the map with --pictures")).classes(
                        "rm-quiet"
                    )
                else:
                    ui.button(
                        t("Show the picture (the look is logged)"), icon="image",
                        on_click=partial(self._look, alert, name),
                    ).props("outline dense").mark("show-picture")  # fmt: skip

    async def _look(self, alert: QueuedAlert, name: str) -> None:
        """Shows a picture once the entry about it is on disk."""
        session = self._session
        reason = WHY_LOOKED.format(alert=alert.alert_id)
        try:
            jpeg = await asyncio.to_thread(self._read, name, session.role, reason)
        except (OSError, ValueError) as error:
            ui.notify(describe_error(error), type="negative")
            return
        if self._drawn != alert.key:
            return
        self._picture.clear()
        with self._picture:
            alt = session.t("Picture of the alert, people are covered")
            source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
            ui.image(source).props(f'alt="{alt}" fit=contain').classes("rm-look").mark("picture")

    def _read(self, name: str, role: str, reason: str) -> bytes:
        if self._city.pictures is None:
            raise ValueError("pictures are not kept here")
        with tempfile.TemporaryDirectory() as folder:
            to = Path(folder) / "picture.jpg"
            copy_picture(self._city.db, self._city.pictures, name, role, reason, to)
            return to.read_bytes()

    def _draw_actions(self, alert: QueuedAlert) -> None:
        session, t = self._session, self._session.t
        self._acknowledge, self._answers = None, []
        if not self._city.can_order():
            ui.label(t(NO_BROKER)).classes("rm-warn").props("role=note").mark("no-broker")
        if self._view.past_at is not None:
            return
        line = OrderLine(session)
        with ui.row().classes("rm-actions"):
            for text, action, icon in ANSWERS:
                button = order_button(
                    session,
                    text,
                    action,
                    partial(self._answer, alert, action),
                    icon=icon,
                    line=line,
                )
                button.props("dense").set_enabled(self._city.can_order())
                self._answers.append(button)
                if action == "ack":
                    self._acknowledge = button
        with ui.row().classes("rm-note no-wrap"):
            self._note = ui.input(t("Note, or reason")).props("dense outlined maxlength=1000").classes("grow")
            self._note.mark("note")
            order_button(session, "Note", "ack", lambda: self._add_note(alert), line=line).props(
                "outline dense"
            ).mark("add-note")
        with ui.row().classes("rm-note no-wrap"):
            self._to = (
                ui.input(t("Hand over to the role")).props("dense outlined maxlength=64").classes("grow")
            )
            self._to.mark("hand-over-to")
            order_button(session, "Hand over", "ack", lambda: self._hand_over(alert), line=line).props(
                "outline dense"
            ).mark("hand-over")

    def _answer(self, alert: QueuedAlert, action: str) -> AsyncIterator[OrderStep]:
        session = self._session
        return self._city.actions.answer(alert, session.signer, session.role, action, self._note.value or "")

    async def _add_note(self, alert: QueuedAlert) -> AsyncIterator[OrderStep]:
        session = self._session
        async for step in self._city.actions.note(
            alert, session.signer, session.role, self._note.value or ""
        ):
            yield step
            if step.succeeded:
                self._note.set_value("")

    async def _hand_over(self, alert: QueuedAlert) -> AsyncIterator[OrderStep]:
        session, to, text = self._session, self._to.value or "", self._note.value or ""
        async for step in self._city.actions.hand_over(alert, session.signer, session.role, to, text):
            yield step
            if step.succeeded:
                self._to.set_value("")

    def _entry_text(self, entry: ActionEntry) -> str:
        """One line about what an officer did."""
        t, fields = self._session.t, entry.fields
        result = self._city.actions.board.result_of(entry)
        became = "" if result is None else f" · {self._session.t(STATES[result.fields['state']][0])}" if (
            result.fields.get("state") in STATES
        ) else f" · {result.fields.get('state')}"  # fmt: skip
        text = f": {entry.text}" if entry.text else ""
        match entry.kind:
            case "note":
                return f"{entry.role}{text}"
            case "hand_over":
                return f"{entry.role} → {fields.get('to')}{text}"
            case "call_out":
                what = fields.get("output") or t("rescue mode")
                return f"{entry.role} → {fields.get('to')}: {what}{became}"
            case _:
                return f"{entry.role}: {fields.get('action')}{text}{became}"

    def redraw(self, now: datetime) -> None:
        """Draws everything again: the page went into the past, or came back."""
        self._drawn, self._facts_of = ("", ""), None
        self.update(now)

    def nearest_place(self) -> tuple[float, float] | None:
        """Where the soonest force is."""
        return None if self.nearest is None else self.nearest.first()

    def press_acknowledge(self) -> None:
        """For the keyboard."""
        if self._acknowledge is not None:
            self._acknowledge.run_method("click")


def _fact(name: str, value: str, mark: str = "") -> None:
    with ui.element("div").classes("rm-fact"):
        ui.label(name).classes("rm-fact-name")
        label = ui.label(value).classes("rm-fact-value")
        if mark:
            label.mark(mark)
