"""The accounts of a page on the network: names, roles and scrypt hashes, in one JSON file of mode 0600.

{"desk-3": {"roles": ["operator"], "scrypt": "n$r$p$salt$hash"}}
"""

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agent.runtime.atomic_files import write_durably
from agent.runtime.sanitize import as_dict, as_list
from console.web.rights import ROLES
from firmware_bridge.regular_files import read_regular

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
MIN_PASSPHRASE, MAX_PASSPHRASE = 12, 256
MAX_FILE = 256 * 1024
N, R, P = 2**15, 8, 1
"""32 MiB and some 70 ms for each attempt."""
MAX_MEMORY = 128 * 2**20
Hash = tuple[int, int, int, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Account:
    """An account: a desk or a function, never the name of a person."""

    name: str
    roles: tuple[str, ...]
    scrypt: str

    def matches(self, passphrase: str) -> bool:
        """Whether the passphrase is right; takes as long either way."""
        n, r, p, salt, wanted = _parse(self.scrypt)
        found = _scrypt(passphrase, salt, n, r, p)
        return hmac.compare_digest(found, wanted)


class Users:
    """The accounts in a file; `load` it again to see what changed."""

    def __init__(self, accounts: Sequence[Account] = ()) -> None:
        self.accounts = {account.name: account for account in accounts}
        self._nobody = Account("", (), f"{N}${R}${P}${'00' * 16}${'00' * 32}")  # no passphrase has this hash

    @classmethod
    def load(cls, path: Path) -> Self:
        """The accounts in ``path``. OSError, or ValueError: one line that says what is wrong."""
        data = read_regular(path, MAX_FILE)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ValueError(f"{path}: other users may read it: chmod 600 {path}")
        try:
            body = json.loads(data)
            entries = {str(name): as_dict(entry) for name, entry in body.items()}
        except (ValueError, RecursionError, AttributeError):
            raise ValueError(f"{path}: is no file of 'ringpost console user add'") from None
        accounts = []
        for name, entry in entries.items():
            roles = tuple(str(role) for role in as_list(entry.get("roles")))
            check_account(name, roles)
            try:
                _parse(str(entry.get("scrypt")))
            except ValueError as error:
                raise ValueError(f"{path}: {name}: {error}") from None
            accounts.append(Account(name, roles, str(entry["scrypt"])))
        return cls(accounts)

    def save(self, path: Path) -> None:
        """Replaces the file, mode 0600. OSError."""
        body: Mapping[str, object] = {
            account.name: {"roles": list(account.roles), "scrypt": account.scrypt}
            for account in self.accounts.values()
        }
        before = os.umask(0o077)
        try:
            write_durably(path, json.dumps(body, indent=2).encode() + b"\n")
        finally:
            os.umask(before)

    def add(self, name: str, roles: Sequence[str], passphrase: str) -> None:
        """Adds or replaces an account. ValueError."""
        check_account(name, roles)
        if not MIN_PASSPHRASE <= len(passphrase) <= MAX_PASSPHRASE:
            raise ValueError(
                f"passphrase: {MIN_PASSPHRASE} to {MAX_PASSPHRASE} characters, such as four words"
            )
        self.accounts[name] = Account(name, tuple(roles), _store(passphrase, secrets.token_bytes(16)))

    def check(self, name: str, passphrase: str) -> Account | None:
        """The account where name and passphrase are right. As slow for a name that there is not. Blocking."""
        account = self.accounts.get(name)
        right = (account or self._nobody).matches(passphrase[:MAX_PASSPHRASE])
        return account if right and account is not None else None


def check_account(name: str, roles: Sequence[str]) -> None:
    """ValueError where a name or a role is none."""
    if NAME.fullmatch(name) is None:
        raise ValueError(
            f"{name[:40]!r}: a name has up to 32 small letters, digits, . - and _, such as desk-3"
        )
    if not roles or (unknown := sorted(set(roles) - set(ROLES))):
        wrong = unknown[0] if roles else ""
        raise ValueError(f"role {wrong[:40]!r}: one or several of {', '.join(ROLES)}")


def _scrypt(passphrase: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    secret = passphrase.encode(errors="replace")
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=MAX_MEMORY, dklen=32)


def _store(passphrase: str, salt: bytes) -> str:
    return f"{N}${R}${P}${salt.hex()}${_scrypt(passphrase, salt, N, R, P).hex()}"


def _parse(stored: str) -> Hash:
    try:
        n, r, p, salt, wanted = stored.split("$")
        found = int(n), int(r), int(p), bytes.fromhex(salt), bytes.fromhex(wanted)
    except ValueError:
        raise ValueError("scrypt: is no hash of 'ringpost console user add'") from None
    if (
        found[0] < 2**14
        or found[0] & (found[0] - 1)
        or 128 * found[0] * found[1] >= MAX_MEMORY
        or len(found[3]) < 16
        or len(found[4]) != 32
    ):
        raise ValueError("scrypt: is no hash of 'ringpost console user add'")
    return found
