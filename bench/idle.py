"""What an agent costs while nothing happens: CPU time and memory of real processes, by /proc.

A child process is the hardware, mosquitto the broker, `ringpost centre` the centre. Three devices: a post
without sources, a watch point with its sensor board, and one with a GNSS receiver at 1 Hz beside it.
``python -m bench.idle [--seconds N] [--tree FOLDER]``: of the sources in FOLDER instead.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from simulators.broker import LocalBroker
from simulators.devices import Board, Receiver
from simulators.wire import Wire

RUN_S, SETTLING_S = 60.0, 45.0
HERE = Path(__file__).parent.parent

RULES: dict[str, dict[str, Any]] = {
    "panic": {
        "kind": "switch", "source": "board", "name": "panic_button", "severity": "critical", "need_ack": True,
        "ack_within": "60s", "escalate": {"repeat": "60s", "times": 30},
    },
    "tamper": {"kind": "switch", "source": "board", "name": "tamper", "severity": "warning"},
    "board-silent": {"kind": "silence", "source": "board", "after": "15s", "severity": "critical"},
}  # fmt: skip


def config(name: str, url: str, wires: Path) -> dict[str, Any]:
    """The configuration of one of `DEVICES`."""
    sources: dict[str, Any] = {}
    if name != "bare":
        sources["board"] = {"kind": "sensor_board", "port": f"{wires}/{name}-board", "outputs": ["siren"]}
    if name == "gnss":
        sources["gnss"] = {"kind": "nmea", "port": f"{wires}/{name}-gnss", "baud": 115200}
    place = {"ring": "inner_city", "domain": "ground", "site": "bench", "post": name}
    place |= {"lat": 32.0222, "lon": 118.7869}
    return {
        "schema_version": 1, "device": f"idle-{name}", "kind": "watch_point", "place": place,
        "broker": {"url": url}, "sources": sources, "rules": RULES if sources else {},
    }  # fmt: skip


DEVICES = ("bare", "board", "gnss")


def cpu_s(pid: int) -> float:
    """CPU time of a process and of its threads, also of those that have ended."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> dict[str, float]:
    """Resident and proportional memory."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kb = {words[0].rstrip(":").lower(): int(words[1]) for words in lines}
    return {f"{name}_mb": round(kb[name] / 1000, 1) for name in ("rss", "pss")}


def figures(seconds: float = RUN_S, tree: Path = HERE) -> dict[str, Any]:
    """By device: CPU in ms for each second, memory, and the size of the data folder."""
    with tempfile.TemporaryDirectory() as name, LocalBroker("mosquitto") as broker:
        folder = Path(name)
        hardware = subprocess.Popen(
            [sys.executable, "-m", "bench.idle", "--hardware", name], cwd=HERE, stdout=subprocess.PIPE
        )
        assert hardware.stdout is not None
        hardware.stdout.readline()
        centre = _start(tree, ["centre", "--broker", broker.url, "--db", f"{folder}/centre.db"])
        agents: dict[str, subprocess.Popen[bytes]] = {}
        for one in DEVICES:
            path = folder / f"{one}.json"
            path.write_text(json.dumps(config(one, broker.url, folder)))
            data = ["--data", f"{folder}/data-{one}", "--log-level", "warning"]
            agents[one] = _start(tree, ["run", str(path), *data])
        try:
            time.sleep(SETTLING_S)
            before = {one: cpu_s(agent.pid) for one, agent in agents.items()}
            began_s = time.monotonic()
            time.sleep(seconds)
            took_s = time.monotonic() - began_s
            found = {
                one: {
                    "cpu_ms_per_s": round(1000 * (cpu_s(agent.pid) - before[one]) / took_s, 2),
                    **memory_mb(agent.pid),
                    "threads": len(list(Path(f"/proc/{agent.pid}/task").iterdir())),
                    "disk_mb": round(_disk_bytes(folder / f"data-{one}") / 1e6, 1),
                }
                for one, agent in agents.items()
            }
        finally:
            for process in (*agents.values(), centre, hardware):
                process.send_signal(signal.SIGTERM)
                process.wait(30)
        return found


def _disk_bytes(folder: Path) -> int:
    return sum(512 * path.stat().st_blocks for path in folder.rglob("*"))


def _start(tree: Path, words: list[str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "agent", *words]
    return subprocess.Popen(command, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)})


async def _play(folder: Path) -> None:
    """The hardware, until SIGTERM."""
    wires = [Wire(folder / name) for name in ("board-board", "gnss-board", "gnss-gnss")]
    board, other, gnss = wires
    receiver = Receiver(gnss, lat=32.0222, lon=118.7869)
    print("ready", flush=True)
    await asyncio.gather(Board(board).run(), Board(other, seed=1).run(), receiver.run())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=RUN_S)
    options.add_argument("--tree", type=Path, default=HERE)
    options.add_argument("--hardware", type=Path)
    given = options.parse_args()
    if given.hardware:
        asyncio.run(_play(given.hardware))
    else:
        print(json.dumps(figures(given.seconds, given.tree)))


if __name__ == "__main__":
    main()
