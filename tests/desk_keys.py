"""Keys and orders of desks in tests."""

import json
from pathlib import Path
from typing import Any

from agent.trust.dsse import is_envelope
from agent.trust.order import peek_body
from agent.trust.signing_key import SigningKey


def key_file(folder: Path, name: str = "desk.pem") -> Path:
    """A new key in a file."""
    path = folder / name
    if not path.exists():
        SigningKey.generate().save(path)
    return path


def body_of(payload: bytes) -> dict[str, Any]:
    """What an order says, whoever signed it; an unsigned one as it is."""
    body: dict[str, Any] = peek_body(payload) if is_envelope(payload) else json.loads(payload)
    body.pop("command", None)
    return body
