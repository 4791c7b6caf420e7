"""What a change of settings leaves alone: the tasks of other parts, a camera's capture and detector, an open port."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.domain.observations import Observation, Sighting
from agent.runtime.health import Health, Running
from agent.runtime.running_parts import RunningParts
from agent.vision import frame_reader
from agent.vision.camera import Camera
from agent.vision.detector import DetectorSettings
from agent.vision.visibility import VisibilityMonitor, VisibilitySettings
from firmware_bridge.gnss.gpsd import Gpsd
from firmware_bridge.mavlink.mavlink import Mavlink
from firmware_bridge.nmea import gnss_encoder
from firmware_bridge.nmea.nmea import Nmea
from firmware_bridge.readings import Fix, LineState
from firmware_bridge.sensors.modbus import Modbus
from firmware_bridge.sensors.modbus_master import Register
from firmware_bridge.serial import line as serial_line
from firmware_bridge.source import SourcePart
from simulators.blinding import covered
from simulators.scene import Scene, stream
from simulators.wire import Wire
from tests.waiting import play, until

RAIL = [(0.25, 0.6), (0.75, 0.6), (0.75, 1.0), (0.25, 1.0)]
MAN = [(0.3, 0.3), (0.7, 0.3), (0.7, 1.0), (0.3, 1.0)]
CAMERA: dict[str, Any] = {"url": "rtsp://10.0.0.9/x", "purpose": "a test", "zones": {"rail": RAIL}}


def camera(**more: Any) -> Camera:
    return Camera.model_validate(CAMERA | more)


GOES_ON: list[tuple[SourcePart, dict[str, Any], bool]] = [
    (camera(), {"zones": {"stairs": RAIL}}, True),
    (camera(), {"purpose": "another purpose"}, True),
    (camera(), {"fps": 2.0}, True),
    (camera(), {"blackout": [MAN]}, True),
    (camera(), {"motion": {"gate": True}}, True),
    (camera(), {"coverage": {"watch": False}}, True),
    (camera(), {"detector": {"labels": ["person"], "score": 0.6}}, True),
    (camera(), {"detector": {"model": "wide"}}, False),
    (camera(), {"detector": {"tiles": "2x1"}}, False),
    (camera(), {"url": "rtsp://10.0.0.8/x"}, False),
    (camera(), {"username": "a", "password": {"file": "/p"}}, False),
    (camera(), {"rotate": 90}, False),
    (camera(), {"crop": [0.1, 0.1, 0.9, 0.9]}, False),
    (camera(), {"read_timeout": "9s"}, False),
    (camera(url="http://10.0.0.9/x.jpg"), {"fps": 2.0}, False),
    (camera(url="http://10.0.0.9/x.jpg"), {"zones": {}}, True),
    (Nmea(port="/dev/ttyS0"), {"silent_after_s": 9.0}, True),
    (Nmea(port="/dev/ttyS0"), {"not_before": None, "also": ("nmea",)}, True),
    (Nmea(port="/dev/ttyS0"), {"port": "/dev/ttyS1"}, False),
    (Nmea(port="/dev/ttyS0"), {"baud": 9600}, False),
    (Mavlink(port="/dev/ttyS0"), {"lost_after_s": 9.0}, True),
    (Gpsd(), {"silent_after_s": 9.0}, True),
    (Gpsd(), {"host": "10.0.0.9"}, False),
    (Modbus(port="/dev/ttyS0", registers=(Register(quantity="a", unit="m", address=0),)), {"every_s": 9.0}, True),
    (Modbus(port="/dev/ttyS0", registers=(Register(quantity="a", unit="m", address=0),)), {"parity": "odd"}, False),
]  # fmt: skip


@pytest.mark.parametrize(("source", "keys", "goes_on"), GOES_ON)
def test_which_settings_a_running_source_takes_over(
    source: SourcePart, keys: dict[str, Any], goes_on: bool
) -> None:
    changed = type(source).model_validate(source.model_dump() | keys, context={})
    assert changed != source
    assert source.goes_on_as(changed) == goes_on


def test_another_kind_of_source_is_another_source() -> None:
    assert not Nmea(port="/dev/ttyS0").goes_on_as(Mavlink(port="/dev/ttyS0"))


def test_what_came_before_a_change_does_not_prove_the_changed_source() -> None:
    health = Health()
    fix = Fix(mode="3d", lat=32.1, lon=118.7)

    def hear(second: float, value: Any) -> list[str]:
        health.on_observation(Observation("gnss", datetime(2026, 11, 28, tzinfo=UTC), second, value))
        return list(health.working(second))

    health.set_running("gnss", Running("running"), 0)
    assert hear(1, LineState(good={"nmea": 5}, bad={}, skipped_bytes=0)) == ["gnss"]
    assert hear(2, fix) == ["gnss"]
    health.renew("gnss", 3)
    assert list(health.working(3)) == []
    assert health.reasons(4) == []
    assert hear(5, fix) == ["gnss"]
    health.renew("gone", 6)


def test_a_change_cancels_no_task_but_that_of_a_part_that_needs_it() -> None:
    async def scene() -> None:
        parts = RunningParts(Health())
        tasks: list[asyncio.Task[None]] = []

        def spawn(work: Any) -> "asyncio.Task[None]":
            tasks.append(asyncio.ensure_future(work))
            return tasks[-1]

        wanted: dict[str, Any] = {"cam1": camera(), "gnss": Nmea(port="/dev/ttyS0"), "gone": Gpsd()}

        async def run() -> None:
            await asyncio.Event().wait()

        for name in parts.adopt(wanted):
            parts.start(name, wanted[name], run, spawn, speaks=True, longest_wait_s=None)
        await asyncio.sleep(0)
        before = dict(parts.tasks)
        wanted = {"cam1": camera(zones={}), "gnss": Nmea(port="/dev/ttyS1")}
        await parts.end_others(wanted)
        assert parts.latest("cam1")().model_dump()["zones"] != {}, "all settings change at once, later"
        assert parts.adopt(wanted) == ["gnss"]
        assert parts.tasks == {"cam1": before["cam1"]}
        assert not before["cam1"].done()
        assert before["gnss"].cancelled()
        assert before["gone"].cancelled()
        assert parts.latest("cam1")() is wanted["cam1"]
        await parts.end("cam1")
        parts.status_callback("cam1", speaks=True)(Running("running"))

    play(scene)


class Counted:
    """A function that counts its calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.calls = 0

    def __call__(self, *args: Any, **more: Any) -> Any:
        self.calls += 1
        return self._function(*args, **more)


