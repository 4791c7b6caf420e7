"""The audit log on the page *Log and audit*: its newest entries, and whether it is intact."""

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path

from nicegui import ui

from agent.audit.audit_log import FOLDER
from agent.audit.entry import Entry
from agent.audit.findings import Report
from agent.audit.verify import read_entries, verify_folder
from agent.runtime.error_text import describe_error
from console.pages.device import Device
from console.pages.log_view import MOST_ENTRIES, EntryRow, entry_row, verdict
from console.web.session import Session
from console.web.widgets.live import Live
from console.web.widgets.rows import Rows
from console.web.widgets.state_chip import StateChip

EVERY_S = 10.0


class AuditPanel:
    """Reads the files beside the running agent, in a thread; it changes nothing."""

    def __init__(self, device: Device, session: Session, live: Live) -> None:
        self._device, self._session = device, session
        self._entries: list[EntryRow] = []
        t = session.t
        ui.label(t("Audit")).classes("text-h6").props('role="heading" aria-level="2"')
        with ui.row().classes("full-width items-center"):
            self._button = ui.button(t("Verify now"), icon="verified_user", on_click=self._verify)
            self._button.props("outline").mark("audit-verify")
            self._verdict = StateChip("idle", t("not verified yet"))
            self._verdict.element.classes("rp-grow").mark("audit-verdict")
        self._words = ui.input(t("Search the entries"), on_change=self._draw)
        self._words.props("dense outlined clearable debounce=200").classes("full-width").mark("audit-search")
        with ui.element("div").classes("rp-table rp-audit").mark("audit") as table:
            self._rows = Rows(table, _entry)
        live.every(EVERY_S, self._read)
        live.run(self._verify)

    @property
    def _folder(self) -> Path:
        return self._device.data / FOLDER

    async def _read(self) -> None:
        entries = await asyncio.to_thread(_newest, self._folder)
        self._entries = [entry_row(entry, self._session) for entry in reversed(entries)]
        self._draw()

    async def _verify(self) -> None:
        t, hello = self._session.t, self._device.hello
        self._button.disable()
        try:
            report = await asyncio.to_thread(_verified, self._folder, hello["device_key"] if hello else None)
        except OSError as error:
            self._verdict.show("doubt", describe_error(error))
        else:
            self._verdict.show(*verdict(report, t))
        finally:
            self._button.enable()

    def _draw(self) -> None:
        words = self._words.value or ""
        self._rows.show((row.n, row) for row in self._entries if row.matches(words))


def _verified(folder: Path, device_key: str | None) -> Report:
    return verify_folder(folder, device_key=device_key or None)


def _newest(folder: Path) -> list[Entry]:
    try:
        return list(deque(read_entries(folder), maxlen=MOST_ENTRIES))
    except OSError:
        return []


def _entry(_row: EntryRow) -> tuple[ui.element, Callable[[EntryRow], None]]:
    with ui.element("div").classes("rp-line").mark("audit-entry") as line:
        number, when = ui.label().classes("rp-number"), ui.label().classes("rp-quiet")
        kind, who = ui.label().classes("text-weight-medium"), ui.label()
        text = ui.label().classes("rp-quiet")

    def show(new: EntryRow) -> None:
        for label, value in zip(
            (number, when, kind, who, text), (str(new.n), new.when, new.kind, new.who, new.text), strict=True
        ):
            label.set_text(value)

    return line, show
