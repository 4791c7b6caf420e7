"""A centre of several processes: each is a worker, and one of them has the lease of the registrar.

    broker ══ $share ═▶ worker a ─▶ database ◀─ worker b ◀═ $share ══ broker
    broker ══ plain ══▶ registrar (in the worker that has the lease): retained state, holes, host/status

Where the broker does not deliver by shared subscription, the process with the lease receives everything, and
the others stand by.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import structlog

from agent.domain.message import ROOT, new_id
from agent.host.clock import monotonic_s
from agent.mqtt.broker import Broker
from agent.runtime.health import Running
from agent.runtime.supervisor import supervise
from agent.trust.signing_key import SigningKey
from centre.database import PostgresUrl
from centre.intake import Intake, OnStored
from centre.registrar import ALL, STATE, Registrar
from centre.registrar_lease import LEASE_S, RegistrarLease
from centre.share_probe import share_problem
from centre.worker_session import WorkerSession

log = structlog.get_logger()

RENEW_S = 1.0
LONGEST_WAIT_S = 5.0
UNCONNECTED_S, REST_S = 6.0, 10.0
"""A registrar without a connection for so long leaves the lease to others, for so long."""


class Worker:
    """One process of a centre; ``run`` ends when it is cancelled. OSError where ``db`` can't be opened."""

    def __init__(
        self,
        name: str,
        db: Path | PostgresUrl,
        broker: Broker,
        root: str = ROOT,
        on_stored: OnStored | None = None,
        pictures: Path | None = None,
        *,
        key: SigningKey | None = None,
        on_change: Callable[[Running], None] = lambda _: None,
        clock: Callable[[], float] = monotonic_s,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``name``: no other worker of this broker has it. ``key`` signs the receipts.
        ``on_change`` gets each change of state of its parts."""
        self.name = name
        self.intake = Intake(db, root, on_stored, pictures, clock, key)
        self.leads = False
        """Whether this process is the registrar."""
        self.share: WorkerSession | None = None
        self._broker = broker
        self._on_change = on_change
        self._root = root
        self._clock, self._sleep = clock, sleep
        self._receives: tuple[str, ...] = ALL
        self._registrar: Registrar | None = None
        self._task: asyncio.Task[None] | None = None
        self._lease = RegistrarLease(self.intake.database, root, f"{name} {new_id()}")

    def close(self) -> None:
        self.intake.close()

    async def run(self) -> None:
        await supervise("share-probe", self._probe, self._on_change, longest_wait_s=LONGEST_WAIT_S)
        jobs = [self._keep_lease()]
        if self.share is not None:
            jobs.append(supervise("worker", self.share.run, self._on_change, longest_wait_s=LONGEST_WAIT_S))
        tasks = [asyncio.ensure_future(job) for job in jobs]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _probe(self) -> None:
        problem = await share_problem(self._broker, self._root)
        if problem is None:
            self.share = WorkerSession(self.intake, self._broker, self._root, self.name, self._clock)
            self._receives = STATE
        else:
            log.warning(
                "no_shared_subscription",
                broker=self._broker.url,
                reason=problem,
                meaning="one process receives everything, the other workers stand by",
            )

    async def _keep_lease(self) -> None:
        """Takes the lease when it is free, renews it, and is the registrar as long as it holds."""
        held_s, generation, error_text = float("-inf"), "", ""
        connected_s = rest_until_s = float("-inf")
        try:
            while True:
                now_s = self._clock()
                if self._registrar is None or self._registrar.ready.is_set():
                    connected_s = now_s
                elif now_s - connected_s > UNCONNECTED_S:  # another process may reach another broker
                    await self._step_down()
                    rest_until_s = now_s + REST_S
                    with suppress(OSError):
                        await asyncio.to_thread(self._lease.release)
                try:
                    resting = now_s < rest_until_s
                    found = None if resting else await asyncio.to_thread(self._lease.acquire)
                    held_s, error_text = (now_s if found else float("-inf")), ""
                except OSError as error:
                    found = None
                    if str(error) != error_text:
                        error_text = str(error)
                        log.error("lease_not_renewed", error=error_text)
                if found and (not self.leads or found != generation):
                    generation = found
                    self._lead(generation)
                elif self.leads and self._clock() - held_s > LEASE_S - RENEW_S:
                    await self._step_down()
                await self._sleep(RENEW_S)
        finally:
            await self._step_down()
            with suppress(OSError):
                await asyncio.to_thread(self._lease.release)

    def _lead(self, generation: str) -> None:
        if self._registrar is not None:
            self._registrar.announce(generation)
            return
        self.leads = True
        log.info("registrar_begins", worker=self.name, generation=generation)
        self._registrar = Registrar(
            self.intake,
            self._broker,
            self._root,
            generation=generation,
            renew=self._lease.renew_generation,
            pool=True,
            receives=self._receives,
            clock=self._clock,
        )
        self._task = asyncio.ensure_future(
            supervise("registrar", self._registrar.run, self._on_change, longest_wait_s=LONGEST_WAIT_S)
        )

    async def _step_down(self) -> None:
        self.leads, self._registrar = False, None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
