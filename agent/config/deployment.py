"""Carries out a pushed configuration: check, record the trial, apply, prove, then keep it or roll it back.

The trial is on disk before it begins, so a restart at any step returns to the configuration in force. One
push is carried out at a time. With ``confirm: manual`` it is kept only once somebody confirms it.
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

import structlog

from agent.config.broker_fallback import BrokerFallback
from agent.config.ledger import PushResult, Version, group_of, save_ledger
from agent.config.model import Config
from agent.config.push import Authorize, Push
from agent.config.push_check import (
    Desired,
    check_push,
    check_version,
    parse_desired,
    rejection,
    result_of,
)
from agent.config.push_policy import broker_changed
from agent.config.trial import BrokenSourceError, TrialLimit, TrialSteps
from agent.domain.message import stamp
from agent.domain.yaml_loader import BadConfig
from agent.host.clock import utc_now
from agent.runtime.error_text import error_reason

log = structlog.get_logger()

MIN_PROBE_S = 2.0
MAX_BROKER_TRIAL_S = 300.0
"""A trial of another broker lasts at most this long: alerts raised meanwhile may not reach the centre."""
NOT_REACHED = "the broker was not reached"


class Deployment(BrokerFallback):
    """The configuration of this device, now and before; made by `boot`."""

    waiting_for = NOT_REACHED
    """The step that a trial waits for, as a reason; ``prove`` changes it as it proceeds."""
    _limit: TrialLimit | None = None
    _confirmation: asyncio.Future[None] | None = None
    _kept: asyncio.Future[bool] | None = None

    async def handle(
        self,
        payload: bytes,
        steps: TrialSteps,
        *,
        target: str = "",
        key_ids: tuple[str, ...] = (),
        counters: Mapping[str, int] = MappingProxyType({}),
        authorize: Authorize,
    ) -> None:
        """Carries out one push to its end: applied, validated, rejected or rolled back; each change is
        reported. A push that has a result already is not carried out again. `Push` explains the arguments.
        """
        push = Push(payload, target or self.config.device, authorize, key_ids, counters)
        if self.ledger.is_used(push.counters):
            return  # delivered twice while it waited
        self.ledger = self.ledger.with_counters(push.counters)
        desired = parse_desired(payload)
        if not isinstance(desired, Desired):
            log.warning("config_malformed", size=len(payload), errors=desired[:3])
            group = group_of(push.target)
            result = PushResult(state="rejected", target=group, errors=desired, key_ids=key_ids)
            await self._settle(result, steps)
            return
        if self._has_result(push, desired):
            await self._save_if_possible()  # its counters are used up
            return
        try:
            checked = await check_push(push, desired, self.ledger, self.config, self._local, self._base)
        except BadConfig as error:
            log.warning("config_rejected", revision=desired.revision, errors=error.lines()[:3])
            await self._settle(rejection(push, desired, error), steps)
            return
        result = result_of(push, desired, "pending", at=stamp(utc_now()))
        if desired.validate_only:
            await self._settle(result.model_copy(update={"state": "validated"}), steps)
            return
        confirm_s = desired.confirm_within_s if desired.confirm == "manual" else None
        version = checked.version.model_copy(update={"at": result.at})
        await self._try(version, checked.config, result, desired.confirm_within_s, confirm_s, steps)

    async def roll_back(
        self,
        to_revision: int | None,
        steps: TrialSteps,
        *,
        target: str | None = None,
        key_ids: tuple[str, ...] = (),
        authorize: Authorize,
        within_s: float = 60.0,
    ) -> PushResult:
        """Returns to an earlier version by a trial like that of a push; None: the one before. Its result."""
        found, at = self.ledger.find(to_revision, target), stamp(utc_now())
        result = PushResult(state="rejected", revision=to_revision, target=target, key_ids=key_ids, at=at)
        if found is None:
            wanted = "an earlier revision" if to_revision is None else f"revision {to_revision}"
            return result.model_copy(update={"reason": f"{wanted} is not kept; see config_history"})
        try:
            config = await check_version(found, authorize, self.config, self._local, self._base)
        except BadConfig as error:
            return result.model_copy(update={"reason": error.lines()[0][:500]})
        local_sha256 = self.ledger.active.local_sha256
        version = found.model_copy(update={"key_ids": key_ids, "at": at, "local_sha256": local_sha256})
        update = {"state": "pending", "revision": found.revision, "target": found.target}
        result = result.model_copy(update={**update, "sha256": found.sha256})
        return await self._try(version, config, result, within_s, None, steps)

    def on_newer_push(self, payload: bytes, target: str = "") -> None:
        """A newer push waits: a trial that is not kept yet ends soon, whatever time it was given."""
        on_trial = self.ledger.trial
        if self._limit is None or on_trial is None or on_trial.revision is None:
            return
        desired = parse_desired(payload)
        if not isinstance(desired, Desired) or desired.validate_only:
            return
        if group_of(target) == on_trial.target and desired.revision > on_trial.revision:
            self._limit.supersede(desired.revision)

    async def confirm(self, revision: int) -> None:
        """Keeps the revision that waits for its confirmation. ValueError where none does, OSError where it
        can't be stored: then it is kept until the next start only.
        """
        trial, confirmation, kept = self.ledger.trial, self._confirmation, self._kept
        waiting = None if trial is None or confirmation is None else trial.revision
        if waiting is None or confirmation is None or kept is None:
            raise ValueError("no revision waits for a confirmation")
        if waiting != revision:
            raise ValueError(f"revision {revision} does not wait for a confirmation; {waiting} does")
        if not confirmation.done():
            confirmation.set_result(None)
        if not await asyncio.shield(kept):
            raise OSError(self.trouble or "it was not kept")

    @property
    def trial_left_s(self) -> float | None:
        """Seconds until the trial ends without proof or confirmation; None while none is limited."""
        return None if self._limit is None else self._limit.left_s()

    @property
    def waits_for_confirmation(self) -> bool:
        """Whether somebody has to confirm the trial."""
        return self._confirmation is not None and not self._confirmation.done()

    def _has_result(self, push: Push, desired: Desired) -> bool:
        """The broker sends a retained push again at each connection; that is no new push."""
        pushed, group = (desired.revision, desired.identity()), group_of(push.target)
        if self.ledger.answered.get(group or "device") == pushed:
            return True
        return any(
            known is not None and (known.revision, known.sha256, known.target) == (*pushed, group)
            for known in (self.ledger.active, self.ledger.answer)
            if not (isinstance(known, PushResult) and known.state == "validated")
        )

    async def _try(
        self,
        version: Version,
        config: Config,
        result: PushResult,
        within_s: float,
        confirm_s: float | None,
        steps: TrialSteps,
    ) -> PushResult:
        """Runs ``config`` on trial; keeps it, or returns to the configuration in force. The result."""
        try:
            return await self._run_trial(version, config, result, within_s, confirm_s, steps)
        finally:
            self._end_waiting(kept=False)

    async def _run_trial(
        self,
        version: Version,
        config: Config,
        result: PushResult,
        within_s: float,
        confirm_s: float | None,
        steps: TrialSteps,
    ) -> PushResult:
        before, before_config = self.ledger.active, self.config
        refused = await self._begin_trial(version, result, steps)
        if refused is not None:
            return refused
        moved = broker_changed(before_config.broker, config.broker)
        proof_s = min(within_s, MAX_BROKER_TRIAL_S) if moved else within_s
        reason, warnings = await self._prove_trial(config, proof_s, steps)
        result = result.model_copy(update={"warnings": warnings})
        if reason is None and confirm_s is not None:
            reason = await self._wait_for_confirmation(result, confirm_s, steps)
        if reason is None:
            self.config, self.trouble, self.faults = config, None, ()
            self.ledger = self.ledger.with_active(version)
            if moved:
                self.ledger = self.ledger.with_fallback(before)
            log.info("config_applied", revision=version.revision, target=version.target, warnings=warnings)
            result = result.model_copy(update={"state": "applied"})
            self.ledger = self.ledger.with_result(result)
            self._end_waiting(kept=await self._save_if_possible())
            await steps.report()
            return result
        log.warning("config_rolled_back", revision=version.revision, reason=reason)
        result = result.model_copy(update={"state": "rolled_back", "reason": reason, "warnings": []})
        self.ledger = self.ledger.without_trial().with_result(result)
        await self._save_if_possible()
        await steps.apply(before_config)
        await steps.report()
        return result

    async def _begin_trial(
        self, version: Version, result: PushResult, steps: TrialSteps
    ) -> PushResult | None:
        """None once the trial is on disk: it begins only where its end can be recorded too."""
        self.ledger = self.ledger.with_trial(version).with_result(result)
        try:
            await asyncio.to_thread(save_ledger, self._file, self.ledger)
            await steps.report()
        except OSError as error:
            reason = f"can't be stored on this disk: {error_reason(error)}"
            errors = [{"path": "push", "message": reason}]
            result = result.model_copy(update={"state": "rejected", "errors": errors})
            self.ledger = self.ledger.without_trial().with_result(result)
            await steps.report()
            return result
        return None

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

    async def _wait_for_confirmation(
        self, result: PushResult, within_s: float, steps: TrialSteps
    ) -> str | None:
        """None once it is confirmed; else why the trial ends."""
        loop = asyncio.get_running_loop()
        self._confirmation, self._kept = loop.create_future(), loop.create_future()
        limit = self._limit = TrialLimit(within_s)
        try:
            await self._settle(result.model_copy(update={"state": "unconfirmed"}), steps)
            async with limit.timeout():
                await self._confirmation
        except TimeoutError:
            return limit.superseded or f"it was not confirmed within {within_s:g} s"
        finally:
            self._limit = self._confirmation = None
        return None

    def _end_waiting(self, *, kept: bool) -> None:
        """Tells the one who confirms whether the configuration is kept."""
        if self._kept is not None and not self._kept.done():
            self._kept.set_result(kept)
        self._kept = None
