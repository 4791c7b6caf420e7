"""Signs what a desk sends: keys and their counters."""

import fcntl
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import click

from agent.host.clock import unix_s
from agent.runtime.atomic_files import write_durably
from agent.trust.order import GROUP, Kind, sign_order
from agent.trust.signing_key import PassphraseNeededError, SigningKey

DEFAULT_KEY = Path("~/.config/ringpost/key.pem")
COUNTERS = ".counters.json"
"""Beside each key file: the last counter that it used."""
MAX_AHEAD_MS = 24 * 3600 * 1000
"""A device may ask for a counter this far ahead of the clock, and no further: the key would be used up."""
NO_KEY = (
    "no key: give --key FILE, or make one with 'ringpost keys init' (a new fleet) or 'ringpost keys new' (one"
    " more desk)"
)


def load_key(path: Path) -> SigningKey:
    """The key in a file; asks for its passphrase where it has one. OSError or ValueError."""
    try:
        return SigningKey.load(path)
    except PassphraseNeededError:
        return SigningKey.load(path, click.prompt(f"Passphrase of {path}", hide_input=True, err=True))


class DeskSigner:
    """The keys of one desk. Each order gets a counter above the last one of each key."""

    def __init__(self, keys: Sequence[SigningKey], files: Sequence[Path]) -> None:
        self.keys = tuple(keys)
        self._files = tuple(files)

    @classmethod
    def load(cls, paths: Sequence[Path]) -> Self:
        """The keys in ``paths``, or the default key. OSError or ValueError: one line that says what to do."""
        files = list(paths) or [DEFAULT_KEY.expanduser()]
        if not paths and not files[0].exists():
            raise ValueError(NO_KEY)
        return cls([load_key(path) for path in files], files)

    def command(self, device: str, name: str, fields: Mapping[str, Any], nonce: str | None = None) -> bytes:
        """The signed ``command/<name>``; ``fields`` hold its ``id``."""
        return self.sign("command", device, {"command": name, **fields}, nonce)

    def ack(self, device: str, fields: Mapping[str, Any]) -> bytes:
        """The signed ``alert/ack``."""
        return self.sign("ack", device, fields)

    def push(self, target: str, fields: Mapping[str, Any]) -> bytes:
        """The signed push; ``target`` is a device or ``group:NAME``."""
        return self.sign("push", target, fields)

    def sign(self, kind: Kind, target: str, body: Mapping[str, Any], nonce: str | None = None) -> bytes:
        """An order under all keys. OSError where the counters can't be stored."""
        counters = self.next_counters()
        return sign_order(kind, target, body, self.keys, counters=counters, nonce=nonce)

    def next_counters(self) -> dict[str, int]:
        """A counter for each key, above all that this desk used before. OSError: it can't be stored."""
        pairs = zip(self.keys, self._files, strict=True)
        return {key.key_id: _next_counter(file) for key, file in pairs}

    def advance_to(self, key_id: str, counter: int) -> bool:
        """A device knows a higher counter of a key, of another desk: the next one is above it. False where
        that would be too far ahead of the clock."""
        if counter > now_ms() + MAX_AHEAD_MS:
            return False
        for key, file in zip(self.keys, self._files, strict=True):
            if key.key_id == key_id:
                _next_counter(file, counter)
        return True


def target_topic(root: str, target: str) -> str:
    """The prefix of the topics of a device or of a ``group:NAME``."""
    return f"{root}/groups/{target.removeprefix(GROUP)}" if target.startswith(GROUP) else f"{root}/{target}"


def now_ms() -> int:
    return int(unix_s() * 1000)


def _next_counter(key_file: Path, at_least: int = 0) -> int:
    """A counter above the last one, kept beside the key; two commands at once get different ones."""
    path = key_file.with_name(key_file.name + COUNTERS)
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        last = 0
        with suppress(FileNotFoundError, ValueError, TypeError, KeyError):
            last = int(json.loads(path.read_bytes())["last"])
        counter = max(last + 1, now_ms(), at_least)
        write_durably(path, json.dumps({"last": counter}).encode())
    return counter
