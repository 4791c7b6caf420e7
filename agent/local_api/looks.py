"""The entries of the audit log about looks: who looked at what, before anything is shown."""

from typing import Any

from agent.audit.silent import Audit
from agent.host.clock import monotonic_s
from agent.local_api.parts import Peer

AGAIN_S = 600.0
"""A process that looks at the same camera or alert again within this time leads to no further entry."""
MOST_KNOWN = 256


class LookLog:
    """Writes entries of the kind ``look``."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._known_s: dict[tuple[Any, ...], float] = {}

    async def begin(self, peer: Peer, **what: Any) -> str | None:
        """None once the entry is on disk; else why nothing may be shown."""
        key = (peer, *sorted((name, one) for name, one in what.items() if name != "n"))
        now_s = monotonic_s()
        if now_s - self._known_s.get(key, float("-inf")) < AGAIN_S:
            return None
        self._audit.append("look", pid=peer.pid, uid=peer.uid, **what)
        if not await self._audit.written():
            return "the audit log can't be written now, so no picture is shown"
        if len(self._known_s) >= MOST_KNOWN:
            self._known_s.clear()
        self._known_s[key] = now_s
        return None
