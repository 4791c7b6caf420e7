"""MAVLink 2 signatures: who has the key, and no replay of what was said before.

    … crc(2) link(1) timestamp(6, 10 us since 2015) sha256(key, all before it)[:6]

By hand: pymavlink 2.4.50 moves a stream's time forward before it has looked at the signature, so that one
forged frame silences the vehicle. Source: https://mavlink.io/en/guide/message_signing.html
"""

import hashlib
import hmac
import re

from firmware_bridge.secret import Secret

MINUTE = 60 * 100_000


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


class Signatures:
    """Which frames are signed with ``key``, each newer than the last of its stream."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._last: dict[tuple[int, int, int], int] = {}

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
