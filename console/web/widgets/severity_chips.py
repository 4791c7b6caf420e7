"""The number of active alerts, by severity."""

from collections.abc import Mapping

from nicegui import ui

from console.web.session import Session
from console.web.theme import SEVERITY


class SeverityChips:
    """One chip for each severity that has an active alert; a link to the page *Alerts*."""

    def __init__(self, session: Session) -> None:
        self._labels: dict[str, tuple[ui.element, ui.label]] = {}
        self._words = severity_words(session)
        with ui.link(target="/alerts").classes("rp-chips").mark("active-alerts"):
            for severity, (colour, icon) in SEVERITY.items():
                with ui.row().classes("rp-chip no-wrap") as chip:
                    ui.icon(icon).style(f"color: {colour}").props('aria-hidden="true"')
                    label = ui.label()
                chip.set_visibility(False)
                self._labels[severity] = chip, label
            self._none = ui.label(session.t("no active alert")).classes("rp-quiet")

    def show(self, active: Mapping[str, int]) -> None:
        for severity, (chip, label) in self._labels.items():
            count = active.get(severity, 0)
            chip.set_visibility(count > 0)
            label.set_text(f"{count} {self._words[severity]}")
        self._none.set_visibility(not any(active.values()))


def severity_words(session: Session) -> dict[str, str]:
    """Severities in the language of ``session``."""
    t = session.t
    return {"critical": t("critical"), "warning": t("warning"), "info": t("info")}
