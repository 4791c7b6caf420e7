"""The findings of ``doctor`` on the page *Now*, and the button that makes them anew."""

from collections.abc import Callable

from nicegui import background_tasks, ui

from console.pages.checks import CheckRow, worst_first
from console.pages.device import Device
from console.pages.words import Kind
from console.web.session import Session
from console.web.widgets.rows import Rows
from console.web.widgets.state_chip import StateChip

KINDS: dict[str, Kind] = {"failed": "bad", "warning": "doubt", "skipped": "idle", "ok": "good"}


class ChecksPanel:
    """What is wrong stands open, what is well below a fold."""

    def __init__(self, device: Device, session: Session) -> None:
        self._device, self._session, t = device, session, session.t
        with ui.row().classes("full-width items-center"):
            ui.label(t("Checks")).classes("text-h6").props('role="heading" aria-level="2"')
            self._button = ui.button(t("Check everything now"), icon="fact_check", on_click=self._check)
            self._button.props("outline").mark("check-now")
            self._note = ui.label().classes("rp-quiet")
        with ui.column().classes("full-width rp-tight").mark("check-findings") as wrong:
            self._wrong = Rows(wrong, _finding)
        with (
            ui.expansion(t("What is well")).classes("full-width"),
            ui.column().classes("full-width rp-tight") as well,
        ):
            self._well = Rows(well, _finding)
        self._shown: list[CheckRow] = []

    def show(self) -> None:
        """The newest findings."""
        checks, t = self._device.checks, self._session.t
        self._button.set_enabled(not checks.running)
        if checks.running:
            self._note.set_text(t("checking …"))
        elif checks.problem:
            self._note.set_text(checks.problem)
        elif checks.made_at is not None:
            self._note.set_text(t("checked at {at}", at=self._session.time(checks.made_at)))
        if checks.rows is self._shown:
            return
        self._shown = checks.rows
        rows = [(f"{row.number}/{row.text}", row) for row in worst_first(checks.rows)]
        self._wrong.show(one for one in rows if one[1].state in ("failed", "warning"))
        self._well.show(one for one in rows if one[1].state not in ("failed", "warning"))

    def _check(self) -> None:
        background_tasks.create(self._device.check(everything=True), name="checks")


def _finding(row: CheckRow) -> tuple[ui.element, Callable[[CheckRow], None]]:
    with ui.row().classes("rp-finding no-wrap").mark("finding") as line:
        StateChip(KINDS.get(row.state, "idle"), row.check).element.classes("rp-check")
        with ui.column().classes("rp-tight"):
            text, remedy = ui.label(), ui.label().classes("text-weight-medium")

    def show(new: CheckRow) -> None:
        text.set_text(new.text)
        remedy.set_text(f"→ {new.remedy}" if new.remedy else "")

    return line, show
