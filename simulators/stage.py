"""What a scenario acts on: devices with their hardware, a broker and a centre, in virtual or in real time."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from simulators.line_faults import LineFault
from simulators.run_record import RunRecord


class NotInRealTimeError(Exception):
    """The fault needs ``clock: virtual``: the message says why."""


class StagedLine(Protocol):
    """The wire of one source, between simulated hardware and the agent."""

    @property
    def is_open(self) -> bool:
        """Whether the agent has it open."""

    bytes_to_agent: int
    """How many bytes of the hardware reached the agent; `line_fault` can keep them back."""
    line_fault: LineFault
    """Applied to each write in both directions; ``bytes`` for none."""

    def unplug(self) -> None: ...
    def plug(self, path: str | None = None) -> None:
        """``path``: under another device name, as after re-enumeration."""

    def go_mute(self) -> None:
        """Open, but without data."""


class StagedClock(Protocol):
    """The clocks of one device."""

    def step(self, by_s: float) -> None:
        """Moves the wall clock."""

    def set_synchronised(self, synchronised: bool) -> None: ...
    def set_rate(self, rate: float) -> None:
        """Seconds of its wall clock in a second."""


class StagedDisk(Protocol):
    """The disk of one device."""

    def set_full(self, full: bool) -> None: ...
    def set_read_only(self, read_only: bool) -> None: ...
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
    config: Mapping[str, Any]
    clock: StagedClock
    disk: StagedDisk
    hardware: Mapping[str, Any]
    """The simulated hardware by source: `simulators.devices`, or the camera of the scene."""
    lines: Mapping[str, StagedLine]
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

    async def push(self, config: str) -> None:
        """A signed push of a whole configuration."""


class StagedBroker(Protocol):
    """The broker, and the network between it and each device."""

    def set_down(self, down: bool) -> None:
        """Connections end, and new ones are refused."""

    def restart(self, *, keep_sessions: bool) -> None: ...
    def cut(self, device: str, how: str) -> None:
        """``closed`` (FIN), ``reset`` (RST), ``half_open`` (nothing arrives any more), ``unreachable``."""

    def mend(self, device: str) -> None: ...
    def set_unkind(self, how: str, chance: float) -> None:
        """``drop_after_acknowledgement``, ``reorder``, ``late_will``, ``refuse``, ``quota``; 0 ends it."""

    def shape(self, device: str, *, latency_s: float, jitter_s: float, bytes_per_s: float | None) -> None:
        """0, 0 and None end it."""


class StagedCentre(Protocol):
    """The centre behind the broker."""

    db: Path

    def set_down(self, down: bool) -> None: ...
    def snapshot(self) -> None:
        """Makes a backup of the database."""

    def restore(self) -> None:
        """Puts the backup back; what came since is gone."""


class Stage(Protocol):
    """All that one run of a scenario has."""

    clock: str
    """``virtual`` or ``real``."""
    seed: int
    devices: Mapping[str, StagedDevice]
    broker: StagedBroker
    centre: StagedCentre
    record: RunRecord
    world: Any
    """`simulators.world`."""

    def now_s(self) -> float:
        """Seconds since the start of the run."""

    async def sleep_until(self, second: float) -> None: ...
    def on_message(self, listener: Callable[[str, str, Mapping[str, Any]], None]) -> None:
        """Calls ``listener(device, topic, body)`` with each message that the broker takes from a device."""
