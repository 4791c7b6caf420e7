"""Accepts a pushed configuration: check, stage, apply, prove that the centre is still reached, keep or undo.

All that must survive is one file, written by fsync and rename, so there is no half state: what is in force,
what is on trial, and the last answer. A trial that did not end before a restart is undone at the next boot.
"""

import asyncio
import os.path
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.config import Config, Data, digest, parse, read
from agent.entrusted import misused
from agent.files import words, write_durably
from agent.yamlfile import MAX_BYTES, BadConfig, Problem, read_text

log = structlog.get_logger()

FILE = "config.json"
KEPT_REVISIONS = 10


class Desired(BaseModel):
    """What the centre wants: ``config/desired``. Fields that we do not know are ignored."""

    revision: int = Field(ge=1, lt=2**53)
    base_revision: int | None = None
    sha256: str
    body: str
    confirm_within_s: float = Field(default=60, ge=2, le=3600)


class Version(BaseModel):
    """One configuration: its text, where it came from, and which local file stood beside it then."""

    model_config = ConfigDict(frozen=True)

    text: str
    sha256: str
    source: Literal["local", "push"]
    revision: int | None = None
    local_sha256: str | None = None


class Answer(BaseModel):
    """What became of the last push; ``errors`` are paths and messages, never values of secrets."""

    model_config = ConfigDict(frozen=True)

    state: Literal["applied", "rejected", "pending", "rolled_back"]
    revision: int | None = None
    sha256: str | None = None
    errors: list[dict[str, Any]] = Field(default_factory=list)
    reason: str | None = None


class Ledger(BaseModel):
    """The one file: in force, on trial, before that, and the last answer."""

    active: Version
    trial: Version | None = None
    history: list[Version] = Field(default_factory=list)
    answer: Answer | None = None
    highest_revision: int = 0


