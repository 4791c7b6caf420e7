"""The severity of an alert as icon and word; a drill has a mark of its own."""

from nicegui import ui

from console.web.session import Session
from console.web.theme import BLUE, GREY, SEVERITY
from console.web.widgets.severity_chips import severity_words


class SeverityMark:
    """`show` changes it in place."""

    def __init__(self, session: Session) -> None:
        self._words, self._drill = severity_words(session), session.t("drill")
        with ui.row().classes("rp-chip no-wrap rp-severity") as self.element:
            self._icon = ui.icon("info").props('aria-hidden="true"')
            self._text = ui.label()

    def show(self, severity: str, *, drill: bool = False) -> None:
        colour, icon = (BLUE, "school") if drill else SEVERITY.get(severity, (GREY, "help"))
        self._icon.set_name(icon)
        self._icon.style(f"color: {colour}")
        self._text.set_text(self._drill if drill else self._words.get(severity, severity))
