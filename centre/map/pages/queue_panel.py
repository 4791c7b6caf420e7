"""The queue of alerts: what asks for a person stands first. Only what changed goes to the browser."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from centre.map import words
from centre.map.city import City
from centre.map.pages.alarm import AlarmSound
from centre.map.pages.view import View
from centre.map.queued_alert import QueuedAlert
from console.web.session import Session
from console.web.theme import SEVERITY

MOST_ROWS = 50
"""Rows that are drawn; the number of the others stands below them."""
Key = tuple[str, str]


class QueueRow:
    """One alert. Its element is made once, and moved and changed afterwards."""

    def __init__(self, session: Session, on_select: Callable[[], None]) -> None:
        self._session = session
        self.element = ui.element("div").classes("rm-alert").props("role=option tabindex=0")
        self.element.on("click", on_select, []).on("keydown.enter", on_select, [])
        with self.element:
            self._icon = ui.icon("report").classes("rm-alert-icon").props("aria-hidden=true")
            with ui.element("div").classes("rm-alert-text"):
                self._title = ui.label().classes("rm-alert-title")
                self._where = ui.label().classes("rm-alert-where")
                self._state = ui.label().classes("rm-alert-state")
            self._age = ui.label().classes("rm-alert-age")

    def show(self, alert: QueuedAlert, city: City, *, selected: bool, read: bool, now: datetime) -> None:
        """Shows the present state of an alert."""
        t, kinds = self._session.t, words.kinds(self._session)
        _, icon = SEVERITY.get(alert.severity, SEVERITY["critical"])
        real = alert.shown_as == "alert"
        self._icon.props(f"name={icon if real else 'science'}")
        severity = words.severities(self._session).get(alert.severity, t("unknown"))
        kind = kinds.get(alert.kind, alert.kind or alert.rule)
        self._title.set_text(f"{kind} · {severity}" if real else f"{kinds[alert.shown_as].upper()} · {kind}")
        force = city.feed.situation.forces.get(alert.device)
        post = f" · {force.post}" if force is not None and force.post not in ("", force.device) else ""
        self._where.set_text(f"{alert.device}{post}" + (f" · {alert.zone}" if alert.zone else ""))
        self._state.set_text(state_text(self._session, city, alert, now))
        self._age.set_text(words.age(self._session, alert.age_s(now)))
        level = alert.severity if alert.severity in SEVERITY else "critical"
        wanted = {f"rm-{level}" if real and alert.state != "ended" else "rm-unreal", f"rm-is-{alert.state}"}
        if not read and alert.state == "open":
            wanted.add("rm-unread")
        if selected:
            wanted.add("rm-selected")
        kept = {"rm-alert"}
        present = set(self.element.classes) - kept
        if present != wanted:
            self.element.classes(add=" ".join(wanted - present), remove=" ".join(present - wanted))
        self.element.props(f'aria-selected={"true" if selected else "false"} data-alert="{alert.alert_id}"')


def state_text(session: Session, city: City, alert: QueuedAlert, now: datetime) -> str:
    """Who has taken an alert, in one line."""
    t = session.t
    holder = city.holder(alert, now)
    if alert.state == "ended":
        return t("ended: {reason}", reason=alert.end_reason) if alert.end_reason else t("ended")
    if holder:
        handed = alert.answer is None or alert.answer.role != holder
        return t("handed over to {role}", role=holder) if handed else t("taken by {role}", role=holder)
    if alert.answer is not None:
        return t("taken by {role}", role=t("unknown"))
    text = t("over, not acknowledged") if alert.over else t("open")
    return text + (f" · {t('raised {n} times', n=alert.escalation + 1)}" if alert.escalation else "")


class QueuePanel:
    """Draws the queue of a `View`; ``on_select`` opens an alert."""

    def __init__(self, city: City, session: Session, view: View, on_select: Callable[[Key], None]) -> None:
        self._city, self._session, self._view, self._on_select = city, session, view, on_select
        self._rows: dict[Key, QueueRow] = {}
        self._known: set[Key] | None = None
        t = session.t
        with ui.row().classes("rm-panel-head"):
            ui.label(t("Alerts")).classes("rm-panel-title").props("role=heading aria-level=2")
            self._count = ui.label().classes("rm-count").mark("alert-count")
            ui.space()
            self.alarm = AlarmSound(session)
        ui.checkbox(t("also ended ones"), on_change=self._show_ended).props("dense").mark("ended")
        self._list = ui.element("div").classes("rm-queue").props(f'role=listbox aria-label="{t("Alerts")}"')
        self._list.mark("queue")
        self._more = ui.label().classes("rm-more")
        self._none = ui.label(t("No alerts: everything is quiet.")).classes("rm-quiet")

    def _show_ended(self, event: ValueChangeEventArguments[Any]) -> None:
        self._view.ended = bool(event.value)
        self.update(self._city.now())

    def update(self, now: datetime) -> None:
        """Shows the queue as it is; a new critical alert is heard once."""
        view, now = self._view, self._view.instant(now)
        alerts = view.queue()
        shown = {alert.key: alert for alert in alerts[:MOST_ROWS]}
        if view.alert is not None and view.alert not in shown and (chosen := view.selected()) is not None:
            shown[chosen.key] = chosen
        for key in [key for key in self._rows if key not in shown]:
            self._rows.pop(key).element.delete()
        for key, alert in shown.items():
            if key not in self._rows:
                with self._list:
                    self._rows[key] = QueueRow(self._session, partial(self._on_select, key))
            self._rows[key].show(
                alert, self._city, selected=key == view.alert, read=key in view.read, now=now
            )
        wanted = [self._rows[key].element for key in shown]
        if self._list.default_slot.children != wanted:
            self._list.default_slot.children[:] = wanted
            self._list.update()
        more = len(alerts) - MOST_ROWS
        self._more.set_text(self._session.t("{n} more: use the filters", n=more) if more > 0 else "")
        open_ones = sum(alert.alarm for alert in alerts)
        text = self._session.t("{n} open", n=open_ones)
        if others := sum(alert.state == "open" and not alert.alarm for alert in alerts):
            text += self._session.t(", {n} simulated or late", n=others)
        self._count.set_text(text)
        quiet = view.past is not None or not (self._city.feed.problem or self._city.silence_s(now))
        self._none.set_text(
            self._session.t("No alerts: everything is quiet.")
            if quiet
            else self._session.t("No alert is known.")
        )
        self._none.set_visibility(not alerts)
        if view.past is None:
            self._sound(alerts)

    def _sound(self, alerts: list[QueuedAlert]) -> None:
        critical = {alert.key for alert in alerts if alert.alarm and alert.severity == "critical"}
        if self._known is not None and critical - self._known:
            self.alarm.sound()
        self._known = critical | (self._known or set()) if len(self._known or ()) < 50_000 else critical
