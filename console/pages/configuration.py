"""The page *configuration*."""

from nicegui import ui

from console.web.session import Session


def build(session: Session) -> None:
    """Draws the page."""
    ui.label(session.t("Configuration")).classes("text-h5")
