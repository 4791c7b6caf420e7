"""Each fault of the catalogue, played against a real agent in virtual time: its effect, its end, and what is
left of it."""

import asyncio
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agent.runtime.logging_setup import set_up_log
from models.detection import Detection
from simulators.devices import Board, Boat, DroneRadio, Receiver
from simulators.drone import Radio
from simulators.faults.catalogue import CATALOGUE
from simulators.faults.fault import FaultStep, play
from simulators.virtual.device import VirtualDevice
from simulators.virtual.host import virtual_loop
from simulators.virtual.ports import VirtualLine
from simulators.virtual.stage import URL, VirtualStage, run_virtual
from tests.thorough import LONG, all_or

PLACE = {"lat": 32.1162, "lon": 118.7404}
HARDWARE: list[asyncio.Future[None]] = []
"""A task needs somebody who holds it."""
BEGINS_S, HEALS_WITHIN_S = 12.0, 150.0
FOR_S = {"power.throttled": 130.0, "link.half_open": 60.0, "centre.rolling_restart": 40.0}
PORTS = {
    "gnss": "/dev/sim/gnss",
    "board": "/dev/sim/board",
    "radio": "/dev/sim/radio",
    "river": "/dev/sim/river",
}
KINDS = {"gnss": "nmea", "board": "sensor_board", "radio": "mavlink", "river": "nmea", "cam1": "camera"}
SOURCE_OF = {
    "line": "gnss", "board": "board", "receiver": "gnss", "drone": "radio", "boat": "river", "camera": "cam1",
}  # fmt: skip
CAMERA = {
    "kind": "camera", "url": "rtsp://127.0.0.1/cam1", "purpose": "a test", "fps": 2, "read_timeout": "5s",
    "detector": {"model": "default", "labels": ["person"]},
    "zones": {"railing": [[0, 0], [1, 0], [1, 1], [0, 1]]},
}  # fmt: skip
DEVICE_KINDS = {"radio": "drone_ground_station", "river": "patrol_boat"}


class Frame(NamedTuple):
    detections: tuple[Detection, ...] = ()
    delay_s: float = 0.05
    camera_moves: bool = False


class Empty:
    """Nobody is there."""

    def frame(self, _second: float) -> Frame:
        return Frame()


NOBODY = Empty()


def configuration(name: str, sources: tuple[str, ...], kind: str) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "device": name,
        "kind": kind,
        "roles": "roles.json",
        "place": {"ring": "inner_city", "domain": "ground", "site": "demo", "post": "square", **PLACE},
        "broker": {"url": URL, "keepalive": "10s"},
        "data": {"max_mb": 64},
        "reporting": {"telemetry_every": "5s", "position_every": "5s", "health_every": "20s"},
        "sources": {
            source: CAMERA if source == "cam1" else {"kind": KINDS[source], "port": PORTS[source]}
            for source in sources
        },
        "rules": {
            "panic": {"kind": "switch", "source": "board", "name": "panic_button", "severity": "critical"}
        }
        if "board" in sources
        else {},
    }


def add_device(stage: VirtualStage, name: str, *sources: str) -> VirtualDevice:
    """A device with its hardware."""
    kind = next((DEVICE_KINDS[one] for one in sources if one in DEVICE_KINDS), "watch_point")
    device = stage.add_device(name, configuration(name, sources, kind))
    for number, source in enumerate(sources):
        if source == "cam1":
            device.add_camera(source, NOBODY, stage.now_s)
            continue
        line = device.lines[source] = VirtualLine(virtual_loop(), PORTS[source])
        hardware: Any
        match source:
            case "gnss":
                hardware = Receiver(line, **PLACE, seed=number)
            case "board":
                hardware = Board(line, seed=number)
            case "radio":
                hardware = DroneRadio(line, Radio(**PLACE))
            case _:
                hardware = Boat(line, **PLACE)
        device.hardware[source] = hardware
        HARDWARE.append(asyncio.ensure_future(hardware.run()))
    return device


