"""Nonces for orders that switch or uncover something: each is good once, for a minute. Pure.

An order that a broker holds back, or that was recorded before the store was lost, is not good any more.
"""

from collections import OrderedDict

from agent.host.entropy import token_hex

VALID_S = 60.0
MAX_OPEN = 128
"""Nonces that are valid at once; more than the rate limit of ``challenge`` allows in `VALID_S`."""


class Challenges:
    """The nonces that were handed out and not used yet. Time is monotonic, in seconds."""

    def __init__(self) -> None:
        self._until_s: OrderedDict[str, float] = OrderedDict()

    def issue(self, now_s: float) -> str:
        """A new nonce, 32 hex digits."""
        nonce = token_hex(16)
        self._until_s[nonce] = now_s + VALID_S
        while len(self._until_s) > MAX_OPEN:
            self._until_s.popitem(last=False)
        return nonce

    def use(self, nonce: str | None, now_s: float) -> str | None:
        """Uses up a nonce; the reason where it is not good."""
        if nonce is None:
            return "has none: ask for one with command/challenge, and sign it"
        until_s = self._until_s.pop(nonce, None)
        if until_s is None:
            return "is not one of this session, or was used; ask for a new one with command/challenge"
        if now_s > until_s:
            return f"is older than {VALID_S:g} s; ask for a new one with command/challenge"
        return None
