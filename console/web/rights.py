"""What a role may see and order in the pages. The device checks the signature of each order besides."""

from collections.abc import Iterable

from agent.trust.roles import ROLE_NAMES, default_role

VIEWER = "viewer"
"""Looks, and gives no orders."""
ROLES: tuple[str, ...] = (*(name for name in ROLE_NAMES if name != "centre"), VIEWER)
"""Roles of people, those of the roles document and the viewer."""
UNSIGNED = frozenset({"ping", "rebirth", "challenge"})
_PUSH = frozenset(name for name in ROLE_NAMES if default_role(name, ()).paths)


def roles_allow(roles: Iterable[str], order: str) -> bool:
    """Whether one of ``roles`` may give ``order``: ``push`` or the name of a command (``ack`` … too)."""
    held = [name for name in ROLE_NAMES if name != "centre" and name in frozenset(roles)]
    if order == "push":
        return any(name in _PUSH for name in held)
    if order in UNSIGNED:
        return bool(held)
    return any(default_role(name, ()).covers_command(order) for name in held)
