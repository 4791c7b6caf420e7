"""The page on rules names kinds that there are."""

import re
from pathlib import Path
from typing import get_args

from agent.rules import Rule

PAGE = (Path(__file__).parents[1] / "docs" / "rules.md").read_text()


def test_the_page_names_no_kind_that_is_not() -> None:
    kinds = {kind.model_fields["kind"].default for kind in get_args(get_args(Rule)[0])}
    table = PAGE.partition("| kind |")[2].partition("\n\n")[0]
    named = {
        name
        for row in table.splitlines()
        for name in re.findall(r"`(\w+)`", row.split("|")[1] if row.startswith("| `") else "")
    }
    assert len(named) >= 18
    assert named <= kinds
