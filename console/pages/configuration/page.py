"""Puts the parts of the page together: one draft, shown as a form and as a text, checked as it is edited."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from nicegui import background_tasks, ui

from agent.cli.config_text import mask_secrets
from agent.config.loader import digest
from agent.domain.yaml_loader import BadConfig
from console.agent_client import AgentError
from console.agent_views import ConfigView, Hello
from console.configuration.checks import Trouble
from console.configuration.draft import Draft, Drafts
from console.configuration.edits import EditError, remove_value, set_value
from console.configuration.history import Kept, kept_rows
from console.configuration.in_force import InForce
from console.configuration.push import TRIAL_S, PushError, push_fields, same_fields
from console.configuration.three_way import Steps
from console.configuration.trial import TrialState, trial_state
from console.order_steps import OrderStep
from console.pages.configuration.fields import NOTHING
from console.pages.configuration.layout import draw_layout
from console.pages.device import Device
from console.web.session import Session
from console.web.widgets.live import Live
from console.web.widgets.order import order_desk

DRAFTS = Drafts()
CHECK_AFTER_S = 0.35
"""A text is checked when nobody has typed for so long."""
ANSWER_S = 60.0


class ConfigurationPage:
    """One open page."""

    def __init__(self, device: Device, session: Session, live: Live) -> None:
        self._client, self._session, self._live = device.client, session, live
        self._draft: Draft | None = None
        self._hello: Hello | None = None
        self._view: ConfigView | None = None
        self._edits = asyncio.Lock()
        self._checks = asyncio.Lock()
        self._generation = self._checks_wait = 0
        self._refused: tuple[Trouble, ...] = ()
        """What the device found wrong, until the next edit."""

    def draw(self) -> None:
        """Draws the page, and keeps it new."""
        self._parts = draw_layout(self._session, self)
        self._live.every(1.0, self._refresh)

    @property
    def may_edit(self) -> bool:
        """Whether the role of the session may change configurations; the others look."""
        return self._session.may("push")

    async def _refresh(self) -> None:
        """What is in force, on trial and kept."""
        try:
            hello, view = self._hello or await self._client.hello(), await self._client.config()
        except (OSError, AgentError):
            self._hello = None  # the frame of the page says so
            return
        if not self.may_edit:
            view = self._without_secrets(view)
        self._hello, self._view = hello, view
        if self._draft is None:
            kept = DRAFTS.find(self._session.token) or Draft.of(InForce.of(view, hello))
            self._draft = replace(kept, checked=None, review=None)
            self._parts.start(self._draft)
        if self._draft.see(view, hello):
            self._parts.editor.set_text(self._draft.text)
        if self._draft.checked is None and not self._checks_wait:
            self._examine_soon()
        self._parts.show_changed(is_changed=self._draft.is_changed)
        state = trial_state(view)
        self._parts.trial.show(state)
        self._note_refusal(state)
        self._parts.history.show(kept_rows(view["history"]))
        self._parts.show_in_force(view)
        self._parts.conflict.show(self._draft.compare() if self._draft.newer else None)

    @staticmethod
    def _without_secrets(view: ConfigView) -> ConfigView:
        text = mask_secrets(view["text"], view["text"])[0]
        file = view["file_text"]
        return {**view, "text": text, "file_text": file and mask_secrets(file, file)[0]}

    def typed(self, text: str) -> None:
        """A person has changed the text."""
        if self._draft is not None and self.may_edit:
            self._set_text(text)

    def edited(self, path: Steps, value: Any) -> None:
        """A person has changed a field of the form, or taken a part away."""
        if self.may_edit:
            background_tasks.create(self._edit(path, value), name="form edit")

    async def _edit(self, path: Steps, value: Any) -> None:
        async with self._edits:
            if self._draft is None:
                return
            try:
                before = None
                while before != self._draft.text:  # somebody may type meanwhile
                    before = self._draft.text
                    if value is NOTHING:
                        text = await asyncio.to_thread(remove_value, before, path)
                    else:
                        text = await asyncio.to_thread(set_value, before, path, value)
            except (BadConfig, EditError) as error:
                with self._parts.root:
                    ui.notify(str(error).removeprefix(":"), type="negative")
                return
            self._set_text(text)
            self._parts.editor.set_text(text)

    def _set_text(self, text: str) -> None:
        if self._draft is None:
            return
        self._draft = replace(self._draft, text=text)
        self._refused = ()
        DRAFTS.keep(self._session.token, self._draft)
        self._parts.show_changed(is_changed=self._draft.is_changed)
        self._examine_soon()

    def _examine_soon(self) -> None:
        self._generation += 1
        self._checks_wait += 1
        background_tasks.create(self._examine(self._generation), name="check")

    async def _examine(self, generation: int) -> None:
        """Checks the newest text in a thread, one at a time; an older check that ends late is dropped."""
        try:
            await asyncio.sleep(CHECK_AFTER_S)
            async with self._checks:
                if generation != self._generation or self._draft is None:
                    return
                known = self._draft
                examined = await asyncio.to_thread(known.examined)
        finally:
            self._checks_wait -= 1
        if generation != self._generation or self._draft.text != known.text:
            return
        self._draft = replace(self._draft, checked=examined.checked, review=examined.review)
        with self._parts.root:
            self._parts.show_checked(self._draft, self._refused)

    def discard(self) -> None:
        """Back to what is in force."""
        if self._draft is not None:
            self._start_from(Draft.of(self._draft.newer or self._draft.in_force))

    def combine(self, keep_theirs: frozenset[Steps]) -> None:
        """My changes on top of what came into force meanwhile."""
        if self._draft is None:
            return
        try:
            self._start_from(self._draft.combined(keep_theirs))
        except (BadConfig, EditError) as error:
            ui.notify(str(error), type="negative")

    def _start_from(self, draft: Draft) -> None:
        self._draft = draft
        self._parts.editor.set_text(draft.text)
        self._parts.conflict.show(None)
        self._set_text(draft.text)

    async def push(
        self, *, validate_only: bool = False, manual: bool = False, confirm_within_s: float = TRIAL_S
    ) -> AsyncIterator[OrderStep]:
        """Sends the text; the device checks it only, or tries it."""
        draft = self._draft
        if draft is None or draft.checked is None or draft.checked.text != draft.text:
            yield OrderStep("refused", "the text is being checked: try again in a moment")
            return
        if draft.newer is not None:
            yield OrderStep("refused", "another configuration came into force meanwhile: choose above first")
            return
        try:
            fields = push_fields(
                draft.in_force,
                draft.checked,
                validate_only=validate_only,
                manual=manual,
                confirm_within_s=confirm_within_s,
            )
        except PushError as error:
            yield OrderStep("refused", str(error))
            return
        within_s = ANSWER_S + 2 * float(fields["confirm_within_s"])
        async for step in order_desk(self._session, self._client).push(fields, within_s=within_s):
            yield step

    async def keep(self, revision: int) -> AsyncIterator[OrderStep]:
        """Keeps the revision that waits."""
        async for step in self._command("config_confirm", revision=revision):
            yield step

    async def back(self) -> AsyncIterator[OrderStep]:
        """Ends a trial early: what is in force is sent again, and a newer push ends the trial."""
        if self._view is None or self._hello is None:
            return
        try:
            fields = same_fields(InForce.of(self._view, self._hello))
        except PushError as error:
            yield OrderStep("refused", str(error))
            return
        async for step in order_desk(self._session, self._client).push(fields, within_s=ANSWER_S):
            yield step

    async def text_of(self, row: Kept) -> AsyncIterator[OrderStep]:
        """The text of a kept revision."""
        target = {"target": row.target} if row.target else {}
        async for step in self._command("config_get", revision=row.revision, **target):
            yield step

    async def roll_back(self, row: Kept) -> AsyncIterator[OrderStep]:
        """Returns to a kept revision, by a trial."""
        target = {"target": row.target} if row.target else {}
        async for step in self._command("config_rollback", to_revision=row.revision, **target):
            yield step

    async def _command(self, name: str, **fields: Any) -> AsyncIterator[OrderStep]:
        desk = order_desk(self._session, self._client)
        async for step in desk.command(name, fields, within_s=ANSWER_S, then_s=3 * ANSWER_S):
            yield step

    def texts(self) -> dict[str, str]:
        """The texts that are here."""
        if self._view is None:
            return {}
        file = self._view["file_text"]
        return {"in_force": self._view["text"]} | ({} if file is None else {"file": file})

    def _note_refusal(self, state: TrialState) -> None:
        """Shows the device's own errors where they are in the text."""
        draft = self._draft
        if draft is None or state.outcome != "rejected" or state.sha256 is None:
            return
        found = tuple(Trouble(max(line, 1), 1, path, message) for line, path, message in state.errors)
        if found != self._refused and state.sha256 == digest(draft.text) and draft.checked is not None:
            self._refused = found
            self._parts.show_checked(draft, found)
