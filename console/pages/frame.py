"""What each page of the device begins with: its heading, and a line while the agent is away."""

from nicegui import ui

from console.pages.device import Device
from console.web.session import Session
from console.web.widgets.agent_state import draw_agent_state
from console.web.widgets.live import Live


def draw_frame(device: Device, session: Session, title: str) -> tuple[Live, ui.column]:
    """The jobs of the page, and the column for its content. ``title`` is already translated."""
    live = Live()
    ui.label(title).classes("text-h5 rp-title").props('role="heading" aria-level="1"').mark("page-title")
    state = ui.element("div").classes("full-width")
    content = ui.column().classes("rp-page full-width")
    with state:
        draw_agent_state(device, session, live, content)
    return live, content
