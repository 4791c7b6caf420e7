"""The last push: its steps while it is tried, how it ended and why, and who signed it."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from nicegui import ui

from console.configuration.trial import Outcome, StepState, TrialState
from console.order_steps import OrderStep
from console.session_signer import key_ids
from console.web.session import Session
from console.web.widgets.order import OrderLine, order_button

LOOKS: dict[Outcome, tuple[str, str, str]] = {
    "none": ("", "", ""),
    "trying": ("Revision {n} is on trial", "hourglass_top", "rp-doubt"),
    "unconfirmed": ("Revision {n} runs on trial and waits to be kept", "front_hand", "rp-doubt"),
    "applied": ("Revision {n} was proved and is kept", "check_circle", "rp-good"),
    "rolled_back": ("Revision {n} went back by itself; what was in force before runs on", "undo", "rp-bad"),
    "rejected": ("The device refused revision {n}; nothing has changed", "block", "rp-bad"),
    "validated": ("The device would take this text; nothing has changed", "fact_check", "rp-good"),
}
STEP_ICONS: dict[StepState, tuple[str, str, str]] = {
    "done": ("check_circle", "rp-good", "done"),
    "now": ("hourglass_top", "rp-doubt", "waits for it now"),
    "waiting": ("radio_button_unchecked", "rp-idle", "not yet"),
    "failed": ("cancel", "rp-bad", "failed"),
}


class TrialView:
    """Shows a `TrialState`; while it waits for a person, the buttons to keep it or go back."""

    def __init__(
        self,
        session: Session,
        keep: Callable[[int], AsyncIterator[OrderStep]],
        back: Callable[[], AsyncIterator[OrderStep]],
    ) -> None:
        self._session = session
        self._state: TrialState | None = None
        with ui.column().classes("rp-trial").props('role="status" aria-live="polite"') as self._box:
            self._box.mark("trial")
            with ui.row().classes("rp-chip no-wrap") as self._head:
                self._icon = ui.icon("science").props('aria-hidden="true"')
                self._title = ui.label().classes("text-subtitle1").mark("trial-outcome")
            self._reason = ui.label().classes("rp-reason").mark("trial-reason")
            self._who = ui.label().classes("rp-quiet")
            self._steps = ui.column().classes("rp-steps").mark("trial-steps")
            self._left = ui.label().classes("rp-big").mark("trial-left")
            with ui.row() as self._buttons:
                line = OrderLine(session)
                order_button(
                    session,
                    "Keep it",
                    "config_confirm",
                    lambda: keep(self._revision()),
                    icon="check",
                    line=line,
                )
                order_button(session, "Go back now", "push", back, icon="undo", line=line).props("outline")
        self._box.set_visibility(False)

    def _revision(self) -> int:
        return (self._state.revision if self._state else None) or 0

    def show(self, state: TrialState) -> None:
        """Shows the newest state; the countdown goes on in each call."""
        self._count_down(state)
        if state == self._state:
            return
        self._state = state
        self._box.set_visibility(state.outcome != "none")
        if state.outcome == "none":
            return
        words, icon, look = LOOKS[state.outcome]
        t = self._session.t
        self._icon.props(f"name={icon}")
        self._head.classes(add=look, remove="rp-good rp-doubt rp-bad rp-idle")
        self._box.props(f'data-outcome="{state.outcome}"')
        self._title.set_text(t(words, n=state.revision if state.revision is not None else "?"))
        details = [state.reason or "", *(f"{path}: {message}" for _, path, message in state.errors)]
        self._reason.set_text("\n".join(filter(None, details)))
        self._reason.set_visibility(any(details))
        self._who.set_text(self._signed_by(state))
        self._buttons.set_visibility(state.outcome == "unconfirmed")
        self._draw_steps(state)

    def _signed_by(self, state: TrialState) -> str:
        if not state.key_ids:
            return ""
        t, own = self._session.t, set(key_ids(self._session.signer))
        names = ", ".join(f"{one} ({t('yours')})" if one in own else one for one in state.key_ids)
        return t("Signed by {keys}", keys=names)

    def _draw_steps(self, state: TrialState) -> None:
        t = self._session.t
        self._steps.clear()
        with self._steps:
            for name, step in state.steps:
                icon, look, words = STEP_ICONS[step]
                with ui.row().classes(f"rp-chip no-wrap {look}").props(f'data-step="{step}"'):
                    ui.icon(icon).props(f'role="img" aria-label="{t(words)}"')
                    ui.label(t(name))
            for warning in state.warnings:
                with ui.row().classes("rp-chip no-wrap rp-doubt"):
                    ui.icon("warning").props('aria-hidden="true"')
                    ui.label(warning)

    def _count_down(self, state: TrialState) -> None:
        deadline = state.deadline if state.is_on else None
        self._left.set_visibility(deadline is not None)
        if deadline is not None:
            left_s = max(0, int((deadline - datetime.now(UTC)).total_seconds()))
            self._left.set_text(self._session.t("Goes back by itself in {n} s", n=left_s))
