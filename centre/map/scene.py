"""The situation as the map widget draws it. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from centre.map.force import Force
from centre.map.forces import Filter
from centre.map.queued_alert import QueuedAlert
from centre.map.situation import Situation
from console.web.widgets.map_objects import NAMED, PLAIN, RINGED, MapObject, State, Symbol

SYMBOLS: Final[Mapping[str, Symbol]] = {
    "patrol_boat": "boat",
    "drone_ground_station": "drone",
    "metro_post": "metro",
    "watch_point": "watch",
    "checkpoint_camera": "post",
}
BY_DOMAIN: Final[Mapping[str, Symbol]] = {"water": "boat", "air": "drone", "underground": "metro"}
MAX_ALERTS = 400
"""Alerts on the map; the queue has all."""
MAX_NAMED = 12
"""Alerts that have their name on the map whatever is around them."""
SEVERITIES: Final[Mapping[str, State]] = {"critical": "critical", "warning": "warning", "info": "info"}


def symbol_of(force: Force) -> Symbol:
    """Its shape: by the kind of the device, else by its domain."""
    return SYMBOLS.get(force.kind) or BY_DOMAIN.get(force.domain, "person")


def force_id(device: str) -> str:
    return f"force/{device}"


def alert_id(key: tuple[str, str]) -> str:
    return f"alert/{key[0]}/{key[1]}"


def picked(name: str) -> tuple[str, tuple[str, str]] | None:
    """What an id of the map means: ``("force", (device, ""))`` or ``("alert", key)``."""
    what, _, rest = name.partition("/")
    device, _, alert = rest.partition("/")
    return (what, (device, alert)) if what in ("force", "alert") and device else None


class ForceObjects:
    """The symbols of all forces, shared by all pages: only those that changed are made anew."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[Force, int, str, bool, bool], MapObject]] = {}

    def of(self, force: Force, now: datetime) -> MapObject | None:
        """The symbol of a force; None where its place is unknown."""
        place = force.coordinates
        if place is None:
            return None
        link, stale, rescue = force.link(now), force.stale(now), force.in_rescue_mode(now)
        look = (force, force.version, link, stale, rescue)
        kept = self._kept.get(force.device)
        if kept is not None and kept[0] == look:
            return kept[1]
        position = force.position
        made = MapObject(
            id=force_id(force.device),
            label=force.device,
            symbol=symbol_of(force),
            state=link,
            lat=place[0],
            lon=place[1],
            measured_at=(force.seen_at() or now) if position is None else position.measured_at,
            stale=stale,
            course_deg=None if position is None else position.course_deg,
            error_m=None if position is None else position.error_m,
            blind=((None, 360.0),) if force.blind else (),
            emphasis=NAMED if rescue else PLAIN,
            note="SOS" if rescue else "",
        )
        self._kept[force.device] = look, made
        return made

    def chosen(
        self, situation: Situation, by: Filter, states: frozenset[str], now: datetime
    ) -> list[MapObject]:
        """The symbols that a filter admits; ``states``: links and ``stale``, all where empty."""
        everything = by == Filter()
        found = []
        for force in situation.forces.all():
            one = self.of(force, now) if everything or by.admits(force) else None
            if one is not None and (not states or one.state in states or (one.stale and "stale" in states)):
                found.append(one)
        return found


def alert_place(alert: QueuedAlert, situation: Situation) -> tuple[float, float, float | None] | None:
    """Latitude, longitude and error of an alert: its own place, else that of its device."""
    if alert.point is not None:
        return alert.point.lat, alert.point.lon, alert.point.error_m
    force = situation.forces.get(alert.device)
    if force is None or force.coordinates is None:
        return None
    return *force.coordinates, None if force.position is None else force.position.error_m


def alert_objects(
    alerts: Iterable[QueuedAlert],
    situation: Situation,
    labels: Mapping[str, str],
    selected: tuple[str, str] | None,
) -> list[MapObject]:
    """The symbols of alerts, in the order of the queue; ``labels``: words by kind and by ``shown_as``."""
    found: list[MapObject] = []
    for alert in alerts:
        place = alert_place(alert, situation)
        if place is None or len(found) >= MAX_ALERTS:
            continue
        real = alert.shown_as == "alert"
        handled = alert.state != "open"
        chosen = alert.key == selected
        named = (alert.alarm and len(found) < MAX_NAMED) or chosen
        found.append(
            MapObject(
                id=alert_id(alert.key),
                label=labels.get(alert.kind, alert.kind or alert.rule),
                symbol="alert",
                state="handled"
                if handled
                else SEVERITIES.get(alert.severity, "critical")
                if real
                else "unknown",
                lat=place[0],
                lon=place[1],
                measured_at=alert.began_at,
                error_m=place[2],
                emphasis=RINGED if chosen else NAMED if named else PLAIN,
                note="" if real else labels.get(alert.shown_as, alert.shown_as),
            )
        )
    return found
