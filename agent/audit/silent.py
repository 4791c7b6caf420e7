"""An audit log that keeps nothing: for parts that are used without an agent, as in tests."""

from collections.abc import Sequence
from typing import Any, Protocol


class Audit(Protocol):
    """What the parts of an agent need of the audit log: see `agent.audit.audit_log.AuditLog`."""

    def append(self, kind: str, *, who: Sequence[str] = (), **fields: Any) -> None: ...

    def append_durably(self, kind: str, *, who: Sequence[str] = (), **fields: Any) -> str: ...

    async def written(self) -> bool: ...


class SilentAudit:
    """Takes entries, and forgets them."""

    def append(self, kind: str, *, who: Sequence[str] = (), **fields: Any) -> None:
        del kind, who, fields

    def append_durably(self, kind: str, *, who: Sequence[str] = (), **fields: Any) -> str:
        del kind, who, fields
        return ""

    async def written(self) -> bool:
        return True
