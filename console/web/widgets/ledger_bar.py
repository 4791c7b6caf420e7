"""Steps of a latency as one bar, with their names and times below."""

from collections.abc import Callable, Sequence
from typing import Final

from nicegui import ui

from console.pages.latency_view import Step
from console.web.theme import BLUE, GREEN, GREY, ORANGE, SKY
from console.web.widgets.rows import Rows

COLOURS: Final = (BLUE, SKY, ORANGE, GREEN, GREY)


class LedgerBar:
    """One bar; `show` changes it in place. Steps without a share stand in the legend only."""

    def __init__(self) -> None:
        with ui.column().classes("full-width rp-ledger") as self.element:
            strip = ui.row().classes("rp-bar no-wrap").props('aria-hidden="true"')
            legend = ui.row().classes("rp-legend")
        self._parts = Rows(strip, _part)
        self._words = Rows(legend, _words)

    def show(self, steps: Sequence[Step]) -> None:
        self._parts.show((step.name, step) for step in steps if step.share > 0)
        self._words.show((step.name, step) for step in steps)


def _part(step: Step) -> tuple[ui.element, Callable[[Step], None]]:
    part = ui.element("div").style(f"background: {COLOURS[step.place % len(COLOURS)]}")

    def show(new: Step) -> None:
        part.style(f"width: {max(0.4, 100 * new.share):.1f}%")

    return part, show


def _words(step: Step) -> tuple[ui.element, Callable[[Step], None]]:
    with ui.row().classes("no-wrap rp-legend-step") as row:
        ui.element("span").classes("rp-dot").style(f"background: {COLOURS[step.place % len(COLOURS)]}")
        label = ui.label()

    def show(new: Step) -> None:
        label.set_text(f"{new.words} {new.text}")

    return row, show
