"""The panel that tries what was drawn: its effect on the last hours, the trial on the device, keep, back."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from nicegui import ui

from console.agent_client import AgentError
from console.order_steps import OrderStep
from console.pages.cameras.desk import CameraDesk
from console.pages.cameras.effect import Effect, effect_of
from console.pages.cameras.proposal import (
    CameraInForce,
    describe_changes,
    merge_patch,
    push_fields,
    what_if_fields,
)
from console.pages.device import Device
from console.web.session import Session
from console.web.widgets.live import Live
from console.web.widgets.order import OrderLine, order_button, order_desk

CONFIRM_WITHIN_S = 120.0
WHAT_IF_S = 280.0
WORDS = {
    ("new", "zone"): "new zone {name}",
    ("changed", "zone"): "changed zone {name}",
    ("removed", "zone"): "removed zone {name}",
    ("new", "rule"): "new rule {name}",
    ("changed", "rule"): "changed rule {name}",
    ("removed", "rule"): "removed rule {name}",
}
Read = Callable[[Device, str], Awaitable[CameraInForce]]


def draw_try_panel(device: Device, session: Session, live: Live, desk: CameraDesk, read: Read) -> None:
    """Draws the panel."""
    TryPanel(device, session, live, desk, read)


class TryPanel:
    """Sends the proposal of the moment; while it is on trial the time left is counted down."""

    def __init__(self, device: Device, session: Session, live: Live, desk: CameraDesk, read: Read) -> None:
        self._device, self._session, self._desk, self._read = device, session, desk, read
        self._until_s: float | None = None
        self._revision: int | None = None
        t = session.t
        with ui.column().classes("full-width rp-try"):
            self._changes = ui.label().classes("rp-hint").mark("changes")
            self._problem = ui.label().classes("rp-bad").props('role="status"').mark("problem")
            self._line = OrderLine(session)
            with ui.row().classes("items-center rp-actions"):
                self._effect_button = order_button(
                    session, "Effect on the last day", "what_if", self._what_if, icon="history",
                    line=self._line, on_end=self._show_effect,
                )  # fmt: skip
                self._try_button = order_button(
                    session, "Try on the device", "push", self._push, icon="science", line=self._line,
                    on_end=self._ended,
                )  # fmt: skip
                for one in (self._effect_button, self._try_button):
                    one.props("no-caps")
                discard = ui.button(t("Discard"), on_click=desk.discard).props("flat no-caps")
                discard.mark("discard")
            self._manual = ui.checkbox(t("I keep it myself, after looking")).mark("keep-by-hand")
            self._countdown = ui.label().classes("text-weight-bold").props('role="timer"').mark("countdown")
            with ui.row().classes("items-center") as self._decide:
                for text, name, icon in (
                    ("Keep", "config_confirm", "check"),
                    ("Back", "config_rollback", "undo"),
                ):
                    order_button(
                        session, text, name, partial(self._decided, name), icon=icon, line=self._line
                    ).props("no-caps")
            self._effect = ui.column().classes("full-width rp-effect").mark("effect")
        self._decide.set_visibility(False)
        desk.listeners.append(self._show)
        live.every(0.5, self._count_down)
        self._show()

    def _show(self) -> None:
        t, desk = self._session.t, self._desk
        zones, rules = desk.proposal()
        texts = [
            t(WORDS[what, kind], name=name) for what, kind, name in describe_changes(zones, rules, desk.now)
        ]
        self._changes.set_text(", ".join(texts) if texts else t("Nothing is changed."))
        problem = desk.problem()
        shown = t(problem) if problem is not None and texts else ""
        self._problem.set_text(shown)
        self._problem.set_visibility(bool(shown))
        for button in (self._effect_button, self._try_button):
            button.set_enabled(problem is None and self._until_s is None)
        self._effect.clear()

    # --- the effect on the last hours --------------------------------------------------------------------

    def _what_if(self) -> AsyncIterator[OrderStep]:
        fields = what_if_fields(self._desk.now.name, *self._desk.proposal())
        return order_desk(self._session, self._device.client).command("what_if", fields, then_s=WHAT_IF_S)

    def _show_effect(self, step: OrderStep) -> None:
        self._effect.clear()
        if step.succeeded:
            with self._effect:
                draw_effect(self._session, effect_of(step.body))

    # --- the trial ---------------------------------------------------------------------------------------

    async def _push(self) -> AsyncIterator[OrderStep]:
        patch = merge_patch(self._desk.now.name, *self._desk.proposal())
        fields = push_fields(patch, CONFIRM_WITHIN_S, manual=bool(self._manual.value))
        steps = order_desk(self._session, self._device.client).push(fields, within_s=2 * CONFIRM_WITHIN_S)
        async for step in steps:
            self._follow(step)
            yield step

    def _follow(self, step: OrderStep) -> None:
        if step.state == "sent" and "revision" in step.body:
            self._revision = int(step.body["revision"])
        if step.state in ("accepted", "waiting") and self._until_s is None:
            self._until_s = time.monotonic() + CONFIRM_WITHIN_S
        self._decide.set_visibility(step.state == "waiting" and bool(self._manual.value))
        if step.is_final:
            self._until_s = None
            self._decide.set_visibility(False)
        self._count_down()

    def _count_down(self) -> None:
        if self._until_s is None:
            self._countdown.set_text("")
        else:
            left_s = max(0.0, self._until_s - time.monotonic())
            self._countdown.set_text(
                self._session.t("On trial: it goes back by itself in {seconds} s", seconds=f"{left_s:.0f}")
            )

    async def _ended(self, step: OrderStep) -> None:
        self._until_s = None
        if step.succeeded:
            try:
                self._desk.take_in_force(await self._read(self._device, self._desk.now.name))
            except (OSError, AgentError):
                return
        self._show()

    def _decided(self, name: str) -> AsyncIterator[OrderStep]:
        fields: Mapping[str, Any] = {"revision": self._revision} if name == "config_confirm" else {}
        return order_desk(self._session, self._device.client).command(name, fields)


def draw_effect(session: Session, effect: Effect) -> None:
    """The comparison: two numbers, and the alerts that only one side has."""
    t = session.t
    with ui.row().classes("items-baseline rp-numbers"):
        ui.label(str(effect.now)).classes("text-h5").mark("effect-now")
        ui.label(t("alerts with the settings in force"))
        ui.label(str(effect.proposed)).classes("text-h5").mark("effect-proposed")
        if effect.hours < 1:
            ui.label(t("with those proposed, in {minutes} min", minutes=f"{60 * effect.hours:.0f}"))
        else:
            ui.label(t("with those proposed, in {hours} h", hours=f"{effect.hours:.1f}"))
    if effect.confirmed_missed:
        with ui.row().classes("items-center no-wrap rp-bad"):
            ui.icon("warning")
            ui.label(t("{count} alerts that people confirmed would be missed", count=effect.confirmed_missed))
    for one in effect.alerts:
        with ui.row().classes("items-center no-wrap rp-count"):
            ui.icon("remove_circle" if one.side == "missed" else "add_circle")
            at = "" if one.at is None else session.time(one.at)
            word = t("no longer") if one.side == "missed" else t("new")
            ui.label(f"{at} {word}: {one.rule}: {one.text}" + (f" ({one.answer})" if one.answer else ""))
    if effect.incomplete:
        ui.label(effect.incomplete).classes("rp-hint")
    if effect.not_covered:
        ui.label(t("Not covered: {what}", what=effect.not_covered)).classes("rp-hint")
