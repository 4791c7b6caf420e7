"""Positions, tracks and alerts as GeoJSON. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from agent.domain.message import stamp
from centre.map.action_board import ActionBoard
from centre.map.force import Force, TrackPoint
from centre.map.queued_alert import QueuedAlert


def collection(features: Iterable[Mapping[str, Any]]) -> str:
    """A FeatureCollection; texts of devices stay texts, whatever they contain."""
    found = {"type": "FeatureCollection", "features": list(features)}
    return json.dumps(found, ensure_ascii=True, allow_nan=False, separators=(",", ":")) + "\n"


def positions(forces: Iterable[Force], now: datetime) -> str:
    """The last known position of each force, with its age and its quality."""
    return collection(
        _feature("Point", _lon_lat(force.coordinates), _force_properties(force, now))
        for force in forces
        if force.coordinates is not None
    )


def tracks(found: Mapping[str, Sequence[TrackPoint]]) -> str:
    """A line for each device, with the time of each point."""
    return collection(
        _feature(
            "LineString",
            [_lon_lat((point.lat, point.lon)) for point in points],
            {"device": device, "times": [stamp(point.at) for point in points]},
        )
        for device, points in found.items()
        if len(points) > 1
    )


def alerts(found: Iterable[QueuedAlert], board: ActionBoard) -> str:
    """The alerts that have a place."""
    return collection(
        _feature("Point", _lon_lat((alert.point.lat, alert.point.lon)), _alert_properties(alert, board))
        for alert in found
        if alert.point is not None
    )


def _force_properties(force: Force, now: datetime) -> dict[str, Any]:
    position = force.position
    properties: dict[str, Any] = {
        "device": force.device, "kind": force.kind, "ring": force.ring, "domain": force.domain,
        "site": force.site, "post": force.post, "link": force.link(now), "stale": force.stale(now),
        "blind": [f"{zone.camera}/{zone.zone}: {zone.why}" for zone in force.blind],
        "simulated": force.simulated,
    }  # fmt: skip
    if position is not None:
        properties |= {
            "measured_at": stamp(position.measured_at), "age_s": round(position.age_s(now), 1),
            "quality": position.quality, "mode": position.mode, "error_m": position.error_m,
        }  # fmt: skip
    return properties


def _alert_properties(alert: QueuedAlert, board: ActionBoard) -> dict[str, Any]:
    point, answer = alert.point, alert.answer
    return {
        "device": alert.device, "alert_id": alert.alert_id, "shown_as": alert.shown_as,
        "severity": alert.severity, "kind": alert.kind, "text": alert.text, "state": alert.state,
        "began_at": stamp(alert.began_at), "error_m": None if point is None else point.error_m,
        "how": "" if point is None else point.how, "answered_by": "" if answer is None else answer.role,
        "holder": board.holder(alert),
    }  # fmt: skip


def _feature(kind: str, coordinates: Any, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": dict(properties),
    }


def _lon_lat(position: tuple[float, float] | None) -> list[float]:
    lat, lon = position or (0.0, 0.0)
    return [round(lon, 7), round(lat, 7)]
