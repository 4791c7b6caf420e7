"""The machine of a simulated device, as `agent.host.machine` shows it: its readings are constant."""

import os
from collections.abc import Callable
from pathlib import Path

from agent.host.machine import Machine
from simulators.virtual.incarnation import INCARNATION

BLOCK = 4096
GB = 1_000_000_000
TOTAL_BYTES, FREE_BYTES = 32 * GB, 20 * GB
_FILES = {
    "proc/meminfo": "MemTotal: 4000000 kB\nMemAvailable: 2000000 kB\n",
    "proc/self/statm": "40000 30000 5000 1 0 20000 0\n",
    "proc/loadavg": "0.10 0.10 0.10 1/100 1000\n",
    "sys/class/thermal/thermal_zone0/temp": "45000\n",
}
_THROTTLED = "sys/devices/platform/soc/firmware/get_throttled"


class VirtualMachine(Machine):
    """``root`` is a folder with the files of /proc and /sys that the agent reads."""

    def __init__(self, root: Path, disk_is_full: Callable[[], bool]) -> None:
        self.root = root
        self._disk_is_full = disk_is_full
        for name, text in _FILES.items():
            self._write(name, text)
        self.set_throttled(0)

    def set_throttled(self, bits: int) -> None:
        """The throttling bits of a Raspberry Pi; 0 ends it."""
        self._write(_THROTTLED, f"{bits:x}\n")

    def disk_room(self, folder: Path) -> os.statvfs_result:
        os.statvfs(folder)  # OSError where it is gone
        total, free = TOTAL_BYTES // BLOCK, (0 if self._disk_is_full() else FREE_BYTES) // BLOCK
        return os.statvfs_result((BLOCK, BLOCK, total, free, free, 2_000_000, 1_500_000, 1_500_000, 0, 255))

    def software(self) -> dict[str, str]:
        """The same for each version and for each Python: the trace of a run does not depend on them."""
        return {"ringpost": "simulated", "python": "simulated"}

    def task_count(self) -> int:
        """Of this device: others share the loop."""
        owner = INCARNATION.get()
        return 0 if owner is None else len(owner.tasks)

    def trim_heap(self) -> None:
        """Many machines share this process."""

    def _write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
