"""Keys and signed orders for tests: one key has all roles, another one signs the centre's receipts."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.trust.order import Kind, sign_order
from agent.trust.roles import Roles, sign_roles, small_team_roles
from agent.trust.signing_key import SigningKey
from agent.trust.trust import Trust

ROOT_KEY, CENTRE_KEY = SigningKey.generate(), SigningKey.generate()
ROLES: Roles = small_team_roles(ROOT_KEY, CENTRE_KEY)
_last = 0


def write_keys(folder: Path) -> Path:
    """Writes the roles document and both keys; returns the file of the root key."""
    (folder / "roles.json").write_bytes(sign_roles(ROLES, [ROOT_KEY]))
    for name, key in (("root", ROOT_KEY), ("centre", CENTRE_KEY)):
        if not (file := folder / f"{name}.pem").exists():
            key.save(file)
    return folder / "root.pem"


def next_counter() -> int:
    """Above the last one, and above those that a command line used before now."""
    global _last  # noqa: PLW0603
    _last = max(_last + 1, time.time_ns() // 1_000_000)
    return _last


def signed(kind: Kind, target: str, body: Mapping[str, Any], nonce: str | None = None) -> bytes:
    """An order under the key with all roles."""
    return sign_order(kind, target, body, [ROOT_KEY], counters={ROOT_KEY.key_id: next_counter()}, nonce=nonce)


def signed_command(device: str, name: str, body: Mapping[str, Any], nonce: str | None = None) -> bytes:
    return signed("command", device, {"command": name, **body}, nonce)


def trust_of(device: str) -> Trust:
    """The trust of a device with these roles."""
    return Trust(device, roles=ROLES)