class Deployment:
    """The configuration of this device, now and before."""

    def __init__(
        self,
        folder: Path,
        base: Path,
        ledger: Ledger,
        config: Config,
        trouble: str | None,
        local: list[Version],
    ) -> None:
        self._file = folder / FILE
        self._base = base
        self._local = local
        self.ledger = ledger
        self.config = config
        self.trouble = trouble
        """Why what is in force is not what the local file says, or None."""

    @classmethod
    def boot(cls, local: Path, folder: Path) -> Self:
        """Chooses what to run: the local file where it is new or was edited, else what was last in force.

        A broken local file does not silence a device that ran before: it goes on with what it had, and says
        so. BadConfig or OSError only where there is nothing good to run.
        """
        base = local.resolve().parent
        before, damage = _load(folder / FILE)
        answer = None
        if before is not None and before.trial is not None:
            tried = before.trial
            answer = Answer(
                state="rolled_back",
                revision=tried.revision,
                sha256=tried.sha256,
                reason="the device was restarted before the new configuration had proved itself",
            )
            log.warning("config_rolled_back", revision=tried.revision, reason=answer.reason)
        kept = [] if before is None else [before.active, *before.history]
        order, trouble = list(kept), None
        own = [version for version in kept if version.source == "local"]
        try:
            text = read_text(local)
        except (BadConfig, OSError) as error:
            if before is None:
                raise
            trouble = str(error)
        else:
            sha256 = digest(text)
            version = Version(text=text, sha256=sha256, source="local", local_sha256=sha256)
            edited = before is None or before.active.local_sha256 != sha256
            order = [version, *kept] if edited else [*kept, version]
            own.insert(0, version)
        active, config, refusal = _first_good(order, kept, local, base)
        ledger = Ledger(active=active) if before is None else before.model_copy(update={"active": active})
        ledger = ledger.model_copy(update={"trial": None, "answer": answer or ledger.answer})
        deployment = cls(folder, base, ledger, config, trouble or refusal or damage, own)
        try:
            deployment._save()
        except OSError as error:  # it runs, though a push can't be kept
            deployment.trouble = f"{FILE} can't be written: {error.strerror or error}"
            log.error("config_not_kept", error=str(error))
        return deployment

    def reported(self) -> dict[str, Any]:
        """The fields of ``config/reported``: the answer to the last push, and what is in force."""
        active = self.ledger.active
        answer = self.ledger.answer or Answer(state="applied", revision=active.revision, sha256=active.sha256)
        fields = answer.model_dump(exclude_none=True)
        fields["highest_revision"] = self.ledger.highest_revision
        fields["active"] = self.in_force()
        if self.trouble:
            fields["trouble"] = self.trouble
        return fields

    def in_force(self) -> dict[str, Any]:
        """Revision (where it was pushed) and sha256 of what is in force, for ``status``."""
        return self.ledger.active.model_dump(include={"revision", "sha256", "source"}, exclude_none=True)

    async def handle(
        self,
        payload: bytes,
        apply: Callable[[Config], Awaitable[None]],
        proved: Callable[[], Awaitable[None]],
        report: Callable[[], Awaitable[None]],
    ) -> None:
        """Carries out one push to its end: applied, rejected or rolled back; ``report`` is called on change.

        ``apply`` runs a configuration by the path that boot uses; ``proved`` returns once the centre was
        reached under it. A push that was answered before is not carried out again.
        """
        try:
            desired = Desired.model_validate_json(payload)
        except ValidationError as error:
            malformed = [
                {"path": ".".join(map(str, detail["loc"])), "message": detail["msg"]}
                for detail in error.errors(include_url=False)
            ]
            log.warning("config_malformed", size=len(payload), errors=malformed[:3])
            await self._settle(Answer(state="rejected", errors=malformed), report)
            return
        if self._answered(desired):
            return
        try:
            config = await asyncio.to_thread(self._accept, desired)  # a large one takes seconds
        except BadConfig as error:
            errors: list[dict[str, Any]] = [
                {"path": problem.path, "message": problem.message, "line": problem.line}
                for problem in error.problems[:20]
            ]
            answer = Answer(state="rejected", revision=desired.revision, sha256=desired.sha256, errors=errors)
            log.warning("config_rejected", revision=desired.revision, errors=error.lines()[:3])
            await self._settle(answer, report)
            return
        await self._try(desired, config, apply, proved, report)

    def _answered(self, desired: Desired) -> bool:
        """The broker sends the retained push again at each connect: that is no new push."""
        active, answer = self.ledger.active, self.ledger.answer
        same_active = (active.revision, active.sha256) == (desired.revision, desired.sha256)
        return same_active or (
            answer is not None and (answer.revision, answer.sha256) == (desired.revision, desired.sha256)
        )

    def _accept(self, desired: Desired) -> Config:
        """The configuration that is pushed. BadConfig says all that speaks against it."""

        def refuse(path: str, message: str) -> BadConfig:
            return BadConfig([Problem(1, path, message)], "push")

        active = self.ledger.active
        if desired.revision <= self.ledger.highest_revision:
            newest = self.ledger.highest_revision
            raise refuse(
                "revision", f"{desired.revision} is not newer than {newest}; the next is {newest + 1}"
            )
        if desired.base_revision is not None and desired.base_revision != (active.revision or 0):
            raise refuse(
                "base_revision",
                f"was made for revision {desired.base_revision}, but {active.revision or 0} is in force",
            )
        if digest(desired.body) != desired.sha256:
            raise refuse("sha256", "does not fit the body: it was damaged on the way, or not made from it")
        config = parse(desired.body, name=f"revision {desired.revision}", base=self._base)
        if config.device != self.config.device:
            raise refuse("device", f"is {config.device!r}, but this device is {self.config.device!r}")
        if config.data.directory != self.config.data.directory:
            raise refuse("data.directory", "can't be changed by push: it holds what is still owed")
        if config.data.video_folder != self.config.data.video_folder:
            raise refuse("data.video_folder", "can't be changed by push: it says which files a push may name")
        if config.privacy != self.config.privacy:
            raise refuse("privacy", "can't be changed by push: who may show people is decided at the device")
        anew = set(misused(config, self.config, self._base))  # what is in force goes there already
        wrong = [Problem(1, *one) for one in misused(config, self._own(), self._base) if one in anew]
        if wrong:
            raise BadConfig(wrong, "push")
        return config

    def _own(self) -> Config:
        """The file at the device as it was at the start; where that was broken, as it last was good."""
        for version in self._local:
            with suppress(BadConfig):
                return parse(version.text, name="", base=self._base, ran_before=True)
        return self.config

    async def _try(
        self,
        desired: Desired,
        config: Config,
        apply: Callable[[Config], Awaitable[None]],
        proved: Callable[[], Awaitable[None]],
        report: Callable[[], Awaitable[None]],
    ) -> None:
        before, before_config = self.ledger.active, self.config
        version = Version(
            text=desired.body,
            sha256=desired.sha256,
            source="push",
            revision=desired.revision,
            local_sha256=before.local_sha256,
        )
        answer = Answer(state="pending", revision=desired.revision, sha256=desired.sha256)
        self.ledger = self.ledger.model_copy(update={"trial": version, "highest_revision": desired.revision})
        try:
            await self._settle(answer, report)
        except OSError as error:
            self.ledger = self.ledger.model_copy(update={"trial": None, "answer": None})
            refused = {"path": "", "message": f"can't be kept on this disk: {error.strerror or error}"}
            answer = answer.model_copy(update={"state": "rejected", "errors": [refused]})
            await self._settle(answer, report, keep=False)
            return
        reason = None
        try:
            async with asyncio.timeout(desired.confirm_within_s):
                await apply(config)
                await proved()
        except TimeoutError:
            reason = f"the broker was not reached under it within {desired.confirm_within_s:g} s"
        except Exception as error:  # whatever it is, the old configuration must come back
            log.exception("config_apply_failed")
            reason = f"{type(error).__name__}: {error}"
        if reason is None:
            self.config, self.trouble = config, None
            history = [before, *self.ledger.history][:KEPT_REVISIONS]
            self.ledger = self.ledger.model_copy(
                update={"active": version, "trial": None, "history": history}
            )
            log.info("config_applied", revision=desired.revision)
            await self._settle(answer.model_copy(update={"state": "applied"}), report)
            return
        log.warning("config_rolled_back", revision=desired.revision, reason=reason)
        self.ledger = self.ledger.model_copy(update={"trial": None})
        self.ledger = self.ledger.model_copy(
            update={"answer": answer.model_copy(update={"state": "rolled_back", "reason": reason})}
        )
        await self._keep_if_possible()
        await apply(before_config)
        await report()

    async def _settle(
        self, answer: Answer, report: Callable[[], Awaitable[None]], *, keep: bool = True
    ) -> None:
        self.ledger = self.ledger.model_copy(update={"answer": answer})
        if answer.state == "pending":
            await asyncio.to_thread(self._save)  # a trial begins only where its end can be kept
        elif keep:
            await self._keep_if_possible()
        await report()

    async def _keep_if_possible(self) -> None:
        """What can't be kept holds until the next start, which goes back to what was kept before."""
        try:
            await asyncio.to_thread(self._save)
        except OSError as error:
            self.trouble = f"{FILE} can't be written: {error.strerror or error}"
            log.error("config_not_kept", error=str(error))

    def _save(self) -> None:
        write_durably(self._file, self.ledger.model_dump_json(exclude_none=True).encode())


