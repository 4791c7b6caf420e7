"""MAVLink 2 signatures: whether a frame is signed with the key, and whether it is a replay.

    … crc(2) link(1) timestamp(6, 10 us since 2015) sha256(key, all before it)[:6]

Own code: pymavlink 2.4.50 advances a stream's time before it has checked the signature, so that one forged
frame silences the vehicle. Source: https://mavlink.io/en/guide/message_signing.html
"""

import hashlib
import hmac
import json
import re
from contextvars import ContextVar
from typing import TypeAlias

from pydantic import TypeAdapter

from firmware_bridge.secret import Secret

MINUTE = 60 * 100_000
Stream: TypeAlias = tuple[int, int, int]
"""Link, system and component."""


def read_key(secret: Secret) -> bytes:
    """The key's 32 bytes: 64 hex digits, or the SHA-256 of any other text, a passphrase, as ground
    stations compute it. OSError where there is none.
    """
    try:
        text = secret.read().strip()
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise OSError("the MAVLink key is empty or not text: write 64 hex digits, or a passphrase")
    is_key = re.fullmatch(r"[0-9A-Fa-f]{64}", text) is not None
    return bytes.fromhex(text) if is_key else hashlib.sha256(text.encode()).digest()


class ReplayWindow:
    """The newest timestamp of each stream, by key, so that a port that is opened again, or a machine that
    restarted, accepts no replay. Some 40 bytes a stream.
    """

    def __init__(self) -> None:
        self._streams: dict[str, dict[Stream, int]] = {}

    def streams_of(self, key: bytes) -> dict[Stream, int]:
        """The timestamps of streams signed with ``key``; the caller updates them."""
        return self._streams.setdefault(hashlib.sha256(key).hexdigest()[:16], {})

    def dump(self) -> bytes:
        """The content for `restore`; empty where no signed frame arrived. It does not reveal the keys."""
        kept = {
            key: [[*stream, stamp] for stream, stamp in streams.items()]
            for key, streams in self._streams.items()
            if streams
        }
        return json.dumps(kept).encode() if kept else b""

    def restore(self, data: bytes | None) -> None:
        """Restores the result of `dump`. ValueError where it is damaged: then each stream starts with its
        next frame.
        """
        for key, streams in (_KEPT.validate_json(data) if data else {}).items():
            last_stamps = self._streams.setdefault(key, {})
            for *stream, stamp in streams:
                last_stamps[stream[0], stream[1], stream[2]] = stamp


_WINDOW: ContextVar[ReplayWindow] = ContextVar("replay_window", default=ReplayWindow())  # noqa: B039


def use_replay_window(window: ReplayWindow) -> None:
    """Makes ``window`` that of the present context, and of all tasks that it starts from now on: each agent
    of a process has its own."""
    _WINDOW.set(window)


def replay_window() -> ReplayWindow:
    """The replay window of the present agent."""
    return _WINDOW.get()


_KEPT = TypeAdapter(dict[str, list[tuple[int, int, int, int]]])


class Signatures:
    """Accepts frames signed with ``key``, each newer than the last of its stream in ``last``."""

    def __init__(self, key: bytes, last: dict[Stream, int] | None = None) -> None:
        self._key = key
        self._last = {} if last is None else last

    def accepts(self, frame: bytes) -> bool:
        """Whether this frame of MAVLink 1 or 2 with a valid checksum is signed correctly, and new."""
        if frame[0] != 0xFD or not frame[2] & 1:
            return False
        signed = hashlib.sha256(self._key + frame[:-6]).digest()[:6]
        if not hmac.compare_digest(signed, frame[-6:]):
            return False
        stream, stamp = (frame[-13], frame[5], frame[6]), int.from_bytes(frame[-12:-6], "little")
        newest = max(self._last.values(), default=0)
        if stamp <= self._last.get(stream, max(-1, newest - MINUTE)):
            return False
        self._last[stream] = stamp
        return True
