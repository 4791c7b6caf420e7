"""The real centre in the loop of the run."""

import asyncio
import contextvars
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.domain.message import SIMULATED_ROOT
from agent.host.clock import use_clock
from agent.host.entropy import use_entropy
from agent.host.network import use_network
from agent.host.threads import use_threads
from agent.mqtt.broker import Broker
from agent.runtime.supervisor import supervise
from agent.trust.signing_key import SigningKey
from centre.message_store import NUMBERED
from centre.server import Centre
from simulators.run_record import RunRecord
from simulators.virtual.host import InlineThreads, SeededEntropy, VirtualClock, virtual_loop
from simulators.virtual.incarnation import INCARNATION, Incarnation
from simulators.virtual.network import VirtualNetwork

NAME = "ringpost-centre"
FILE_PARTS = ("", "-wal", "-shm")


class VirtualCentre:
    """See `simulators.stage.StagedCentre`."""

    def __init__(
        self, db: Path, url: str, network: VirtualNetwork, clock: VirtualClock, record: RunRecord,
        key: SigningKey, seed: int,
    ) -> None:  # fmt: skip
        self.db = db
        self.down = True
        self._url = url
        self._network = network
        self._clock = clock
        self._record = record
        self._key = key
        self._seed = seed
        self._starts = 0
        self._process = Incarnation(NAME)
        self._centre: Centre | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts it, and waits until it takes messages."""
        self.set_down(False)
        if self._centre is not None:
            await self._centre.ready.wait()

    def set_down(self, down: bool) -> None:
        """As SIGKILL, and the next start."""
        if down == self.down:
            return
        self.down = down
        if down:
            self.end()
            self._record.event("killed", part="centre")
        else:
            self._begin()
            self._record.event("started", part="centre")

    def snapshot(self) -> None:
        """Makes a backup of the database."""
        self._copy(self.db, self._backup)

    def restore(self) -> None:
        """Puts the backup back; what came since is gone. OSError where there is none."""
        if not self._backup.exists():
            raise FileNotFoundError(f"{self._backup}: no backup was made")
        was_down = self.down
        self.set_down(True)
        self._copy(self._backup, self.db)
        self.set_down(was_down)

    @property
    def _backup(self) -> Path:
        return self.db.with_name(self.db.name + ".backup")

    @staticmethod
    def _copy(source: Path, to: Path) -> None:
        for ending in FILE_PARTS:
            part, target = source.with_name(source.name + ending), to.with_name(to.name + ending)
            target.unlink(missing_ok=True)
            if part.exists():
                shutil.copyfile(part, target)

    def _begin(self) -> None:
        self._starts += 1
        self._process = Incarnation(NAME)
        context = contextvars.copy_context()
        context.run(self._enter)
        centre = self._centre = context.run(
            Centre, self.db, Broker(url=self._url), SIMULATED_ROOT, self._stored, key=self._key
        )
        run = supervise("centre", centre.run, lambda _: None)
        self._task = virtual_loop().create_task(run, context=context)
        process = self._process

        def ended(_: "asyncio.Task[None]") -> None:
            if not process.dead:
                self._record.event("died", part="centre", error="it ended by itself")

        self._task.add_done_callback(ended)

    def _enter(self) -> None:
        loop = virtual_loop()
        INCARNATION.set(self._process)
        use_clock(self._clock)
        use_entropy(SeededEntropy(self._seed, f"{NAME}/{self._starts}", self._clock))
        use_threads(InlineThreads(loop))
        use_network(self._network)

    def end(self) -> None:
        """Ends it at once, without a record of it."""
        centre, self._centre, self._task = self._centre, None, None
        virtual_loop().end(self._process)
        self._network.close_all()
        if centre is not None:
            centre.close()

    def _stored(self, device: str, topic: str, body: Mapping[str, Any]) -> None:
        if topic in NUMBERED and "id" in body:
            self._record.event("committed", device, id=body["id"])
