"""What a process uses: CPU time, memory, threads and descriptors, by /proc."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """``cpu_s`` since the start of the process; memory in MB (resident, and proportional)."""

    cpu_s: float
    rss_mb: float
    pss_mb: float
    threads: int
    descriptors: int

    def since(self, before: "Usage", took_s: float) -> dict[str, Any]:
        """For a result: CPU in ms for each of ``took_s`` seconds, and the rest as it is now."""
        return {
            "cpu_ms_per_s": round(1000 * (self.cpu_s - before.cpu_s) / took_s, 2),
            "rss_mb": self.rss_mb, "pss_mb": self.pss_mb,
            "threads": self.threads, "descriptors": self.descriptors,
        }  # fmt: skip


def usage(pid: int) -> Usage:
    """OSError where the process is gone."""
    folder = Path(f"/proc/{pid}")
    words = (folder / "stat").read_text().rpartition(")")[2].split()
    lines = (line.split() for line in (folder / "smaps_rollup").read_text().splitlines()[1:])
    kb = {words[0].rstrip(":"): int(words[1]) for words in lines}
    return Usage(
        (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK"),
        round(kb["Rss"] / 1000, 1),
        round(kb["Pss"] / 1000, 1),
        len(list((folder / "task").iterdir())),
        len(list((folder / "fd").iterdir())),
    )
