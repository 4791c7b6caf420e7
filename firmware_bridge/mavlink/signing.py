"""MAVLink 2 signatures: who has the key, and no replay of what was said before.

    … crc(2) link(1) timestamp(6, 10 us since 2015) sha256(key, all before it)[:6]

By hand: pymavlink 2.4.50 moves a stream's time forward before it has looked at the signature, so that one
forged frame silences the vehicle. Source: https://mavlink.io/en/guide/message_signing.html
"""

import hashlib
import hmac
import json
import re
from typing import TypeAlias

from pydantic import TypeAdapter

from firmware_bridge.secret import Secret

MINUTE = 60 * 100_000
Stream: TypeAlias = tuple[int, int, int]
"""Link, system and component."""


def key_of(secret: Secret) -> bytes:
    """The key's 32 bytes: 64 hex digits are it; anything else is a passphrase, whose SHA-256 it is, as ground
    stations make it. OSError where there is none."""
    try:
        text = secret.read().strip()
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise OSError("the MAVLink key is empty or no text: write 64 hex digits, or a passphrase")
    is_key = re.fullmatch(r"[0-9A-Fa-f]{64}", text) is not None
    return bytes.fromhex(text) if is_key else hashlib.sha256(text.encode()).digest()


class Heard:
    """The newest timestamp of each stream, by key: a port that is opened anew, or a machine that was started
    anew, must not take again what was said before. Some 40 bytes a stream."""

    def __init__(self) -> None:
        self._streams: dict[str, dict[Stream, int]] = {}

    def under(self, key: bytes) -> dict[Stream, int]:
        """Of the streams that are signed with ``key``; whoever hears more puts it in."""
        return self._streams.setdefault(hashlib.sha256(key).hexdigest()[:16], {})

    def dump(self) -> bytes:
        """For `restore`; empty where nothing signed was heard. The keys can't be told from it."""
        kept = {
            key: [[*stream, stamp] for stream, stamp in streams.items()]
            for key, streams in self._streams.items()
            if streams
        }
        return json.dumps(kept).encode() if kept else b""

    def restore(self, data: bytes | None) -> None:
        """What `dump` gave. ValueError where it is damaged: then a stream begins with what it says next."""
        for key, streams in (_KEPT.validate_json(data) if data else {}).items():
            heard = self._streams.setdefault(key, {})
            for *stream, stamp in streams:
                heard[stream[0], stream[1], stream[2]] = stamp


HEARD = Heard()
"""What this agent heard."""
_KEPT = TypeAdapter(dict[str, list[tuple[int, int, int, int]]])


class Signatures:
    """Which frames are signed with ``key``, each newer than the last of its stream in ``last``."""

    def __init__(self, key: bytes, last: dict[Stream, int] | None = None) -> None:
        self._key = key
        self._last = {} if last is None else last

    def vouch(self, frame: bytes) -> bool:
        """Whether this checked frame of MAVLink 1 or 2 is signed well, and new."""
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
