"""The page *Now*: is the device well, and if not, what to do."""

from nicegui import ui

from console.agent_client import AgentClient
from console.web.session import Session


def build(_agent: AgentClient, session: Session) -> None:
    """Draws the page."""
    ui.label(session.t("Now")).classes("text-h5")
