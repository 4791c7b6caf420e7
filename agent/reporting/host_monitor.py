"""The machine's health: disk, memory, temperature, throttling, load, certificates. Read from /proc and /sys.

`look` reads, and needs no rights; a value that this machine does not offer is None. `HostMonitor` reports
troubles, with hysteresis, so that none flickers.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.mqtt.tls import expiry
from agent.runtime.kernel_clock import NEVER_BEFORE

THROTTLED = ("its supply voltage is too low", "it is slowed down", "it is slowed down", "it is hot")
"""The lowest bits of what a Raspberry Pi's firmware says; further ones are what was so since the start."""
TOLD_S = 60.0
"""What comes and goes with each load is said to be so this long after the last time."""
EXPIRES_SOON_DAYS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What was seen at one moment."""

    disk_free_mb: int | None = None
    disk_total_mb: int | None = None
    files_free: int | None = None
    memory_free_mb: int | None = None
    memory_total_mb: int | None = None
    process_mb: int | None = None
    """What this agent takes."""
    load: float | None = None
    """Of the last five minutes, for each core: above 1, something has to wait."""
    temperature_c: float | None = None
    throttled: int | None = None
    throttle_count: int | None = None
    up_s: int | None = None
    certificates_days: Mapping[str, int] = field(default_factory=dict)
    """Days that each certificate is still valid; below 0 it has expired."""

    def fields(self) -> dict[str, Any]:
        """For ``health``; what is not known is absent."""
        return {key: value for key, value in asdict(self).items() if value not in (None, {})}


def look(folder: Path, certificates: Mapping[str, Path], now: datetime, root: Path = Path("/")) -> Machine:
    """The machine now; ``folder`` is where the data is. Blocking, for a millisecond or so."""
    disk = _try(lambda: os.statvfs(folder))
    memory = _try(lambda: _meminfo(root / "proc/meminfo")) or {}
    return Machine(
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
    """What was read, or None where this machine has no such thing, or says it otherwise."""
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
    """Of each zone that says one that can be; some drivers say -274 or 0."""
    for path in folder.glob("thermal_zone*/temp"):
        degrees = _try(lambda path=path: int(path.read_text()) / 1000)  # type: ignore[misc]  # a default hides its type
        if degrees is not None and 0 < degrees < 150:
            yield round(degrees, 1)


def _throttled(root: Path) -> int | None:
    """The bits of a Raspberry Pi's firmware; where only its voltage monitor is there, that one bit."""
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
    """What is wrong with the machine, with what was before in mind.

    No figure that changes all the time stands in a line: a new line is told as a change.
    """

    def __init__(self) -> None:
        self._standing: frozenset[str] = frozenset()
        self._count: int | None = None
        self._slow: dict[str, float] = {}  # why, and when it was last so

    def troubles(self, machine: Machine, now: datetime, now_s: float) -> list[str]:
        """One line each. What stands already needs to be clearly better to go."""
        self._notice_slowness(machine, now_s)
        found = dict(self._find(machine, now))
        self._standing = frozenset(found)
        return list(found.values())

    def _notice_slowness(self, machine: Machine, now_s: float) -> None:
        bits = machine.throttled or 0
        reasons = {text for place, text in enumerate(THROTTLED) if bits >> place & 1}
        if None not in (machine.throttle_count, self._count) and machine.throttle_count != self._count:
            reasons.add("it is slowed down")
        self._count = machine.throttle_count
        self._slow |= dict.fromkeys(reasons, now_s)
        self._slow = {text: last_s for text, last_s in self._slow.items() if now_s - last_s < TOLD_S}

    def _find(self, machine: Machine, now: datetime) -> Iterator[tuple[str, str]]:
        if self._short("disk", machine.disk_free_mb, min(max(100, (machine.disk_total_mb or 0) // 20), 1000)):
            yield "disk", "machine: the disk is nearly full"
        if self._short("files", machine.files_free, 2000):
            yield "files", "machine: the disk takes hardly any more files"
        memory_mb = machine.memory_total_mb or 0
        if self._short("memory", machine.memory_free_mb, min(max(48, memory_mb // 12), 300)):
            yield "memory", "machine: memory is nearly used up"
        if self._over("hot", machine.temperature_c, 80.0, 75.0):
            yield "hot", "machine: it is hot"
        if self._over("load", machine.load, 4.0, 3.0):
            yield "load", "machine: it has more to do than it can"
        if self._slow:
            yield "slow", f"machine: {', '.join(sorted(self._slow))}"
        if now < NEVER_BEFORE:
            yield "clock", f"machine: its clock says {now:%Y-%m-%d}, which can't be"
        for name, days in machine.certificates_days.items():
            if days < 0:
                yield name, f"{name}: has expired, if this device's clock is right: it says {now:%Y-%m-%d}"
            elif days < EXPIRES_SOON_DAYS:
                yield name, f"{name}: expires in {days} days"

    def _short(self, name: str, left: float | None, least: float) -> bool:
        return left is not None and left < (least * 1.25 if name in self._standing else least)

    def _over(self, name: str, value: float | None, most: float, well: float) -> bool:
        return value is not None and value > (well if name in self._standing else most)
