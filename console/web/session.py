"""Sessions of people who look: language, time zone, units, roles, and the key that they brought."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Literal

from agent.cli.orders import OrderSigner
from console.web import units
from console.web.rights import roles_allow
from console.web.texts import Language, translated
from console.web.units import Units

IDLE_S = 2 * 3600.0
"""A session ends after this long without a request, or an input in its page."""
ABSOLUTE_S = 12 * 3600.0
"""A session ends after this long in any case."""
MAX_SESSIONS = 64
EndReason = Literal["logout", "idle", "too_old", "pushed_out", "removed"]


@dataclass(slots=True, eq=False)
class Session:
    """One browser that has logged in. ``signer`` is None until a key is given; it stays in memory."""

    token: str = field(repr=False)
    role: str
    """The role that acknowledgements name."""
    roles: frozenset[str] = frozenset()
    """All roles of the session, for what its pages offer."""
    language: Language = "en"
    zone: tzinfo = UTC
    place_zone: tzinfo = UTC
    """The zone of the place, where the session may show UTC instead."""
    units: Units = "metric"
    dark: bool | None = None
    """None: as the browser prefers."""
    signer: OrderSigner | None = None
    user: str | None = None
    """The account; None where the address with its token opened the session."""
    began_s: float = field(default_factory=time.monotonic)
    used_s: float = field(default_factory=time.monotonic)
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    """Names the session in the access log; of no use as a cookie."""
    form_token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    """In each form of its pages, so that no other site can send them."""
    note: Callable[..., None] = field(default=lambda *_, **__: None, repr=False)
    """Writes an entry to the access log: ``note(kind, who=key_ids, field=value)``."""
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    """Set when the session ends; its open web sockets are closed."""

    def t(self, text: str, **values: object) -> str:
        """The English ``text`` in the language of the session; ``values`` fill its ``{names}``."""
        return translated(text, self.language).format(**values) if values else translated(text, self.language)

    def may(self, order: str) -> bool:
        """Whether the roles of this session may give an order: ``push``, ``ack`` or the name of a command.
        The device checks the signature besides."""
        return roles_allow(self.roles, order)

    def time(self, at: datetime | str) -> str:
        """An instant in the time zone of the session, to the second. A text is ISO 8601."""
        return self._local(at).strftime("%H:%M:%S")

    def date_time(self, at: datetime | str) -> str:
        """Day and time of an instant, with the zone."""
        return self._local(at).strftime("%Y-%m-%d %H:%M:%S %Z")

    def _local(self, at: datetime | str) -> datetime:
        instant = datetime.fromisoformat(at) if isinstance(at, str) else at
        return instant.astimezone(self.zone)

    def distance(self, metres: float) -> str:
        """A distance in the units of the session."""
        return units.distance(metres, self.units)

    def speed(self, metres_per_s: float) -> str:
        """A speed in the units of the session."""
        return units.speed(metres_per_s, self.units)

    def temperature(self, celsius: float) -> str:
        """A temperature in the units of the session."""
        return units.temperature(celsius, self.units)


class Sessions:
    """All sessions of this process. ``on_end`` hears of each that ends, and why."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        idle_s: float = IDLE_S,
        absolute_s: float = ABSOLUTE_S,
    ) -> None:
        self._clock, self._idle_s, self._absolute_s = clock, idle_s, absolute_s
        self._by_hash: dict[bytes, Session] = {}
        self.on_end: Callable[[Session, EndReason], None] = lambda _, __: None

    def begin(
        self, role: str, language: Language = "en", roles: Iterable[str] = (), user: str | None = None
    ) -> Session:
        """A new session under a new token; where there are too many, the one unused for longest ends."""
        self.end_old()
        while len(self._by_hash) >= MAX_SESSIONS:
            self._end(min(self._by_hash.values(), key=lambda session: session.used_s), "pushed_out")
        now_s, held = self._clock(), frozenset(roles) or frozenset({role})
        session = Session(
            secrets.token_urlsafe(32), role, held, language, user=user, began_s=now_s, used_s=now_s
        )
        self._by_hash[_hash(session.token)] = session
        return session

    def find(self, token: str | None) -> Session | None:
        """The session of a cookie; None where there is none, or it has ended."""
        session = self._by_hash.get(_hash(token or ""))
        return None if session is None or self._end_if_old(session) else session

    def touch(self, session: Session) -> None:
        """Somebody uses it."""
        session.used_s = self._clock()

    def end(self, token: str, reason: EndReason = "logout") -> None:
        """Logs out."""
        if (session := self._by_hash.get(_hash(token))) is not None:
            self._end(session, reason)

    def end_old(self) -> None:
        """Ends the sessions whose time is over. To be called now and then, for their open web sockets."""
        for session in list(self._by_hash.values()):
            self._end_if_old(session)

    def __len__(self) -> int:
        return len(self._by_hash)

    def _end_if_old(self, session: Session) -> bool:
        now_s = self._clock()
        if now_s - session.began_s > self._absolute_s:
            self._end(session, "too_old")
        elif now_s - session.used_s > self._idle_s:
            self._end(session, "idle")
        return session.ended.is_set()

    def _end(self, session: Session, reason: EndReason) -> None:
        if self._by_hash.pop(_hash(session.token), None) is not None:
            session.signer = None
            session.ended.set()
            self.on_end(session, reason)


def _hash(token: str) -> bytes:
    """What sessions are looked up by, so that the time of a comparison says nothing about a token."""
    return hashlib.sha256(token.encode(errors="replace")).digest()
