"""The elements of the page: on a desk side by side, on a phone one above the other by tabs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from nicegui import ui

from agent.cli.config_report import describe_active
from agent.runtime.sanitize import as_dict
from console.agent_views import ConfigView
from console.configuration.checks import Trouble
from console.configuration.draft import Draft
from console.configuration.history import Kept
from console.configuration.push import TRIAL_S
from console.configuration.three_way import Steps
from console.order_steps import OrderStep
from console.pages.configuration.conflict_view import ConflictView
from console.pages.configuration.editor import TextEditor
from console.pages.configuration.form import ConfigurationForm
from console.pages.configuration.history_view import HistoryView
from console.pages.configuration.review_view import ReviewView
from console.pages.configuration.trial_view import TrialView
from console.web.session import Session
from console.web.widgets.order import OrderLine, order_button


class Actions(Protocol):
    """What people do on the page."""

    @property
    def may_edit(self) -> bool: ...

    def typed(self, text: str) -> None: ...

    def edited(self, path: Steps, value: Any) -> None: ...

    def discard(self) -> None: ...

    def combine(self, keep_theirs: frozenset[Steps]) -> None: ...

    def push(
        self, *, validate_only: bool = False, manual: bool = False, confirm_within_s: float = TRIAL_S
    ) -> AsyncIterator[OrderStep]: ...

    def keep(self, revision: int) -> AsyncIterator[OrderStep]: ...

    def back(self) -> AsyncIterator[OrderStep]: ...

    def text_of(self, row: Kept) -> AsyncIterator[OrderStep]: ...

    def roll_back(self, row: Kept) -> AsyncIterator[OrderStep]: ...

    def texts(self) -> dict[str, str]: ...


WAITS_S = {10: "10 s", 60: "1 min", 300: "5 min", 900: "15 min", 3600: "1 h"}


@dataclass
class Layout:
    """What changes while the page is open."""

    session: Session
    root: ui.element
    in_force: ui.label
    drift: ui.row
    drift_text: ui.label
    trial: TrialView
    conflict: ConflictView
    form: ConfigurationForm
    editor: TextEditor
    review: ReviewView
    notes: ui.column
    history: HistoryView
    discard: ui.button

    def start(self, draft: Draft) -> None:
        """The first text is here."""
        self.editor.set_text(draft.text)
        self.show_changed(is_changed=draft.is_changed)

    def show_changed(self, *, is_changed: bool) -> None:
        """Whether there is anything to discard."""
        self.discard.set_visibility(is_changed)

    def show_checked(self, draft: Draft, refused: tuple[Trouble, ...]) -> None:
        """The result of a check."""
        if draft.checked is None:
            return
        troubles = draft.checked.troubles or refused
        self.form.show(replace(draft.checked, troubles=troubles))
        self.editor.show_troubles(troubles)
        self.form.open_added()
        self.review.show(draft.review, is_changed=draft.is_changed)
        self.notes.clear()
        with self.notes:
            for note in draft.checked.notes:
                ui.label(note).classes("rp-quiet")

    def show_in_force(self, view: ConfigView) -> None:
        """One line on what runs, and one where the file at the device differs."""
        active = as_dict(view["reported"].get("active"))
        t = self.session.t
        revision = view["revision"]
        name = t("the file at the device") if revision is None else t("revision {n}", n=revision)
        words = name if active else describe_active({"source": "local"})
        self.in_force.set_text(t("In force: {name} · {sha}", name=words, sha=view["sha256"][:12]))
        drift = view["drift"]
        self.drift.set_visibility(bool(drift))
        self.drift_text.set_text(t("The file at the device was edited since, in: {paths}", paths=drift or ""))


def draw_layout(session: Session, page: Actions) -> Layout:
    """Draws all of it into the open element."""
    t = session.t
    ui.add_head_html('<link rel="stylesheet" href="/static/configuration.css">')
    with ui.column().classes("rp-configuration w-full") as root:
        in_force = ui.label().classes("rp-quiet").mark("in-force")
        with ui.row().classes("rp-chip no-wrap rp-doubt").mark("drift") as drift:
            ui.icon("edit_note").props('aria-hidden="true"')
            drift_text = ui.label()
        drift.set_visibility(False)
        trial = TrialView(session, page.keep, page.back)
        conflict = ConflictView(session, page.combine, page.discard)
        with ui.element("div").classes("rp-sides") as sides:

            def turn(side: str) -> None:
                sides.classes(add=f"rp-show-{side}", remove="rp-show-form rp-show-text")

            sides.classes("rp-show-form")
            ui.toggle(
                {"form": t("Form"), "text": t("Text")},
                value="form",
                on_change=lambda event: turn(event.value),
            ).props("no-caps spread").classes("rp-side-tabs").mark("sides")
            with ui.column().classes("rp-side rp-side-form").props(f'role="region" aria-label="{t("Form")}"'):
                form = ConfigurationForm(session, page.edited)
                form.draw()
            with ui.column().classes("rp-side rp-side-right"):
                with ui.column().classes("rp-side-text").props(f'role="region" aria-label="{t("Text")}"'):
                    editor = TextEditor(session, "", page.typed)
                    editor.set_read_only(read_only=not page.may_edit)
                with ui.column().classes("rp-review"):
                    review = ReviewView(session)
                    notes = ui.column().classes("rp-tight")
                    discard = _draw_buttons(session, page)
        with ui.expansion(t("History"), icon="history").classes("rp-panel").mark("history-panel"):
            history = HistoryView(session, page.text_of, page.roll_back, page.texts)
    return Layout(
        session,
        root,
        in_force,
        drift,
        drift_text,
        trial,
        conflict,
        form,
        editor,
        review,
        notes,
        history,
        discard,
    )


def _draw_buttons(session: Session, page: Actions) -> ui.button:
    t = session.t
    line = OrderLine(session)
    with ui.row().classes("rp-actions"):
        order_button(
            session,
            "Check at the device",
            "push",
            lambda: page.push(validate_only=True),
            icon="fact_check",
            line=line,
        ).props("outline no-caps").mark("check-at-device")
        order_button(
            session, "Try", "push",
            lambda: page.push(manual=bool(manual.value), confirm_within_s=float(waits.value or 60)),
            icon="science", line=line,
        ).props("no-caps").mark("try")  # fmt: skip
        manual = (
            ui.switch(t("I keep it myself"))
            .mark("manual")
            .tooltip(t("Without your answer in time it goes back by itself"))
        )
        waits = (
            ui.select(WAITS_S, value=60, label=t("Goes back after"))
            .classes("rp-waits")
            .props("dense outlined")
            .mark("goes-back-after")
        )
        discard = ui.button(t("Discard changes"), icon="delete_sweep", on_click=page.discard)
        discard.props("flat no-caps").mark("discard")
    discard.set_visibility(False)
    return discard
