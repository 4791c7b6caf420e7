"""Orders in a page: a button that sends one, and the line that says what the device makes of it."""

from collections.abc import AsyncIterator, Awaitable, Callable

from nicegui import ui

from console.agent_client import AgentClient
from console.order_steps import OrderStep, State
from console.orders import NO_KEY, NO_RIGHT, OrderDesk
from console.web.session import Session

STATES: dict[State, tuple[str, str, str]] = {
    "sent": ("Sent", "outgoing_mail", "rp-busy"),
    "accepted": ("The device is at it", "hourglass_top", "rp-busy"),
    "waiting": ("Waits to be kept", "front_hand", "rp-doubt"),
    "succeeded": ("Done", "check_circle", "rp-good"),
    "failed": ("Failed", "error", "rp-bad"),
    "refused": ("Refused", "block", "rp-bad"),
    "no_answer": ("No answer", "help", "rp-bad"),
}
"""Words, icon and class of a state: shape, text and colour together."""


def order_desk(session: Session, agent: AgentClient) -> OrderDesk:
    """Sends the orders of ``session``; its key is taken at the time of the call."""
    return OrderDesk(agent, session.signer, session.may)


def missing(session: Session, order: str) -> str | None:
    """Why this session can't give ``order`` (``push``, ``ack``, ``close``, ``reject``, or the name of a
    command), in English. None where it can."""
    if not session.may(order):
        return NO_RIGHT
    return NO_KEY if session.signer is None else None


class OrderLine:
    """One line: icon, state and reason of the newest order. Screen readers hear it change."""

    def __init__(self, session: Session) -> None:
        self._session = session
        with (
            ui.row().classes("rp-order items-center no-wrap").props('role="status" aria-live="polite"') as row
        ):
            self._icon = ui.icon("hourglass_empty").props('aria-hidden="true"')
            self._text = ui.label().mark("order-state")
        self._row = row
        row.set_visibility(False)

    def show(self, step: OrderStep) -> None:
        """Shows one step."""
        words, icon, look = STATES[step.state]
        self._icon.props(f"name={icon}")
        reason = self._session.t(step.reason) if step.reason else ""
        self._text.set_text(self._session.t(words) + (f": {reason}" if reason else ""))
        self._row.classes(add=look, remove=" ".join({one[2] for one in STATES.values()} - {look}))
        self._row.props(f'data-state="{step.state}"')
        self._row.set_visibility(True)

    async def follow(
        self, steps: AsyncIterator[OrderStep], on_step: Callable[[OrderStep], None] | None = None
    ) -> OrderStep:
        """Shows each step as it comes; the last one."""
        last = OrderStep("no_answer")
        async for last in steps:
            self.show(last)
            if on_step is not None:
                on_step(last)
        return last


def order_button(
    session: Session,
    text: str,
    order: str,
    send: Callable[[], AsyncIterator[OrderStep]],
    *,
    icon: str | None = None,
    line: OrderLine | None = None,
    on_end: Callable[[OrderStep], Awaitable[None] | None] | None = None,
) -> ui.button:
    """A button that gives ``order`` (see `missing`) by the steps of ``send``, one at a time.

    ``text`` is English. ``line`` shows the steps; without it one is made behind the button. Where the right
    is missing, a click says so; a missing key can be chosen at once.
    """

    async def click() -> None:
        if (reason := missing(session, order)) == NO_KEY:
            from console.web.key_dialog import choose_key

            if not await choose_key(session):
                return
        elif reason is not None:
            shown.show(OrderStep("refused", reason))
            return
        button.disable()
        try:
            last = await shown.follow(send())
        finally:
            button.enable()
        if on_end is not None and (answer := on_end(last)) is not None:
            await answer

    button = ui.button(session.t(text), icon=icon, on_click=click).mark(f"order-{order}")
    shown = line or OrderLine(session)
    if (reason := missing(session, order)) is not None:
        button.props('outline aria-haspopup="dialog"').tooltip(session.t(reason))
    return button
