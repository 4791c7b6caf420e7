"""Sessions of people who look: language, time zone, units, role, and the keys that they brought."""

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Literal

from agent.cli.orders import OrderSigner
from console.web.rights import roles_allow
from console.web.texts import Language, translated

Units = Literal["metric", "nautical", "imperial"]
IDLE_S = 8 * 3600.0
"""A session ends after this long without a request."""
MAX_SESSIONS = 64


@dataclass(slots=True)
class Session:
    """One browser that has logged in. ``signer`` is None until a key is given; it stays in memory."""

    token: str
    role: str
    """The role that acknowledgements name."""
    roles: frozenset[str] = frozenset()
    """All roles of the session, for what its pages offer."""
    language: Language = "en"
    zone: tzinfo = UTC
    units: Units = "metric"
    dark: bool | None = None
    """None: as the browser prefers."""
    signer: OrderSigner | None = None
    used_s: float = field(default_factory=time.monotonic)

    def t(self, text: str, **values: object) -> str:
        """The English ``text`` in the language of the session; ``values`` fill its ``{names}``."""
        return translated(text, self.language).format(**values) if values else translated(text, self.language)

    def may(self, order: str) -> bool:
        """Whether the roles of this session may give an order: ``push``, ``ack`` or the name of a command.
        The device checks the signature besides."""
        return roles_allow(self.roles, order)

    def time(self, at: datetime) -> str:
        """An instant in the time zone of the session, to the second."""
        return at.astimezone(self.zone).strftime("%H:%M:%S")


class Sessions:
    """All sessions of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, idle_s: float = IDLE_S) -> None:
        self._clock, self._idle_s = clock, idle_s
        self._by_token: dict[str, Session] = {}

    def begin(self, role: str, language: Language = "en", roles: Iterable[str] = ()) -> Session:
        """A new session under a new token; where there are too many, the one unused for longest ends."""
        self._end_old()
        while len(self._by_token) >= MAX_SESSIONS:
            oldest = min(self._by_token.values(), key=lambda session: session.used_s)
            del self._by_token[oldest.token]
        held = frozenset(roles) or frozenset({role})
        session = Session(secrets.token_urlsafe(32), role, held, language, used_s=self._clock())
        self._by_token[session.token] = session
        return session

    def find(self, token: str | None) -> Session | None:
        """The session of a cookie; None where there is none, or it has ended."""
        self._end_old()
        session = self._by_token.get(token or "")
        if session is not None:
            session.used_s = self._clock()
        return session

    def end(self, token: str) -> None:
        """Logs out."""
        self._by_token.pop(token, None)

    def _end_old(self) -> None:
        now_s = self._clock()
        for token in [token for token, one in self._by_token.items() if now_s - one.used_s > self._idle_s]:
            del self._by_token[token]
