"""Lines of text that follow one another, bounded in the browser: for the log and for raw bytes."""

from collections.abc import Sequence
from typing import TypeAlias

from nicegui.element import Element

Line: TypeAlias = tuple[str, str]
"""Kind (a class of the style sheet: ``error``, ``warning``, ``info``, ``debug``, ``note``) and text."""


class LineView(Element, component="line_view.js"):
    """Keeps the ``most`` newest lines. ``label`` names it for screen readers."""

    def __init__(self, label: str, most: int = 500) -> None:
        super().__init__()
        self._props["most"], self._props["label"], self._props["follow"] = most, label, True

    def append(self, lines: Sequence[Line]) -> None:
        """Adds lines at the end; at the end it stays there, where it follows."""
        if lines:
            self.run_method("append", [list(line) for line in lines])

    def replace(self, lines: Sequence[Line]) -> None:
        """Shows ``lines`` alone."""
        self.run_method("clear")
        self.append(lines)

    def set_follow(self, follow: bool) -> None:
        """Whether new lines scroll into view."""
        self._props["follow"] = follow
        self.update()
