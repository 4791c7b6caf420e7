"""The page *Reports*: the report of a shift, exports, and evidence with its audit, as one file."""

import asyncio
import shutil
import tempfile
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from nicegui import ui

from agent.runtime.error_text import describe_error
from centre.map.city import City
from centre.map.report_cli import MIN_REASON
from centre.map.report_data import read_report
from centre.map.report_files import Look, write_report
from console.web.session import Session

HOURS = (1, 8, 12, 24)


class ReportPage:
    """One open page. Its files are deleted when it is closed."""

    def __init__(self, city: City, session: Session) -> None:
        self._city, self._session = city, session
        self._folder = tempfile.TemporaryDirectory(prefix="ringpost-map-")
        ui.context.client.on_delete(self._folder.cleanup)
        t = session.t
        ui.label(t("Reports")).classes("text-h5").props("role=heading aria-level=1")
        ui.label(
            t("Alerts with their ledger and who did what, actions, positions and tracks: text, CSV, GeoJSON.")
        )
        with ui.row().classes("items-center"):
            self._hours = ui.select(
                {hours: t("last {n} h", n=hours) for hours in HOURS}, value=8, label=t("Time")
            )
            self._hours.mark("report-hours").style("min-width: 160px")
            self._plain = ui.button(
                t("Report and exports"), icon="summarize", on_click=lambda: self._make(None)
            )
            self._plain.mark("report")
        ui.label(t("Evidence")).classes("text-h6").props("role=heading aria-level=2")
        ui.label(
            t("Messages, pictures, actions and audit of the alerts. Each look is logged with your role.")
        )
        with ui.row().classes("items-center"):
            self._reason = ui.input(t("Why the pictures are looked at")).props("maxlength=300")
            self._reason.mark("report-reason").style("min-width: 280px")
            self._full = ui.button(t("Report with evidence"), icon="folder_zip", on_click=self._make_evidence)
            self._full.mark("evidence")
        self._state = ui.label().props("role=status").mark("report-state")

    async def _make_evidence(self) -> None:
        reason = (self._reason.value or "").strip()
        if len(reason) < MIN_REASON:
            self._state.set_text(self._session.t("Write why: {n} characters or more", n=MIN_REASON))
            return
        await self._make(Look(self._city.pictures, self._session.role, reason))

    async def _make(self, look: Look | None) -> None:
        t, end = self._session.t, self._city.now()
        begin = end - timedelta(hours=float(self._hours.value))
        self._state.set_text(t("Being written …"))
        for button in (self._plain, self._full):
            button.disable()
        try:
            path = await asyncio.to_thread(self._write, begin, end, self._city.settings.zone, look)
        except (OSError, ValueError) as error:
            self._state.set_text(describe_error(error))
            return
        finally:
            for button in (self._plain, self._full):
                button.enable()
        self._state.set_text(t("Written: {name}", name=path.name))
        ui.download.file(path, path.name)

    def _write(self, begin: datetime, end: datetime, zone: tzinfo, look: Look | None) -> Path:
        """All files as one zip. Blocking."""
        name = f"report-{end.astimezone(zone):%Y%m%d-%H%M%S}"
        folder = Path(self._folder.name) / name
        write_report(read_report(self._city.db, begin, end), folder, zone, look)
        made = shutil.make_archive(str(folder), "zip", folder)
        shutil.rmtree(folder)
        return Path(made)


def build(city: City, session: Session) -> None:
    """Draws the page."""
    ReportPage(city, session)
