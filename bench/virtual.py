"""Virtual time: simulated seconds in a second of CPU, by kind of device, each with broker, centre and world.

``python -m bench.virtual [--seconds N]``. The work of starting a device is not counted.
"""

import argparse
import json
import logging
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import structlog

from simulators.scenario.model import Scenario
from simulators.scenario.parts import WatchedParts
from simulators.scenario.virtual_session import play_virtual
from simulators.virtual.stage import VirtualStage

RUN_S, SETTLING_S = 600.0, 30.0
PLACE = {
    "ring": "inner_city", "domain": "ground", "site": "bench", "post": "square", "lat": 32.1162,
    "lon": 118.7404,
}  # fmt: skip
BOARD = {"kind": "sensor_board", "port": "x"}
GNSS = {"kind": "nmea", "port": "x", "baud": 9600}
PANIC = {"kind": "switch", "source": "board", "name": "panic_button", "severity": "critical"}
RAILING = [[0.25, 0.6], [0.75, 0.6], [0.75, 1.0], [0.25, 1.0]]
DEVICES: dict[str, dict[str, Any]] = {
    "watch point": {"kind": "watch_point", "sources": {"board": BOARD}, "rules": {"panic": PANIC}},
    "watch point with GNSS at 1 Hz": {
        "kind": "watch_point",
        "sources": {"board": BOARD, "gnss": GNSS},
        "rules": {"panic": PANIC, "gnss-silent": {"kind": "silence", "source": "gnss", "after": "5s"}},
    },
    "boat with GNSS at 1 Hz and AIS": {
        "kind": "patrol_boat",
        "sources": {"gnss": GNSS, "ais": {**GNSS, "baud": 38400}},
        "rules": {
            "collision": {
                "kind": "vessel_close", "source": "ais", "own": "gnss", "distance_m": 100, "within": "3m",
            },
            "overboard": {"kind": "distress_beacon", "source": "ais"},
        },
    },
    "drone station": {
        "kind": "drone_ground_station",
        "sources": {"radio": {"kind": "mavlink", "port": "x"}},
        "rules": {"lost": {"kind": "drone_lost", "source": "radio", "after": "5s"}},
    },
    "checkpoint camera at 5 frames/s": {
        "kind": "checkpoint_camera",
        "sources": {
            "cam1": {
                "kind": "camera", "url": "x", "purpose": "bench", "fps": 5, "zones": {"railing": RAILING},
                "detector": {"model": "default", "labels": ["person"], "score": 0.4},
            }
        },
        "rules": {
            "railing": {
                "kind": "zone_dwell", "camera": "cam1", "zone": "railing", "labels": ["person"],
                "dwell": "8s",
            },
        },
    },
}  # fmt: skip


def measure(name: str, run_s: float) -> dict[str, float | str]:
    """The figures of one device."""
    people = (
        [{"name": "man", "zone": "railing", "camera": "cam1", "comes": "60s"}] if "camera" in name else []
    )
    boat = "boat" in name
    device = {"config": {"place": PLACE, **DEVICES[name]}, **({"hardware": {"ais": "boat"}} if boat else {})}
    scenario = Scenario.model_validate(
        {
            "schema": "ringpost-scenario/1", "name": "bench", "seed": 7, "duration": f"{run_s + SETTLING_S}s",
            "devices": {"device-1": device},
            "world": {"people": people, **({"river_traffic": {"vessels": 12}} if boat else {})},
        }
    )  # fmt: skip

    async def play(stage: VirtualStage, _: WatchedParts) -> float:
        await stage.sleep_until(SETTLING_S)
        began_s = time.process_time()
        await stage.sleep_until(SETTLING_S + run_s)
        return time.process_time() - began_s

    with tempfile.TemporaryDirectory() as folder:
        cpu_s, record = play_virtual(scenario, Path(folder), play)
    return {
        "times_real_time": round(run_s / cpu_s),
        "ms_per_s": round(cpu_s / run_s * 1000, 2),
        "messages_per_s": round(len(record.messages) / (run_s + SETTLING_S), 2),
        "sha256": record.sha256()[:16],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=RUN_S)
    run_s = parser.parse_args().seconds
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    found: dict[str, Any] = {name: measure(name, run_s) for name in DEVICES}
    found["memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
