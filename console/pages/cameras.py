"""The page *cameras*."""

from nicegui import ui

from console.agent_client import AgentClient
from console.web.session import Session


def build(_agent: AgentClient, session: Session) -> None:
    """Draws the page."""
    ui.label(session.t("Cameras")).classes("text-h5")
