"""Carries out pushed configurations, one after the other, and proves each before it is kept.

Owns: the proof of a trial (the centre is reached, changed sources still work) and the return to the broker
from before the last change of broker.
Entry point: `PushTrials.run`, a job. `agent.config.deployment` decides and remembers; this module asks the
link and the health record.
Guarantees: a configuration under which the centre is not reached is rolled back.
Threads: the event loop only.
Errors: none beyond those that the supervisor handles.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from pydantic import BaseModel

from agent.config.deployment import Deployment
from agent.config.model import Config
from agent.config.push import Push
from agent.config.push_policy import broker_changed
from agent.config.trial import BrokenSourceError, TrialSteps
from agent.domain.durations import human_duration
from agent.mqtt.dialing import is_reachable
from agent.mqtt.link import Link
from agent.outbox.outbox import Outbox
from agent.reporting.reporter import Reporter
from agent.runtime.health import Health
from agent.runtime.kernel_clock import read_clocks

PROBE_EVERY_S = 0.2
NEW_SOURCE_WITHIN_S = 15.0
"""A new source has this long for its first value; without one the push is applied with a warning."""
FALLBACK_CHECK_EVERY_S = 10.0
FALLBACK_AFTER_S = 900.0
"""A pushed broker that does not work for this long makes the agent try the broker before it."""


class PushTrials:
    """Tries each push, and rolls back where it does not prove itself."""

    def __init__(
        self,
        deployment: Deployment,
        outbox: Outbox,
        link: Link,
        health: Health,
        reporter: Reporter,
        pushes: asyncio.Queue[Push],
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
        self.running = running

    async def run(self) -> None:
        """Carries out pushes; between them it watches whether the present broker still works."""
        working_s = checked_s = time.monotonic()
        worked: dict[str, BaseModel] = {}
        while True:
            try:
                async with asyncio.timeout(FALLBACK_CHECK_EVERY_S):
                    push = await self.pushes.get()
            except TimeoutError:
                now_s = time.monotonic()
                await self.deployment.count_running_time(now_s - checked_s)
                checked_s = now_s
                if self.link.is_healthy or self.deployment.ledger.fallback is None:
                    working_s = now_s
                elif now_s - working_s > FALLBACK_AFTER_S:
                    await self.try_fallback()
                    working_s = time.monotonic()
                continue
            before = self.deployment.config
            works_now = set(self.health.working(time.monotonic()))
            worked = {
                name: source
                for name, source in before.sources.items()
                if name in works_now or worked.get(name) == source  # also just after a rollback
            }
            probe = partial(self.probe, before, frozenset(worked))
            await self.deployment.handle(
                push.payload,
                TrialSteps(self.apply, self.prove, self.report, probe),
                target=push.target,
                key_ids=push.key_ids,
                counters=push.counters,
                authorize=push.authorize,
            )

    async def prove(self) -> None:
        """Returns once the centre is reached under the trial; for another broker, once its receipt is here.

        An acknowledgement proves a broker only: any broker acknowledges, also one without a centre.
        """
        before, broker = self.deployment.config.broker, self.running().broker
        await self.link.acknowledged()
        if broker.delivery == "receipt" and broker_changed(before, broker):
            self.deployment.waiting_for = "no receipt of the centre arrived"
            trial = self.deployment.ledger.trial or self.deployment.ledger.active
            fields = {"command_id": f"config-{trial.revision or 0}", "state": "trial"}
            message = self.reporter.messages.command_result(fields, *read_clocks())
            receipt = asyncio.ensure_future(self.link.receipt_of(message.id))
            try:
                await self.outbox.put(message)
                await receipt
            finally:
                receipt.cancel()

    async def probe(self, before: Config, working: frozenset[str], within_s: float) -> list[str]:
        """Waits for a value of each changed source; returns the new sources without one.

        BrokenSourceError where a changed source of ``working`` gives no value within ``within_s``.
        """
        sources = self.running().sources
        changed = {name for name, source in sources.items() if before.sources.get(name) != source}
        needed = changed & working
        began_s = time.monotonic()
        while missing := changed - set(self.health.working(time.monotonic())):
            waited_s = time.monotonic() - began_s
            if waited_s > within_s or (waited_s > NEW_SOURCE_WITHIN_S and not missing & needed):
                break
            await asyncio.sleep(PROBE_EVERY_S)
        parts = self.health.parts(time.monotonic())
        errors = {part["part"]: part.get("error", "sends nothing") for part in parts}
        if lost := sorted(missing & needed):
            raise BrokenSourceError(
                f"{lost[0]}: {errors.get(lost[0], 'sends nothing')}; it worked before the push, but not"
                f" within {within_s:.0f} s"
            )
        return [f"{name}: {errors.get(name, 'sends nothing')}" for name in sorted(missing)]

    async def try_fallback(self) -> None:
        """Rolls back to the broker before the last change of broker, where that one accepts a connection."""
        config = await asyncio.to_thread(self.deployment.fallback_config)
        if config is None:
            return
        if not any([await is_reachable(broker, self.link.past) for broker in config.broker.in_order]):
            return
        reason = f"its broker was not reached, or gave no receipts, for {human_duration(FALLBACK_AFTER_S)}"
        await self.deployment.return_to_fallback(reason, TrialSteps(self.apply, self.prove, self.report))

    async def report(self) -> None:
        """Sends ``config/reported`` and ``status`` after a change of configuration."""
        self.reporter.config_fields = self.deployment.ledger.active_fields()
        at, now_s = read_clocks()
        reported = self.reporter.messages.config_reported(self.deployment.reported(), at, now_s)
        await self.outbox.put(reported, self.reporter.status(at, now_s))
