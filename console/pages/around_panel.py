"""The map on the page *Sources*: the device and its track, vessels and drones; and the vessels as a list."""

from collections.abc import Callable
from datetime import UTC, datetime

from nicegui import ui

from console.pages.source_store import SourceStore
from console.pages.vessels_view import Target, targets
from console.pages.words import NONE, age_text
from console.web.session import Session
from console.web.widgets.map import MapView
from console.web.widgets.map_objects import MapLine, MapObject, Scene, State
from console.web.widgets.rows import Rows
from console.web.widgets.state_chip import StateChip

MAP_STATES: dict[str, State] = {"bad": "critical", "doubt": "warning", "good": "online", "idle": "unknown"}


class AroundPanel:
    """Drawn once a position is known."""

    def __init__(self, session: Session, store: SourceStore, device_name: Callable[[], str]) -> None:
        self._session, self._store, self._device_name = session, store, device_name
        self._map: MapView | None = None
        t = session.t
        with ui.column().classes("full-width") as self._around:
            ui.label(t("Position and track")).classes("text-h6").props('role="heading" aria-level="2"')
            self._place = ui.element("div").classes("full-width").mark("map")
        with ui.column().classes("full-width") as self._vessels:
            ui.label(t("Vessels, the most dangerous first")).classes("text-h6").props(
                'role="heading" aria-level="2"'
            )
            with ui.element("div").classes("rp-table rp-targets").mark("targets") as table:
                self._rows = Rows(table, self._draw_target)
        self._around.set_visibility(False)
        self._vessels.set_visibility(False)

    def show(self, now_s: float) -> None:
        """Draws what is known now."""
        found = targets(self._store, now_s)
        self._vessels.set_visibility(bool(found))
        self._rows.show((target.mmsi, target) for target in found)
        scene = self._scene(found, now_s)
        if self._map is None and scene.objects:
            self._around.set_visibility(True)
            first = scene.objects[0]
            with self._place:
                self._map = MapView(self._session, (first.lat, first.lon), 15).classes("rp-small-map")
        if self._map is not None:
            self._map.show(scene)

    def _scene(self, found: list[Target], now_s: float) -> Scene:
        now, objects = datetime.now(UTC), []
        for value in self._store.of_kind("fix", "drone"):
            if value.place is None:
                continue
            symbol = "drone" if value.kind == "drone" else "boat"
            stale = value.is_stale(now_s) or value.fields.get("state") == "lost"
            name = f"{value.source} {value.key}".strip() if value.kind == "drone" else self._device_name()
            objects.append(
                MapObject(
                    f"{value.source}/{value.kind}/{value.key}",
                    name,
                    symbol,  # type: ignore[arg-type]
                    "degraded" if value.doubt else "online",
                    *value.place,
                    datetime.fromtimestamp(now.timestamp() - value.age_s(now_s), UTC),
                    stale=stale,
                    course_deg=value.fields.get("course_deg"),
                    error_m=value.fields.get("error_m"),
                    emphasis=1,
                )
            )
        for one in found:
            if one.place is not None:
                at = datetime.fromtimestamp(now.timestamp() - one.age_s, UTC)
                objects.append(
                    MapObject(
                        f"vessel/{one.mmsi}",
                        one.name or one.mmsi,
                        "vessel",
                        MAP_STATES[one.danger],
                        *one.place,
                        at,
                        stale=one.old,
                        course_deg=one.course_deg,
                        emphasis=1 if one.danger in ("bad", "doubt") else 0,
                    )
                )
        lines = tuple(MapLine(tuple(track)) for track in self._store.tracks.values() if len(track) > 1)
        return Scene(objects, now, lines)

    def _draw_target(self, _target: Target) -> tuple[ui.element, Callable[[Target], None]]:
        t, session = self._session.t, self._session
        with ui.element("div").classes("rp-line").mark("target") as line:
            danger = StateChip()
            name = ui.label().classes("text-weight-medium")
            closest, soon = ui.label(), ui.label()
            away, age = ui.label().classes("rp-quiet"), ui.label().classes("rp-quiet rp-number")

        def show(new: Target) -> None:
            words = {"bad": t("dangerous"), "doubt": t("watch"), "good": t("clear"), "idle": t("unknown")}
            danger.show(
                new.danger, t("DISTRESS: {kind}", kind=new.distress) if new.distress else words[new.danger]
            )
            name.set_text(f"{new.name} ({new.mmsi})" if new.name else new.mmsi)
            approach = new.approach
            if approach is None:
                closest.set_text(NONE)
                soon.set_text("")
                away.set_text("" if new.place else t("no position"))
            else:
                closest.set_text(f"CPA {session.distance(approach.closest_m)}")
                passing = approach.seconds > 0
                soon.set_text(t("in {time}", time=age_text(approach.seconds)) if passing else t("moves away"))
                text = f"{session.distance(approach.range_m)} · {approach.bearing_deg:.0f}°"
                away.set_text(text if new.speed_mps is None else f"{text} · {session.speed(new.speed_mps)}")
            age.set_text(age_text(new.age_s))
            line.classes(add="rp-stale") if new.old else line.classes(remove="rp-stale")

        return line, show
