"""The record of configurations: in force, on trial, earlier ones, and the result of the last push.

One file, written by fsync and rename, so there is no half state after a power cut.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import structlog
from pydantic import BaseModel, ConfigDict, Field

from agent.config.layers import DEVICE, Layer
from agent.runtime.atomic_files import write_durably
from agent.runtime.error_text import describe_error
from agent.trust.order import GROUP

log = structlog.get_logger()

FILE = "config.json"
COPY = ".copy"
KEPT_REVISIONS = 10
KEPT_RESULTS = 20
MAX_REVISION_STEP = 10**10
"""A revision is at most this far above the one before, so that no push can use up all numbers."""
FALLBACK_S = 7 * 24 * 3600.0
"""Running time for which the broker before a change of broker stays available as a fallback."""
State: TypeAlias = Literal["applied", "rejected", "pending", "unconfirmed", "rolled_back", "validated"]


class Version(BaseModel):
    """One configuration: its text, its origin, and the hash of the local file at that time."""

    model_config = ConfigDict(frozen=True)

    text: str
    sha256: str
    source: Literal["local", "push"]
    revision: int | None = None
    """The revision of the push that made it, for its target."""
    local_sha256: str | None = None
    target: str | None = None
    """``group:<name>`` where it was made by a push to a group."""
    key_ids: tuple[str, ...] = ()
    """The keys that signed the push."""
    at: str | None = None
    """When it was pushed, by the clock of that time."""
    layers: dict[str, Layer] = Field(default_factory=dict)
    """By target: the layers over the local file that make the text."""

    def all_layers(self) -> dict[str, Layer]:
        """The layers; those of a push from before there were layers, too."""
        if self.layers or self.source == "local" or self.revision is None:
            return self.layers
        return {DEVICE: Layer(revision=self.revision, sha256=self.sha256)}

    def revision_of(self, target: str | None) -> int | None:
        """The revision in force of a target; None for this device alone."""
        layer = self.all_layers().get(target or DEVICE)
        return None if layer is None else layer.revision


class PushResult(BaseModel):
    """The result of the last push; ``errors`` are paths and messages, never values of secrets."""

    model_config = ConfigDict(frozen=True)

    state: State
    revision: int | None = None
    sha256: str | None = None
    target: str | None = None
    errors: list[dict[str, Any]] = Field(default_factory=list)
    reason: str | None = None
    warnings: list[str] = Field(default_factory=list)
    """New sources that give no value yet."""
    key_ids: tuple[str, ...] = ()
    at: str | None = None

    def fields(self) -> dict[str, Any]:
        """For ``config/reported`` and ``config_history``; without what is empty."""
        fields = self.model_dump(mode="json", exclude_none=True)
        optional = ("warnings", "key_ids", "at") if self.warnings else ("key_ids", "at", "warnings")
        return {key: value for key, value in fields.items() if value or key not in optional}


class Ledger(BaseModel):
    """The content of the file; each method returns a changed copy."""

    active: Version
    trial: Version | None = None
    history: list[Version] = Field(default_factory=list)
    answer: PushResult | None = None
    results: list[PushResult] = Field(default_factory=list)
    """The last pushes that did not stay in force, the newest first."""
    highest_revision: int = 0
    group_revisions: dict[str, int] = Field(default_factory=dict)
    """By group: the highest revision that was pushed to it."""
    answered: dict[str, tuple[int, str]] = Field(default_factory=dict)
    """By target: revision and sha256 of the last push that has a result."""
    fallback: Version | None = None
    """The configuration in force before the last change of broker."""
    fallback_left_s: float = 0.0
    worked: dict[str, Any] | None = None
    """The section ``broker`` under which the centre was reached last."""
    local: Version | None = None
    """The last valid local file."""
    drift: list[str] = Field(default_factory=list)
    """The paths in which a local edit replaced what had been pushed."""
    counters: dict[str, int] = Field(default_factory=dict)
    """By scope of each key: the highest counter of its pushes."""

    def fields(self) -> dict[str, Any]:
        """For ``config/reported``: the result of the last push, and the configuration in force."""
        active = self.active
        result = self.answer or PushResult(state="applied", revision=active.revision, sha256=active.sha256)
        return result.fields() | {"highest_revision": self.highest_revision, "active": self.active_fields()}

    def active_fields(self) -> dict[str, Any]:
        """Revision (where pushed), sha256 and source of the configuration in force, for ``status``."""
        fields = {"revision": self.active.revision_of(None), "sha256": self.active.sha256}
        fields |= {"source": self.active.source}
        return {key: value for key, value in fields.items() if value is not None}

    def highest(self, target: str | None) -> int:
        """The highest revision of a group, or of this device."""
        return self.group_revisions.get(target, 0) if target else self.highest_revision

    def is_used(self, counters: Mapping[str, int]) -> bool:
        """Whether a push with these counters was carried out before."""
        return any(value <= self.counters.get(scope, -1) for scope, value in counters.items())

    def with_counters(self, counters: Mapping[str, int]) -> Self:
        """The counters of a push; none is ever lowered."""
        raised = {scope: max(value, self.counters.get(scope, 0)) for scope, value in counters.items()}
        return self.model_copy(update={"counters": self.counters | raised})

    def with_result(self, result: PushResult) -> Self:
        """The result of the last push; one that ended without effect is kept in `results`, too."""
        update: dict[str, Any] = {"answer": result}
        if result.state in ("rejected", "rolled_back", "validated"):
            short = result.model_copy(update={"warnings": [], "errors": result.errors[:1]})
            update["results"] = [short, *self.results][:KEPT_RESULTS]
        if result.revision is not None and result.sha256 is not None and result.state != "validated":
            answered = result.revision, result.sha256
            update["answered"] = self.answered | {result.target or DEVICE: answered}
        return self.model_copy(update=update)

    def with_trial(self, version: Version) -> Self:
        """``version`` is on trial; no highest revision is ever lowered."""
        update: dict[str, Any] = {"trial": version}
        revision = max(version.revision or 0, self.highest(version.target))
        if version.target is None:
            update["highest_revision"] = revision
        else:
            update["group_revisions"] = self.group_revisions | {version.target: revision}
        return self.model_copy(update=update)

    def without_trial(self) -> Self:
        return self.model_copy(update={"trial": None})

    def with_active(self, version: Version) -> Self:
        """``version`` is in force; the one before goes to the history, and the trial is over."""
        history = [self.active, *self.history][:KEPT_REVISIONS]
        return self.model_copy(update={"active": version, "trial": None, "history": history, "drift": []})

    def with_fallback(self, version: Version | None, left_s: float = FALLBACK_S) -> Self:
        left_s = 0.0 if version is None else left_s
        return self.model_copy(update={"fallback": version, "fallback_left_s": left_s})

    def find(self, revision: int | None, target: str | None) -> Version | None:
        """An earlier version: the one before, or the newest of that revision; 0 is the local file."""
        if revision is None:
            return self.history[0] if self.history else None
        if revision == 0 and target is None:
            return self.local
        earlier = (one for one in self.history if (one.revision, one.target) == (revision, target))
        return next(earlier, None)


def group_of(target: str) -> str | None:
    """``target`` where it is a group; None for this device."""
    return target if target.startswith(GROUP) else None


def load_ledger(path: Path) -> tuple[Ledger | None, str | None]:
    """The ledger, or its copy, or None; and the reason where it is not the ledger itself. An unreadable file
    is renamed to ``.damaged``, never deleted.

    NotADirectoryError where nothing could ever be written there.
    """
    try:
        return Ledger.model_validate_json(path.read_bytes()), None
    except FileNotFoundError:
        return _load_copy(path), None
    except NotADirectoryError:
        raise
    except (OSError, ValueError) as error:
        reason = describe_error(error) if isinstance(error, OSError) else f"{path}: damaged"
        aside = path.with_suffix(".damaged")
        with suppress(OSError):
            path.replace(aside)
        log.warning("config_ledger_damaged", error=reason, set_aside=aside.name)
        copy = _load_copy(path)
        lost = "the pushed configuration is lost" if copy is None else f"{path.name}{COPY} is used"
        return copy, f"{lost}: {reason}"


def _load_copy(path: Path) -> Ledger | None:
    """The copy of the ledger; None where there is none that can be read."""
    with suppress(OSError, ValueError):
        return Ledger.model_validate_json(Path(f"{path}{COPY}").read_bytes())
    return None


def save_ledger(path: Path, ledger: Ledger) -> None:
    """OSError where the disk refuses it; then the file holds the ledger before.

    A copy protects against a damaged file; one that can't be written is removed, because it would be older.
    """
    data = ledger.model_dump_json(exclude_none=True).encode()
    write_durably(path, data)
    copy = Path(f"{path}{COPY}")
    try:
        write_durably(copy, data)
    except OSError:
        with suppress(OSError):
            copy.unlink()
