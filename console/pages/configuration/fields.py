"""One field of the form: its element, its value in the text, its mistake, its guard."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.validation_element import ValidationElement

from console.configuration.chinese import chinese_help, chinese_mistake
from console.configuration.edits import flow
from console.configuration.in_force import tree_of
from console.configuration.schema import Field, PushGuard
from console.web.session import Session

GUARDS: dict[PushGuard, tuple[str, str]] = {
    "guarded": ("group", "A change needs several signatures"),
    "picture": ("privacy_tip", "A change needs the signature of a privacy officer, too"),
    "local": ("lock", "No push can change this: edit the file at the device"),
}
"""Icon and words of what a push may not change alone."""
MOST = 1e15
NOTHING: Any = object()
"""The text has no such key."""


class FormField:
    """A field at ``path``. ``change`` gets the path and the new value, `NOTHING` to take the key away."""

    def __init__(
        self,
        session: Session,
        field: Field,
        path: tuple[str, ...],
        change: Callable[[tuple[str, ...], Any], None],
        options: Sequence[str] = (),
    ) -> None:
        self.path, self._field, self._change = path, field, change
        self._session = session
        self._options = [*options]
        self._setting = False
        self.element: Any = self._made()
        self._decorate()

    def show(self, value: Any, error: str | None) -> None:
        """Shows the value of the text, and the mistake there."""
        if error is not None and self._session.language == "zh":
            error = chinese_mistake(error)
        self._setting = True
        try:
            self._show(value)
        finally:
            self._setting = False
        if isinstance(self.element, ValidationElement):
            self.element.error = error
        elif self._note is not None:
            self._note.set_text(error or "")

    def _made(self) -> Any:
        field = self._field
        label = field.key + (f" ({field.unit})" if field.unit else "") + (" *" if field.required else "")
        self._note: ui.label | None = None
        if field.widget == "switch":
            element: Any = ui.switch(label, on_change=lambda event: self._edited(event.value))
            self._note = ui.label().classes("rp-cf-error")
        elif field.widget in ("choice", "choices") or self._options:
            element = self._select(list(field.choices) or self._options, label)
        elif field.widget == "yaml":
            element = ui.textarea(label, on_change=lambda event: self._edited(event.value)).props("autogrow")
        else:
            element = ui.input(label, on_change=lambda event: self._edited(event.value))
            if field.widget in ("integer", "number"):
                element.props("inputmode=decimal")
        if field.widget != "switch":
            element.props("dense outlined stack-label bottom-slots")
            if isinstance(element, ui.input | ui.textarea):
                element.props("debounce=600")
            element.props["hint"] = self._hint()
            if field.default not in (None, [], {}, "") and not isinstance(element, ui.select):
                element.props["placeholder"] = shown(field, field.default)
        return element.classes("rp-cf-field").mark(f"field-{'.'.join(self.path)}")

    def _select(self, choices: Sequence[Any], label: str) -> ui.select:
        field = self._field
        return ui.select(
            self._labels(choices),
            label=label,
            multiple=field.widget == "choices",
            clearable=not field.required,
            with_input=not field.choices,
            new_value_mode=None if field.choices else "add-unique",
            on_change=lambda event: self._edited(NOTHING if event.value in (None, []) else event.value),
        )

    def _labels(self, choices: Sequence[Any]) -> dict[Any, str]:
        default = self._field.default
        mark = self._session.t("default")
        return {one: f"{one} ({mark})" if one == default else str(one) for one in choices}

    def _hint(self) -> str:
        field, t = self._field, self._session.t
        limits = ""
        if field.least is not None and field.most is not None:
            limits = t("{least} to {most}", least=f"{field.least:g}", most=f"{field.most:g}")
        elif field.widget == "duration":
            limits = t("such as 20s, 1.5m, 3h or 2d")
        elif field.widget == "words":
            limits = t("separated by commas")
        return " · ".join(filter(None, (self._help(), limits)))

    def _help(self) -> str:
        return chinese_help(self._field.help) if self._session.language == "zh" else self._field.help

    def _decorate(self) -> None:
        field, t = self._field, self._session.t
        if field.guard in GUARDS:
            icon, words = GUARDS[field.guard]
            if field.widget == "switch":
                self.element.tooltip(t(words))
            else:
                with self.element.add_slot("append"):
                    ui.icon(icon).props(f'role="img" aria-label="{t(words)}"').tooltip(t(words))
        if field.guard == "local":
            self.element.disable()
        elif field.widget == "switch" and field.help:
            self.element.tooltip(self._help())

    def _edited(self, value: Any) -> None:
        if self._setting or self._field.guard == "local":
            return
        self._change(self.path, value if value is NOTHING else read(self._field, value))

    def _show(self, value: Any) -> None:
        field = self._field
        if field.widget == "switch":
            self.element.set_value(bool(field.default) if value is NOTHING else value is True)
        elif isinstance(self.element, ui.select):
            if value is NOTHING:
                wanted: Any = [] if field.widget == "choices" else field.default if field.choices else None
            else:
                wanted = value
            if field.widget != "choices" and wanted is not None and wanted not in self.element.options:
                self.element.set_options(dict(self.element.options) | {wanted: str(wanted)})
            if field.widget == "choices":
                wanted = (
                    [one for one in wanted if one in self.element.options] if isinstance(wanted, list) else []
                )
            self.element.set_value(wanted)
        elif value is NOTHING:
            self.element.set_value("")
        elif read(field, self.element.value or "") != value:
            self.element.set_value(shown(field, value))


def shown(field: Field, value: Any) -> str:
    """A value as the form writes it."""
    if field.widget == "words" and isinstance(value, list):
        return ", ".join(str(one) for one in value)
    if field.widget == "yaml" or isinstance(value, dict | list):
        return flow(value)
    if isinstance(value, bool | float):
        return json.dumps(value)
    return str(value)


def read(field: Field, typed: Any) -> Any:
    """What was typed as a value of the text; `NOTHING` for an empty field. What does not fit stays a text,
    so that the check says what would be right."""
    if not isinstance(typed, str):
        return NOTHING if typed is None else typed
    typed = typed.strip() if field.widget != "text" else typed
    if not typed:
        return NOTHING
    if field.widget == "words":
        return [one.strip() for one in typed.split(",") if one.strip()]
    if field.widget in ("integer", "number"):
        return _number(typed)
    if field.widget == "yaml":
        return tree_of(f"value: {typed}").get("value", typed) if "\n" not in typed else _block(typed)
    return typed


def _block(typed: str) -> Any:
    return tree_of("value:\n" + "".join(f"  {line}\n" for line in typed.splitlines())).get("value", typed)


def _number(typed: str) -> Any:
    for kind in (int, float):
        try:
            number = kind(typed)
        except (ValueError, OverflowError):
            continue
        return number if abs(number) < MOST else typed
    return typed
