"""The health of the host: disk, memory, temperature, throttling, load, certificates; from /proc and /sys.

`read_host` needs no privileges; a value that this machine does not offer is None. `HostMonitor` reports
troubles with hysteresis, so that none flickers.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.host.clock import NEVER_BEFORE
from agent.host.machine import disk_room, machine_root
from agent.mqtt.tls import expiry

THROTTLED = (
    "supply voltage is too low",
    "CPU is slowed down",
    "CPU is slowed down",
    "temperature limit reached",
)
"""The lowest bits of the throttling state of a Raspberry Pi; higher bits report the same since the start."""
REPORTED_S = 60.0
"""A slowdown that comes and goes with load is reported this long after it was last seen."""
EXPIRES_SOON_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """The values of one moment."""

    disk_free_mb: int | None = None
    disk_total_mb: int | None = None
    files_free: int | None = None
    memory_free_mb: int | None = None
    memory_total_mb: int | None = None
    process_mb: int | None = None
    """Resident memory of this agent."""
    load: float | None = None
    """Load average of five minutes per core; above 1, processes wait."""
    temperature_c: float | None = None
    throttled: int | None = None
    throttle_count: int | None = None
    up_s: int | None = None
    certificates_days: Mapping[str, int] = field(default_factory=dict)
    """Remaining validity of each certificate in days; below 0 it has expired."""

    def fields(self) -> dict[str, Any]:
        """For ``health``; unknown values are absent."""
        return {key: value for key, value in asdict(self).items() if value not in (None, {})}


def read_host(
    folder: Path, certificates: Mapping[str, Path], now: datetime, root: Path | None = None
) -> HostState:
    """The present values; ``folder`` is the data folder. Blocks for about a millisecond."""
    root = root or machine_root()
    disk = _try(lambda: disk_room(folder))
    memory = _try(lambda: _meminfo(root / "proc/meminfo")) or {}
    return HostState(
        disk_free_mb=None if disk is None else disk.f_bavail * disk.f_frsize // 1_000_000,
        disk_total_mb=None if disk is None else disk.f_blocks * disk.f_frsize // 1_000_000,
        files_free=None if disk is None or not disk.f_files else disk.f_favail,
        memory_free_mb=memory.get("MemAvailable"),
        memory_total_mb=memory.get("MemTotal"),
        process_mb=_try(lambda: _process_mb(root / "proc/self/statm")),
        load=_try(lambda: _load(root / "proc/loadavg")),
        temperature_c=max(_temperatures(root / "sys/class/thermal"), default=None),
        throttled=_try(lambda: _throttled(root)),
        throttle_count=_try(lambda: _throttle_count(root / "sys/devices/system/cpu")),
        up_s=_try(lambda: int(float((root / "proc/uptime").read_text().split()[0]))),
        certificates_days=dict(_certificates(certificates, now)),
    )


def _try(read: Callable[[], Any]) -> Any:
    """The value, or None where this machine does not offer it in this form."""
    with suppress(OSError, ValueError, IndexError, KeyError):
        return read()
    return None


def _meminfo(path: Path) -> dict[str, int]:
    """Megabytes by name."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) // 1000 for words in lines if len(words) > 1}


def _process_mb(path: Path) -> int:
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1_000_000


def _load(path: Path) -> float:
    return round(float(path.read_text().split()[1]) / (os.cpu_count() or 1), 2)


def _temperatures(folder: Path) -> Iterator[float]:
    """The plausible temperatures of all zones; some drivers report -274 or 0."""
    for path in folder.glob("thermal_zone*/temp"):
        degrees = _try(lambda path=path: int(path.read_text()) / 1000)  # type: ignore[misc]  # a default hides its type
        if degrees is not None and 0 < degrees < 150:
            yield round(degrees, 1)


def _throttled(root: Path) -> int | None:
    """The throttling bits of a Raspberry Pi; where only its voltage monitor exists, that one bit."""
    for path in (root / "sys/devices/platform").glob("soc*/*firmware*/get_throttled"):
        return int(path.read_text(), 16)
    for path in (root / "sys/class/hwmon").glob("hwmon*/name"):
        if path.read_text().strip() == "rpi_volt":
            return int(path.with_name("in0_lcrit_alarm").read_text())
    return None


def _throttle_count(folder: Path) -> int | None:
    counts = [int(path.read_text()) for path in folder.glob("cpu*/thermal_throttle/*_throttle_count")]
    return sum(counts) if counts else None


def _certificates(paths: Mapping[str, Path], now: datetime) -> Iterator[tuple[str, int]]:
    for name, path in paths.items():
        with suppress(OSError, ValueError):
            yield name, (expiry(path) - now).days


class HostMonitor:
    """The troubles of the host, compared with those before.

    No text contains a figure that changes all the time: every new text is reported as a change.
    """

    def __init__(self) -> None:
        self._present: frozenset[str] = frozenset()
        self._count: int | None = None
        self._slow: dict[str, float] = {}  # reason, and when it was last seen

    def troubles(self, host: HostState, now: datetime, now_s: float) -> list[str]:
        """One line for each trouble. A present trouble clears only where the value is clearly better."""
        self._notice_slowness(host, now_s)
        found = dict(self._find(host, now))
        self._present = frozenset(found)
        return list(found.values())

    def _notice_slowness(self, host: HostState, now_s: float) -> None:
        bits = host.throttled or 0
        reasons = {text for place, text in enumerate(THROTTLED) if bits >> place & 1}
        if None not in (host.throttle_count, self._count) and host.throttle_count != self._count:
            reasons.add("CPU is slowed down")
        self._count = host.throttle_count
        self._slow |= dict.fromkeys(reasons, now_s)
        self._slow = {text: last_s for text, last_s in self._slow.items() if now_s - last_s < REPORTED_S}

    def _find(self, host: HostState, now: datetime) -> Iterator[tuple[str, str]]:
        if self._below("disk", host.disk_free_mb, min(max(100, (host.disk_total_mb or 0) // 20), 1000)):
            yield "disk", "machine: the disk is nearly full"
        if self._below("files", host.files_free, 2000):
            yield "files", "machine: the disk has hardly any free inodes"
        memory_mb = host.memory_total_mb or 0
        if self._below("memory", host.memory_free_mb, min(max(48, memory_mb // 12), 300)):
            yield "memory", "machine: memory is nearly used up"
        if self._above("hot", host.temperature_c, 80.0, 75.0):
            yield "hot", "machine: temperature is high"
        if self._above("load", host.load, 4.0, 3.0):
            yield "load", "machine: CPU overloaded"
        if self._slow:
            yield "slow", f"machine: {', '.join(sorted(self._slow))}"
        if now < NEVER_BEFORE:
            yield "clock", f"machine: its clock says {now:%Y-%m-%d}, which is wrong"
        for name, days in host.certificates_days.items():
            if days < 0:
                yield name, f"{name}: has expired, if this device's clock is right: it says {now:%Y-%m-%d}"
            elif days < EXPIRES_SOON_DAYS:
                yield name, f"{name}: expires in {days} days"

    def _below(self, name: str, value: float | None, minimum: float) -> bool:
        return value is not None and value < (minimum * 1.25 if name in self._present else minimum)

    def _above(self, name: str, value: float | None, maximum: float, cleared: float) -> bool:
        return value is not None and value > (cleared if name in self._present else maximum)
