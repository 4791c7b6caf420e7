"""Says above a page's content since when the agent has not answered, and why."""

from datetime import UTC, datetime

from nicegui import ui

from console.pages.device import Device
from console.web.session import Session
from console.web.widgets.live import Live


def draw_agent_state(device: Device, session: Session, live: Live, content: ui.element) -> None:
    """A line that is there only while the agent is away; ``content`` is dimmed then, as it is old."""
    with ui.row().classes("rp-away-line no-wrap").mark("agent-away") as line:
        ui.icon("link_off", size="24px")
        text = ui.label().props('role="status"')
    line.set_visibility(False)

    def show() -> None:
        since = device.away_since
        away = since is not None or bool(live.problem)
        line.set_visibility(away)
        content.classes(add="rp-old") if away else content.classes(remove="rp-old")
        if since is None:
            text.set_text(
                session.t(
                    "The agent gives no news here: {reason}. What is below is old.", reason=live.problem
                )
            )
        else:
            text.set_text(
                session.t(
                    "The agent has not answered since {at} ({seconds} s): {reason}. "
                    "What is below is old. The page goes on by itself.",
                    at=session.time(since),
                    seconds=int((datetime.now(UTC) - since).total_seconds()),
                    reason=device.client.state.reason or "?",
                )
            )

    live.every(0.5, show)
