"""The delay of a press on a noisy line, and whether it is received once: board and agent's source on a pty.

In both directions, of a thousand bytes one is damaged, one is lost, and one is preceded by noise. ``python -m
bench.presses`` prints one line; exit code 1 if a press was received twice or not at all.
"""

import asyncio
import json
import random
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from firmware_bridge.readings import Switch
from firmware_bridge.sensors.sensor_board import SensorBoard
from simulators.devices import Board
from simulators.line_faults import corrupt
from simulators.wire import Wire

PRESSES = 100
RATE = 1e-3


async def campaign(presses: int = PRESSES, seed: int = 1) -> dict[str, Any]:
    """Presses in sequence; milliseconds until each was received, and acknowledged to the board."""
    chance = random.Random(seed)
    heard: Counter[int] = Counter()
    received_s: dict[int, float] = {}

    def emit(value: object) -> None:
        if isinstance(value, Switch) and value.event is not None:
            heard[value.event] += 1
            received_s.setdefault(value.event, time.monotonic())

    with tempfile.TemporaryDirectory() as folder, Wire(Path(folder) / "board") as wire:
        board = Board(wire)
        board.line_fault = lambda data: corrupt(data, chance, flips=RATE, drops=RATE, noise=RATE)
        source = SensorBoard(port=str(wire.path))
        tasks = [asyncio.ensure_future(job) for job in (board.run(), source.run(emit))]
        while not wire.ready():
            await asyncio.sleep(0.01)
        took_ms, known_ms = [], []
        for number in range(presses):
            await asyncio.sleep(chance.random() * 0.05)
            pressed_s = time.monotonic()
            event = board.press("panic_button", on=number % 2 == 0)
            while event not in board.acknowledged:
                await asyncio.sleep(0.002)
            known_ms.append((time.monotonic() - pressed_s) * 1000)
            took_ms.append((received_s[event] - pressed_s) * 1000)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "presses": presses,
        "heard_once": sum(count == 1 for count in heard.values()),
        "heard_ms_p50": round(statistics.median(took_ms), 1),
        "heard_ms_max": round(max(took_ms), 1),
        "acknowledged_ms_max": round(max(known_ms), 1),
        "frames_sent_again": board.repeats - presses,
    }


def main() -> int:
    found = asyncio.run(asyncio.wait_for(campaign(), 120))
    print(json.dumps(found))
    return 0 if found["heard_once"] == found["presses"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
