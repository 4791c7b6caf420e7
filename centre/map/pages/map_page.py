"""The page *Map*: queue, map, and the alert or the forces beside it; on a phone one below the other."""

from datetime import datetime, timedelta

from nicegui import ui
from nicegui.events import KeyEventArguments

from centre.map import words
from centre.map.city import City
from centre.map.pages.alert_panel import AlertPanel
from centre.map.pages.force_panel import ForcePanel
from centre.map.pages.forces_panel import ForcesPanel
from centre.map.pages.queue_panel import QueuePanel
from centre.map.pages.time_panel import TimePanel
from centre.map.pages.view import View
from centre.map.scene import ForceObjects, alert_objects, alert_place, force_id, picked
from centre.map.scene import alert_id as object_id
from console.web.session import Session
from console.web.widgets.live import Live
from console.web.widgets.map import BaseMap, MapView
from console.web.widgets.map_objects import MapLine, Scene

TICK_S = 0.25
"""How often a page looks for changes; what has not changed is not sent."""
CLUSTERS_BELOW = 13
LOOK_CLOSER = 15
SHOW_DETAILS = "if (innerWidth <= 1000) document.querySelector('.rm-pane-side').scrollIntoView()"
"""On a phone the details are below the queue."""

KEYS = (
    ("j", "Next alert"),
    ("k", "Previous alert"),
    ("a", "Acknowledge"),
    ("n", "To the nearest force"),
    ("f", "Forces"),
    ("l", "Live"),
    ("+ −", "On the map: closer, further away"),
    (". ,", "On the map: next or previous object; Enter opens it"),
)
"""For the list of keys."""


