"""A device of a stage in real time: the agent as a process of its own, its hardware on ptys and a stream."""

import asyncio
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.cli.fleet_link import FleetLink
from agent.cli.pushed_change import PushedChange
from agent.cli.revisions import next_revision
from agent.cli.signing import DeskSigner
from agent.host.entropy import uuid7
from agent.runtime.exit_codes import EX_TEMPFAIL
from simulators.run_record import RunRecord
from simulators.scenario.device_config import ROLES
from simulators.stage import NotInRealTimeError
from simulators.wire import Wire

ENDS_WITHIN_S = 10.0


class RealLine:
    """See `simulators.stage.StagedLine`: the line of a `Wire`."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    @property
    def is_open(self) -> bool:
        return self.wire.is_open()

    @property
    def path(self) -> str:
        return str(self.wire.path)

    @property
    def bytes_to_agent(self) -> int:
        return self.wire.bytes_to_agent

    @property
    def line_fault(self) -> Callable[[bytes], bytes]:
        return self.wire.line_fault

    @line_fault.setter
    def line_fault(self, fault: Callable[[bytes], bytes]) -> None:
        self.wire.line_fault = fault

    @property
    def line_fault_from_agent(self) -> Callable[[bytes], bytes]:
        return self.wire.line_fault_from_agent

    @line_fault_from_agent.setter
    def line_fault_from_agent(self, fault: Callable[[bytes], bytes]) -> None:
        self.wire.line_fault_from_agent = fault

    def unplug(self) -> None:
        self.wire.unplug()

    def plug(self, path: str | None = None) -> None:
        self.wire.plug(None if path is None else Path(path))

    def go_mute(self) -> None:
        self.wire.go_mute()


class RealClock:
    """The clock of this machine, which no scenario changes."""

    wrong_reads = 0

    def step(self, by_s: float) -> None:  # noqa: ARG002
        raise NotInRealTimeError("Linux gives no process a wall clock of its own")

    def set_synchronised(self, synchronised: bool) -> None:  # noqa: ARG002
        raise NotInRealTimeError("Linux gives no process a wall clock of its own")

    def set_rate(self, rate: float) -> None:  # noqa: ARG002
        raise NotInRealTimeError("Linux gives no process a wall clock of its own")


class RealDisk:
    """The disk as one process meets it. Only what needs neither root nor a file system can be done to it."""

    def __init__(self, pid: Callable[[], int | None], troubles: Callable[[], int]) -> None:
        """``troubles``: how many messages of the device have said that its disk is in trouble."""
        self._pid = pid
        self._troubles = troubles

    @property
    def errors(self) -> int:
        return self._troubles()

    def set_full(self, full: bool) -> None:
        """No file of the running agent takes anything more (RLIMIT_FSIZE)."""
        if (pid := self._pid()) is not None:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0 if full else hard, hard))

    def set_read_only(self, read_only: bool) -> None:  # noqa: ARG002
        raise NotInRealTimeError("a real disk that is read-only needs a file system of its own")

    def set_io_error(self, failing: bool) -> None:  # noqa: ARG002
        raise NotInRealTimeError("a real disk that fails needs a device mapper")

    def set_slow(self, seconds: float) -> None:  # noqa: ARG002
        raise NotInRealTimeError("a real disk that is slow needs a device mapper")


class RealDevice:
    """See `simulators.stage.StagedDevice`. ``place`` holds its configuration, its roles and its data."""

    def __init__(
        self,
        name: str,
        config: Mapping[str, Any],
        place: Path,
        *,
        root: str,
        link: FleetLink,
        signer: DeskSigner,
        record: RunRecord,
        scenery: Sequence[str],
    ) -> None:
        """``scenery``: the last arguments of `simulators.scenario.real_agent`."""
        self.name = name
        self.config = config
        self.folder = place / "data"
        self.starts = 0
        self.hardware: dict[str, Any] = {}
        self.lines: dict[str, RealLine] = {}
        self.clock = RealClock()
        self.disk = RealDisk(
            lambda: self._process.pid if self._process and self.running else None, self._disk_troubles
        )
        self._place = place
        self._root = root
        self._link = link
        self._signer = signer
        self._record = record
        self._scenery = scenery
        self._process: asyncio.subprocess.Process | None = None
        self._expected = False
        """Whether this end of the process is ours."""
        self._watch: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def _disk_troubles(self) -> int:
        own = (
            one["body"]
            for one in self._record.messages
            if (one["device"], one["topic"]) == (self.name, "status")
        )
        return sum("disk" in str(body.get("reasons")) for body in own)

    async def start(self) -> None:
        """RuntimeError where it runs already."""
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        self.starts += 1
        self._expected = False
        with (self._place / "agent.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "simulators.scenario.real_agent",
                str(self._place / "config.yaml"), str(self.folder), *self._scenery,
                stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        self._record.event("started", self.name, part="device")
        self._watch = asyncio.ensure_future(self._watch_process(self._process))

    async def stop(self) -> None:
        """SIGTERM: it says goodbye. It is killed where it does not end."""
        self._record.event("stopped", self.name, part="device")  # what it still says is its goodbye
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)
        self._record.event("killed", self.name, part="device")

    async def cut_power(self) -> None:
        """As `kill`: what this kernel has taken stays on its disk."""
        await self._end(signal.SIGKILL)
        self._record.event("killed", self.name, part="device", power=False)

    def set_hanging(self, hanging: bool) -> None:
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGSTOP if hanging else signal.SIGCONT)

    def set_throttled(self, bits: int) -> None:  # noqa: ARG002
        raise NotInRealTimeError("the throttling bits are those of this machine")

    async def push(self, config: str) -> None:
        """OSError: the broker is not reached."""
        report = self._link.report(self.name, "config/reported")
        fields = {**PushedChange("push", config).fields(), "revision": next_revision(report)}
        await self._publish("config/desired", self._signer.push(self.name, fields))

    async def command(self, name: str, fields: Mapping[str, Any]) -> None:
        if name == "ack":
            await self._publish("alert/ack", self._signer.ack(self.name, fields))
            return
        order = self._signer.command(self.name, name, {"id": uuid7(), **fields})
        await self._publish(f"command/{name}", order)

    async def _publish(self, topic: str, payload: bytes) -> None:
        await self._link.publish(f"{self._root}/{self.name}/{topic}", payload)

    async def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._expected = True
        process.send_signal(how)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), ENDS_WITHIN_S)
        if process.returncode is None:
            process.kill()
            await process.wait()

    async def _watch_process(self, process: asyncio.subprocess.Process) -> None:
        """Starts the agent again where it asks for that, as its service manager does; else it has died."""
        code = await process.wait()
        if self._expected or self._process is not process:
            return
        if code == EX_TEMPFAIL:
            self._record.event("restarted", self.name, part="device")
            await self.start()
            return
        self._record.event("died", self.name, part="device", error=f"exit code {code}: {self._last_words()}")

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = (self._place / "agent.log").read_text(errors="replace").splitlines()
            return lines[-1][:200] if lines else "it wrote nothing"
        return "it wrote nothing"

    def prepare(self, roles: bytes) -> None:
        """Writes its files. OSError."""
        from ruamel.yaml import YAML

        (self._place / ROLES).write_bytes(roles)
        with (self._place / "config.yaml").open("w") as file:
            YAML(typ="safe").dump(dict(self.config), file)