def folder_of(local: Path) -> Path:
    """Where the configuration file ``local`` has its data. BadConfig where it is broken, and the folder
    that it seems to name holds nothing that ran before."""
    try:
        folder: Path = read(local).data.directory
        return folder
    except BadConfig:
        there = os.path.isfile(local)  # noqa: PTH113  False too where nobody may look
        text = local.read_bytes()[:MAX_BYTES].decode(errors="replace") if there else ""
        named = re.findall(r"\bdirectory:\s*[\"']?([^\s\"',}#]+)", text) or [Data().directory]
        for folder in (local.resolve().parent / name for name in named):
            if os.path.isfile(folder / "config" / FILE):  # noqa: PTH113  as above
                return folder
        raise


def _first_good(
    order: list[Version], kept: list[Version], local: Path, base: Path
) -> tuple[Version, Config, str | None]:
    """The first version that this software accepts, and why an earlier one was passed over.

    One that was ``kept`` ran before: it runs without its model's card, too, and then that is what is said.
    """
    refusal: BadConfig | None = None
    for version in order:
        name = str(local) if version.source == "local" else f"revision {version.revision}"
        try:
            config = parse(version.text, name=name, base=base, ran_before=version in kept)
        except BadConfig as error:
            refusal = refusal or error
        else:
            unseen = next((f"{'.'.join(path)}: {message}" for path, message in config.unseen()), None)
            return version, config, refusal.lines()[0] if refusal else unseen
    assert refusal is not None  # noqa: S101  the order is never empty
    raise refusal


def _load(path: Path) -> tuple[Ledger | None, str | None]:
    """The ledger, None where there is none, and why: one that can't be read is set aside, never deleted."""
    try:
        return Ledger.model_validate_json(path.read_bytes()), None
    except FileNotFoundError:
        return None, None
    except NotADirectoryError:  # nothing at all could be kept there: whoever named it must hear so
        raise
    except (OSError, ValueError) as error:
        reason = words(error) if isinstance(error, OSError) else f"{path}: damaged"
        aside = path.with_suffix(".damaged")
        with suppress(OSError):
            path.replace(aside)
        log.warning("config_ledger_damaged", error=reason, set_aside=aside.name)
        return None, f"what was pushed is lost: {reason}"