class MapPage:
    """One open page."""

    def __init__(self, city: City, base: BaseMap, session: Session) -> None:
        self._city, self._session = city, session
        self._view = View(city.feed.situation)
        self._live = Live()
        self._shown: tuple[object, ...] = ()
        self._full_at = self._lists_at = datetime.min.replace(tzinfo=city.now().tzinfo)
        self._labels = words.kinds(session)
        ui.add_head_html('<link rel="stylesheet" href="/map-static/city.css">')
        t = session.t
        ui.label(t("The map")).classes("rm-hidden").props("role=heading aria-level=1")
        self._problem = ui.label().classes("rp-away-line").props("role=alert").mark("feed-problem")
        with ui.element("div").classes("rm-city") as self._frame:
            with ui.element("section").classes("rm-pane rm-pane-queue").props(f'aria-label="{t("Alerts")}"'):
                self._queue = QueuePanel(city, session, self._view, self.select_alert)
            with ui.element("section").classes("rm-pane rm-pane-map").props(f'aria-label="{t("The map")}"'):
                settings = city.settings
                self._map = MapView(
                    session, city.center(), round(settings.zoom), base=base, cluster_below=CLUSTERS_BELOW,
                    on_pick=self._pick,
                )  # fmt: skip
                self._time = TimePanel(city, session, self._view, self._refresh)
            with ui.element("section").classes("rm-pane rm-pane-side").props(f'aria-label="{t("Details")}"'):
                with ui.tabs().props("dense no-caps align=justify") as self._tabs:
                    ui.tab("alert", t("Alert")).mark("tab-alert")
                    ui.tab("forces", t("Forces")).mark("tab-forces")
                with ui.tab_panels(self._tabs, value="alert").classes("rm-tab-panels"):
                    with ui.tab_panel("alert"):
                        self._alert = AlertPanel(city, session, self._view)
                    with ui.tab_panel("forces"):
                        self._force = ForcePanel(city, session, self._view)
                        self._forces = ForcesPanel(city, session, self._view, self.select_force)
        ui.keyboard(on_key=self._on_key, ignore=["input", "select", "textarea"])
        ui.timer(TICK_S, self._tick)

    def _tick(self) -> None:
        """Looks for changes. The queue goes on in a hidden tab as well, for its sound."""
        now, city = self._city.now(), self._city
        self._view.live = city.feed.situation
        problem = words.problem(self._session, city.feed.problem, city.silence_s(now), city.feed.situation.at)
        entries, orders = city.actions.problem, city.actions.orders.problem if city.can_order() else ""
        if not problem and entries:
            problem = self._session.t("What other officers do is not seen: {why}", why=entries)
        if not problem and orders:
            problem = self._session.t("No order can be sent: {why}", why=orders)
        if self._problem.text != problem or not problem:
            self._problem.set_text(problem)
            self._problem.set_visibility(bool(problem))
        situation = self._view.situation
        second = now - self._full_at >= timedelta(seconds=1)
        version = (situation.row, city.entries, self._view.alert, self._view.device, self._view.past_at)
        if version == self._shown and not second:
            return
        alerts_changed = version[1:] != self._shown[1:] or situation.alerts.version != self._alerts_version
        self._shown = version
        if second or alerts_changed:
            self._full_at, self._alerts_version = now, situation.alerts.version
            self._queue.update(now)
            self._alert.update(now)
        if not self._live.seen:
            return
        self._show_map(now)
        if now - self._lists_at >= timedelta(seconds=2):
            self._lists_at = now
            self._show_lists(now)

    _alerts_version = -1

    def _show_lists(self, now: datetime) -> None:
        if self._tabs.value == "forces":
            self._force.update(now)
            self._forces.update(now)

    def _show_map(self, now: datetime) -> None:
        view, city = self._view, self._city
        situation, at = view.situation, view.instant(now)
        objects = city.objects if view.past is None else ForceObjects()
        shown = objects.chosen(situation, view.filter, view.states, at)
        shown += alert_objects(view.queue(), situation, self._labels, view.alert)
        selected = force_id(view.device) if view.device else object_id(view.alert) if view.alert else None
        self._map.show(
            Scene(
                shown, at, self._lines(), selected, past=view.past is not None,
                committed_at=situation.at if view.past is None else None,
            )
        )  # fmt: skip

    def _lines(self) -> tuple[MapLine, ...]:
        """The track of the selected force, and the ways of the nearest forces to the selected alert."""
        view = self._view
        lines: list[MapLine] = []
        force = None if view.device is None else view.situation.forces.get(view.device)
        if force is not None:
            points = [(point.lat, point.lon) for point in force.tail]
            if force.coordinates is not None:
                points.append(force.coordinates)
            lines.append(MapLine(tuple(points), "#CC79A7"))
        alert = view.selected()
        if alert is not None and self._alert.nearest is not None:
            lines += self._alert.nearest.lines()
        return tuple(lines)

    def _refresh(self) -> None:
        """After a jump in time: everything at once."""
        now = self._city.now()
        self._queue.update(now)
        self._alert.redraw(now)
        self._show_lists(now)
        self._show_map(now)

    def _pick(self, name: str) -> None:
        match picked(name):
            case ("alert", key):
                self.select_alert(key)
            case ("force", (device, _)):
                self.select_force(device, look=False)

    def select_alert(self, key: tuple[str, str]) -> None:
        """Opens an alert, and shows its place."""
        self._view.select_alert(key)
        self._tabs.set_value("alert")
        alert = self._view.selected()
        if alert is not None and (place := alert_place(alert, self._view.situation)) is not None:
            self._map.look_at(place[0], place[1])
        self._refresh()
        ui.run_javascript(SHOW_DETAILS)

    def select_force(self, device: str, look: bool = True) -> None:
        """Opens a force; ``look``: and moves the map there."""
        self._view.device = device
        force = self._view.situation.forces.get(device)
        if look and force is not None and force.coordinates is not None:
            self._map.look_at(*force.coordinates, LOOK_CLOSER)
        self._tabs.set_value("forces")
        self._refresh()

    def _on_key(self, event: KeyEventArguments) -> None:
        if not event.action.keydown or event.modifiers.ctrl or event.modifiers.alt or event.modifiers.meta:
            return
        match event.key.name:
            case "j" | "k":
                if (key := self._view.step(1 if event.key.name == "j" else -1)) is not None:
                    self.select_alert(key)
            case "a":
                self._alert.press_acknowledge()
            case "n":
                if (place := self._alert.nearest_place()) is not None:
                    self._map.look_at(*place)
            case "f":
                self._tabs.set_value("forces")
            case "l":
                self._time.go_live()


def build(city: City, base: BaseMap, session: Session) -> None:
    """Draws the page."""
    MapPage(city, base, session)
