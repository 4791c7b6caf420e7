"""What the device keeps: which revision, by whom, when; the difference of any two; the way back."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime

from nicegui import ui

from console.configuration.history import Kept
from console.configuration.review import diff_lines
from console.order_steps import OrderStep
from console.orders import NO_KEY
from console.pages.configuration.review_view import draw_lines
from console.web.key_dialog import choose_key
from console.web.session import Session
from console.web.widgets.order import OrderLine, missing, order_button

FILE, IN_FORCE = "file", "in_force"
"""Choices that need no order: their texts are here."""
STATES = {
    "in_force": ("In force", "check_circle", "rp-good"),
    "kept": ("Kept", "inventory_2", "rp-idle"),
    "rejected": ("Refused", "block", "rp-bad"),
    "rolled_back": ("Went back", "undo", "rp-bad"),
    "validated": ("Only checked", "fact_check", "rp-idle"),
}


class HistoryView:
    """The rows of the history. ``text_of`` gives the steps that end with the text of a row."""

    def __init__(
        self,
        session: Session,
        text_of: Callable[[Kept], AsyncIterator[OrderStep]],
        roll_back: Callable[[Kept], AsyncIterator[OrderStep]],
        texts: Callable[[], dict[str, str]],
    ) -> None:
        self._session, self._text_of, self._roll_back, self._texts = session, text_of, roll_back, texts
        self._rows: list[Kept] = []
        t = session.t
        self._line = OrderLine(session)
        self._list = ui.column().classes("rp-history").mark("history")
        ui.label(t("Compare two")).classes("text-subtitle1").props('role="heading" aria-level="3"')
        with ui.row().classes("rp-compare"):
            self._old = ui.select({}, label=t("Before")).classes("rp-cf-field").mark("compare-old")
            self._new = ui.select({}, label=t("After")).classes("rp-cf-field").mark("compare-new")
            ui.button(t("Show the difference"), icon="difference", on_click=self._clicked).mark("compare")
        self._lines = ui.column().classes("rp-diff").props('tabindex="0"').mark("compare-diff")
        self._lines.set_visibility(False)

    def show(self, rows: list[Kept]) -> None:
        """Shows the rows, the newest first."""
        if rows == self._rows:
            return
        self._rows = rows
        choices = {IN_FORCE: self._session.t("In force"), FILE: self._session.t("File at the device")}
        choices |= {
            str(index): self._name(row)
            for index, row in enumerate(rows)
            if row.state == "kept" and row.has_text
        }
        for select, wanted in ((self._old, FILE), (self._new, IN_FORCE)):
            select.set_options(choices, value=select.value if select.value in choices else wanted)
        self._list.clear()
        with self._list:
            for row in rows:
                self._draw(row)

    def _name(self, row: Kept) -> str:
        t = self._session.t
        name = t("Local file") if row.revision is None else t("Revision {n}", n=row.revision)
        return f"{name} · {row.target}" if row.target else name

    def _draw(self, row: Kept) -> None:
        t = self._session.t
        words, icon, look = STATES.get(row.state, (row.state, "help", "rp-idle"))
        with ui.element("div").classes("rp-history-row").mark(f"history-{row.revision or 0}-{row.state}"):
            with ui.row().classes(f"rp-chip no-wrap {look}"):
                ui.icon(icon).props('aria-hidden="true"')
                ui.label(t(words))
            ui.label(self._name(row)).classes("text-weight-medium")
            ui.label(self._at(row)).classes("rp-quiet")
            ui.label(", ".join(row.key_ids) or "–").classes("rp-quiet rp-code")
            with ui.element("div"):
                if row.state == "kept" and row.has_text:
                    order_button(
                        self._session, "Back to this", "config_rollback", lambda: self._roll_back(row),
                        icon="history", line=self._line,
                    ).props("outline dense no-caps")  # fmt: skip
            if row.reason:
                ui.label(row.reason).classes("rp-note")

    def _at(self, row: Kept) -> str:
        if row.at is None:
            return "–"
        try:
            at = datetime.fromisoformat(row.at)
        except ValueError:
            return row.at
        return f"{at.astimezone(self._session.zone):%Y-%m-%d} {self._session.time(at)}"

    async def _clicked(self) -> None:
        """Texts that are here need no order; the others a key."""
        if not {self._old.value, self._new.value} <= self._texts().keys():
            reason = missing(self._session, "config_get")
            if reason == NO_KEY and not await choose_key(self._session):
                return
            if reason not in (None, NO_KEY):
                self._line.show(OrderStep("refused", reason or ""))
                return
        await self._line.follow(self._compare())

    async def _compare(self) -> AsyncIterator[OrderStep]:
        texts: list[str] = []
        for choice in (self._old.value, self._new.value):
            if choice in (here := self._texts()):
                texts.append(here[choice])
                continue
            row = (
                self._rows[int(choice)] if str(choice).isdecimal() and int(choice) < len(self._rows) else None
            )
            if row is None:
                yield OrderStep("failed", self._session.t("it is no longer there"))
                return
            async for step in self._text_of(row):
                if not step.succeeded:
                    yield step
                elif isinstance(text := step.body.get("text"), str):
                    texts.append(text)
            if len(texts) < 1:
                return
        if len(texts) == 2:
            draw_lines(self._session, self._lines, diff_lines(*texts))
            yield OrderStep("succeeded", "" if texts[0] != texts[1] else self._session.t("both are the same"))
