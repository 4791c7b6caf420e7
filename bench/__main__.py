"""``make bench``: every figure that the README quotes, into bench/results.json and a table.

Each part runs in a process of its own. Ratios are to a limit measured in the same run; absolute figures
belong to this machine.
"""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
PARTS = {
    "serial_lines": "serial codecs on one core",
    "eight_ports": "eight ports full of NMEA",
    "quiet_lines": "delay on lines that rest between packets",
    "noisy_lines": "fixes on noisy lines",
    "sniffer": "packets on clean and noisy lines",
    "damaged_frames": "damaged sensor-board frames",
    "presses": "presses on a noisy line",
    "keeping": "outbox and link",
    "pipeline": "camera pipeline",
    "tracking": "how long numbers last",
    "watching": "gate, tracker and rules",
    "rescue": "a whole device",
    "backlog": "after a long outage",
    "virtual": "virtual time",
    "positions": "positions on a change, and what a city sends",
    "centre_workers": "workers of a centre, killed under load",
    "broker_cluster": "a cluster of brokers, one node killed",
    "ground": "places on the ground",
    "signatures": "signed orders",
    "idle": "an agent while nothing happens",
    "pictures": "pictures and what can be seen",
    "map_store": "the map's model on a day of 2,000 devices",
    "map_page": "the map with 2,000 devices",
}


def main() -> int:
    """Runs all parts, or those named; 1 where one failed."""
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        print(f"bench: no part {', '.join(unknown)}; known: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    console = Console(stderr=True)
    results: dict[str, Any] = {"machine": _machine()}
    failed = 0
    for name in wanted:
        with console.status(f"{PARTS[name]} …"):
            done = subprocess.run(
                [sys.executable, "-m", f"bench.{name}"],
                capture_output=True,
                text=True,
                check=False,
                cwd=HERE.parent,
            )
        if done.returncode != 0:
            failed += 1
            console.print(f"bench.{name} failed:\n{done.stderr.strip()}", markup=False)
            continue
        results[name] = json.loads(done.stdout.splitlines()[-1])
        _show(name, results[name])
    if not failed and not sys.argv[1:]:
        (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    return 1 if failed else 0


def _machine() -> dict[str, Any]:
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "at": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _show(name: str, found: dict[str, Any]) -> None:
    table = Table(title=PARTS[name], show_header=False, title_justify="left", min_width=50)
    for key, value in found.items():
        table.add_row(key.replace("_", " "), str(value))
    Console().print(table)


if __name__ == "__main__":
    raise SystemExit(main())
