"""Randomness: ids, keys of sessions, and the jitter of waits."""

import random
import secrets
from contextvars import ContextVar, Token

import uuid_utils


class Entropy:
    """The randomness of this machine."""

    def uuid7(self) -> str:
        """A UUIDv7: sortable by the time of its making."""
        return str(uuid_utils.uuid7())

    def token(self, size: int) -> bytes:
        """``size`` bytes that nobody can guess."""
        return secrets.token_bytes(size)

    def uniform(self, low: float, high: float) -> float:
        """A number for jitter; no secret."""
        return random.uniform(low, high)


_ENTROPY: ContextVar[Entropy] = ContextVar("entropy", default=Entropy())  # noqa: B039  it has no state


def use_entropy(entropy: Entropy) -> Token[Entropy]:
    """Makes ``entropy`` the one of the present context, and of all tasks that it starts from now on."""
    return _ENTROPY.set(entropy)


def uuid7() -> str:
    return _ENTROPY.get().uuid7()


def token_hex(size: int) -> str:
    """``size`` bytes that nobody can guess, as hexadecimal text."""
    return _ENTROPY.get().token(size).hex()


def token_bytes(size: int) -> bytes:
    """``size`` bytes that nobody can guess."""
    return _ENTROPY.get().token(size)


def uniform(low: float, high: float) -> float:
    """A number for jitter; no secret."""
    return _ENTROPY.get().uniform(low, high)
