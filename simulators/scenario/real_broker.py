"""The broker and the centre of a stage in real time."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agent.mqtt.broker import Broker
from agent.runtime.health import Running
from agent.runtime.supervisor import supervise
from agent.trust.signing_key import SigningKey
from centre.intake import OnStored
from centre.server import Centre
from simulators.broker import LocalBroker
from simulators.faults.faulty_link import FaultyLink
from simulators.stage import NotInRealTimeError

OnCrash = Callable[[str], None]
"""Takes the error with which the centre crashed, before its supervisor starts it again."""


class RealBroker:
    """See `simulators.stage.StagedBroker`: a local broker, and a link to it for each device."""

    def __init__(self, url: str, local: LocalBroker | None) -> None:
        self.url = url
        self._local = local
        self.links: dict[str, FaultyLink] = {}
        self._struck: Counter[str] = Counter()
        self._under_way: set[asyncio.Task[None]] = set()

    def set_down(self, down: bool) -> None:
        local = self._own("broker.down")
        self._struck["down"] += self._connections() * down
        self._later(asyncio.to_thread(local.stop if down else local.start))

    def restart(self, *, keep_sessions: bool) -> None:
        local = self._own("broker.restart")
        if keep_sessions and not local.keeps_sessions:
            raise NotInRealTimeError(f"{local.kind} keeps no sessions on a disk")
        self._struck["restart"] += self._connections()

        def again() -> None:
            local.stop()
            if not keep_sessions:
                local.forget_sessions()
            local.start()

        self._later(asyncio.to_thread(again))

    def cut(self, device: str, how: str) -> None:
        self._link(device).cut(how)

    def mend(self, device: str) -> None:
        self._link(device).mend()

    def set_unkind(self, how: str, chance: float) -> None:  # noqa: ARG002
        raise NotInRealTimeError(f"a real broker can't be told to be unkind ({how})")

    def shape(
        self,
        device: str,
        *,
        latency_s: float = 0.0,
        jitter_s: float = 0.0,
        bytes_per_s: float | None = None,
        slice_bytes: int | None = None,
    ) -> None:
        self._link(device).shape(latency_s, jitter_s, bytes_per_s, slice_bytes)

    def struck(self, how: str, device: str | None = None) -> int:
        if device is not None:
            return self._link(device).struck(how)
        return self._struck[how] + sum(link.struck(how) for link in self.links.values())

    async def close(self) -> None:
        """Waits for a start or a stop that is under way."""
        await asyncio.gather(*self._under_way)

    def _own(self, fault: str) -> LocalBroker:
        if self._local is None:
            raise NotInRealTimeError(
                f"{fault}: the broker {self.url} is not this stage's own; leave --broker out"
            )
        return self._local

    def _connections(self) -> int:
        return sum(link.proxy.connections for link in self.links.values())

    def _link(self, device: str) -> FaultyLink:
        if device not in self.links:
            raise NotInRealTimeError(
                f"no link to {self.url} of our own: link faults need the broker that the stage starts"
            )
        return self.links[device]

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._under_way.add(task)


class RealCentre:
    """See `simulators.stage.StagedCentre`: the reference centre, in this process."""

    workers = 1

    def __init__(
        self, db: Path, url: str, root: str, key: SigningKey, on_stored: OnStored, on_crash: OnCrash
    ) -> None:
        self.db = db
        self.stored = 0

        def stored(device: str, topic: str, body: dict[str, Any]) -> None:
            self.stored += 1
            on_stored(device, topic, body)

        self._make: Callable[[], Centre] = lambda: Centre(
            db, Broker(url=url), root, stored, key=key, pictures=db.parent / "pictures"
        )
        self._on_crash = on_crash
        self.server = self._make()
        self.task = self._run()
        self._changes: asyncio.Task[None] | None = None

    def set_down(self, down: bool) -> None:
        if down:
            self._then(self._stop)
        else:
            self._then(self._start)

    def set_worker_down(self, number: int, down: bool) -> None:  # noqa: ARG002
        raise NotInRealTimeError("in real time the centre is one process; see python -m bench.centre_workers")

    def snapshot(self) -> None:
        self._then(self._stop, self._copy, self._start)

    def restore(self) -> None:
        self._then(self._stop, self._copy_back, self._start)

    async def close(self) -> None:
        if self._changes is not None:
            await self._changes
        await self._stop()

    def _then(self, *steps: Callable[[], Awaitable[None]]) -> None:
        before = self._changes

        async def change() -> None:
            if before is not None:
                await before
            for step in steps:
                await step()

        self._changes = asyncio.ensure_future(change())

    def _run(self) -> "asyncio.Task[None]":
        def changed(running: Running) -> None:
            if running.crashed:
                self._on_crash(str(running.error))

        return asyncio.ensure_future(supervise("centre", self.server.run, changed, longest_wait_s=1.0))

    async def _stop(self) -> None:
        if not self.task.done():
            self.task.cancel()
            await asyncio.wait([self.task])
        self.server.close()

    async def _start(self) -> None:
        self.server = self._make()
        self.task = self._run()

    async def _copy(self) -> None:
        for path in self.db.parent.glob(f"{self.db.name}*"):
            if not path.name.endswith(".backup"):
                shutil.copy(path, f"{path}.backup")

    async def _copy_back(self) -> None:
        for path in self.db.parent.glob(f"{self.db.name}*"):
            if not path.name.endswith(".backup"):
                path.unlink()
        for path in self.db.parent.glob(f"{self.db.name}*.backup"):
            shutil.copy(path, str(path).removesuffix(".backup"))
