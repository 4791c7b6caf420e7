"""The sound of a new critical alert, and its mute button."""

from nicegui import ui
from nicegui.element import Element

from console.web.session import Session


class AlarmTone(Element, component="alarm_sound.js"):
    """Plays once for each increase of ``count``; says whether the browser lets it."""

    def __init__(self) -> None:
        super().__init__()
        self._props["count"] = 0
        self._props["muted"] = False

    def set(self, *, count: int, muted: bool) -> None:
        self._props["count"], self._props["muted"] = count, muted
        self.update()


class AlarmSound:
    """A button that mutes, and the tone. A browser plays nothing before the first click or key."""

    def __init__(self, session: Session) -> None:
        self._session, self._count, self._muted, self._blocked = session, 0, False, True
        self._tone = AlarmTone()
        self._tone.on("allowed", lambda: self._set_blocked(False))
        self._button = ui.button(on_click=self._toggle).props("flat round dense").mark("mute")
        self._draw()

    def sound(self) -> None:
        """One new critical alert, or several at once."""
        self._count += 1
        self._tone.set(count=self._count, muted=self._muted)

    def _toggle(self) -> None:
        if not self._blocked:
            self._muted = not self._muted
        self._blocked = False
        self._tone.set(count=self._count, muted=self._muted)
        self._draw()

    def _set_blocked(self, blocked: bool) -> None:
        self._blocked = blocked
        self._draw()

    def _draw(self) -> None:
        t = self._session.t
        icon, text = "volume_up", t("Sound is on: mute")
        if self._muted:
            icon, text = "volume_off", t("Muted: switch the sound on")
        elif self._blocked:
            icon, text = "notification_important", t("The browser plays no sound before your first click")
        self._button.props(f'icon={icon} aria-label="{text}" title="{text}"')
