"""Reads configurations of an earlier ``schema_version``: each step makes the next version of a tree."""

from collections.abc import Callable, MutableMapping
from typing import Any

from agent.domain.yaml_loader import BadConfig, Problem, line_of

CURRENT = 1
MIGRATIONS: dict[int, Callable[[MutableMapping[str, Any]], None]] = {}
"""By version: changes a tree of that version in place, so that it has the meaning it had in the next one."""


def migrate(tree: MutableMapping[str, Any], name: str) -> None:
    """Brings ``tree`` to `CURRENT` in place. BadConfig where it was written for newer software."""
    version = tree.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool):
        return  # the model says what is wrong
    if version > CURRENT:
        message = f"is {version}, but this software reads up to {CURRENT}: update the software first"
        raise BadConfig([Problem(line_of(tree, ["schema_version"]), "schema_version", message)], name)
    while version < CURRENT and version in MIGRATIONS:
        MIGRATIONS[version](tree)
        version += 1
        tree["schema_version"] = version
