"""The last 24 hours by a slider; *live* and *past* are never taken for each other."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from agent.runtime.error_text import describe_error
from centre.map import words
from centre.map.city import City
from centre.map.pages.view import View
from console.web.session import Session

MINUTES = 24 * 60
STEP = timedelta(minutes=1)
"""One step of the slider, and of the play button each second."""


class TimePanel:
    """Sets ``past`` and ``past_at`` of a `View`; ``on_change`` draws everything again."""

    def __init__(self, city: City, session: Session, view: View, on_change: Callable[[], None]) -> None:
        self._city, self._session, self._view, self._on_change = city, session, view, on_change
        self._playing, self._loading = False, asyncio.Lock()
        t = session.t
        with ui.row().classes("rm-time no-wrap"):
            self._live = ui.button(t("LIVE"), on_click=self.go_live).props("dense unelevated").mark("live")
            self._play = (
                ui.button(icon="play_arrow", on_click=self._toggle_play)
                .props("flat round dense")
                .mark("play")
            )
            self._play.props(f'aria-label="{t("Play: a minute each second")}"')
            self._slider = ui.slider(min=-MINUTES, max=0, step=1, value=0, on_change=self._moved)
            self._slider.props(f'aria-label="{t("Time: the last 24 hours")}"').mark("time")
            self._at = ui.label().classes("rm-time-at").mark("shown-time")
        ui.timer(1.0, self._step)
        self._draw()

    async def _moved(self, event: ValueChangeEventArguments[Any]) -> None:
        if event.value == 0:
            self.go_live()
        elif event.value != self._wanted():
            await self.go_to(self._city.now() + timedelta(minutes=int(event.value)))

    def _wanted(self) -> int:
        """Where the slider stands for the time that is shown."""
        if self._view.past_at is None:
            return 0
        return max(-MINUTES, min(-1, round((self._view.past_at - self._city.now()) / timedelta(minutes=1))))

    async def go_to(self, at: datetime) -> None:
        """Shows the situation as of ``at``."""
        async with self._loading:
            try:
                self._view.past = await asyncio.to_thread(self._city.history.situation_at, at)
            except OSError as error:
                ui.notify(describe_error(error), type="negative")
                self._draw()  # the slider stands where the time is that is shown
                return
            self._view.past_at = at
        self._draw()
        self._on_change()

    def go_live(self) -> None:
        """Back to the present."""
        self._playing = False
        self._view.past = self._view.past_at = None
        self._draw()
        self._on_change()

    def _toggle_play(self) -> None:
        self._playing = not self._playing and self._view.past_at is not None
        self._draw()

    async def _step(self) -> None:
        if self._playing and self._view.past_at is not None and not self._loading.locked():
            at = self._view.past_at + STEP
            if at >= self._city.now():
                self.go_live()
            else:
                await self.go_to(at)

    def _draw(self) -> None:
        view, t = self._view, self._session.t
        live = view.past_at is None
        self._live.props(
            f"icon={'sensors' if live else 'history'} color={'positive' if live else 'purple-9'}"
        )
        self._live.set_text(t("LIVE") if live else t("PAST: back to live"))
        self._play.props(f"icon={'pause' if self._playing else 'play_arrow'}")
        self._play.set_enabled(not live)
        self._at.set_text("" if view.past_at is None else words.clock(self._session, view.past_at))
        if self._slider.value != self._wanted():
            self._slider.set_value(self._wanted())
