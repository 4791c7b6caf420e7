"""Keys that a person brings to a page: kept in the memory of the session, never on the disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.cli.signing import MAX_AHEAD_MS, DeskSigner, now_ms
from agent.runtime.error_text import describe_error
from agent.trust.dsse import MAX_BYTES
from agent.trust.refusal import OrderRefused
from agent.trust.roles import Roles, open_roles
from agent.trust.signing_key import SigningKey
from agent.trust.trust import FILE
from firmware_bridge.regular_files import read_regular

_last_counters: dict[str, int] = {}
"""By key id: two sessions that brought the same key never use a counter twice."""


class SessionSigner(DeskSigner):
    """Signs with ``key``. Counters come from the clock, so that they need no file."""

    def __init__(self, key: SigningKey) -> None:
        super().__init__((key,), ())

    @classmethod
    def from_pem(cls, data: bytes, passphrase: str | None, name: str) -> "SessionSigner":
        """The signer with the key in a PEM file. ValueError, or PassphraseNeededError."""
        return cls(SigningKey.from_pem(data, passphrase, name))

    def next_counters(self) -> dict[str, int]:
        return {key.key_id: _next(key.key_id) for key in self.keys}

    def advance_to(self, key_id: str, counter: int) -> bool:
        if counter > now_ms() + MAX_AHEAD_MS:
            return False
        _last_counters[key_id] = max(_last_counters.get(key_id, 0), counter)
        return True


def _next(key_id: str) -> int:
    counter = max(_last_counters.get(key_id, 0) + 1, now_ms())
    _last_counters[key_id] = counter
    return counter


def key_ids(signer: object) -> tuple[str, ...]:
    """The ids of the keys of a signer."""
    return tuple(key.key_id for key in signer.keys) if isinstance(signer, DeskSigner) else ()


def roles_in_force(data: Path, local: Path | None = None) -> Roles | None:
    """The newest roles document: the one that arrived at the device, or the file ``local`` that its
    configuration names. None where neither can be read. For showing only: the device decides."""
    found: list[Roles] = []
    for path in filter(None, (local, data / "config" / FILE)):
        try:
            found.append(open_roles(read_regular(path, MAX_BYTES)))
        except (OSError, OrderRefused):
            continue
    return max(found, key=lambda roles: roles.version) if found else None


def roles_of(roles: Roles | None, ids: Sequence[str], hello: Mapping[str, Any]) -> tuple[str, ...]:
    """The roles of these keys on the device of ``hello``, in the document's order."""
    if roles is None:
        return ()
    device = str(hello.get("device", ""))
    held = {name for one in ids for name in roles.roles_of(one, device, groups_of(hello))}
    return tuple(name for name in roles.roles if name in held)


def groups_of(hello: Mapping[str, Any]) -> tuple[str, ...]:
    """The general groups of a device, as its configuration has them."""
    place = hello.get("place") or {}
    return ("all", f"domain.{place.get('domain')}", f"ring.{place.get('ring')}", f"kind.{hello.get('kind')}")


def describe_key_error(error: Exception) -> str:
    """What is wrong with a key file, in one line."""
    return describe_error(error)
