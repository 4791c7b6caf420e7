"""The list of forces, its filters and its search."""

from collections.abc import Callable
from datetime import datetime

from nicegui import ui

from centre.map import words
from centre.map.city import City
from centre.map.force import Force
from centre.map.forces import Filter
from centre.map.pages.view import View
from console.web.session import Session
from console.web.theme import STATE

MOST_ROWS = 50
LINKS = ("online", "degraded", "silent", "offline", "stopped", "stale")


class ForceRow:
    """One force; made once, and changed afterwards."""

    def __init__(self, session: Session, device: str, on_select: Callable[[str], None]) -> None:
        self._session = session
        self.element = (
            ui.element("div").classes("rm-force").props(f'role=option tabindex=0 data-device="{device}"')
        )
        self.element.on("click", lambda: on_select(device)).on("keydown.enter", lambda: on_select(device))
        with self.element:
            self._icon = ui.icon("help").props("aria-hidden=true")
            with ui.element("div").classes("rm-alert-text"):
                ui.label(device).classes("rm-alert-title")
                self._what = ui.label().classes("rm-alert-where")
            self._state = ui.label().classes("rm-alert-age")

    def show(self, force: Force, now: datetime, *, selected: bool) -> None:
        """Shows its present state."""
        session = self._session
        link = force.link(now)
        colour, icon = STATE.get(link, STATE["stopped"])
        self._icon.props(f"name={icon}").style(f"color: {colour}")
        places, kinds = words.places(session), words.device_kinds(session)
        what = [
            kinds.get(force.kind, force.kind),
            places.get(force.domain, force.domain),
            force.site if force.post in ("", force.device) else force.post,
        ]
        self._what.set_text(" · ".join(part for part in what if part))
        state = words.links(session)[link]
        if force.coordinates is None:
            state += f" · {session.t('no position')}"
        elif force.stale(now) and force.position is not None:
            state += (
                f" · {session.t('position {age} old', age=words.age(session, force.position.age_s(now)))}"
            )
        self._state.set_text(state)
        self.element.classes(add="rm-selected" if selected else "", remove="" if selected else "rm-selected")
        self.element.props(f"aria-selected={'true' if selected else 'false'}")


class ForcesPanel:
    """Draws the forces of a `View`; ``on_select`` shows one on the map."""

    def __init__(self, city: City, session: Session, view: View, on_select: Callable[[str], None]) -> None:
        self._city, self._session, self._view, self._on_select = city, session, view, on_select
        self._rows: dict[str, ForceRow] = {}
        t = session.t
        with ui.row().classes("rm-panel-head"):
            ui.label(t("Forces")).classes("rm-panel-title").props("role=heading aria-level=2")
            self._count = ui.label().classes("rm-count").mark("force-count")
        self.search = ui.input(t("Search name, station, post"), on_change=self._filter).props(
            "dense outlined clearable debounce=200"
        )
        self.search.classes("w-full").mark("search")
        with ui.element("div").classes("rm-filters"):
            self._kinds = self._select(t("Kind"), "kind")
            self._rings = self._select(t("Ring"), "ring")
            self._domains = self._select(t("Domain"), "domain")
            self._sites = self._select(t("Station"), "site")
            self._states = self._select(t("State"), "state")
        self._list = ui.element("div").classes("rm-queue").props(f'role=listbox aria-label="{t("Forces")}"')
        self._more = ui.label().classes("rm-more")
        self._options: dict[str, list[str]] = {}

    def _select(self, text: str, name: str) -> ui.select:
        select = ui.select({}, multiple=True, label=text, on_change=self._filter).props(
            "dense outlined options-dense"
        )
        return select.mark(f"filter-{name}")

    def _filter(self) -> None:
        self._view.filter = Filter(
            rings=frozenset(self._rings.value or ()),
            domains=frozenset(self._domains.value or ()),
            kinds=frozenset(self._kinds.value or ()),
            sites=frozenset(self._sites.value or ()),
            search=(self.search.value or "").strip(),
        )
        self._view.states = frozenset(self._states.value or ())
        self.update(self._city.now())

    def _update_options(self) -> None:
        forces, session = self._view.situation.forces, self._session
        words_of = {"kind": words.device_kinds(session), "ring": words.places(session),
                    "domain": words.places(session), "site": {}}  # fmt: skip
        for name, select in (
            ("kind", self._kinds), ("ring", self._rings), ("domain", self._domains), ("site", self._sites),
        ):  # fmt: skip
            values = forces.values(name)
            if self._options.get(name) != values:
                self._options[name] = values
                select.set_options({value: words_of[name].get(value, value) for value in values})
        if "state" not in self._options:
            self._options["state"] = list(LINKS)
            self._states.set_options({link: words.links(session)[link] for link in LINKS})

    def update(self, now: datetime) -> None:
        """Shows the forces as they are."""
        view, now = self._view, self._view.instant(now)
        self._update_options()
        forces = view.situation.forces.chosen(view.filter)
        if view.states:
            forces = [
                force for force in forces
                if force.link(now) in view.states or ("stale" in view.states and force.stale(now))
            ]  # fmt: skip
        shown = {force.device: force for force in forces[:MOST_ROWS]}
        for device in [device for device in self._rows if device not in shown]:
            self._rows.pop(device).element.delete()
        for device, force in shown.items():
            if device not in self._rows:
                with self._list:
                    self._rows[device] = ForceRow(self._session, device, self._on_select)
            self._rows[device].show(force, now, selected=device == view.device)
        wanted = [self._rows[device].element for device in shown]
        if self._list.default_slot.children != wanted:
            self._list.default_slot.children[:] = wanted
            self._list.update()
        more = len(forces) - MOST_ROWS
        self._more.set_text(self._session.t("{n} more: use the filters", n=more) if more > 0 else "")
        self._count.set_text(f"{len(forces)} / {len(view.situation.forces)}")
