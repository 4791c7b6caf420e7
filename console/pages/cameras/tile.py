"""A camera's live picture for other pages: boxes, zones and blind zones, nothing to draw with."""

import time

from nicegui import ui

from console.camera_feeds import CameraFeed, Wanted
from console.pages.cameras.overlay import facts, live_view, shapes_of
from console.pages.cameras.picture_panel import away_reason, picture_texts, watch
from console.pages.device import Device
from console.web.session import Session
from console.web.widgets.live import Live
from console.web.widgets.picture import CameraPicture

WANTED = Wanted(5.0, 800)


def draw_camera(device: Device, session: Session, live: Live, camera: str) -> None:
    """Draws the picture of ``camera``, and below it its rate, its age and what is redacted."""
    element = CameraPicture(picture_texts(session), session.t("Picture of {camera}", camera=camera))
    element.mark(f"picture-{camera}")
    line = ui.label().classes("text-caption")

    def show(feed: CameraFeed | None) -> None:
        now_s = time.monotonic()
        element.show(live_view(feed, now_s, away_reason(device), session.t))
        meta = None if feed is None else feed.meta
        if feed is None or meta is None:
            return
        element.draw({"mode": "view", "shapes": shapes_of(meta["zones"], meta["lines"])})
        line.set_text(" · ".join([camera, *facts(feed, now_s, session.t)]))

    watch(device, live, camera, WANTED, show)
    live.every(1.0, lambda: show(device.feeds.feed(camera)))
