"""Somebody else's change came into force meanwhile: both sides, and the choice for each place of both."""

from collections.abc import Callable

from nicegui import ui

from console.configuration.edits import flow
from console.configuration.three_way import Changed, Conflict, Steps, ThreeWay
from console.web.session import Session

MAX_SHOWN = 40


class ConflictView:
    """Nothing of the other is overwritten: one's own changes go on top of it, or away."""

    def __init__(
        self, session: Session, combine: Callable[[frozenset[Steps]], None], drop: Callable[[], None]
    ) -> None:
        self._session, self._combine, self._drop = session, combine, drop
        self._keep_theirs: set[Steps] = set()
        self._shown: ThreeWay | None = None
        self._box = ui.column().classes("rp-trouble rp-conflict").props('role="alert"').mark("conflict")
        self._box.set_visibility(False)

    def show(self, three: ThreeWay | None) -> None:
        """Shows both sides; None hides it."""
        self._box.set_visibility(three is not None)
        if three is None or three == self._shown:
            self._shown = three
            return
        self._shown, self._keep_theirs = three, set()
        t = self._session.t
        self._box.clear()
        with self._box:
            ui.label(
                t("Another configuration came into force meanwhile. Nothing is sent until you choose.")
            ).classes("text-subtitle1")
            self._draw_side(t("They changed"), three.theirs)
            self._draw_side(t("You changed"), three.mine)
            for conflict in three.conflicts[:MAX_SHOWN]:
                self._draw_conflict(conflict)
            with ui.row():
                ui.button(
                    t("Put my changes on top of theirs"), icon="merge",
                    on_click=lambda: self._combine(frozenset(self._keep_theirs)),
                ).props("no-caps").mark("conflict-combine")  # fmt: skip
                ui.button(t("Drop my changes"), icon="delete", on_click=self._drop).props(
                    "outline no-caps"
                ).mark("conflict-drop")

    def _draw_side(self, title: str, changes: tuple[Changed, ...]) -> None:
        ui.label(title).classes("text-weight-medium")
        for change in changes[:MAX_SHOWN]:
            ui.label(f"{'.'.join(change.path)}: {_value(change.before)} → {_value(change.after)}").classes(
                "rp-code"
            )
        if not changes:
            ui.label(self._session.t("nothing but comments")).classes("rp-quiet")

    def _draw_conflict(self, conflict: Conflict) -> None:
        t = self._session.t

        def choose(side: str) -> None:
            (self._keep_theirs.add if side == "theirs" else self._keep_theirs.discard)(conflict.path)

        with ui.row().classes("items-center"):
            ui.label(t("Both changed {path}:", path=".".join(conflict.path)))
            ui.toggle(
                {
                    "mine": t("mine: {value}", value=_value(conflict.mine.after)),
                    "theirs": t("theirs: {value}", value=_value(conflict.theirs.after)),
                },
                value="mine", on_change=lambda event: choose(event.value),
            ).props("no-caps")  # fmt: skip


def _value(value: object) -> str:
    text = "–" if value is None else flow(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
