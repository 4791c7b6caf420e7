"""The forces nearest to an alert, the minutes that count, and the call-out by one press."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

from nicegui import ui

from centre.map import words
from centre.map.call_out import CallStep, call_orders, call_out
from centre.map.city import City
from centre.map.nearest import MinuteMark, Nearest, NearForce, nearest
from centre.map.pages.view import View
from centre.map.queued_alert import QueuedAlert
from console.order_steps import OrderStep, State
from console.web.session import Session
from console.web.widgets.map_objects import MapLine
from console.web.widgets.order import STATES, OrderLine, order_button

ROWS, LINES = 8, 3
EVERY = timedelta(seconds=1)
CALL_FOR_S = 60.0


class NearRow:
    """One force; made once, and changed afterwards."""

    def __init__(
        self, session: Session, device: str, chosen: bool, on_choose: Callable[[str, bool], None]
    ) -> None:
        self._session = session
        self.element = ui.element("div").classes("rm-near").props(f'data-device="{device}" role=listitem')
        with self.element:
            self.box = ui.checkbox(value=chosen, on_change=lambda event: on_choose(device, bool(event.value)))
            self.box.props(f'dense aria-label="{session.t("Call out")} {device}"').mark(f"choose-{device}")
            with ui.element("div").classes("rm-alert-text"):
                ui.label(device).classes("rm-alert-title")
                self._what = ui.label().classes("rm-alert-where")
            self._time = ui.label().classes("rm-near-time")

    def show(self, near: NearForce) -> None:
        """Its way and its time."""
        session, t = self._session, self._session.t
        ways = {
            "water": t("by water"),
            "air": t("by air"),
            "road": t("by road"),
            "foot": t("on foot"),
            "stays": t("stays"),
        }
        kind = words.device_kinds(session).get(near.force.kind, near.force.kind)
        self._what.set_text(f"{kind} · {session.distance(near.way_m)} {ways.get(near.by, near.by)}")
        self._time.set_text(t("there") if near.there else words.minutes(session, near.eta_s))


class NearestPanel:
    """Belongs to one alert."""

    def __init__(self, city: City, session: Session, view: View, alert: QueuedAlert) -> None:
        self._city, self._session, self._view = city, session, view
        self._rows: dict[str, NearRow] = {}
        self._at: datetime | None = None
        self.found: Nearest | None = None
        t = session.t
        ui.label(t("Nearest forces")).classes("rm-panel-title").props("role=heading aria-level=3")
        with ui.element("div").classes("rm-135").mark("minutes"):
            self._marks = [self._mark() for _ in city.settings.minutes]
        self._list = ui.element("div").props(f'role=list aria-label="{t("Nearest forces")}"').mark("nearest")
        self._none = ui.label().classes("rm-quiet")
        with ui.expansion(t("Left out, and why")).classes("w-full").props("dense"):
            self._left_out = ui.label().classes("rm-left-out")
        if view.past_at is None:
            self._draw_call_out(alert)

    def _mark(self) -> tuple[ui.label, ui.label, ui.element]:
        with ui.element("div") as box:
            return ui.label().classes("rm-big"), ui.label(), box

    def update(self, alert: QueuedAlert, now: datetime) -> None:
        """Ranks again, once a second."""
        if self._at is not None and timedelta(0) <= now - self._at < EVERY:
            return
        self._at = now
        forces = self._view.situation.forces.all()
        self.found = nearest(alert, forces, self._city.settings, self._city.water, now, ROWS)
        for mark, labels in zip(self.found.marks, self._marks, strict=True):
            self._show_mark(mark, *labels)
        shown = {near.force.device: near for near in self.found.ranked[:ROWS]}
        for device in [device for device in self._rows if device not in shown]:
            self._rows.pop(device).element.delete()
        for device, near in shown.items():
            if device not in self._rows:
                with self._list:
                    self._rows[device] = NearRow(
                        self._session, device, device in self._view.chosen, self._choose
                    )
            self._rows[device].show(near)
        wanted = [self._rows[device].element for device in shown]
        if self._list.default_slot.children != wanted:
            self._list.default_slot.children[:] = wanted
            self._list.update()
        t = self._session.t
        if self.found.place is None:
            self._none.set_text(t("The place of the alert is unknown."))
        else:
            self._none.set_text("" if shown else t("No force can be reached."))
        reasons = [
            f"{one.force.device}: {words.why_left_out(self._session, one.why)}"
            for one in self.found.left_out[:ROWS]
        ]
        self._left_out.set_text("\n".join(reasons) or t("none"))

    def _show_mark(self, mark: MinuteMark, when: ui.label, who: ui.label, box: ui.element) -> None:
        t = self._session.t
        left = t("over") if mark.left_s < 0 else f"{int(mark.left_s // 60)}:{int(mark.left_s % 60):02d}"
        when.set_text(f"{t('{n} min', n=f'{mark.minutes:g}')} · {left}")
        can = t("{n} can be there", n=len(mark.should)) if mark.left_s >= 0 else ""
        who.set_text(" · ".join(part for part in (t("{n} there", n=len(mark.there)), can) if part))
        box.classes(
            add="rm-met" if mark.there else "rm-open-mark", remove="rm-open-mark" if mark.there else "rm-met"
        )

    def lines(self) -> list[MapLine]:
        """The ways of the soonest forces on the map."""
        if self.found is None or self.found.place is None:
            return []
        return [
            MapLine(
                (near.force.coordinates, self.found.place), "#0072B2" if number == 0 else "#56B4E9",
                4.0 if number == 0 else 2.5, near.by == "air", words.minutes(self._session, near.eta_s),
            )
            for number, near in enumerate(self.found.ranked[:LINES])
            if near.force.coordinates is not None and not near.there
        ]  # fmt: skip

    def first(self) -> tuple[float, float] | None:
        """Where the soonest force is."""
        return self.found.ranked[0].force.coordinates if self.found and self.found.ranked else None

    def _choose(self, device: str, chosen: bool) -> None:
        if chosen:
            self._view.chosen.add(device)
        else:
            self._view.chosen.discard(device)

    def _draw_call_out(self, alert: QueuedAlert) -> None:
        session, t = self._session, self._session.t
        with ui.row().classes("rm-actions"):
            self._outputs = ui.checkbox(t("siren, light"), value=True).props("dense").mark("call-outputs")
            self._rescue = ui.checkbox(t("rescue mode"), value=False).props("dense").mark("call-rescue")
        line = OrderLine(session)
        button = order_button(
            session,
            "Call out the chosen ones",
            "output",
            lambda: self._call(alert),
            icon="campaign",
            line=line,
        )
        button.mark("call-out").set_enabled(self._city.can_order())
        self._results = ui.element("div").classes("rm-results").props('role="status"').mark("call-results")

    async def _call(self, alert: QueuedAlert) -> AsyncIterator[OrderStep]:
        """Sends all orders; shows the result of each device, and one for all."""
        session, t = self._session, self._session.t
        forces = self._view.live.forces
        chosen = [force for device in sorted(self._view.chosen) if (force := forces.get(device)) is not None]
        outputs, rescue = bool(self._outputs.value), bool(self._rescue.value)
        orders = [
            order
            for force in chosen
            for order in call_orders(force, outputs=outputs, rescue=rescue, for_s=CALL_FOR_S)
        ]
        self._results.clear()
        if not orders:
            yield OrderStep("refused", t("choose devices that have a siren, a light or a camera"))
            return
        labels: dict[str, ui.label] = {}
        yield OrderStep("sent")
        good = 0
        steps = call_out(self._city.actions, alert, orders, session.signer, session.role, session.may)
        async for found in steps:
            name = f"{found.order.device} {found.order.what}"
            if name not in labels:
                with self._results:
                    labels[name] = ui.label().props(f'data-device="{found.order.device}"')
            labels[name].set_text(f"{name}: {self._words(found)}")
            good += found.step.succeeded
        state: State = "succeeded" if good == len(orders) else "failed"
        yield OrderStep(state, t("{good} of {all}", good=good, all=len(orders)))

    def _words(self, found: CallStep) -> str:
        reason = f": {self._session.t(found.step.reason)}" if found.step.reason else ""
        return self._session.t(STATES[found.step.state][0]) + reason
