"""One alert in full on the page *Alerts*: pictures, place, ledger, who was told, and what a person can do."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial

from nicegui import ui

from console.order_steps import OrderStep
from console.pages.alert_pictures import AlertPictures
from console.pages.alerts_view import AlertRow, Place, Told
from console.pages.device import Device
from console.pages.words import number_text
from console.web.session import Session
from console.web.widgets.ledger_bar import LedgerBar
from console.web.widgets.map import MapView
from console.web.widgets.map_objects import MapObject, Scene, State
from console.web.widgets.order import OrderLine, order_button, order_desk
from console.web.widgets.rows import Rows
from console.web.widgets.severity_mark import SeverityMark
from console.web.widgets.state_chip import StateChip

OPERATOR = "operator"
"""The role that acknowledges, where a session has several."""
ALERT_ZOOM = 17


class AlertDetail:
    """Shows one alert at a time; `show` changes it in place, and asks for pictures only of another alert."""

    def __init__(self, device: Device, session: Session, on_close: Callable[[], None]) -> None:
        self._device, self._session = device, session
        self._row: AlertRow | None = None
        self._place: Place | None = None
        t = session.t
        with ui.card().classes("full-width rp-detail").mark("alert-detail") as self.element:
            with ui.row().classes("full-width items-start no-wrap"):
                self._severity = SeverityMark(session)
                self._text = ui.label().classes("text-h6 rp-grow").props('role="heading" aria-level="2"')
                ui.button(icon="close", on_click=on_close).props(
                    f'flat round aria-label="{t("Back to the list")}"'
                ).mark("close-detail")
            self._facts = ui.label().classes("rp-quiet")
            self._answer, self._escalation = StateChip("good"), StateChip("bad")
            self._escalation.element.mark("escalation")
            self._answer.element.mark("answer")
            self._orders = ui.column().classes("full-width rp-orders")
            self._pictures = AlertPictures(device, session)
            self._map = ui.element("div").classes("full-width")
            self._where = ui.label().classes("rp-quiet")
            ui.label(t("From the event to the broker's confirmation")).classes("text-subtitle1")
            self._ledger = LedgerBar()
            ui.label(t("Who was told")).classes("text-subtitle1")
            with ui.column().classes("full-width rp-tight") as told:
                self._told = Rows(told, _told_line)
        with self._orders:
            self._draw_orders()
        self.element.set_visibility(False)

    def show(self, row: AlertRow | None) -> None:
        """Shows ``row``; nothing where it is None."""
        self._row = row
        self.element.set_visibility(row is not None)
        if row is None:
            self._pictures.show(None, 0)
            return
        t = self._session.t
        self._severity.show(row.severity, drill=row.drill)
        self._text.set_text(row.text)
        self._facts.set_text(
            " · ".join(filter(None, (row.rule, row.where, row.verified, row.end, row.alert_id)))
        )
        self._answer.element.set_visibility(bool(row.answer))
        self._answer.show("good", row.answer)
        self._escalation.element.set_visibility(row.escalation > 0)
        words = t("raised again {n} ×, as nobody answered", n=row.escalation)
        stopped = row.answered or not row.active
        self._escalation.show(
            "idle" if stopped else "bad", f"{words}; {t('it is not raised again')}" if stopped else words
        )
        self._orders.set_visibility(row.active)
        self._acknowledge.set_enabled(not row.answered)
        self._ledger.show(row.bar.steps)
        self._told.show((one.message_id, one) for one in row.told)
        self._show_place(row)
        self._pictures.show(row.alert_id, row.pictures)

    def _draw_orders(self) -> None:
        session, t = self._session, self._session.t
        with ui.row().classes("full-width items-center"):
            self._reason = ui.input(t("Reason (optional)")).props("dense outlined maxlength=200")
            self._reason.classes("rp-grow").mark("ack-reason")
            roles = sorted(role for role in session.roles if role != "viewer") or [session.role]
            usual = next((role for role in (OPERATOR, session.role) if role in roles), roles[0])
            self._role = ui.select(roles, value=usual)
            self._role.props(f'dense outlined label="{t("As")}"').mark("ack-role")
        line_place = ui.row()
        with line_place:
            line = OrderLine(session)
        with ui.row():
            button = partial(order_button, session, line=line, on_end=self._on_end)
            self._acknowledge = button("Acknowledge", "ack", lambda: self._send("ack"), icon="task_alt")
            button("Close (handled)", "close", lambda: self._send("close"), icon="done_all").props("outline")
            button("Reject (false)", "reject", lambda: self._send("reject"), icon="block").props("outline")

    def _send(self, action: str) -> AsyncIterator[OrderStep]:
        assert self._row is not None  # noqa: S101  the buttons are there only with an alert
        desk = order_desk(self._session, self._device.client)
        return desk.ack(self._row.alert_id, str(self._role.value), action, self._reason.value or None)

    def _on_end(self, step: OrderStep) -> None:
        if step.succeeded:
            self._reason.set_value("")

    def _show_place(self, row: AlertRow) -> None:
        place, t = row.place, self._session.t
        if place == self._place:
            return
        self._place = place
        self._map.clear()
        self._map.set_visibility(place is not None)
        self._where.set_visibility(place is not None)
        if place is None:
            return
        error = "" if place.error_m is None else f" ±{number_text(place.error_m, 'm')}"
        self._where.set_text(t("Place: {lat}, {lon}", lat=f"{place.lat:.6f}", lon=f"{place.lon:.6f}") + error)
        at = row.at or datetime.now(UTC)
        point = MapObject(
            row.alert_id, row.rule, "alert", _map_state(row.severity), place.lat, place.lon, at,
            error_m=place.error_m, emphasis=1,
        )  # fmt: skip
        with self._map:
            view = MapView(self._session, (place.lat, place.lon), ALERT_ZOOM).classes("rp-small-map")
        view.show(Scene((point,), datetime.now(UTC)))


def _map_state(severity: str) -> State:
    return severity if severity in ("critical", "warning", "info") else "unknown"  # type: ignore[return-value]


def _told_line(_told: Told) -> tuple[ui.element, Callable[[Told], None]]:
    chip = StateChip()

    def show(new: Told) -> None:
        chip.show("good" if new.confirmed else "doubt", new.text)

    return chip.element, show
