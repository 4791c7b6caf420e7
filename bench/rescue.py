"""A whole device, as in the end-to-end tests: latency from a frame or a press to the centre, CPU and memory.

The agent in its own process, ptys, an MJPEG stream at 10 frames a second, a real broker, the centre.
"""

import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from agent.domain.message import ROOT
from simulators.broker import mosquitto_path
from simulators.scene import Scene
from tests.end_to_end import rig as rigs
from tests.end_to_end.rig import Rig, rig

PRESSES, WATCH_S = 60, 40.0
RULE = (
    "  rail: {kind: zone_enter, camera: cam1, zone: rail, labels: [person], frames: 1, grace: 0s,"
    " cool_down: 0s, severity: info}"
)


class Blinking(Scene):
    """The man is present for two seconds, and absent for two."""

    def where(self, second: float) -> float | None:
        return 0.35 if int(second / 2) % 2 else None


def figures() -> dict[str, Any]:
    """Frame and press to the centre in ms, the agent's memory and CPU."""
    with tempfile.TemporaryDirectory() as name, _rule(RULE):
        return asyncio.run(_measure(Path(name)))


@contextmanager
def _rule(text: str) -> Iterator[None]:
    before, rigs.CAMERA_RULE = rigs.CAMERA_RULE, text
    try:
        yield
    finally:
        rigs.CAMERA_RULE = before


async def _measure(folder: Path) -> dict[str, Any]:
    async with rig(folder, "mosquitto" if mosquitto_path() else "rumqttd", Blinking()) as device:
        frames_ms = list[float]()
        hear = device.centre.intake._on_stored

        def note(name: str, topic: str, body: dict[str, Any]) -> None:
            alert = body.get("alert", {})
            if topic == "alert" and alert["rule"] == "rail" and alert["phase"] == "new":
                since = datetime.fromisoformat(alert["since"])
                frames_ms.append((datetime.now(UTC) - since).total_seconds() * 1000)
            if hear is not None:
                hear(name, topic, body)

        device.centre.intake._on_stored = note
        device.start_agent()
        await device.until(lambda: bool(device.alerts("rail")), 30, "the first man")
        assert device.agent is not None
        process = psutil.Process(device.agent.pid)
        used, began_s = process.cpu_times(), time.monotonic()
        await asyncio.sleep(WATCH_S)
        later, span_s = process.cpu_times(), time.monotonic() - began_s
        presses_ms = [await _press(device, number) for number in range(PRESSES)]
        memory = process.memory_full_info()
        sizes = _sizes(device)
    return {
        "frame_to_centre_p50_ms": round(statistics.median(frames_ms[1:]), 1),
        "frame_to_centre_max_ms": round(max(frames_ms[1:]), 1),
        "press_to_centre_p50_ms": round(statistics.median(presses_ms), 1),
        "press_to_centre_max_ms": round(max(presses_ms), 1),
        "agent_memory_mb": round(memory.uss / 1e6, 1),
        "agent_cpu_of_one_core": round((later.user + later.system - used.user - used.system) / span_s, 2),
        "bytes_of_a_message": sizes,
    }


def _sizes(device: Rig) -> dict[str, int]:
    """Topic and body of a usual message of each kind, in bytes (median)."""
    found: dict[str, list[int]] = defaultdict(list)
    with sqlite3.connect(device.db) as db:
        for topic, size in db.execute("SELECT topic, length(CAST(body AS BLOB)) FROM message"):
            found[topic].append(len(f"{ROOT}/rig-1/{topic}") + size)
    return {topic: round(statistics.median(sizes)) for topic, sizes in sorted(found.items())}


async def _press(device: Rig, number: int) -> float:
    """Milliseconds from the press until the centre has committed its alert."""
    on, before = number % 2 == 0, len(device.alerts("panic"))
    began_s = time.perf_counter()
    device.board.press("panic_button", on)
    while len(device.alerts("panic")) == before:
        await asyncio.sleep(0.001)
    took_ms = (time.perf_counter() - began_s) * 1000
    await asyncio.sleep(0.05)
    return took_ms


if __name__ == "__main__":
    print(json.dumps(figures()))
