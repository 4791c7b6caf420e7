"""One part of the form that opens: its fields are made when it is opened first."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nicegui import ui

from console.configuration.checks import Checked
from console.configuration.schema import Field
from console.pages.configuration.fields import NOTHING, FormField
from console.web.session import Session

Path = tuple[str, ...]
REFERENCES: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "camera": lambda tree: [name for name, one in _sources(tree).items() if one.get("kind") == "camera"],
    "source": lambda tree: list(_sources(tree)),
    "zone": lambda tree: sorted({name for one in _sources(tree).values() for name in _zones(one)}),
}
"""Fields that name something else in the configuration, and the names that there are."""


class Panel:
    """The fields below ``path`` in an expansion. Fields that are set or required come first."""

    def __init__(
        self,
        session: Session,
        path: Path,
        fields: Sequence[Field],
        title: str,
        change: Callable[[Path, Any], None],
        checked: Callable[[], Checked | None],
        *,
        note: str = "",
        draw_actions: Callable[[], None] | None = None,
    ) -> None:
        self.path = path
        self._session, self._fields, self._change, self._checked = session, fields, change, checked
        self._note, self._draw_actions = note, draw_actions
        self._made: list[FormField] = []
        self.expansion = ui.expansion(title, on_value_change=lambda event: self._opened(is_open=event.value))
        self.expansion.classes("rp-panel").mark(f"panel-{'.'.join(path) or 'device'}")
        with self.expansion:
            self._body = ui.column().classes("rp-cf-fields")

    def show(self, caption: str = "") -> None:
        """Shows the values and mistakes of the text as it is."""
        checked = self._checked()
        if checked is None:
            return
        mistakes = [one for one in checked.troubles if below(one.path, self.path, self._fields)]
        t, words = self._session.t, ""
        if mistakes:
            words = t("1 mistake") if len(mistakes) == 1 else t("{n} mistakes", n=len(mistakes))
        self.expansion.props["caption"] = " · ".join(filter(None, (caption, words)))
        self.expansion.classes(add="rp-wrong") if mistakes else self.expansion.classes(remove="rp-wrong")
        for field in self._made:
            path = ".".join(field.path)
            error = next(
                (
                    one.message
                    for one in checked.troubles
                    if one.path == path or one.path.startswith(f"{path}.")
                ),
                None,
            )
            field.show(value_at(checked.tree, field.path), error)

    def _opened(self, *, is_open: bool) -> None:
        checked = self._checked()
        if not is_open or self._made or checked is None:
            return
        with self._body:
            if self._note:
                ui.label(self._note).classes("rp-quiet")
            self._draw(self._fields, self.path, checked.tree)
            if self._draw_actions is not None:
                self._draw_actions()
        self.show(str(self.expansion.props.get("caption", "")).partition(" · ")[0])

    def _draw(self, fields: Sequence[Field], path: Path, tree: Mapping[str, Any]) -> None:
        first = [one for one in fields if one.required or value_at(tree, (*path, one.key)) is not NOTHING]
        rest = [one for one in fields if one not in first]
        self._draw_all(first, path, tree)
        if rest and not first:
            self._draw_all(rest, path, tree)
        elif rest:
            more = ui.button(self._session.t("{n} further settings", n=len(rest)), icon="expand_more")
            more.props("flat dense no-caps").mark(f"more-{'.'.join(path)}")
            place = ui.column().classes("rp-cf-fields")

            def open_rest() -> None:
                more.delete()
                with place:
                    self._draw_all(rest, path, tree)
                self.show(str(self.expansion.props.get("caption", "")).partition(" · ")[0])

            more.on_click(open_rest)

    def _draw_all(self, fields: Sequence[Field], path: Path, tree: Mapping[str, Any]) -> None:
        for field in fields:
            here = (*path, field.key)
            if field.widget == "section":
                with ui.element("fieldset").classes("rp-cf-set"):
                    ui.element("legend").classes("rp-legend-text")
                    ui.label(field.key).classes("rp-section-name")
                    self._draw(field.fields, here, tree)
                continue
            names = REFERENCES.get(field.key)
            options = [] if names is None or len(path) < 2 else names(tree)
            self._made.append(FormField(self._session, field, here, self._change, options))


def value_at(tree: Any, path: Path) -> Any:
    """The value of the text at ``path``, or `NOTHING`."""
    for step in path:
        if not isinstance(tree, Mapping) or step not in tree:
            return NOTHING
        tree = tree[step]
    return tree


def below(trouble: str, path: Path, fields: Sequence[Field]) -> bool:
    """Whether the path of a mistake is in a panel."""
    if path:
        own = ".".join(path)
        return trouble == own or trouble.startswith(f"{own}.")
    return trouble.partition(".")[0] in {field.key for field in fields}


def _sources(tree: Mapping[str, Any]) -> dict[str, Any]:
    found = tree.get("sources")
    parts = found if isinstance(found, dict) else {}
    return {str(name): one for name, one in parts.items() if isinstance(one, dict)}


def _zones(source: Mapping[str, Any]) -> list[str]:
    zones = source.get("zones")
    return [str(name) for name in zones] if isinstance(zones, dict) else []
