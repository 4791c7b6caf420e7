"""``python -m simulators.city``: a city in virtual time, and what the checker says of it."""

import argparse
import json
import logging
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import structlog

from simulators.city.plan import city_scenario
from simulators.city.run import CityResult, play_city

HEAD = (
    "A city, made by python -m simulators.city --write: links fail, power is cut, broker and workers restart."
)
MEMORY = Path("/dev/shm")  # noqa: S108  thousands of syncs take no time there


def main(arguments: list[str]) -> int:
    """0: the checker finds nothing, and all was carried out; else 1."""
    parser = argparse.ArgumentParser(prog="python -m simulators.city", description=__doc__)
    parser.add_argument("--share", type=float, default=0.03, help="of each group of devices (1: all 1,854)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of virtual time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="for the data; default: in memory, and removed")
    parser.add_argument("--report", type=Path, help="a folder for the record")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, help="write the scenario to this file instead, for simulate")
    given = parser.parse_args(arguments)
    if given.write is not None:
        _write(given.write, city_scenario(given.seed, given.share, given.minutes * 60))
        return 0
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    folder = given.folder or Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
    try:
        result, record = play_city(
            folder, seed=given.seed, share=given.share, duration_s=given.minutes * 60,
            announce=_announce,
        )  # fmt: skip
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    if given.report is not None:
        record.save(given.report)
    sys.stdout.write((json.dumps(result.as_dict()) if given.json else _text(result)) + "\n")
    return 0 if result.passed else 1


def _write(path: Path, scenario: dict[str, Any]) -> None:
    """Steps and configurations are one line each."""
    with path.open("w") as file:
        file.write(f"# {HEAD}\n")
        for key, value in scenario.items():
            if key == "timeline":
                file.write("timeline:\n")
                file.writelines(f"  - {json.dumps(step)}\n" for step in value)
            elif key == "devices":
                file.write("devices:\n")
                file.writelines(f"  {name}: {json.dumps(one)}\n" for name, one in value.items())
            else:
                file.write(f"{key}: {json.dumps(value)}\n")


def _announce(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _text(result: CityResult) -> str:
    cost = f"{result.cpu_s:g} s of CPU, {result.wall_s:g} s, {result.memory_mb:g} MB"
    counts = f"{result.messages} messages, {result.alerts} of alerts, {result.faults} faults"
    lines = [
        f"{result.devices} devices for {result.seconds:g} s: {cost}; {counts}",
        *(f"incomplete: {one}" for one in result.incomplete),
        *map(str, result.findings),
        "the checker finds nothing" if result.passed else "FAILED",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
