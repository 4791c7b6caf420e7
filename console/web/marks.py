"""Shows the marks of NiceGUI's elements in the page, as ``data-testid``, for tests in a real browser."""

from typing import Any


def show_marks() -> None:
    """Lets each `mark` name its element in the page, too. To be called before pages are drawn."""
    from nicegui import ui

    plain = ui.element.mark
    if getattr(plain, "shows", False):
        return

    def mark(self: ui.element, *markers: str) -> ui.element:
        plain(self, *markers)
        if self._markers:
            self.props["data-testid"] = self._markers[0]
        return self

    mark.shows = True  # type: ignore[attr-defined]
    shown: Any = mark
    ui.element.mark = shown  # type: ignore[method-assign]
