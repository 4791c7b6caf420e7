"""The pictures of the page: the large one, on which is drawn, and the tiles."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from console.camera_feeds import CameraFeed, Wanted
from console.pages.cameras.desk import CameraDesk
from console.pages.cameras.overlay import facts, live_view, shapes_of
from console.pages.device import Device
from console.web.session import Session
from console.web.widgets.live import Live
from console.web.widgets.picture import CameraPicture, Drag, Key, Tap

BIG = Wanted(5.0, 1280)
TILE = Wanted(2.0, 480)


def picture_texts(session: Session) -> dict[str, str]:
    """The fixed texts of the picture element."""
    t = session.t
    return {
        "silent": t("No word from the server: this picture is old"),
        "left": t("left"),
        "right": t("right"),
        "drawing": t(
            "Drawing: arrow keys move the selected corner (Shift: further), [ and ] select a corner, Delete "
            "removes it, Enter closes, Ctrl+Z takes back. Corners can be typed as numbers in the list below."
        ),
    }


def away_reason(device: Device) -> str | None:
    """Why the agent is not reached; None while it is."""
    state = device.client.state
    return None if state.name == "connected" else state.reason or "?"


class BigPicture:
    """The large picture. ``listeners`` get each event of the camera."""

    def __init__(self, device: Device, session: Session, live: Live, camera: str, desk: CameraDesk) -> None:
        self._device, self._session, self._desk = device, session, desk
        self.feed: CameraFeed | None = None
        self.listeners: list[Callable[[CameraFeed], object]] = []
        with ui.column().classes("rp-big full-width"):
            self.element = CameraPicture(
                picture_texts(session), session.t("Picture of {camera}", camera=camera)
            )
            self.element.mark("picture")
            with ui.row().classes("rp-camera-facts items-center full-width"):
                ui.label(camera).classes("text-weight-bold")
                self._facts = ui.label().mark("picture-facts")
        desk.listeners.append(self._draw)
        self.element.on_hand(tap=self._tap, drag=self._drag, key=self._key)
        watch(device, live, camera, BIG, self._show)
        live.every(1.0, self._refresh)
        self._draw()

    def _draw(self) -> None:
        self.element.draw(self._desk.picture(self._session.t))

    def _show(self, feed: CameraFeed) -> None:
        self.feed = feed
        if feed.meta is not None and feed.meta["width"] and feed.meta["height"]:
            self._desk.take_size((feed.meta["width"], feed.meta["height"]))
        self._refresh()
        for listener in self.listeners:
            listener(feed)

    def _refresh(self) -> None:
        now_s = time.monotonic()
        self.element.show(live_view(self.feed, now_s, away_reason(self._device), self._session.t))
        texts = [] if self.feed is None else facts(self.feed, now_s, self._session.t)
        self._facts.set_text(" · ".join(texts))

    def _tap(self, tap: Tap) -> None:
        self._desk.tap(tap.x, tap.y, tap.corner, tap.edge, double=tap.double)

    def _drag(self, drag: Drag) -> None:
        self._desk.drag(drag.corner, drag.x, drag.y)

    def _key(self, key: Key) -> None:
        self._desk.key(key.name, fast=key.fast)


def draw_tile(
    device: Device, session: Session, live: Live, camera: str, choose: Callable[[str], Awaitable[None]]
) -> None:
    """A small picture; a click or Enter makes it the large one."""
    with ui.column().classes("rp-tile").props('role="button" tabindex="0"') as tile:
        tile.props["aria-label"] = session.t("Show {camera} large", camera=camera)
        element = CameraPicture(picture_texts(session), camera)
        name = ui.label(camera)
    tile.mark(f"tile-{camera}")
    tile.on("click", lambda: choose(camera))
    tile.on("keydown.enter", lambda: choose(camera))

    def show(feed: CameraFeed | None) -> None:
        view = live_view(feed, time.monotonic(), away_reason(device), session.t)
        element.show(view)
        meta = None if feed is None else feed.meta
        if meta is not None:
            element.draw({"mode": "view", "shapes": shapes_of(meta["zones"], meta["lines"])})
        name.set_text(camera if not view["notice"] else f"{camera}: {view['notice']}")

    watch(device, live, camera, TILE, show)
    live.every(1.0, lambda: show(device.feeds.feed(camera)))


def watch(device: Device, live: Live, camera: str, wanted: Wanted, show: Callable[[CameraFeed], Any]) -> None:
    """Calls ``show`` at each event of the camera while the page is seen, and asks for nothing else."""

    async def job() -> None:
        stop = device.feeds.watch(camera, wanted, show)
        try:
            await asyncio.Event().wait()
        finally:
            stop()

    live.run(job)
