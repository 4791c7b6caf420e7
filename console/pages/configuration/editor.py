"""The text of the configuration, with its mistakes at their lines."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from nicegui import events, ui

from agent.domain.yaml_loader import MAX_BYTES
from console.configuration.checks import Trouble
from console.configuration.chinese import chinese_mistake
from console.web.session import Session

TOO_LARGE = " " * (MAX_BYTES + 1)
SCRIPT = '<script src="/static/configuration.js" defer></script>'


class YamlEditor(ui.codemirror):
    """NiceGUI's editor, whose server side can take over the text of the browser."""

    def take(self, text: str) -> None:
        """The browser has ``text``: nothing is sent back, as it may have more by now."""
        self._send_update_on_value_change = False
        try:
            self.set_value(text)
        finally:
            self._send_update_on_value_change = True
        self._codepoints = self._encode_codepoints(text)


class TextEditor:
    """A YAML editor. ``on_text`` gets each text that a person has typed.

    The browser tells the whole text: the differences that NiceGUI's editor sends are lost where a text of the
    server crosses them, and then both would have different texts.
    """

    def __init__(self, session: Session, text: str, on_text: Callable[[str], None]) -> None:
        self._session, self._on_text = session, on_text
        self._known = text
        ui.add_head_html(SCRIPT)
        ui.on("text_too_large", self._tell_size)
        ui.on("editor_text", self._came)
        self._editor = YamlEditor(
            text, language="YAML", indent="  ", line_wrapping=True, theme="githubLight"
        ).classes("rp-editor")
        self._editor.props(f'aria-label="{session.t("Text of the configuration")}" data-most="{MAX_BYTES}"')
        self._editor.mark("configuration-text")
        self._marks = ui.element("span").classes("rp-marks hidden")
        with ui.column().classes("rp-mistakes").props('role="status" aria-live="polite"') as self._list:
            self._list.mark("mistakes")
        self._shown: tuple[Trouble, ...] | None = None

    def set_text(self, text: str) -> None:
        """Shows a text that was not typed here."""
        if text != self._known:
            self._known = text
            self._editor.set_value(text)
            self._editor.update()

    def set_read_only(self, *, read_only: bool) -> None:
        """Whether nobody may type."""
        self._editor.set_enabled(not read_only)

    def show_troubles(self, troubles: Sequence[Trouble]) -> None:
        """Marks the lines of mistakes, and lists them below; a click goes to the line."""
        if tuple(troubles) == self._shown:
            return
        self._shown = tuple(troubles)
        by_line: dict[int, str] = {}
        for trouble in troubles:
            by_line[trouble.line] = "\n".join(filter(None, (by_line.get(trouble.line), self._words(trouble))))
        self._marks.props["data-marks"] = json.dumps(
            [{"line": max(line, 1), "text": text} for line, text in by_line.items()]
        )
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
            ui.label(self._words(trouble))

    def _words(self, trouble: Trouble) -> str:
        zh = self._session.language == "zh"
        return describe(replace(trouble, message=chinese_mistake(trouble.message)) if zh else trouble)

    def _came(self, event: events.GenericEventArguments) -> None:
        """The text of the browser; None where it is far too large."""
        if event.args is None:
            self._tell_size()
        text = event.args if isinstance(event.args, str) else TOO_LARGE
        if text == self._known:
            return
        self._known = text
        self._editor.take(text)
        self._on_text(text)

    def _tell_size(self) -> None:
        most = MAX_BYTES // 1024
        ui.notify(self._session.t("That text is too large: the device takes {n} KiB", n=most), type="warning")


def describe(trouble: Trouble) -> str:
    """A mistake in one line, in the words of the loader."""
    return f"{trouble.path}: {trouble.message}" if trouble.path else trouble.message
