"""The form: one panel for each section, each source and each rule of the text."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, cast

from nicegui import ui

from console.configuration.checks import Checked
from console.configuration.chinese import chinese_help
from console.configuration.schema import BASIC, TOP, kinds, top_fields
from console.pages.configuration.add_part import ask_part
from console.pages.configuration.fields import NOTHING
from console.pages.configuration.panel import Panel, Path
from console.web.session import Session

Part: TypeAlias = Literal["sources", "rules"]
PARTS: tuple[Part, ...] = ("sources", "rules")


class ConfigurationForm:
    """Shows a checked text as a form; ``change`` gets each edit."""

    def __init__(self, session: Session, change: Callable[[Path, Any], None]) -> None:
        self._session, self._change = session, change
        self._checked: Checked | None = None
        self._panels: dict[Path, Panel] = {}
        self._drawn: dict[Part, list[tuple[str, str]]] = {}
        self._places: dict[Part, ui.column] = {}
        self._unreadable = ui.label().classes("rp-bad").props('role="alert"').mark("form-unreadable")
        self._unreadable.set_visibility(False)
        self._body = ui.column().classes("rp-form")

    def draw(self) -> None:
        """Draws the sections; `show` fills them."""
        t = self._session.t
        fields = top_fields()
        with self._body:
            self._panel((), [fields[key] for key in BASIC if key in fields], t("Device"))
            self._panel(("place",), fields["place"].fields, t("Place"))
            self._panel(("broker",), fields["broker"].fields, t("Broker"))
            titles = {"sources": t("Sources"), "rules": t("Rules")}
            for part in PARTS:
                with ui.row().classes("rp-part-title"):
                    ui.label(titles[part]).classes("text-subtitle1").props('role="heading" aria-level="2"')
                    ui.button(
                        t("Add a source") if part == "sources" else t("Add a rule"), icon="add",
                        on_click=lambda part=part: self._add(part),
                    ).props("flat dense no-caps").mark(f"add-{part}")  # fmt: skip
                self._places[part] = ui.column().classes("rp-parts-list")
            ui.label(t("Further sections")).classes("text-subtitle1 rp-part-title").props(
                'role="heading" aria-level="2"'
            )
            names = {
                "duty": t("Duty"), "reporting": t("Reports"), "evidence": t("Evidence"), "data": t("Data"),
                "positioning": t("Positioning"), "drill": t("Drill"), "history": t("History of observations"),
                "privacy": t("Privacy"), "allow": t("Allowed by push"),
            }  # fmt: skip
            for key in TOP:
                if key not in ("place", "broker"):
                    self._panel((key,), fields[key].fields, names.get(key, key))

    def show(self, checked: Checked) -> None:
        """Shows the values and mistakes of a text. One that is no YAML leaves the form as it was."""
        self._unreadable.set_visibility(not checked.is_readable)
        if not checked.is_readable:
            line = checked.troubles[0].line if checked.troubles else 1
            self._unreadable.set_text(
                self._session.t(
                    "The text can't be read at line {line}. Mend it there; the form waits.", line=line
                )
            )
            self._body.classes(add="rp-old")
            return
        self._body.classes(remove="rp-old")
        self._checked = checked
        for part in PARTS:
            self._show_parts(part, checked)
        for panel in self._panels.values():
            panel.show(self._caption(panel.path))

    def _caption(self, path: Path) -> str:
        if len(path) == 2 and self._checked is not None:
            part = self._checked.tree.get(path[0], {}).get(path[1])
            return str(part.get("kind", "")) if isinstance(part, dict) else ""
        return ""

    def _panel(self, path: Path, fields: Any, title: str, **more: Any) -> Panel:
        panel = Panel(self._session, path, fields, title, self._edited, lambda: self._checked, **more)
        self._panels[path] = panel
        return panel

    def _edited(self, path: Path, value: Any) -> None:
        if self._checked is not None:
            self._change(path, value)

    def _show_parts(self, part: Part, checked: Checked) -> None:
        """Draws the panels of sources or rules anew where names or kinds have changed."""
        found = checked.tree.get(part)
        names = [
            (str(name), str(one.get("kind", "")) if isinstance(one, dict) else "")
            for name, one in (found.items() if isinstance(found, dict) else ())
        ]
        if self._drawn.get(part) == names:
            return
        self._drawn[part] = names
        was_open = {path for path, panel in self._panels.items() if panel.expansion.value}
        for path in [path for path in self._panels if path[:1] == (part,)]:
            del self._panels[path]
        place = self._places[part]
        place.clear()
        with place:
            for name, kind in names:
                self._draw_part(part, name, kind)
            if not names:
                ui.label(self._session.t("None")).classes("rp-quiet")
        for path in was_open & self._panels.keys():
            self._panels[path].expansion.set_value(True)

    def _draw_part(self, part: Part, name: str, kind: str) -> None:
        known = kinds(part).get(kind)
        fields = known.fields if known else ()
        path = (part, name)

        def actions() -> None:
            ui.button(
                self._session.t("Remove {name}", name=name), icon="delete",
                on_click=lambda: self._edited(path, NOTHING),
            ).props("flat dense no-caps").classes("rp-remove").mark(f"remove-{part}.{name}")  # fmt: skip

        self._panel(path, fields, name, note=self._help_of(known.help) if known else "", draw_actions=actions)

    def _help_of(self, text: str) -> str:
        return chinese_help(text) if self._session.language == "zh" else text

    async def _add(self, part: Part) -> None:
        if self._checked is None:
            return
        present = self._checked.tree.get(part)
        taken = set(present) if isinstance(present, dict) else set()
        added = await ask_part(self._session, part, cast(set[str], taken))
        if added is not None:
            name, value = added
            self._edited((part, name), value)
            self._open_next = (part, name)

    _open_next: Path | None = None

    def open_added(self) -> None:
        """Opens the part that was added last."""
        if self._open_next is not None and (panel := self._panels.get(self._open_next)) is not None:
            panel.expansion.set_value(True)
            self._open_next = None
