"""Eight ports saturated with NMEA at 115200 baud, through real ptys: CPU time of reading, and delay of a fix.

A child process is the hardware: it writes 64 bytes at a time at the speed of the line. This process reads as
the agent does; its CPU time is measured.
"""

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

from firmware_bridge.nmea.nmea import Nmea
from firmware_bridge.readings import Fix, LineState, Value
from simulators.receiver import epoch_at
from simulators.wire import Wire

PORTS = 8
BYTES_PER_S = 11_520
PIECE = 64
SECONDS = 10.0
BEGAN = datetime(2026, 11, 28, tzinfo=UTC)


def epochs(count: int) -> list[bytes]:
    """Epochs of a receiver of four constellations, at the highest rate that the line can carry."""
    return [
        epoch_at(BEGAN + timedelta(milliseconds=100 * n), 0, lat=32.1, lon=118.7).encode("nmea")
        for n in range(count)
    ]


def hardware(folder: Path) -> None:
    """Sends all epochs on each port; prints when the last byte of each epoch's fix was written."""
    said = epochs(int(SECONDS * BYTES_PER_S / len(epochs(1)[0])) + 1)
    wires = [Wire(folder / f"port{number}") for number in range(PORTS)]
    while not all(wire.ready() for wire in wires):
        time.sleep(0.01)
    time.sleep(0.3)
    ends: list[float] = []
    began_s, written = time.monotonic(), 0
    stream, at = b"".join(said), 0
    lengths = list(accumulate(map(len, said)))
    bounds = [end - len(one) + one.index(b"GSV") - 3 for end, one in zip(lengths, said, strict=True)]
    while at < len(stream):
        for wire in wires:
            wire.write(stream[at : at + PIECE])
        at, written = at + PIECE, written + 1
        ends += [time.monotonic()] * sum(at - PIECE < bound <= at for bound in bounds)
        time.sleep(max(0.0, began_s + at / BYTES_PER_S - time.monotonic()))
    print(json.dumps({"ends": ends, "took_s": time.monotonic() - began_s, "sentences": stream.count(b"\n")}))
    time.sleep(0.5)


async def read(folder: Path) -> dict[str, float]:
    heard: list[tuple[datetime, float]] = []
    bad = 0

    def emit(value: Value) -> None:
        nonlocal bad
        if isinstance(value, Fix) and value.time is not None:
            heard.append((value.time, time.monotonic()))
        elif isinstance(value, LineState):
            bad += sum(value.bad.values()) + value.skipped_bytes

    command = (sys.executable, "-m", "bench.eight_ports", str(folder))
    far = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, limit=1 << 20)
    while not all((folder / f"port{number}").exists() for number in range(PORTS)):
        await asyncio.sleep(0.02)
    lines = [Nmea(port=str(folder / f"port{number}"), baud=115200) for number in range(PORTS)]
    tasks = [asyncio.ensure_future(line.run(emit)) for line in lines]  # type: ignore[arg-type]  # None is an answer
    assert far.stdout is not None
    while not heard:
        await asyncio.sleep(0.01)
    before = resource.getrusage(resource.RUSAGE_SELF)
    began_s = time.monotonic()
    told = json.loads(await far.stdout.readline())
    after, took_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began_s
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await far.wait()
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    ended = {BEGAN + timedelta(milliseconds=100 * n): end_s for n, end_s in enumerate(told["ends"])}
    late_ms = sorted((heard_s - ended[moment]) * 1000 for moment, heard_s in heard[PORTS * 5 :])
    sentences = told["sentences"] * PORTS
    assert len(heard) >= PORTS * (len(ended) - 2), (len(heard), len(ended))
    assert not bad
    return {
        "ports": PORTS,
        "sentences_per_s": round(sentences / told["took_s"]),
        "core_share": round(spent_s / took_s, 4),
        "us_a_sentence": round(spent_s / (sentences * took_s / told["took_s"]) * 1e6, 1),
        "fix_after_last_byte_p50_ms": round(late_ms[len(late_ms) // 2], 2),
        "fix_after_last_byte_p99_ms": round(late_ms[len(late_ms) * 99 // 100], 2),
    }


if __name__ == "__main__":
    if sys.argv[1:]:
        hardware(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asyncio.run(read(Path(folder)))))
