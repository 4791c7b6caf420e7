"""The map widget: moving objects over tiles, lines or a grid. Nothing is asked of other servers."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nicegui import app
from nicegui.element import Element
from nicegui.elements import leaflet
from nicegui.events import GenericEventArguments
from starlette.websockets import WebSocket, WebSocketDisconnect

from agent.runtime.sanitize import as_dict
from console.web.access import SESSION
from console.web.session import Session
from console.web.widgets.map_channel import MapChannel, find_channel
from console.web.widgets.map_objects import Scene

TAKEN_WITHIN_S = 30.0
"""A browser that has not taken a message after this time is disconnected."""


@dataclass(frozen=True, slots=True)
class BaseMap:
    """Paths of our own server: ``tiles`` with ``{z}/{x}/{y}``, and GeoJSON files. A grid where there are no
    tiles. ``attribution`` is shown as text."""

    tiles: str | None = None
    min_zoom: int = 0
    max_zoom: int = 19
    geojson: Sequence[str] = ()
    attribution: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": "grid" if self.tiles is None else "tiles",
            "tiles": self.tiles,
            "minZoom": self.min_zoom,
            "maxZoom": self.max_zoom,
            "geojson": list(self.geojson),
            "attribution": self.attribution,
        }


class MapView(Element, component="map_view.js", esm={"ringpost-map": "map_canvas"}):
    """A map. ``on_pick`` takes the id of an object that is clicked, ``on_point`` a place where none is,
    ``on_moved`` the middle and the zoom."""

    def __init__(
        self,
        session: Session,
        center: tuple[float, float],
        zoom: int = 13,
        *,
        base: BaseMap | None = None,
        cluster_below: int = 0,
        on_pick: Callable[[str], Any] | None = None,
        on_point: Callable[[float, float], Any] | None = None,
        on_moved: Callable[[float, float, int], Any] | None = None,
    ) -> None:
        super().__init__()
        self.add_resource(Path(leaflet.__file__).parent / "dist")
        self.channel = MapChannel(session)
        self._props["channel"] = self.channel.name
        self._props["options"] = {
            "center": list(center),
            "zoom": zoom,
            "base": (base or BaseMap()).as_json(),
            "units": session.units,
            "zone": str(session.zone),
            "clusterBelow": cluster_below,
        }
        self._props["texts"] = _texts(session)
        if on_pick is not None:
            self.on("pick", lambda event: on_pick(str(_fields(event).get("id", ""))))
        if on_point is not None:
            self.on("point", lambda event: on_point(*_place(event)))
        if on_moved is not None:
            self.on("moved", lambda event: on_moved(*_place(event), int(_fields(event).get("zoom", 0))))

    def show(self, scene: Scene) -> None:
        """Draws ``scene`` instead of the one before."""
        self.channel.show(scene)

    def look_at(self, lat: float, lon: float, zoom: int | None = None) -> None:
        """Moves the map there."""
        self.channel.look_at(lat, lon, zoom)


def _fields(event: GenericEventArguments) -> dict[str, Any]:
    return as_dict(event.args)


def _place(event: GenericEventArguments) -> tuple[float, float]:
    fields = _fields(event)
    return float(fields["lat"]), float(fields["lon"])


def _texts(session: Session) -> dict[str, Any]:
    states = {
        "online": session.t("online"),
        "degraded": session.t("degraded"),
        "silent": session.t("silent"),
        "offline": session.t("offline"),
        "stopped": session.t("stopped"),
        "unknown": session.t("unknown"),
    }
    return {
        "map": session.t("Map: arrows move, + and - zoom, . and , step through the objects, Enter opens one"),
        "lost": session.t("No connection: the map is that of {time}", time="{time}"),
        "past": session.t("PAST: {time}", time="{time}"),
        "seconds": session.t("{n} s ago", n="{n}"),
        "minutes": session.t("{n} min ago", n="{n}"),
        "hours": session.t("{n} h ago", n="{n}"),
        "states": states,
    }


@app.websocket("/map-channel/{name}")
async def _serve_channel(socket: WebSocket, name: str) -> None:
    """Sends the scenes of a page to its browser. The access gate has asked for the session before."""
    channel = find_channel(name)
    if channel is None or socket.scope.get(SESSION) is not channel.owner:
        await socket.close(1008)
        return
    await socket.accept()
    with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
        async for message in channel.messages():
            await socket.send_text(message)
            async with asyncio.timeout(TAKEN_WITHIN_S):
                await socket.receive_text()
    with suppress(RuntimeError):
        await socket.close()
