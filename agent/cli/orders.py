"""The orders of a technician: signed with the keys of the command line, and refusals of signatures."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agent.cli.signing import DEFAULT_KEY, DeskSigner
from agent.domain.message import encode
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG, EX_USAGE
from agent.runtime.sanitize import as_dict, as_list

GATE_PATHS = ("signature", "nonce", "counters", "expires", "command")
"""Paths of refusals that are about the order itself, not about what it wants."""
PERMISSION = re.compile(r"may not change it|needs the signature|was signed for")
"""Refusals of signatures that name a path of the configuration, or the target."""
USED_COUNTER = re.compile(r"of key ([0-9a-f]{16}) was used; the next is ([0-9]{1,16})")


class OrderSigner(Protocol):
    """Signs what goes to a device. ``target`` is a device, or ``group:NAME``."""

    def push(self, target: str, fields: Mapping[str, Any]) -> bytes:
        """``config/desired``."""

    def command(self, device: str, name: str, fields: Mapping[str, Any], nonce: str | None = None) -> bytes:
        """``command/<name>``."""

    def ack(self, device: str, fields: Mapping[str, Any]) -> bytes:
        """``alert/ack``."""

    def advance_to(self, key_id: str, counter: int) -> bool:
        """A device knows a higher counter of a key. False where it is too far ahead."""


class Unsigned:
    """Orders without a signature: for commands that neither change nor show anything."""

    def push(self, _target: str, fields: Mapping[str, Any]) -> bytes:
        return encode(fields)

    def command(
        self, _device: str, _name: str, fields: Mapping[str, Any], _nonce: str | None = None
    ) -> bytes:
        return encode(fields)

    def ack(self, _device: str, fields: Mapping[str, Any]) -> bytes:
        return encode(fields)

    def advance_to(self, _key_id: str, _counter: int) -> bool:
        return False


class Presigned(Unsigned):
    """A push that others have signed."""

    def __init__(self, envelope: bytes) -> None:
        self._envelope = envelope

    def push(self, _target: str, _fields: Mapping[str, Any]) -> bytes:
        return self._envelope


class KeyProblemError(ValueError):
    """A signing key is not usable; the text says so in one line, and ``exit_code`` goes with it."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def local_exit_code(error: Exception) -> int:
    """The exit code for what is wrong here: 78 for a key file, 2 for the command line."""
    return error.exit_code if isinstance(error, KeyProblemError) else EX_USAGE


def load_signer(keys: Sequence[Path]) -> DeskSigner:
    """The signer with these keys, or with the default key. KeyProblemError."""
    try:
        return DeskSigner.load(keys)
    except (OSError, ValueError) as error:
        missing = not keys and not DEFAULT_KEY.expanduser().exists()
        raise KeyProblemError(describe_error(error), EX_USAGE if missing else EX_CONFIG) from error


def is_not_permitted(reason: object) -> bool:
    """Whether the refusal of a command is about its signature, its role or its counter."""
    return isinstance(reason, str) and reason.startswith(tuple(f"{path}: " for path in GATE_PATHS))


def is_push_not_permitted(report: Mapping[str, Any]) -> bool:
    """Whether a push was refused for its signatures."""
    return any(
        error.get("path") in GATE_PATHS or PERMISSION.search(str(error.get("message")))
        for error in map(as_dict, as_list(report.get("errors")))
    )


def raise_counter(signer: OrderSigner, refusal: str) -> bool:
    """Whether the refusal was about a counter that another desk used, and the order may be signed again."""
    used = USED_COUNTER.search(refusal)
    return used is not None and signer.advance_to(used[1], int(used[2]))
