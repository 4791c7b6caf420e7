"""The text of the configuration, with its mistakes at their lines."""

from collections.abc import Callable, Sequence

from nicegui import events, ui

from agent.domain.yaml_loader import MAX_BYTES
from console.configuration.checks import Trouble
from console.web.session import Session

SCRIPT = '<script src="/static/configuration.js" defer></script>'


class TextEditor:
    """A YAML editor. ``on_text`` gets each text that a person has typed."""

    def __init__(self, session: Session, text: str, on_text: Callable[[str], None]) -> None:
        self._session, self._on_text = session, on_text
        self._known = text
        ui.add_head_html(SCRIPT)
        ui.on("text_too_large", self._tell_size)
        self._editor = ui.codemirror(
            text,
            language="YAML",
            indent="  ",
            line_wrapping=True,
            theme="githubLight",
            on_change=self._changed,
        ).classes("rp-editor")
        self._editor.props(f'aria-label="{session.t("Text of the configuration")}" data-most="{MAX_BYTES}"')
        self._editor.mark("configuration-text")
        with ui.column().classes("rp-mistakes").props('role="status" aria-live="polite"') as self._list:
            self._list.mark("mistakes")
        self._shown: tuple[Trouble, ...] | None = None

    def set_text(self, text: str) -> None:
        """Shows a text that was not typed here."""
        if text != self._editor.value:
            self._known = text
            self._editor.decorations = []
            self._editor.set_value(text)

    def set_read_only(self, *, read_only: bool) -> None:
        """Whether nobody may type."""
        self._editor.set_enabled(not read_only)

    def set_dark(self, *, dark: bool) -> None:
        """Colours for a dark page."""
        self._editor.set_theme("vscodeDark" if dark else "githubLight")

    def show_troubles(self, troubles: Sequence[Trouble]) -> None:
        """Marks the lines of mistakes, and lists them below; a click goes to the line."""
        if tuple(troubles) == self._shown:
            return
        self._shown = tuple(troubles)
        lines = (self._editor.value or "").count("\n") + 1
        by_line: dict[int, str] = {}
        for trouble in troubles:
            line = min(max(trouble.line, 1), lines)
            by_line[line] = "\n".join(filter(None, (by_line.get(line), describe(trouble))))
        self._editor.decorations = [
            {"kind": "line", "line": line, "class": "rp-mistake-line"} for line in sorted(by_line)
        ]
        self._editor.line_tooltips = by_line
        self._list.clear()
        with self._list:
            for trouble in troubles[:8]:
                self._draw(trouble)
            if len(troubles) > 8:
                ui.label(self._session.t("and {n} more", n=len(troubles) - 8)).classes("rp-quiet")

    def _draw(self, trouble: Trouble) -> None:
        where = self._session.t("line {line}, column {column}", line=trouble.line, column=trouble.column)
        with ui.row().classes("rp-mistake no-wrap").mark("mistake"):
            ui.icon("error").props('aria-hidden="true"')
            button = ui.button(where, on_click=lambda: self._editor.reveal_line(trouble.line))
            button.props("flat dense no-caps").classes("rp-where")
            ui.label(describe(trouble))

    def _changed(self, event: events.ValueChangeEventArguments[str]) -> None:
        text = event.value or ""
        if text != self._known:
            self._known = text
            self._on_text(text)

    def _tell_size(self) -> None:
        most = MAX_BYTES // 1024
        ui.notify(self._session.t("That text is too large: the device takes {n} KiB", n=most), type="warning")


def describe(trouble: Trouble) -> str:
    """A mistake in one line, in the words of the loader."""
    return f"{trouble.path}: {trouble.message}" if trouble.path else trouble.message