@dataclass(slots=True)
class Played:
    """One fault after its end."""

    kind: str
    effect: bool = False
    running: bool = False
    healed_s: float | None = None
    """From its end to the first time that the device is online again; None: it did not come."""
    last: Any = None


def is_well(status: dict[str, Any]) -> bool:
    """All works; that an alert was late stays a trouble for ten minutes."""
    reasons = [reason for reason in status.get("reasons", ()) if "(p95)" not in reason]
    return status["state"] in ("online", "degraded") and not reasons


async def heals(stage: VirtualStage, device: VirtualDevice) -> float | None:
    """Seconds until the device says that all is well, and goes on talking."""
    ended_s = stage.now_s()
    while stage.now_s() < ended_s + HEALS_WITHIN_S:
        await stage.sleep_until(stage.now_s() + 2.0)
        own = [one for one in stage.record.messages if one["device"] == device.name]
        states = [is_well(one["body"]) for one in own if one["topic"] == "status"]
        if states[-1] and own[-1]["t"] > ended_s:
            return own[-1]["t"] - ended_s
    return None


def played(kinds: list[str], folder: Path) -> list[Played]:
    """Plays the faults one after the other on one device."""

    async def main() -> list[Played]:
        workers = 2 if "centre.rolling_restart" in kinds else 1
        async with VirtualStage(folder, seed=1, centre_workers=workers) as stage:
            source = SOURCE_OF.get(kinds[0].partition(".")[0])
            names = ("post-1", "post-2") if kinds[0].startswith("fleet") else ("post-1",)
            device, *_ = [add_device(stage, name, source or "board") for name in names]
            for one in stage.devices.values():
                await one.start()
            await stage.sleep_until(BEGINS_S)
            runs = [await one_fault(stage, device, source, kind) for kind in kinds]
            messages = [one["body"] for one in stage.record.messages]
            assert [one for one in messages if one.get("simulated") is not True] == [], "looks real"
            return runs

    return run_virtual(main)


async def happens(stage: VirtualStage, device: VirtualDevice, kind: str) -> None:
    """What a fault needs to strike: an alert, or a connection that ends."""
    await stage.sleep_until(stage.now_s() + 3.0)
    if (board := device.hardware.get("board")) is not None:
        board.press("panic_button")
        board.press("panic_button", on=False)
    if kind in ("broker.late_will", "broker.refuse"):
        stage.broker.cut(device.name, "closed")
        stage.broker.mend(device.name)


async def one_fault(stage: VirtualStage, device: VirtualDevice, source: str | None, kind: str) -> Played:
    fault, run = CATALOGUE[kind](), Played(kind)
    step = FaultStep(
        0,
        device.name if fault.subject in ("source", "device") else None,
        source if fault.subject == "source" else None,
        KINDS.get(source or "", ""),
        FOR_S.get(kind, 12.0),
    )
    incident = asyncio.ensure_future(happens(stage, device, kind))
    await play(stage, fault, step)
    await incident
    run.healed_s = await heals(stage, device)
    run.effect, run.running = fault.took_effect(stage, step), device.running
    run.last = [one["body"] for one in stage.record.messages if one["topic"] == "status"][-1]
    return run


VIRTUAL = [kind for kind, fault in CATALOGUE.items() if "virtual" in fault.clocks]
FAMILIES = {family: list(kinds) for family, kinds in groupby(VIRTUAL, lambda kind: kind.partition(".")[0])}
RUNS = all_or(list(FAMILIES.values()), [[kind] for kind in VIRTUAL])


@pytest.mark.parametrize("kinds", RUNS, ids=lambda kinds: kinds[0] if LONG else kinds[0].partition(".")[0])
def test_each_fault_has_its_effect_and_heals(kinds: list[str], tmp_path: Path) -> None:
    """A long run plays each alone, on a fresh device."""
    set_up_log("critical")
    runs = played(kinds, tmp_path)
    assert [one.kind for one in runs if not one.effect] == []
    assert [one for one in runs if not one.running or one.healed_s is None] == []
