"""The page *cameras*."""

from nicegui import ui

from console.web.session import Session


def build(session: Session) -> None:
    """Draws the page."""
    ui.label(session.t("Cameras")).classes("text-h5")
