"""The real centre in the loop of the run: one process, or several workers."""

import asyncio
import contextvars
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.domain.message import SIMULATED_ROOT
from agent.host.clock import use_clock
from agent.host.entropy import use_entropy
from agent.host.network import use_network
from agent.host.threads import use_threads
from agent.mqtt.broker import Broker
from agent.runtime.health import Running
from agent.runtime.supervisor import supervise
from agent.trust.signing_key import SigningKey
from centre.message_store import NUMBERED
from centre.server import Centre
from centre.worker import Worker
from simulators.run_record import RunRecord
from simulators.virtual.host import InlineThreads, SeededEntropy, VirtualClock, virtual_loop
from simulators.virtual.incarnation import INCARNATION, Incarnation
from simulators.virtual.network import VirtualNetwork

NAME = "ringpost-centre"
FILE_PARTS = ("", "-wal", "-shm")
LOOKS_EVERY_S = 0.1

Server = Centre | Worker
Make = Callable[[], Server]
OnChange = Callable[[Running], None]


class CentreProcess:
    """One process of the centre; ``make`` builds it anew at each start."""

    def __init__(
        self, name: str, make: Make, network: VirtualNetwork, clock: VirtualClock, seed: int,
        on_change: OnChange, on_ended: Callable[[], None],
    ) -> None:  # fmt: skip
        self.name = name
        self.down = True
        self.server: Server | None = None
        self._make = make
        self._network = network
        self._clock = clock
        self._seed = seed
        self._on_change = on_change
        self._on_ended = on_ended
        self._starts = 0
        self._life = Incarnation(name)
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Starts it."""
        self.down = False
        self._starts += 1
        life = self._life = Incarnation(self.name)
        context = contextvars.copy_context()
        context.run(self._enter)
        self.server = context.run(self._make)
        run = supervise("centre", self.server.run, self._on_change)
        self._task = virtual_loop().create_task(run, context=context)

        def ended(_: "asyncio.Task[None]") -> None:
            if not life.dead:
                self._on_ended()

        self._task.add_done_callback(ended)

    def _enter(self) -> None:
        loop = virtual_loop()
        INCARNATION.set(self._life)
        use_clock(self._clock)
        use_entropy(SeededEntropy(self._seed, f"{self.name}/{self._starts}", self._clock))
        use_threads(InlineThreads(loop))
        use_network(self._network)

    def end(self) -> None:
        """Ends it at once, as SIGKILL: with its database closed, nothing of it has an effect any more."""
        server, self.server, self._task, self.down = self.server, None, None, True
        virtual_loop().silence(self._life)
        if server is not None:
            server.close()
        virtual_loop().end(self._life)
        self._network.close_all()

    @property
    def is_ready(self) -> bool:
        """Whether it receives messages."""
        match self.server:
            case Centre() as centre:
                return centre.ready.is_set()
            case Worker(share=share) if share is not None:
                return share.ready.is_set()
        return False

    @property
    def registers(self) -> bool:
        """Whether it tells devices that the centre is there."""
        return self.server.leads if isinstance(self.server, Worker) else self.server is not None


class VirtualCentre:
    """See `simulators.stage.StagedCentre`."""

    def __init__(
        self, db: Path, url: str, network: Callable[[str], VirtualNetwork], clock: VirtualClock,
        record: RunRecord, key: SigningKey, seed: int, workers: int = 1,
    ) -> None:  # fmt: skip
        """``network``: that of a process, by its name."""
        self.db = db
        self.down = True
        self.stored = 0
        self._record = record
        self.processes: list[CentreProcess] = []
        broker = Broker(url=url)
        for number in range(workers):
            name = NAME if workers == 1 else f"{NAME}/{number + 1}"

            def make(number: int = number) -> Server:
                if workers == 1:
                    return Centre(db, broker, SIMULATED_ROOT, self._stored, key=key)
                return Worker(
                    f"w{number + 1}",
                    db,
                    broker,
                    SIMULATED_ROOT,
                    self._stored,
                    key=key,
                    on_change=self._changed,
                )

            self.processes.append(
                CentreProcess(name, make, network(name), clock, seed, self._changed, self._ended)
            )

    @property
    def workers(self) -> int:
        return len(self.processes)

    async def start(self) -> None:
        """Starts it, and waits until it takes messages."""
        self.set_down(False)
        server = self.processes[0].server
        if isinstance(server, Centre):
            await server.ready.wait()
            return
        processes = self.processes
        while not (all(one.is_ready for one in processes) and any(one.registers for one in processes)):  # noqa: ASYNC110
            await asyncio.sleep(LOOKS_EVERY_S)

    def set_down(self, down: bool) -> None:
        """As SIGKILL, and the next start."""
        if down == self.down:
            return
        self.down = down
        for process in self.processes:
            if process.down == down:
                continue
            if down:
                process.end()
            else:
                process.begin()
        self._record.event("killed" if down else "started", part="centre")

    def set_worker_down(self, number: int, down: bool) -> None:
        process = self.processes[number]
        if process.down == down or self.down:
            return
        if down:
            process.end()
        else:
            process.begin()
        self._record.event("killed" if down else "started", part="centre", worker=number + 1)

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

    def end(self) -> None:
        """Ends it at once, without a record of it."""
        for process in self.processes:
            process.end()

    def _changed(self, running: Running) -> None:
        """A crash is an event of its own: its supervisor starts the part again within a second."""
        if running.crashed:
            self._record.event("died", part="centre", error=str(running.error))

    def _ended(self) -> None:
        self._record.event("died", part="centre", error="it ended by itself")

    def _stored(self, device: str, topic: str, body: Mapping[str, Any]) -> None:
        self.stored += 1
        if topic in NUMBERED and "id" in body:
            self._record.event("committed", device, id=body["id"])
