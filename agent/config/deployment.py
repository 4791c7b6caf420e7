"""Carries out a pushed configuration: check, record the trial, apply, prove, then keep it or roll it back.

After a change of broker the configuration before stays available for a week of running time: where the
new broker is not reached any more, or gives no receipts, the old one is tried again, and kept once proved.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import structlog
from pydantic import ValidationError

from agent.config.ledger import FILE, Ledger, PushResult, Version, save_ledger
from agent.config.loader import parse
from agent.config.model import Config
from agent.config.push import Authorize, Push, anyone
from agent.config.push_check import Desired, check_push, rejection
from agent.config.push_policy import broker_changed
from agent.config.startup import choose
from agent.config.trial import BrokenSourceError, TrialLimit, TrialSteps
from agent.domain.yaml_loader import BadConfig
from agent.runtime.error_text import error_reason

log = structlog.get_logger()

MIN_PROBE_S = 2.0
MAX_BROKER_TRIAL_S = 300.0
"""A trial of another broker lasts at most this long: alerts raised meanwhile may not reach the centre."""
NOT_REACHED = "the broker was not reached"


class Deployment:
    """The configuration of this device, now and before."""

    def __init__(
        self,
        folder: Path,
        base: Path,
        ledger: Ledger,
        config: Config,
        trouble: str | None,
        local_versions: list[Version],
    ) -> None:
        self._file = folder / FILE
        self._base = base
        self._local_versions = local_versions
        self.ledger = ledger
        self.config = config
        """The configuration in force."""
        self.waiting_for = NOT_REACHED
        """The step that a trial waits for, as a reason; ``prove`` changes it as it proceeds."""
        self._limit: TrialLimit | None = None
        self.trouble = trouble
        """Why the configuration in force differs from the local file, or None."""

    @classmethod
    def boot(cls, local: Path, folder: Path) -> Self:
        """Runs `agent.config.startup.choose`, and records its choice."""
        start, base = choose(local, folder), local.resolve().parent
        deployment = cls(folder, base, start.ledger, start.config, start.trouble, start.local_versions)
        try:
            save_ledger(deployment._file, deployment.ledger)
        except OSError as error:  # the device runs, but can't record a push
            deployment._note_unsaved(error)
        return deployment

    @property
    def base(self) -> Path:
        """The folder at which relative paths of the configuration start."""
        return self._base

    def reported(self) -> dict[str, Any]:
        """The fields of ``config/reported``: the result of the last push, and the configuration in force."""
        fields = self.ledger.fields()
        return fields | {"trouble": self.trouble} if self.trouble else fields

    async def handle(
        self,
        payload: bytes,
        steps: TrialSteps,
        *,
        target: str = "",
        key_ids: tuple[str, ...] = (),
        counters: Mapping[str, int] = MappingProxyType({}),
        authorize: Authorize = anyone,
    ) -> None:
        """Carries out one push to its end: applied, rejected or rolled back; each change is reported.

        A push that has a result already is not carried out again. `Push` explains the arguments.
        """
        push = Push(payload, target or self.config.device, authorize, key_ids, counters)
        if self.ledger.is_used(push.counters):
            return  # delivered twice while it waited
        self.ledger = self.ledger.with_counters(push.counters)
        try:
            desired = Desired.model_validate_json(payload)
        except ValidationError as error:
            malformed = [
                {"path": ".".join(map(str, detail["loc"])), "message": detail["msg"]}
                for detail in error.errors(include_url=False)
            ]
            log.warning("config_malformed", size=len(payload), errors=malformed[:3])
            await self._settle(PushResult(state="rejected", errors=malformed), steps)
            return
        if self._has_result(desired):
            return
        try:
            config = await check_push(
                desired, self.ledger, self.config, self._local_config, self._base, push.authorize
            )
        except BadConfig as error:
            log.warning("config_rejected", revision=desired.revision, errors=error.lines()[:3])
            await self._settle(rejection(desired, error), steps)
            return
        await self._try(push, desired, config, steps)

    def on_newer_push(self, payload: bytes) -> None:
        """A newer push waits: a trial that is not proved yet ends soon, whatever time it was given."""
        on_trial = self.ledger.trial
        if self._limit is None or on_trial is None or on_trial.revision is None:
            return
        with suppress(ValidationError):
            revision = Desired.model_validate_json(payload).revision
            if revision > on_trial.revision:
                self._limit.supersede(revision)

    def _has_result(self, desired: Desired) -> bool:
        """The broker sends the retained push again at each connection; that is no new push."""
        pushed = (desired.revision, desired.sha256)
        return any(
            known is not None and (known.revision, known.sha256) == pushed
            for known in (self.ledger.active, self.ledger.answer)
        )

    def _local_config(self) -> Config:
        """The local file as it was at the start; where it was broken, its last valid version."""
        for version in self._local_versions:
            with suppress(BadConfig):
                return parse(version.text, name="", base=self._base, ran_before=True)
        return self.config

    async def _try(self, push: Push, desired: Desired, config: Config, steps: TrialSteps) -> None:
        """Runs ``config`` on trial; keeps it, or returns to the configuration in force."""
        before, before_config = self.ledger.active, self.config
        result = PushResult(state="pending", revision=desired.revision, sha256=desired.sha256)
        version = Version(
            text=desired.body,
            sha256=desired.sha256,
            source="push",
            revision=desired.revision,
            local_sha256=before.local_sha256,
            key_ids=push.key_ids,
        )
        if not await self._begin_trial(version, result, steps):
            return
        moved = broker_changed(before_config.broker, config.broker)
        within_s = min(desired.confirm_within_s, MAX_BROKER_TRIAL_S) if moved else desired.confirm_within_s
        reason, warnings = await self._prove_trial(config, within_s, steps)
        if reason is None:
            self.config, self.trouble = config, None
            self.ledger = self.ledger.with_active(version)
            if moved:
                self.ledger = self.ledger.with_fallback(before)
            log.info("config_applied", revision=desired.revision, warnings=warnings)
            result = result.model_copy(update={"state": "applied", "warnings": warnings})
            await self._settle(result, steps)
            return
        log.warning("config_rolled_back", revision=desired.revision, reason=reason)
        result = result.model_copy(update={"state": "rolled_back", "reason": reason})
        self.ledger = self.ledger.without_trial().with_result(result)
        await self._save_if_possible()
        await steps.apply(before_config)
        await steps.report()

    async def _begin_trial(self, version: Version, result: PushResult, steps: TrialSteps) -> bool:
        """Whether the trial is on disk: it begins only where its end can be recorded too."""
        self.ledger = self.ledger.with_trial(version).with_result(result)
        try:
            await asyncio.to_thread(save_ledger, self._file, self.ledger)
            await steps.report()
        except OSError as error:
            refused = {"path": "", "message": f"can't be stored on this disk: {error_reason(error)}"}
            result = result.model_copy(update={"state": "rejected", "errors": [refused]})
            self.ledger = self.ledger.without_trial().with_result(result)
            await steps.report()
            return False
        return True

    async def _prove_trial(
        self, config: Config, within_s: float, steps: TrialSteps
    ) -> tuple[str | None, list[str]]:
        """Why the trial failed, or None and the warnings of a trial that succeeded."""
        self.waiting_for = NOT_REACHED
        limit = self._limit = TrialLimit(within_s)
        try:
            async with limit.timeout():
                await steps.apply(config)
                await steps.prove()
            self.waiting_for = "changed sources were not proved"
            left_s = max(limit.left_s(), MIN_PROBE_S)
            async with limit.timeout(MIN_PROBE_S + left_s):
                return None, await steps.probe(left_s)
        except TimeoutError:
            return limit.superseded or f"{self.waiting_for} within {within_s:g} s", []
        except BrokenSourceError as error:
            return str(error), []
        except Exception as error:  # whatever it is, the configuration in force must come back
            log.exception("config_apply_failed")
            return f"{type(error).__name__}: {error}", []
        finally:
            self._limit = None

    def fallback_config(self) -> Config | None:
        """The configuration in force before the last change of broker, while it is kept as a fallback."""
        version = self.ledger.fallback
        if version is None:
            return None
        with suppress(BadConfig):
            return parse(version.text, name="", base=self._base, ran_before=True)
        return None

    async def count_running_time(self, seconds: float) -> None:
        """Counts down the time of the fallback, by no clock that can be set."""
        if self.ledger.fallback is None:
            return
        before_s = self.ledger.fallback_left_s
        left_s = before_s - seconds
        self.ledger = self.ledger.with_fallback(self.ledger.fallback if left_s > 0 else None, left_s)
        if left_s <= 0 or int(left_s // 3600) != int(before_s // 3600):
            await self._save_if_possible()

    async def return_to_fallback(self, reason: str, steps: TrialSteps, within_s: float = 60.0) -> bool:
        """Tries the fallback, and keeps it where it is proved; else the configuration in force runs on."""
        version, config = self.ledger.fallback, self.fallback_config()
        if version is None or config is None:
            return False
        before, before_config = self.ledger.active, self.config
        try:
            async with asyncio.timeout(within_s):
                await steps.apply(config)
                await steps.prove()
        except Exception as error:  # whatever it is, the configuration in force must come back
            log.warning("fallback_failed", error=f"{type(error).__name__}: {error}")
            await steps.apply(before_config)
            return False
        self.config, self.trouble = config, None
        self.ledger = self.ledger.with_active(version).with_fallback(None)
        log.warning("config_rolled_back", revision=before.revision, reason=reason)
        result = PushResult(
            state="rolled_back", revision=before.revision, sha256=before.sha256, reason=reason
        )
        await self._settle(result, steps)
        return True

    async def _settle(self, result: PushResult, steps: TrialSteps) -> None:
        self.ledger = self.ledger.with_result(result)
        await self._save_if_possible()
        await steps.report()

    async def _save_if_possible(self) -> None:
        """A ledger that can't be saved holds until the next start, which returns to the saved one."""
        try:
            await asyncio.to_thread(save_ledger, self._file, self.ledger)
        except OSError as error:
            self._note_unsaved(error)

    def _note_unsaved(self, error: OSError) -> None:
        self.trouble = f"{FILE} can't be written: {error_reason(error)}"
        log.error("config_ledger_not_saved", error=str(error))
