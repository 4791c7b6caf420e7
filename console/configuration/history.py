"""The configurations that the device keeps, as rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.runtime.sanitize import as_list, printable


@dataclass(frozen=True, slots=True)
class Kept:
    """One configuration, or a push without effect. ``revision`` None: a file at the device."""

    state: str
    revision: int | None
    target: str | None
    at: str | None
    key_ids: tuple[str, ...]
    sha256: str
    reason: str

    @property
    def has_text(self) -> bool:
        """Whether the device still has its text, and can give it."""
        return self.state in ("in_force", "kept") and (self.state == "in_force" or self.revision is not None)


def kept_rows(history: Sequence[Mapping[str, Any]]) -> list[Kept]:
    """The rows of ``config_history``, the newest first; what is not well-formed is left out."""
    return [
        Kept(
            state=printable(entry.get("state", "")),
            revision=entry["revision"] if isinstance(entry.get("revision"), int) else None,
            target=printable(entry["target"]) if entry.get("target") else None,
            at=printable(entry["at"]) if entry.get("at") else None,
            key_ids=tuple(map(printable, as_list(entry.get("key_ids")))),
            sha256=printable(entry.get("sha256", ""))[:12],
            reason=printable(entry.get("reason", "")),
        )
        for entry in history
        if isinstance(entry, Mapping)
    ]
