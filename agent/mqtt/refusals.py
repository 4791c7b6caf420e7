"""Connections that a broker refuses or ends: it asks for patience, or refers to another."""

from typing import Any

from agent.runtime.supervisor import BusyError

SESSION_TAKEN_OVER, UNSUPPORTED_PROTOCOL = 0x8E, 0x84
BUSY = (0x89, 0x97, 0x9F)
"""Server busy, quota exceeded, connection rate exceeded."""
MOVED = (0x9C, 0x9D)
"""Use another server, server moved."""
MOST_REFERENCE = 300


class UnsupportedProtocolError(OSError):
    """The broker does not support this version of MQTT."""


class MovedError(BusyError):
    """The broker refers to another one: ``reference``, as it names it, or empty."""

    def __init__(self, text: str, reference: str) -> None:
        super().__init__(text)
        self.reference = reference


def refusal(text: str, code: int | None, reference: str) -> OSError:
    """The error for a reason code of CONNACK or DISCONNECT."""
    if code in MOVED:
        return MovedError(f"{text}: {reference}" if reference else text, reference)
    if code == UNSUPPORTED_PROTOCOL:
        return UnsupportedProtocolError(text)
    return BusyError(text) if code in BUSY else OSError(text)


def end_reason(code: Any, client_id: str, error: str) -> str:
    """Why a connection ended; without a reason, that the broker closed it. ``error``: that of the socket."""
    if code.value == SESSION_TAKEN_OVER:
        return f"another device connected under the name {client_id!r}"
    text = error or str(code).lower()
    return "closed by the broker" if text == "unspecified error" else text
