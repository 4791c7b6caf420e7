"""Keys that sign orders, receipts and roles: ed25519, in PEM files of mode 0600."""

import hashlib
import os
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agent.host.entropy import token_bytes
from agent.runtime.atomic_files import write_durably
from firmware_bridge.regular_files import read_regular

MAX_KEY_BYTES = 16 * 1024
OPEN_TO_OTHERS = 0o077


class PassphraseNeededError(ValueError):
    """The key file is encrypted."""


def key_id_of(public: bytes) -> str:
    """The id of a key: the first 16 hex digits of the SHA-256 of its 32 public bytes."""
    return hashlib.sha256(public).hexdigest()[:16]


class SigningKey:
    """A private key; ``key_id`` and ``public`` (32 bytes) may be shown to anybody."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()
        self.key_id = key_id_of(self.public)

    @classmethod
    def generate(cls) -> Self:
        return cls(Ed25519PrivateKey.from_private_bytes(token_bytes(32)))

    @classmethod
    def load(cls, path: Path, passphrase: str | None = None) -> Self:
        """The key in a PEM file.

        OSError where it can't be read; ValueError where it is no ed25519 key, or where others may read it;
        `PassphraseNeededError` where it is encrypted.
        """
        data = read_regular(path, MAX_KEY_BYTES)
        if os.stat(path).st_mode & OPEN_TO_OTHERS:  # noqa: PTH116  follows a link, as the read did
            raise ValueError(f"{path}: other users may read this key: chmod 600 {path}")
        return cls.from_pem(data, passphrase, path)

    @classmethod
    def from_pem(cls, data: bytes, passphrase: str | None, name: object) -> Self:
        """The key in the bytes of a PEM file ``name``. ValueError, and `PassphraseNeededError`, as `load`."""
        try:
            key = serialization.load_pem_private_key(data, passphrase.encode() if passphrase else None)
        except TypeError as error:
            if passphrase is None:
                raise PassphraseNeededError(f"{name}: is encrypted, and needs its passphrase") from error
            raise ValueError(f"{name}: is not encrypted, but a passphrase was given") from error
        except Exception as error:  # cryptography raises several kinds for damaged files
            wrong = "wrong passphrase, or damaged" if passphrase else "is not a private key in PEM"
            raise ValueError(f"{name}: {wrong}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{name}: is not an ed25519 key; make one with: ringpost keys new")
        return cls(key)

    def save(self, path: Path, passphrase: str | None = None) -> None:
        """Writes the key, mode 0600; FileExistsError rather than replacing another."""
        if path.exists():
            raise FileExistsError(17, "exists already; a key is never replaced", str(path))
        encryption = (
            serialization.BestAvailableEncryption(passphrase.encode())
            if passphrase
            else serialization.NoEncryption()
        )
        pem = self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )
        before = os.umask(0o077)
        try:
            write_durably(path, pem)
        finally:
            os.umask(before)

    def sign(self, data: bytes) -> bytes:
        return self._private.sign(data)


def signature_matches(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether ``signature`` is one of the key ``public`` (32 bytes) over ``data``."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
