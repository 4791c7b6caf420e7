"""Positions on a change instead of at a fixed rate: what three kinds of devices send in ten virtual minutes.

Real agents in virtual time, with the default intervals. ``python -m bench.positions`` prints one JSON line,
with the messages a second of a city by arithmetic from what was counted.
"""

import asyncio
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from agent.reporting import position_schedule
from simulators.devices import Receiver
from simulators.run_time import RunTime
from simulators.virtual.host import virtual_loop
from simulators.virtual.ports import VirtualLine
from simulators.virtual.stage import URL, VirtualStage, run_virtual

DURATION_S = 600.0
PORT = "/dev/sim/gnss"
LAT, LON = 32.1162, 118.7404
CITY = {"surveyed": 1_600, "boat_at_rest": 110, "boat_under_way": 190}
"""Devices of a city of 1,900, one in ten on the move."""


def config(name: str, *, surveyed: bool) -> dict[str, Any]:
    place = {"ring": "inner_city", "domain": "water", "site": "river", "post": name}
    return {
        "schema_version": 1,
        "device": name.replace("_", "-"),
        "kind": "watch_point" if surveyed else "patrol_boat",
        "roles": "roles.json",
        "place": place | ({"lat": LAT, "lon": LON} if surveyed else {}),
        "broker": {"url": URL},
        "data": {"max_mb": 64},
        "sources": {"gnss": {"kind": "nmea", "port": PORT}},
    }


def counted(speed_mps: float, *, surveyed: bool, name: str) -> Counter[str]:
    """The messages of one device by topic, without those of its first minute."""

    async def main() -> Counter[str]:
        with tempfile.TemporaryDirectory() as folder:
            async with VirtualStage(Path(folder), seed=1) as stage:
                its = config(name, surveyed=surveyed)
                device = stage.add_device(its["device"], its)
                line = device.lines["gnss"] = VirtualLine(virtual_loop(), PORT)
                receiver = Receiver(
                    line, lat=LAT, lon=LON, speed_mps=speed_mps, seed=1, time=RunTime(now_s=stage.now_s)
                )
                running = asyncio.ensure_future(receiver.run())
                await device.start()
                await stage.sleep_until(60.0 + DURATION_S)
                running.cancel()
                return Counter(one["topic"] for one in stage.record.messages if one["t"] >= 60.0)

    return run_virtual(main)


def all_kinds() -> dict[str, Counter[str]]:
    return {
        "surveyed": counted(0.0, surveyed=True, name="post"),
        "boat_at_rest": counted(0.0, surveyed=False, name="rest"),
        "boat_under_way": counted(8.0, surveyed=False, name="way"),
    }


def main() -> int:
    now = all_kinds()
    on_its_way = position_schedule._on_its_way
    position_schedule._on_its_way = lambda *_: True  # the rule before: one each `position_every`
    before = all_kinds()
    position_schedule._on_its_way = on_its_way
    found: dict[str, Any] = {}
    for name, kinds in (("before", before), ("now", now)):
        found[name] = {
            "positions_a_minute": {
                kind: round(topics["position"] * 60 / DURATION_S, 1) for kind, topics in kinds.items()
            },
            "city_per_s": round(
                sum(CITY[kind] * topics.total() for kind, topics in kinds.items()) / DURATION_S, 1
            ),
            "city_positions_per_s": round(
                sum(CITY[kind] * topics["position"] for kind, topics in kinds.items()) / DURATION_S, 1
            ),
        }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
