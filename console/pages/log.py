"""The page *log*."""

from nicegui import ui

from console.web.session import Session


def build(session: Session) -> None:
    """Draws the page."""
    ui.label(session.t("Log and audit")).classes("text-h5")
