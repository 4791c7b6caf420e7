"""The page *log*."""

from console.pages.device import Device
from console.pages.frame import draw_frame
from console.web.session import Session


def build(device: Device, session: Session) -> None:
    """Draws the page."""
    draw_frame(device, session, session.t("Log and audit"))
