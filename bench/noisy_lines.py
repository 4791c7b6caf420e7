"""Fixes received over a noisy line: receivers at full line rate, through ptys, into real sources.

``python -m bench.noisy_lines [SECONDS]`` prints a table, and its worst row as JSON. Each line carries epochs
back to back and damages them. ``recall`` is the share of epochs whose fix was reported: NMEA sends each
position twice, UBX once, in 100 bytes. ``kept`` is the share of the intact packets that were decoded.
``false`` counts fixes that were never sent: another place, or another time. Exit code 1 if there is one, or
too few are kept.
"""

import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from firmware_bridge.gnss import ubx_encoder
from firmware_bridge.gnss.ubx import Ubx
from firmware_bridge.nmea import gnss_encoder
from firmware_bridge.nmea.nmea import Nmea
from firmware_bridge.readings import Fix, LineState, Value
from firmware_bridge.serial.line import SerialLine
from firmware_bridge.serial.sniffer import Sniffer
from simulators.line_faults import corrupt
from simulators.receiver import epoch_at
from simulators.wire import Wire

BYTES_PER_S = 11_520
STEP_S = 0.01
ROOM = 4096
"""Bytes that a pty buffers."""
RECALL, KEPT = 0.97, 0.98
"""The minimum; recall applies to NMEA only, as a fix of UBX can't be decoded from half of it."""
NEAR_DEG = 1e-6
BEGAN = datetime(2026, 11, 28, tzinfo=UTC)
DAMAGE: dict[str, dict[str, float]] = {
    "nothing": {},
    "bits flip": {"flips": 1e-3},
    "bytes drop": {"drops": 1e-3},
    "noise": {"noise": 1e-3},
    "all three": {"flips": 1e-3, "drops": 1e-3, "noise": 1e-3},
}
"""Probabilities for each byte."""
SOURCES: dict[str, type[SerialLine]] = {"nmea": Nmea, "ubx": Ubx}


@dataclass(frozen=True)
class Row:
    """The result of one line."""

    line: str
    damage: str
    sent: int
    reported: int
    false: int
    whole: int
    good: int
    bad: int

    @property
    def recall(self) -> float:
        return self.reported / self.sent

    @property
    def kept(self) -> float:
        return self.good / self.whole

    @property
    def fine(self) -> bool:
        return not self.false and self.kept >= KEPT and (self.recall >= RECALL or self.line == "ubx")


def epochs(protocol: str, seed: int) -> Iterator[tuple[Fix, list[bytes]]]:
    """The packets of a moving receiver, for each second."""
    second = 0
    while True:
        epoch = epoch_at(BEGAN, second, lat=32.1, lon=118.7, seed=seed, speed_mps=8.0)
        if protocol == "ubx":
            data = ubx_encoder.encode(epoch.fix, epoch.sky, epoch.state)
            yield epoch.fix, [packet.data for packet in Sniffer(("ubx",)).feed(data)]
        else:
            yield epoch.fix, gnss_encoder.encode(epoch.fix, epoch.sky).splitlines(keepends=True)
        second += 1


async def speak(
    wire: Wire,
    protocol: str,
    seed: int,
    damage: dict[str, float],
    seconds: float,
    bytes_per_s: int,
    least: int,
) -> tuple[list[Fix], int]:
    """Writes at least ``least`` damaged epochs; returns the fixes sent, and the number of intact packets."""
    loop, chance = asyncio.get_running_loop(), random.Random(seed)
    said: list[Fix] = []
    whole, waiting = 0, b""
    began_s, sent = loop.time(), 0
    source = epochs(protocol, seed)
    more = True
    while more or waiting:
        now_s = loop.time()
        more = now_s < began_s + seconds or len(said) < least
        if not wire.is_open():
            raise OSError(f"{wire.path} is no longer read")
        due = min(
            int((now_s - began_s) * bytes_per_s) - sent, ROOM
        )  # a slow machine must get on with the rest
        while len(waiting) < due and more:
            fix, packets = next(source)
            said.append(fix)
            for packet in packets:
                hurt = corrupt(packet, chance, **damage)
                whole += packet.rstrip() in hurt
                waiting += hurt
        written = wire.write(waiting[:due])  # what a slow machine has no room for waits
        waiting = waiting[written:]
        sent += written
        await asyncio.sleep(STEP_S)
    return said, whole


async def measure(
    folder: Path,
    protocol: str,
    name: str,
    seed: int,
    seconds: float,
    bytes_per_s: int = BYTES_PER_S,
    least: int = 1,
) -> Row:
    """One line, from its first byte to its last."""
    heard: list[Value] = []
    with Wire(folder / f"{protocol}{seed}") as wire:
        line = SOURCES[protocol](port=str(wire.path))
        task = asyncio.ensure_future(line.run(heard.append))  # type: ignore[arg-type]
        while not wire.ready():
            await asyncio.sleep(STEP_S)
        said, whole = await speak(wire, protocol, seed, DAMAGE[name], seconds, bytes_per_s, least)
        await asyncio.sleep(2 * line.pause_s)
        task.cancel()
        await asyncio.wait([task])
    truth = {fix.time: fix for fix in said}
    told: set[datetime] = set()
    false = 0
    for fix in heard:
        if not isinstance(fix, Fix) or fix.mode == "none":
            continue
        if fix.time is None:  # its date was lost: the place must still be one that was said
            false += not any(_near(fix, one) for one in said)
        elif fix.time in truth and _near(fix, truth[fix.time]):
            told.add(fix.time)
        else:
            false += 1
    (*_, state) = (value for value in heard if isinstance(value, LineState))
    good, bad = sum(state.good.values()), sum(state.bad.values())
    return Row(protocol, name, len(said), len(told), false, whole, good, bad)


def _near(fix: Fix, other: Fix) -> bool:
    return (
        abs((fix.lat or 0) - (other.lat or 0)) < NEAR_DEG
        and abs((fix.lon or 0) - (other.lon or 0)) < NEAR_DEG
    )


async def measured(seconds: float) -> list[Row]:
    """All lines in parallel, on one loop."""
    cases = [(protocol, name) for protocol in SOURCES for name in DAMAGE]
    with tempfile.TemporaryDirectory() as name:
        return list(
            await asyncio.gather(
                *(measure(Path(name), *case, seed, seconds) for seed, case in enumerate(cases))
            )
        )


def main(seconds: float) -> int:
    rows = asyncio.run(measured(seconds))
    print("line  damage       epochs    told  recall  false   whole    good     bad    kept")
    for row in rows:
        print(
            f"{row.line:5} {row.damage:10} {row.sent:8} {row.reported:7} {row.recall:7.4f} {row.false:6}"
            f" {row.whole:7} {row.good:7} {row.bad:7} {row.kept:7.4f}{'' if row.fine else '  <--'}"
        )
    worst = {
        "epochs": sum(row.sent for row in rows),
        "false_fixes": sum(row.false for row in rows),
        "nmea_recall": round(min(row.recall for row in rows if row.line == "nmea"), 4),
        "whole_packets_kept": round(min(row.kept for row in rows), 4),
    }
    print(json.dumps(worst))
    return 0 if all(row.fine for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 15.0))
