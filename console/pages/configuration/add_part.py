"""The dialog that adds a source or a rule of a kind."""

import re
from collections.abc import Set
from typing import Any, Literal

from nicegui import ui

from console.configuration.schema import kinds
from console.web.session import Session

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


async def ask_part(
    session: Session, part: Literal["sources", "rules"], taken: Set[str]
) -> tuple[str, dict[str, Any]] | None:
    """Name and first value of the new part; None where nobody wants it."""
    t = session.t
    with ui.dialog() as dialog, ui.card().classes("rp-dialog"):
        title = t("Add a source") if part == "sources" else t("Add a rule")
        ui.label(title).classes("text-h6").props("role=heading aria-level=2")
        kind = (
            ui.select(sorted(kinds(part)), label=t("Kind"), with_input=True)
            .classes("w-full")
            .mark("new-kind")
        )
        about = ui.label().classes("rp-quiet")
        kind.on_value_change(
            lambda event: about.set_text(kinds(part)[event.value].help if event.value in kinds(part) else "")
        )
        name = ui.input(t("Name")).classes("w-full").mark("new-name")

        def accept() -> None:
            wanted = str(name.value or "").strip()
            if kind.value not in kinds(part):
                kind.error = t("Choose a kind")
            elif not NAME.fullmatch(wanted):
                name.error = t("Small letters, digits, - and _, at most 32, such as cam1")
            elif wanted in taken:
                name.error = t("That name is taken")
            else:
                dialog.submit(wanted)

        name.on("keydown.enter", accept)
        with ui.row().classes("justify-end w-full"):
            ui.button(t("Cancel"), on_click=dialog.close).props("flat")
            ui.button(t("Add"), on_click=accept).mark("new-accept")
    chosen = await dialog
    dialog.delete()
    if not isinstance(chosen, str):
        return None
    return chosen, {"kind": str(kind.value)}
