"""The page *Now*: is the device well, and if not, what to do."""

from console.pages.device import Device
from console.pages.frame import draw_frame
from console.web.session import Session


def build(device: Device, session: Session) -> None:
    """Draws the page."""
    draw_frame(device, session, session.t("Now"))
