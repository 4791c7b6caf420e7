"""The page *Configuration*: form and text side by side, difference, trial, history."""

from console.pages.configuration.page import ConfigurationPage
from console.pages.device import Device
from console.pages.frame import draw_frame
from console.web.session import Session


def build(device: Device, session: Session) -> None:
    """Draws the page."""
    live, content = draw_frame(device, session, session.t("Configuration"))
    with content:
        ConfigurationPage(device, session, live).draw()
