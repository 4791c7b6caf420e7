"""What a role may see and order in the pages. The device checks the signature of each order besides."""

from collections.abc import Iterable
from functools import cache
from typing import Any

VIEWER = "viewer"
"""Looks, and gives no orders."""
ROLES = ("operator", "configurer", "rescuer", "privacy_officer", VIEWER)
"""Roles of people: those of the roles document, and the viewer. A session that holds all by its token acts as
the first: an alert is taken by an operator."""
UNSIGNED = frozenset({"ping", "rebirth", "challenge"})


def roles_allow(roles: Iterable[str], order: str) -> bool:
    """Whether one of ``roles`` may give ``order``: ``push`` or the name of a command (``ack`` … too)."""
    held = [_rights(name) for name in sorted(roles) if name != VIEWER and name in ROLES]
    if order == "push":
        return any(role.paths for role in held)
    return bool(held) if order in UNSIGNED else any(role.covers_command(order) for role in held)


@cache
def _rights(name: Any) -> Any:
    """The role as a roles document has it unless it says otherwise."""
    from agent.trust.roles import default_role

    return default_role(name, ())
