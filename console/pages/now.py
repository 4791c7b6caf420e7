"""The page *Now*: is the device well, and if not, what to do."""

from nicegui import ui

from console.web.session import Session


def build(session: Session) -> None:
    """Draws the page."""
    ui.label(session.t("Now")).classes("text-h5")
