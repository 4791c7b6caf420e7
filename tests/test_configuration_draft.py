"""A draft of the page Configuration follows what comes into force, and loses no change."""

from typing import Any, cast

import pytest

from agent.config.loader import digest
from console.agent_views import ConfigView, Hello
from console.configuration.draft import Draft
from console.configuration.in_force import InForce

HELLO = cast(Hello, {"device": "gate-1", "config_file": None})
LOCAL, MINE, NEXT = "a: 1\n", "a: 1\nb: 2\n", "a: 1\nb: 2\nc: 3\n"


def view(text: str, revision: int | None, *history: dict[str, Any]) -> ConfigView:
    fields = {"text": text, "sha256": digest(text), "revision": revision, "reported": {}, "file_text": None}
    return cast(ConfigView, {**fields, "history": list(history)})


def row(text: str, revision: int | None, state: str = "kept") -> dict[str, Any]:
    return {"state": state, "revision": revision, "sha256": digest(text)[:16]}


@pytest.mark.parametrize(
    ("rows", "text", "conflict"),
    [
        ([row(NEXT, 3, "in_force"), row(MINE, 2), row(LOCAL, None)], NEXT, False),
        ([row(NEXT, 3, "in_force"), row(LOCAL, None)], MINE, True),
        ([row(NEXT, 3, "in_force"), row(LOCAL, None), row(MINE, 2, "rolled_back")], MINE, True),
    ],
    ids=["what was kept is no draft any more", "another change", "it went back"],
)
def test_a_draft_that_came_into_force_follows(rows: list[dict[str, Any]], text: str, conflict: bool) -> None:
    draft = Draft(InForce.of(view(LOCAL, None, row(LOCAL, None)), HELLO), MINE)
    draft.see(view(NEXT, 3, *rows), HELLO)
    assert (draft.text, draft.newer is not None) == (text, conflict)


def test_an_older_text_that_somebody_wants_back_stays() -> None:
    draft = Draft(InForce.of(view(MINE, 2, row(MINE, 2)), HELLO), LOCAL)
    draft.see(view(NEXT, 3, row(NEXT, 3, "in_force"), row(MINE, 2), row(LOCAL, None)), HELLO)
    assert (draft.text, draft.newer is not None) == (LOCAL, True)
