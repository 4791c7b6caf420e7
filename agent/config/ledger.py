"""The record of configurations: in force, on trial, earlier ones, and the result of the last push.

One file, written by fsync and rename, so there is no half state after a power cut.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

import structlog
from pydantic import BaseModel, ConfigDict, Field

from agent.runtime.atomic_files import write_durably
from agent.runtime.error_text import describe_error

log = structlog.get_logger()

FILE = "config.json"
KEPT_REVISIONS = 10
MAX_REVISION_STEP = 10**10
"""A revision is at most this far above the one before, so that no push can use up all numbers."""
FALLBACK_S = 7 * 24 * 3600.0
"""Running time for which the broker before a change of broker stays available as a fallback."""


class Version(BaseModel):
    """One configuration: its text, its origin, and the hash of the local file at that time."""

    model_config = ConfigDict(frozen=True)

    text: str
    sha256: str
    source: Literal["local", "push"]
    revision: int | None = None
    local_sha256: str | None = None
    key_ids: tuple[str, ...] = ()
    """The keys that signed the push."""


class PushResult(BaseModel):
    """The result of the last push; ``errors`` are paths and messages, never values of secrets."""

    model_config = ConfigDict(frozen=True)

    state: Literal["applied", "rejected", "pending", "rolled_back"]
    revision: int | None = None
    sha256: str | None = None
    errors: list[dict[str, Any]] = Field(default_factory=list)
    reason: str | None = None
    warnings: list[str] = Field(default_factory=list)
    """New sources that give no value yet."""


class Ledger(BaseModel):
    """The content of the file; each method returns a changed copy."""

    active: Version
    trial: Version | None = None
    history: list[Version] = Field(default_factory=list)
    answer: PushResult | None = None
    highest_revision: int = 0
    fallback: Version | None = None
    """The configuration in force before the last change of broker."""
    fallback_left_s: float = 0.0
    counters: dict[str, int] = Field(default_factory=dict)
    """By scope of each key: the highest counter of its pushes."""

    def fields(self) -> dict[str, Any]:
        """For ``config/reported``: the result of the last push, and the configuration in force."""
        active = self.active
        result = self.answer or PushResult(state="applied", revision=active.revision, sha256=active.sha256)
        fields = result.model_dump(exclude_none=True, exclude=None if result.warnings else {"warnings"})
        return fields | {"highest_revision": self.highest_revision, "active": self.active_fields()}

    def active_fields(self) -> dict[str, Any]:
        """Revision (where pushed), sha256 and source of the configuration in force, for ``status``."""
        return self.active.model_dump(include={"revision", "sha256", "source"}, exclude_none=True)

    def is_used(self, counters: Mapping[str, int]) -> bool:
        """Whether a push with these counters was carried out before."""
        return any(value <= self.counters.get(scope, -1) for scope, value in counters.items())

    def with_counters(self, counters: Mapping[str, int]) -> Self:
        """The counters of a push; none is ever lowered."""
        raised = {scope: max(value, self.counters.get(scope, 0)) for scope, value in counters.items()}
        return self.model_copy(update={"counters": self.counters | raised})

    def with_result(self, result: PushResult) -> Self:
        return self.model_copy(update={"answer": result})

    def with_trial(self, version: Version) -> Self:
        return self.model_copy(update={"trial": version, "highest_revision": version.revision})

    def without_trial(self) -> Self:
        return self.model_copy(update={"trial": None})

    def with_active(self, version: Version) -> Self:
        """``version`` is in force; the one before goes to the history, and the trial is over."""
        history = [self.active, *self.history][:KEPT_REVISIONS]
        return self.model_copy(update={"active": version, "trial": None, "history": history})

    def with_fallback(self, version: Version | None, left_s: float = FALLBACK_S) -> Self:
        left_s = 0.0 if version is None else left_s
        return self.model_copy(update={"fallback": version, "fallback_left_s": left_s})


def load_ledger(path: Path) -> tuple[Ledger | None, str | None]:
    """The ledger, or None and the reason. An unreadable file is renamed to ``.damaged``, never deleted.

    NotADirectoryError where nothing could ever be written there.
    """
    try:
        return Ledger.model_validate_json(path.read_bytes()), None
    except FileNotFoundError:
        return None, None
    except NotADirectoryError:
        raise
    except (OSError, ValueError) as error:
        reason = describe_error(error) if isinstance(error, OSError) else f"{path}: damaged"
        aside = path.with_suffix(".damaged")
        with suppress(OSError):
            path.replace(aside)
        log.warning("config_ledger_damaged", error=reason, set_aside=aside.name)
        return None, f"the pushed configuration is lost: {reason}"


def save_ledger(path: Path, ledger: Ledger) -> None:
    """OSError where the disk refuses it; then the file holds the ledger before."""
    write_durably(path, ledger.model_dump_json(exclude_none=True).encode())
