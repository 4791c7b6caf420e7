"""What a scenario acts on: devices with their hardware, a broker and a centre, in virtual or in real time."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from simulators.line_faults import LineFault
from simulators.run_record import RunRecord


class NotInRealTimeError(Exception):
    """The fault needs ``clock: virtual``: the message says why."""


class NotInVirtualTimeError(Exception):
    """The fault needs ``clock: real``: the message says why."""


class StagedLine(Protocol):
    """The wire of one source, between simulated hardware and the agent."""

    @property
    def is_open(self) -> bool:
        """Whether the agent has it open."""

    @property
    def path(self) -> str:
        """The name of the device."""

    @property
    def bytes_to_agent(self) -> int:
        """How many bytes of the hardware reached the agent; `line_fault` can keep them back."""

    line_fault: LineFault
    """Applied to each write of the hardware while the agent has the line open; ``bytes`` for none."""
    line_fault_from_agent: LineFault
    """Applied to all that the agent writes; ``bytes`` for none."""

    def unplug(self) -> None: ...
    def plug(self, path: str | None = None) -> None:
        """``path``: under another device name, as after re-enumeration."""

    def go_mute(self) -> None:
        """Open, but without data."""


class StagedCamera(Protocol):
    """The camera of one source, in `StagedDevice.hardware`."""

    connections: int
    """How often it was opened."""
    blinding: str | None
    """Its present fault, see `simulators.blinding`; None for none."""
    faulty: int
    """How many pictures, or groups of sightings, had a fault, or were refused or kept back by one."""

    async def cut(self) -> None:
        """As a pulled cable."""

    async def restore(self) -> None: ...


class StagedClock(Protocol):
    """The clocks of one device."""

    wrong_reads: int
    """How often the device has read its wall clock, or whether it is synchronised, while a fault changed
    the answer."""

    def step(self, by_s: float) -> None:
        """Moves the wall clock."""

    def set_synchronised(self, synchronised: bool) -> None: ...
    def set_rate(self, rate: float) -> None:
        """Seconds of its wall clock in a second."""


class StagedDisk(Protocol):
    """The disk of one device."""

    def set_full(self, full: bool) -> None: ...
    def set_read_only(self, read_only: bool) -> None: ...
    def set_io_error(self, failing: bool) -> None: ...
    def set_slow(self, seconds: float) -> None:
        """Each step takes this long; 0 ends it."""

    @property
    def errors(self) -> int:
        """How many operations the fault refused or delayed."""


class StagedDevice(Protocol):
    """One device: its agent, its hardware, its folder."""

    name: str
    folder: Path
    """Of its data; survives a power cut."""
    starts: int
    """How often its agent was started."""
    config: Mapping[str, Any]

    @property
    def clock(self) -> StagedClock: ...
    @property
    def disk(self) -> StagedDisk: ...
    @property
    def hardware(self) -> Mapping[str, Any]:
        """The simulated hardware by source: `simulators.devices`, or the camera of the scene."""

    @property
    def lines(self) -> Mapping[str, StagedLine]:
        """By source; a camera has none."""

    @property
    def running(self) -> bool: ...
    async def start(self) -> None: ...
    async def stop(self) -> None:
        """SIGTERM: it says goodbye."""

    async def kill(self) -> None:
        """SIGKILL: nothing of it runs on, its disk stays as it is at this instant."""

    async def cut_power(self) -> None:
        """As `kill`, and all that was not made durable is gone; the boot id changes."""

    def set_hanging(self, hanging: bool) -> None:
        """SIGSTOP, and SIGCONT. NotInVirtualTimeError where all devices share one process."""

    def set_throttled(self, bits: int) -> None:
        """The throttling bits of a Raspberry Pi: 1 for a low supply voltage, 8 for heat; 0 ends it."""

    async def push(self, config: str) -> None:
        """A signed push of a whole configuration."""

    async def command(self, name: str, fields: Mapping[str, Any]) -> None:
        """A signed ``command/<name>``; ``ack`` is a signed ``alert/ack``. The answer comes as a message."""


class StagedBroker(Protocol):
    """The broker, and the network between it and each device."""

    def set_down(self, down: bool) -> None:
        """Connections end, and new ones are refused."""

    def restart(self, *, keep_sessions: bool) -> None: ...
    def cut(self, device: str, how: str) -> None:
        """``closed`` (FIN), ``reset`` (RST), ``half_open`` (nothing arrives any more), ``unreachable``,
        ``tls_expired`` (the certificate that it shows), ``auth_revoked`` (each connection is refused). The
        present connection ends, except with ``half_open``; until `mend` no new one succeeds."""

    def mend(self, device: str) -> None: ...
    def set_unkind(self, how: str, chance: float) -> None:
        """``drop_after_acknowledgement``, ``reorder``, ``late_will``, ``refuse``, ``quota``; 0 ends it."""

    def shape(
        self,
        device: str,
        *,
        latency_s: float = 0.0,
        jitter_s: float = 0.0,
        bytes_per_s: float | None = None,
        slice_bytes: int | None = None,
    ) -> None:
        """``slice_bytes``: no more arrive at once. The defaults end it."""

    def struck(self, how: str, device: str | None = None) -> int:
        """How often a fault struck, of one device or of all: ``how`` as in `cut` and `set_unkind`, or
        ``down``, ``restart``, ``shape``. A connection that ended or was refused, a message that was dropped,
        reordered, delayed or refused, a will that came late."""


class StagedCentre(Protocol):
    """The centre behind the broker."""

    db: Path
    stored: int
    """How many messages it has stored."""

    @property
    def workers(self) -> int:
        """How many processes it has."""

    def set_down(self, down: bool) -> None: ...
    def set_worker_down(self, number: int, down: bool) -> None:
        """Of one process, counted from 0: as SIGKILL, and the next start."""

    def snapshot(self) -> None:
        """Makes a backup of the database."""

    def restore(self) -> None:
        """Puts the backup back; what came since is gone."""


class Stage(Protocol):
    """All that one run of a scenario has."""

    clock: str
    """``virtual`` or ``real``."""
    seed: int

    @property
    def devices(self) -> Mapping[str, StagedDevice]: ...
    @property
    def broker(self) -> StagedBroker: ...
    @property
    def centre(self) -> StagedCentre: ...

    record: RunRecord
    world: Any
    """`simulators.world`."""

    def now_s(self) -> float:
        """Seconds since the start of the run."""

    async def sleep_until(self, second: float) -> None: ...
    def on_message(self, listener: Callable[[str, str, Mapping[str, Any]], None]) -> None:
        """Calls ``listener(device, topic, body)`` with each message that the broker takes from a device."""
