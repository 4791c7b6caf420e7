"""The latency of a packet on lines with pauses between packets: from its last byte to its value.

A child process writes on two ptys: a board's report twenty times and a receiver's epoch of three sentences
five times a second, in pieces of 16 bytes at 115200 baud. The real sources read them here.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from firmware_bridge.nmea import gnss_encoder
from firmware_bridge.nmea.nmea import Nmea
from firmware_bridge.readings import Fix, Reading, Value
from firmware_bridge.sensors import board_frames
from firmware_bridge.sensors.board_frames import REPORT
from firmware_bridge.sensors.sensor_board import SensorBoard
from firmware_bridge.serial.line import SerialLine
from simulators.receiver import epoch_at
from simulators.wire import Wire

RUN_S = 8.0
PACKETS_PER_S, EPOCH_EVERY = 20, 4
PIECE, BYTES_PER_S = 16, 11_520
SETTLED = 5
"""Epochs until a receiver's last sentence is known."""
BEGAN = datetime(2026, 11, 28, tzinfo=UTC)


def figures() -> dict[str, float]:
    """Latencies in milliseconds."""
    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(_measure(Path(name)))


async def _measure(folder: Path) -> dict[str, float]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.quiet_lines", str(folder)),
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    await child.stdout.readline()
    received: dict[str, dict[int, float]] = {"report": {}, "epoch": {}}
    lines: dict[str, SerialLine] = {
        "report": SensorBoard(port=f"{folder}/report"),
        "epoch": Nmea(port=f"{folder}/epoch"),
    }
    tasks = [asyncio.ensure_future(line.run(_take(received[name]))) for name, line in lines.items()]
    sent = json.loads(await child.stdout.readline())
    await asyncio.sleep(0.5)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await child.wait()
    return _delays("report", received, sent) | _delays("epoch", received, sent)


def _take(received: dict[int, float]) -> Callable[[Value], None]:
    """Records the time of receipt of each number."""

    def take(value: Value) -> None:
        if isinstance(value, Reading):
            received.setdefault(round(value.value * 100), time.monotonic())
        elif isinstance(value, Fix) and value.time is not None:
            received.setdefault(round((value.time - BEGAN).total_seconds()), time.monotonic())

    return take


def _delays(
    name: str, received: dict[str, dict[int, float]], sent: dict[str, dict[str, float]]
) -> dict[str, float]:
    wanted = list(sent[name].items())[SETTLED:]
    delays_ms = sorted(1000 * (received[name][int(number)] - at_s) for number, at_s in wanted)
    return {
        f"{name}_p50_ms": round(statistics.median(delays_ms), 2),
        f"{name}_p99_ms": round(delays_ms[int(0.99 * len(delays_ms))], 2),
    }


def _send(folder: Path) -> None:
    """The child process; prints when the last byte of each packet was written."""
    wires = {"report": Wire(folder / "report"), "epoch": Wire(folder / "epoch")}
    print("ready", flush=True)
    while not all(wire.ready() for wire in wires.values()):
        time.sleep(0.01)
    ended: dict[str, dict[int, float]] = {name: {} for name in wires}
    began_s = time.monotonic()
    for number in range(int(RUN_S * PACKETS_PER_S)):
        time.sleep(max(0.0, began_s + number / PACKETS_PER_S - time.monotonic()))
        packets = {"report": board_frames.encode(REPORT, {"seq": number, 0: number})}
        if number % EPOCH_EVERY == 0:
            fix = epoch_at(BEGAN, number, lat=32.1, lon=118.7, speed_mps=8.0).fix
            packets["epoch"] = gnss_encoder.encode(fix)
        for name, data in packets.items():
            for at in range(0, len(data), PIECE):
                time.sleep(PIECE / BYTES_PER_S)
                assert wires[name].write(data[at : at + PIECE]) > 0
            ended[name][number] = time.monotonic()
    print(json.dumps(ended), flush=True)
    time.sleep(1)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _send(Path(sys.argv[1]))
    else:
        print(json.dumps(figures()))
