"""A state as shape, word and colour: good, doubt, bad or idle."""

from typing import Final

from nicegui import ui

from console.pages.words import Kind

ICONS: Final[dict[str, str]] = {
    "good": "check_circle", "doubt": "error", "bad": "cancel", "idle": "radio_button_unchecked",
}  # fmt: skip


class StateChip:
    """An icon and a text; `show` changes both in place."""

    def __init__(self, kind: Kind = "idle", text: str = "") -> None:
        with ui.row().classes("rp-chip no-wrap") as self.element:
            self._icon = ui.icon(ICONS[kind]).props('aria-hidden="true"')
            self._text = ui.label(text)
        self._kind: Kind = kind
        self.element.classes(f"rp-is-{kind}")

    def show(self, kind: Kind, text: str, icon: str | None = None) -> None:
        """Only what differs is sent."""
        if kind != self._kind:
            self.element.classes(remove=f"rp-is-{self._kind}", add=f"rp-is-{kind}")
            self._kind = kind
        name = icon or ICONS[kind]
        if self._icon.name != name:
            self._icon.set_name(name)
        self._text.set_text(text)
