"""A long run with faults: does the agent grow? Memory, descriptors, threads and tasks, minute by minute.

    python -m bench.soak [MINUTES] [SEED]

The whole device of the end-to-end tests (camera, detector, receiver, sensor board) in its own process.
Meanwhile the link is cut, drops data and becomes slow, the broker is stopped, the receiver and the board are
unplugged, the camera's stream ends, and switches are pressed. The first fifth of the run is the warm-up.
"""

import asyncio
import json
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil

from simulators.broker import mosquitto_path
from simulators.network_hop import NetworkHop
from simulators.scene import Scene
from tests.end_to_end.rig import Rig, rig

SAMPLE_S = 10.0


class Passing(Scene):
    """The man is present for ten seconds of each twenty."""

    def where(self, second: float) -> float | None:
        return 0.35 if int(second / 10) % 2 else None


async def cut(device: Rig, hop: NetworkHop) -> None:
    hop.cut()
    await asyncio.sleep(3)
    hop.heal()


async def swallow(device: Rig, hop: NetworkHop) -> None:
    hop.hole()
    await asyncio.sleep(12)
    hop.heal()


async def slow(device: Rig, hop: NetworkHop) -> None:
    hop.slow(2000)
    await asyncio.sleep(10)
    hop.heal()


async def stop_broker(device: Rig, hop: NetworkHop) -> None:
    await asyncio.to_thread(device.broker.stop)
    await asyncio.sleep(4)
    await asyncio.to_thread(device.broker.start)


async def unplug_receiver(device: Rig, hop: NetworkHop) -> None:
    device.gnss.unplug()
    await asyncio.sleep(4)
    device.gnss.plug()


async def unplug_board(device: Rig, hop: NetworkHop) -> None:
    device.line.unplug()
    await asyncio.sleep(4)
    device.line.plug()


async def end_stream(device: Rig, hop: NetworkHop) -> None:
    assert device.camera is not None
    await device.camera.cut()
    await asyncio.sleep(4)
    await device.camera.restore()


FAULTS: tuple[Callable[[Rig, NetworkHop], Awaitable[None]], ...] = (
    cut, swallow, slow, stop_broker, unplug_receiver, unplug_board, end_stream,
)  # fmt: skip


def figures(minutes: float = 30, seed: int = 1) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(_soak(Path(name), minutes * 60, random.Random(seed)))


async def _soak(folder: Path, seconds: float, rng: random.Random) -> dict[str, Any]:
    kind = "mosquitto" if mosquitto_path() else "rumqttd"
    async with rig(folder, kind, Passing()) as device, NetworkHop(device.broker.port) as hop:
        text = device.write_config()
        device.write_config(text.replace(device.broker.url, hop.url))
        device.start_agent()
        await device.until(lambda: bool(device.last("status")), 60, "the first status")
        assert device.agent is not None
        process = psutil.Process(device.agent.pid)
        began_s = time.monotonic()
        troubling = asyncio.ensure_future(_trouble(device, hop, rng, counted := Counter()))
        samples: list[tuple[float, float, int, int, int | None]] = []
        while time.monotonic() - began_s < seconds and device.agent.poll() is None:
            await asyncio.sleep(SAMPLE_S)
            tasks = device.last("health").get("machine", {}).get("process_tasks")
            memory_mb = _own_mb(device.agent.pid)
            samples.append(
                (time.monotonic() - began_s, memory_mb, process.num_fds(), process.num_threads(), tasks)
            )
            print(f"{samples[-1][0]:6.0f} s  {memory_mb:6.1f} MB  {samples[-1][2:]}", file=sys.stderr)
        died = device.agent.poll()
        troubling.cancel()
        await asyncio.gather(troubling, return_exceptions=True)
        hop.heal()
        await device.until(lambda: len(device.stored("panic")) >= counted["presses"], 90, "the last press")
    warm = [one for one in samples if one[0] > seconds / 5]
    third = max(1, len(warm) // 3)
    early, late = warm[:third], warm[-third:]

    def middle(rows: list[Any], column: int) -> float:
        return round(statistics.median(row[column] for row in rows if row[column] is not None), 1)

    told: dict[str, Any] = {"minutes": round(seconds / 60, 1), **counted, "died": died}
    for column, what in enumerate(("memory_mb", "descriptors", "threads", "tasks"), 1):
        if any(row[column] is not None for row in warm):
            told[f"{what}_early"], told[f"{what}_late"] = middle(early, column), middle(late, column)
    return told


def _own_mb(pid: int) -> float:
    """Private memory only. Shared library pages vary with other processes: that is no growth."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.partition("Private_Dirty:")[2].split()[0]) / 1000


async def _trouble(device: Rig, hop: NetworkHop, rng: random.Random, counted: Counter[str]) -> None:
    """Endless sequence of faults, each followed by a press."""
    while True:
        await rng.choice(FAULTS)(device, hop)
        counted["faults"] += 1
        await asyncio.sleep(rng.uniform(2, 6))
        for on in (True, False):
            number = device.board.press("panic_button", on)
            while number not in device.board.acknowledged:
                await asyncio.sleep(0.05)
            counted["presses"] += on


if __name__ == "__main__":
    from agent.runtime.logging_setup import set_up_log

    set_up_log("error")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # its agent and broker go with it
    print(json.dumps(figures(*map(float, sys.argv[1:2]))))
