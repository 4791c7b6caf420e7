"""Accepts a pushed configuration: check, stage, apply, prove that the centre is still reached, keep or undo.

What brought another broker has a way back for a week: where that one is not reached any more, or gives no
receipts, the configuration before it is tried again, and kept where its broker proves itself.

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

from agent.config.cross_checks import model_errors
from agent.config.loader import digest, parse, read
from agent.config.model import Config, Data
from agent.config.push_policy import broker_changed, named_files, weakened
from agent.config.secret_policy import misused
from agent.domain.yaml_loader import MAX_BYTES, BadConfig, Problem, read_text
from agent.runtime.atomic_files import words, write_durably
from agent.runtime.native_calls import within

log = structlog.get_logger()

FILE = "config.json"
KEPT_REVISIONS = 10
ACCEPT_WITHIN_S = 10.0
"""Whoever pushes is answered within this, whatever is in the push."""
MOST_AHEAD = 10**10
"""A revision is no more than this above the one before: none is the last that there can be."""
FALLBACK_S = 7 * 24 * 3600.0
"""The broker before another one stays a way back for so much running time."""
LEAST_PROBE_S = 2.0
LEAST_TRIAL_S = 20.0
"""A trial has at least this, also where a newer push waits for its end."""
MOST_AWAY_S = 300.0
"""A trial of another broker lasts no longer: what is raised meanwhile may reach nobody."""
MOST_PATH, MOST_MESSAGE = 200, 500
"""Characters of one error in an answer: it quotes what was pushed, which may be 256 KiB."""
NOT_REACHED = "the broker was not reached"


class NotWellError(Exception):
    """What a push changed does not work under it, though it did before."""


async def _nothing_to_say(_within_s: float) -> list[str]:
    return []


class Desired(BaseModel):
    """What the centre wants: ``config/desired``. Fields that we do not know are ignored."""

    revision: int = Field(ge=1, lt=2**53)
    base_revision: int | None = None
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
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
    warnings: list[str] = Field(default_factory=list)
    """What is new and does not work yet."""


class Ledger(BaseModel):
    """The one file: in force, on trial, before that, and the last answer."""

    active: Version
    trial: Version | None = None
    history: list[Version] = Field(default_factory=list)
    answer: Answer | None = None
    highest_revision: int = 0
    fallback: Version | None = None
    """What was in force before the broker was changed."""
    fallback_left_s: float = 0.0


class _Trial:
    """How long a trial may take: what it was given, or less where a newer push waits for its end."""

    def __init__(self, within_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._least_s = self._loop.time() + LEAST_TRIAL_S
        self._until_s = self._loop.time() + within_s
        self._limit: asyncio.Timeout | None = None
        self.newer: str | None = None
        """Why it ends early."""

    def left_s(self) -> float:
        return self._until_s - self._loop.time()

    def limit(self, at_least_s: float = 0.0) -> asyncio.Timeout:
        """TimeoutError once it is over; ``at_least_s`` from now, where nothing newer came."""
        until_s = self._until_s if self.newer else max(self._until_s, self._loop.time() + at_least_s)
        self._limit = asyncio.timeout_at(until_s)
        return self._limit

    def overtaken(self, revision: int) -> None:
        """A newer push came."""
        until_s = max(self._least_s, self._loop.time())
        if until_s >= self._until_s:
            return
        self._until_s = until_s
        self.newer = f"revision {revision} came before it had proved itself"
        limit = self._limit
        if limit is not None and not limit.expired() and (limit.when() or 0.0) > until_s:
            limit.reschedule(until_s)


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
        self.lacking = NOT_REACHED
        """What a trial waits for; ``proved`` says so as it gets on."""
        self._trial: _Trial | None = None
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
        if active.source == "local":
            ledger = ledger.model_copy(update={"fallback": None})
            if ledger.highest_revision > 2**53 - 1 - MOST_AHEAD:  # taken before there was a bound
                ledger = ledger.model_copy(update={"highest_revision": 0})
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
        fields = answer.model_dump(exclude_none=True, exclude=None if answer.warnings else {"warnings"})
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
        probe: Callable[[float], Awaitable[list[str]]] = _nothing_to_say,
    ) -> None:
        """Carries out one push to its end: applied, rejected or rolled back; ``report`` is called on change.

        ``apply`` runs a configuration by the path that boot uses; ``proved`` returns once the centre was
        reached under it; ``probe`` looks for so many seconds whether what the push changed works, and gives
        what is new and does not (NotWellError: what worked before does not). A push that was answered before
        is not carried out again.
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
            config = await self._accept_in_time(desired)
        except BadConfig as error:
            errors: list[dict[str, Any]] = [
                {
                    "path": _cut(problem.path, MOST_PATH),
                    "message": _cut(problem.message, MOST_MESSAGE),
                    "line": problem.line,
                }
                for problem in error.problems[:20]
            ]
            answer = Answer(state="rejected", revision=desired.revision, sha256=desired.sha256, errors=errors)
            log.warning("config_rejected", revision=desired.revision, errors=error.lines()[:3])
            await self._settle(answer, report)
            return
        await self._try(desired, config, apply, proved, report, probe)

    def newer(self, payload: bytes) -> None:
        """Another push waits: a trial that still has to prove itself ends soon, however long it was given."""
        on_trial = self.ledger.trial
        if self._trial is None or on_trial is None or on_trial.revision is None:
            return
        with suppress(ValidationError):
            revision = Desired.model_validate_json(payload).revision
            if revision > on_trial.revision:
                self._trial.overtaken(revision)

    async def _accept_in_time(self, desired: Desired) -> Config:
        """`_accept` off the loop: a large one takes seconds, and a disk that hangs any time."""
        try:
            return await within(ACCEPT_WITHIN_S, lambda: self._accept(desired), "a push")
        except TimeoutError as error:
            message = f"took longer than {ACCEPT_WITHIN_S:g} s to read and check"
            raise BadConfig([Problem(1, "", message)], "push") from error

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
        if desired.revision > self.ledger.highest_revision + MOST_AHEAD:
            newest = self.ledger.highest_revision
            raise refuse("revision", f"{desired.revision} is far above {newest}; the next is {newest + 1}")
        if desired.base_revision is not None and desired.base_revision != (active.revision or 0):
            raise refuse(
                "base_revision",
                f"was made for revision {desired.base_revision}, but {active.revision or 0} is in force",
            )
        if digest(desired.body) != desired.sha256:
            raise refuse("sha256", "does not fit the body: it was damaged on the way, or not made from it")
        own = self._own()
        only = frozenset((*named_files(self.config), *named_files(own)))
        name = f"revision {desired.revision}"
        config = parse(desired.body, name=name, base=self._base, only=only)
        if config.device != self.config.device:
            raise refuse("device", f"is {config.device!r}, but this device is {self.config.device!r}")
        anew = set(misused(config, self.config, self._base))  # what is in force goes there already
        wrong = [Problem(1, *one) for one in misused(config, own, self._base) if one in anew]
        wrong += [Problem(1, *one) for one in weakened(config, self.config, own)]
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
        probe: Callable[[float], Awaitable[list[str]]],
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
        reason, warnings = None, []
        self.lacking = NOT_REACHED
        moved = broker_changed(before_config.broker, config.broker)
        within_s = min(desired.confirm_within_s, MOST_AWAY_S) if moved else desired.confirm_within_s
        trial = self._trial = _Trial(within_s)
        try:
            async with trial.limit():
                await apply(config)
                await proved()
            self.lacking = "what it changed did not prove itself"
            left_s = max(trial.left_s(), LEAST_PROBE_S)
            async with trial.limit(LEAST_PROBE_S + left_s):
                warnings = await probe(left_s)
        except TimeoutError:
            reason = trial.newer or f"{self.lacking} under it within {within_s:g} s"
        except NotWellError as error:
            reason = str(error)
        except Exception as error:  # whatever it is, the old configuration must come back
            log.exception("config_apply_failed")
            reason = f"{type(error).__name__}: {error}"
        finally:
            self._trial = None
        if reason is None:
            self.config, self.trouble = config, None
            self._take(version, before)
            if moved:
                self.ledger = self.ledger.model_copy(
                    update={"fallback": before, "fallback_left_s": FALLBACK_S}
                )
            log.info("config_applied", revision=desired.revision, warnings=warnings)
            await self._settle(answer.model_copy(update={"state": "applied", "warnings": warnings}), report)
            return
        log.warning("config_rolled_back", revision=desired.revision, reason=reason)
        self.ledger = self.ledger.model_copy(update={"trial": None})
        self.ledger = self.ledger.model_copy(
            update={"answer": answer.model_copy(update={"state": "rolled_back", "reason": reason})}
        )
        await self._keep_if_possible()
        await apply(before_config)
        await report()

    def _take(self, version: Version, before: Version) -> None:
        history = [before, *self.ledger.history][:KEPT_REVISIONS]
        self.ledger = self.ledger.model_copy(update={"active": version, "trial": None, "history": history})

    # The way back to the broker before.

    def fallback(self) -> Config | None:
        """What was in force before the broker was changed, for as long as it is a way back."""
        version = self.ledger.fallback
        if version is None:
            return None
        with suppress(BadConfig):
            return parse(version.text, name="", base=self._base, ran_before=True)
        return None

    async def passed(self, seconds: float) -> None:
        """So long the agent ran: the way back ends at last, by no clock that can be set."""
        if self.ledger.fallback is None:
            return
        before_s = self.ledger.fallback_left_s
        left_s = before_s - seconds
        update = {"fallback_left_s": left_s} if left_s > 0 else {"fallback": None, "fallback_left_s": 0.0}
        self.ledger = self.ledger.model_copy(update=update)
        if left_s <= 0 or int(left_s // 3600) != int(before_s // 3600):
            await self._keep_if_possible()

    async def go_back(
        self,
        reason: str,
        apply: Callable[[Config], Awaitable[None]],
        proved: Callable[[], Awaitable[None]],
        report: Callable[[], Awaitable[None]],
        within_s: float = 60.0,
    ) -> bool:
        """Tries the configuration from before the broker was changed, and keeps it where that one is proved.

        Else what is in force goes on, and False.
        """
        version, config = self.ledger.fallback, self.fallback()
        if version is None or config is None:
            return False
        before, before_config = self.ledger.active, self.config
        try:
            async with asyncio.timeout(within_s):
                await apply(config)
                await proved()
        except Exception as error:  # whatever it is, what is in force must go on
            log.warning("fallback_failed", error=f"{type(error).__name__}: {error}")
            await apply(before_config)
            return False
        self.config, self.trouble = config, None
        self._take(version, before)
        self.ledger = self.ledger.model_copy(update={"fallback": None, "fallback_left_s": 0.0})
        log.warning("config_rolled_back", revision=before.revision, reason=reason)
        answer = Answer(state="rolled_back", revision=before.revision, sha256=before.sha256, reason=reason)
        await self._settle(answer, report)
        return True

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


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


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
            unseen = next((f"{'.'.join(path)}: {message}" for path, message in model_errors(config)), None)
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
