"""Whom a connection reached, and what the link tells others of it."""

import hashlib
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from agent.mqtt.broker import Broker
from agent.outbox.rows import Row

Peer: TypeAlias = Mapping[str, str]


def peer_of(sock: Any) -> dict[str, str]:
    """``address`` as connected, and with TLS ``certificate``: the SHA-256 of what the broker showed."""
    found = {}
    with suppress(OSError):
        address = sock.getpeername()
        found["address"] = f"{address[0]}:{address[1]}"
    if isinstance(sock, ssl.SSLSocket):
        with suppress(OSError, ValueError):
            found["certificate"] = hashlib.sha256(sock.getpeercert(binary_form=True) or b"").hexdigest()
    return found


@dataclass(slots=True)
class LinkEvents:
    """Functions that are called: at each login to a broker, and for each picture that was handed to one."""

    on_login: Callable[[Broker, Peer], None] = lambda _broker, _peer: None
    on_picture: Callable[[Row, Broker, Peer], None] = lambda _row, _broker, _peer: None
