"""Carries out pushed configurations, one after the other, and proves each before it is kept.

Owns: the queue's order, the return to the broker that worked before, the look at the local file.
Entry point: `PushTrials.run`, a job. `agent.config.deployment` decides and remembers, and
`agent.control.trial_proof` asks whether a trial works.
Guarantees: a configuration under which the centre is not reached is rolled back.
Threads: the event loop only.
Errors: none beyond those that the supervisor handles.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from pydantic import BaseModel

from agent.audit.silent import Audit, SilentAudit
from agent.commands.rate_limit import PUSH_BURST, PUSHES_PER_SECOND, RateLimiter
from agent.config.broker_fallback import NOT_WORKING
from agent.config.deployment import Deployment
from agent.config.model import Config
from agent.config.push import Push, Rollback
from agent.config.trial import TrialSteps
from agent.control.trial_proof import TrialProof
from agent.domain.durations import human_duration
from agent.host.clock import monotonic_s, read_clocks
from agent.mqtt.dialing import is_reachable
from agent.mqtt.link import Link
from agent.outbox.outbox import Outbox
from agent.reporting.reporter import Reporter
from agent.runtime.health import Health

FALLBACK_CHECK_EVERY_S = 10.0
FALLBACK_AFTER_S = 900.0
"""A broker that does not work for this long makes the agent try the one before it."""
LOCAL_RETRY_S = 3600.0
"""The broker of the local file is tried again this often, where the one before the edit is used."""


class PushTrials:
    """Tries each push, and rolls back where it does not prove itself."""

    def __init__(
        self,
        deployment: Deployment,
        outbox: Outbox,
        link: Link,
        health: Health,
        reporter: Reporter,
        pushes: asyncio.Queue[Push | Rollback],
        apply: Callable[[Config], Awaitable[None]],
        running: Callable[[], Config],
    ) -> None:
        """``apply`` runs a configuration; ``running`` gives the one that runs, also one on trial."""
        self.deployment = deployment
        self.outbox = outbox
        self.link = link
        self.health = health
        self.reporter = reporter
        self.pushes = pushes
        self.apply = apply
        self.audit: Audit = SilentAudit()
        self.proof = TrialProof(deployment, outbox, link, health, reporter, running)
        self._worked: dict[str, BaseModel] = {}
        self._working_s = self._checked_s = self._retried_s = monotonic_s()
        self._known_to_work: object = None
        self._limiter = RateLimiter(PUSH_BURST, PUSHES_PER_SECOND)

    async def run(self) -> None:
        """Carries out pushes; between them it watches whether the present broker still works."""
        self._working_s = self._checked_s = self._retried_s = monotonic_s()
        while True:
            try:
                async with asyncio.timeout(FALLBACK_CHECK_EVERY_S):
                    order = await self.pushes.get()
            except TimeoutError:
                await self._watch()
            else:
                await self._carry_out(order)

    async def _carry_out(self, order: Push | Rollback) -> None:
        """One push or rollback to its end; a flood of them is slowed down, and the queue drops the oldest."""
        while self._limiter.admit("push", monotonic_s()) != "admitted":  # noqa: ASYNC110
            await asyncio.sleep(1 / PUSHES_PER_SECOND)
        before = self.deployment.config
        works_now = set(self.health.working(monotonic_s()))
        self._worked = {
            name: source
            for name, source in before.sources.items()
            if name in works_now or self._worked.get(name) == source  # also just after a rollback
        }
        steps = self._steps(partial(self.proof.probe, before, frozenset(self._worked)))
        if isinstance(order, Rollback):
            result = await self.deployment.roll_back(
                order.to_revision,
                steps,
                target=order.target,
                key_ids=order.key_ids,
                authorize=order.authorize,
            )
            await order.done(result)
            return
        await self.deployment.handle(
            order.payload,
            steps,
            target=order.target,
            key_ids=order.key_ids,
            counters=order.counters,
            authorize=order.authorize,
        )

    def _steps(self, probe: Callable[[float], Awaitable[list[str]]] | None = None) -> TrialSteps:
        if probe is None:
            return TrialSteps(self.apply, self.proof.prove, self.report)
        return TrialSteps(self.apply, self.proof.prove, self.report, probe)

    async def _watch(self) -> None:
        """Between two pushes: the broker in force, the time of its fallback, an edit of the local file."""
        now_s = monotonic_s()
        await self.deployment.count_running_time(now_s - self._checked_s)
        self._checked_s = now_s
        if self.link.is_healthy:
            self._working_s = now_s
            if self.link.centre_reached and self._known_to_work is not self.deployment.config:
                await self.deployment.note_working()
                self._known_to_work = self.deployment.config
        elif now_s - self._working_s > FALLBACK_AFTER_S:
            await self.try_fallback()
            self._working_s = monotonic_s()
        if self.deployment.is_overlaid() and now_s - self._retried_s > LOCAL_RETRY_S:
            await self.try_local()
            self._retried_s = monotonic_s()
        saved, drifted = await self.deployment.save_refused(), await self.deployment.check_drift()
        if saved or drifted:
            await self.report()

    async def try_fallback(self) -> None:
        """Returns to the broker that worked before, where that one accepts a connection."""
        config = await asyncio.to_thread(self.deployment.fallback_config)
        if config is not None and await self._is_reachable(config):
            reason = NOT_WORKING.format(human_duration(FALLBACK_AFTER_S))
            await self.deployment.return_to_fallback(reason, self._steps())

    async def try_local(self) -> None:
        """Returns to the broker of the local file, where that one accepts a connection by now."""
        config = await asyncio.to_thread(self.deployment.local_config)
        if config is not None and await self._is_reachable(config):
            await self.deployment.return_to_local(self._steps())

    async def _is_reachable(self, config: Config) -> bool:
        """Whether any of its brokers accepts a connection."""
        return any([await is_reachable(broker, self.link.past) for broker in config.broker.in_order])

    async def report(self) -> None:
        """Sends ``config/reported`` and ``status`` after a change of configuration."""
        self.reporter.config_fields = self.deployment.ledger.active_fields()
        at, now_s = read_clocks()
        fields = self.deployment.reported()
        shown = {
            key: fields.get(key) for key in ("state", "revision", "sha256", "reason", "errors", "target")
        }
        self.audit.append("push", who=fields.get("key_ids", ()), **shown)
        reported = self.reporter.messages.config_reported(fields, at, now_s)
        await self.outbox.put(reported, self.reporter.status(at, now_s))