def inside(frame: Any, polygon: list[tuple[float, float]]) -> Any:
    height, width = frame.shape[:2]
    (left, top), _, (right, bottom), _ = polygon
    return frame[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]


def test_a_camera_takes_over_zones_labels_and_blackout_without_a_new_capture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the moment of the change no frame shows what the new blackout covers, also none that was under way."""
    opened = Counted(frame_reader.open_capture)
    monkeypatch.setattr(frame_reader, "open_capture", opened)
    loaded = Counted(DetectorSettings.load)
    monkeypatch.setattr(DetectorSettings, "load", lambda settings: loaded(settings))  # noqa: PLW0108  it binds
    said: list[Sighting] = []
    latest: list[Camera] = []

    def emit(value: Any) -> None:
        if isinstance(value, Sighting):
            said.append(value)
            if latest[-1].blackout:
                frame = value.frame_with_people.frame
                assert inside(frame, MAN).max() == 0

    def change(**keys: Any) -> None:
        latest.append(Camera.model_validate(latest[-1].model_dump() | keys))

    def found(since: int, zones: tuple[str, ...]) -> bool:
        return any(one.zones == zones for value in said[since:] for one in value.objects)

    async def scene() -> None:
        async with stream(Scene(comes_s=-10, leaves_s=1000)) as server:
            latest.append(camera(url=server.url, open_timeout="60s", read_timeout="60s"))
            task = asyncio.ensure_future(latest[-1].run(emit, dict, lambda: latest[-1]))
            try:
                await until(lambda: task.done() or found(0, ("rail",)))
                before = len(said)
                change(zones={"stairs": RAIL})
                await until(lambda: task.done() or found(before, ("stairs",)))
                assert not found(before + 1, ("rail",))
                before = len(said)
                change(detector={"labels": ["car"]})
                await until(lambda: task.done() or len(said) > before + 3)
                assert not found(before, ("stairs",)), "a person is no car"
                change(detector={}, blackout=[MAN])
                before = len(said)
                await until(lambda: task.done() or len(said) > before + 5)
                assert all(one.frame > said[0].frame for one in said[1:]), "frames are counted on"
            finally:
                task.cancel()
                await asyncio.wait([task])
            assert task.cancelled(), task.exception()

    play(scene)
    assert (opened.calls, loaded.calls) == (1, 1)


def test_a_changed_zone_of_a_covered_camera_is_blind_still() -> None:
    """The view is not learnt again: a hand before the lens would be what is usual."""
    scene = Scene(comes_s=100, leaves_s=200)
    zones = {"left": RAIL, "right": MAN}
    monitor = VisibilityMonitor(zones, VisibilitySettings())
    second = 0

    def look(seconds: int, change: Callable[[Any], Any] = np.asarray) -> Any:
        nonlocal second
        for _ in range(seconds):
            second += 1
            view = monitor.check(change(scene.picture(second)), float(second))
        return view

    assert look(20).blind == ()
    assert {one.zone for one in look(15, covered).blind} == {"left", "right"}
    monitor.change({"left": RAIL, "middle": MAN}, VisibilitySettings())
    view = look(1, covered)
    assert [(one.zone, one.for_s > 5) for one in view.blind] == [("left", True)], "its time goes on"
    view = look(15, covered)
    assert {one.zone for one in view.blind} == {"left", "middle"}
    assert view.zones == ("left", "middle")
    assert look(20).blind == ()
    assert {one.zone for one in look(15, covered).blind} == {"left", "middle"}
    monitor.change({}, VisibilitySettings(moves=True))
    assert look(15, covered).blind == ()


def test_a_line_takes_over_its_settings_with_its_port_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Counted(serial_line.open_port)
    monkeypatch.setattr(serial_line, "open_port", opened)
    epoch = gnss_encoder.encode(Fix(mode="3d", lat=32.1, lon=118.7, alt_m=5.0))
    said: list[Any] = []

    async def scene() -> None:
        with Wire(tmp_path / "gnss") as wire:
            latest = Nmea(port=str(wire.path))
            task = asyncio.ensure_future(latest.run(said.append, dict, lambda: latest))
            await until(wire.ready)
            for changed in (
                latest,
                latest.model_copy(update={"silent_after_s": 600.0}),
                latest.model_copy(update={"not_before": None}),
            ):
                latest, before = changed, len(said)
                await asyncio.sleep(0.3)
                wire.write(epoch)
                await until(lambda: any(isinstance(one, Fix) for one in said[before:]))  # noqa: B023
            task.cancel()
            await asyncio.wait([task])

    play(scene)
    assert opened.calls == 1
    assert not any(state.bad for state in said if isinstance(state, LineState))
