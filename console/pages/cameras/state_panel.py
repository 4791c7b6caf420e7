"""Why each rule holds back, and what the detector does: as the agent says it, changed in place."""

import time
from collections.abc import Sequence

from nicegui import ui

from console.agent_views import Progress
from console.camera_feeds import CameraFeed
from console.pages.cameras.overlay import load_facts, starves
from console.pages.cameras.picture_panel import BigPicture
from console.pages.cameras.progress_text import progress_text
from console.pages.device import Device
from console.web.session import Session
from console.web.widgets.live import Live

LOOKS = {
    "met": ("check_circle", "rp-bad", "alert"),
    "holding": ("hourglass_top", "rp-doubt", "holds back"),
    "not_met": ("remove_circle_outline", "rp-muted", "not met"),
    "blind": ("visibility_off", "rp-bad", "blind"),
    "off_schedule": ("schedule", "rp-muted", "off duty"),
}
"""Icon, class and words of a state."""
MOST = 40


def draw_progress_panel(session: Session, picture: BigPicture) -> None:
    """Draws the reasons of all rules of the camera, and of each track."""
    t = session.t
    ui.label(t("Why a rule raises an alert, or holds back:")).classes("rp-hint")
    place = ui.column().classes("full-width rp-progress").mark("progress")
    rows: list[_Row] = []
    told_s = 0.0

    def show(feed: CameraFeed) -> None:
        nonlocal told_s
        if feed.meta is None or time.monotonic() - told_s < 0.4:
            return
        told_s = time.monotonic()
        listed = feed.meta["progress"][:MOST]
        if len(rows) != max(1, len(listed)):
            place.clear()
            rows.clear()
            with place:
                rows.extend(_Row(session) for _ in range(max(1, len(listed))))
        if not listed:
            rows[0].say(t("Nothing is in view of a rule now."))
        for row, one in zip(rows, listed, strict=False):
            row.show(one)

    picture.listeners.append(show)


class _Row:
    def __init__(self, session: Session) -> None:
        self._session = session
        with ui.row().classes("full-width items-center no-wrap rp-progress-row"):
            self._icon = ui.icon("help_outline")
            with ui.column().classes("rp-progress-text"):
                self._head = ui.label().classes("text-weight-medium")
                self._text = ui.label()
                self._bar = ui.linear_progress(0, show_value=False).props("size=6px rounded")
        self._bar.props["aria-hidden"] = "true"

    def say(self, text: str) -> None:
        self._head.set_text(text)
        self._bar.set_visibility(False)

    def show(self, one: Progress) -> None:
        icon, look, words = LOOKS[one["state"]]
        self._icon.props(f"name={icon}")
        self._icon.classes(add=look, remove=" ".join({each[1] for each in LOOKS.values()} - {look}))
        track = "" if one["track"] is None else f" · #{one['track']}"
        zone = "" if one["zone"] is None else f" · {one['zone']}"
        self._head.set_text(f"{one['rule']}{zone}{track}: {self._session.t(words)}")
        self._text.set_text(progress_text(one["text"], self._session.t))
        have, need = one["have"], one["need"]
        counted = have is not None and need is not None and need > 0 and have >= 0
        self._bar.set_visibility(counted)
        if counted:
            self._bar.set_value(min(1.0, (have or 0.0) / (need or 1.0)))


def draw_load_panel(device: Device, session: Session, live: Live, cameras: Sequence[str]) -> None:
    """Draws the detector's work on the cameras that are shown, and says which one starves."""
    t = session.t
    places = {camera: ui.column().classes("full-width rp-load").mark(f"load-{camera}") for camera in cameras}

    def show() -> None:
        for camera, place in places.items():
            feed = device.feeds.feed(camera)
            meta = None if feed is None else feed.meta
            place.clear()
            with place:
                ui.label(camera).classes("text-weight-bold")
                if meta is None:
                    ui.label(t("Waiting for the camera …"))
                    continue
                if starves(meta):
                    with ui.row().classes("items-center no-wrap rp-bad"):
                        ui.icon("warning")
                        ui.label(t("starves: it gets fewer inferences than it asks for"))
                for name, value in load_facts(meta, t):
                    with ui.row().classes("full-width justify-between no-wrap"):
                        ui.label(name)
                        ui.label(value).classes("text-weight-medium")

    live.every(2.0, show)
