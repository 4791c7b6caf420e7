"""The rescue mode: more of what helps to find somebody, until its end, whatever happens meanwhile."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from agent.commands.requests import RescueModeRequest
from agent.control.rescue_mode import KEY, NUMBERS_AHEAD, SNAPSHOT_EVERY_S, RescueMode
from agent.mqtt.byte_budget import Budget
from agent.vision.inference_pool import SHARED_POOL


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    SHARED_POOL.speed_up = 1.0


class Device:
    def __init__(self, kept: dict[str, bytes] | None = None, boot: str = "b", at_s: float = 1000.0) -> None:
        self.kept = {} if kept is None else kept
        self.boot, self.at_s = boot, at_s
        self.cameras = ["cam1", "cam2", "cam3"]
        self.stale: set[str] = set()
        self.room = 10
        self.pictures: list[tuple[str, int, str]] = []
        self.statuses: list[Any] = []
        self.pictures_first = False
        self.reporter = SimpleNamespace(position_every=None, mode_fields=dict, status=lambda *_: "status")
        recorder = SimpleNamespace(newest=self.newest, send_frame=self.send_frame)
        pipeline: Any = SimpleNamespace(reporter=self.reporter, recorder=recorder)
        running: Any = lambda: SimpleNamespace(cameras=lambda: dict.fromkeys(self.cameras))  # noqa: E731
        outbox: Any = SimpleNamespace(put=self.put, put_within=self.put_within, recall=self.kept.get)
        self.mode = RescueMode(pipeline, self, outbox, running, lambda: self.at_s, lambda: self.boot)  # type: ignore[arg-type]  # the part of a link that it uses
        self.mode.restore()

    def put_pictures_first(self, first: bool) -> None:
        self.pictures_first = first

    async def put(self, remember: dict[str, bytes]) -> None:
        self.kept |= remember

    async def put_within(self, message: Any) -> None:
        self.statuses.append((message, self.reporter.mode_fields()))

    def newest(self, camera: str) -> tuple[Any, None]:
        age_s = 60.0 if camera in self.stale else 0.0
        return SimpleNamespace(camera=camera, at_s=time.monotonic() - age_s), None

    def send_frame(self, command_id: str, _reason: str, frame: Any, _done: Any, number: int) -> None:
        if self.room <= 0:
            raise ValueError("wait")
        self.room -= 1
        self.pictures.append((command_id, number, frame.camera))

    def ask(self, for_s: float, command_id: str = "r1") -> Any:
        return asyncio.run(
            self.mode.command(RescueModeRequest(id=command_id, for_s=for_s, reason="a swimmer"), {})
        )

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.room = max(self.room, 2)  # two leave each second
            asyncio.run(self.mode.step())
            self.at_s += 1

    def active(self) -> bool:
        changed = (SHARED_POOL.speed_up > 1, self.pictures_first, self.reporter.position_every is not None)
        assert len({*changed, self.mode.left_s > 0}) == 1
        return changed[0]


def test_it_begins_at_once_and_ends_by_itself() -> None:
    device = Device()
    assert not device.active()
    assert device.ask(60).keys() == {"until"}
    assert device.active()
    assert device.reporter.position_every == timedelta(seconds=1)
    assert device.statuses[-1][1]["rescue_mode"]["reason"] == "a swimmer"
    device.run(59)
    assert device.active()
    device.run(2)
    assert not device.active()
    assert (device.statuses[-1][1], device.kept[KEY]) == ({}, b"")


def test_zero_seconds_end_it_early() -> None:
    device = Device()
    device.ask(0)
    assert device.statuses == []
    device.ask(600)
    device.ask(0, "r2")
    assert not device.active()


@pytest.mark.parametrize("fields", [{"for_s": 14_401}, {"for_s": -1}, {"reason": ""}, {"id": "../x"}])
def test_it_has_an_end_and_a_reason(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RescueModeRequest.model_validate({"id": "r1", "for_s": 60, "reason": "x"} | fields)


def test_snapshots_of_all_cameras_go_first_and_then_every_ten_seconds() -> None:
    device = Device()
    device.ask(600)
    device.room = 2
    asyncio.run(device.mode.step())
    assert [camera for *_, camera in device.pictures] == ["cam1", "cam2"]  # no more may wait
    device.run(1)
    assert [camera for *_, camera in device.pictures] == ["cam1", "cam2", "cam3"]
    device.run(60)
    assert len(device.pictures) == pytest.approx(3 * (1 + 60 / SNAPSHOT_EVERY_S), abs=3)
    assert [number for _, number, _ in device.pictures] == list(range(1, len(device.pictures) + 1))
    assert {one for one, *_ in device.pictures} == {"r1"}


def test_a_camera_without_a_current_frame_is_left_out() -> None:
    device = Device()
    device.stale = {"cam2"}
    device.ask(600)
    device.run(5)
    assert {camera for *_, camera in device.pictures} == {"cam1", "cam3"}


def test_a_restart_goes_on_with_the_remaining_time_and_new_numbers() -> None:
    device = Device()
    device.ask(600)
    device.run(100)
    SHARED_POOL.speed_up = 1.0
    again = Device(device.kept, at_s=device.at_s + 50)
    assert again.active()
    assert again.mode.left_s == 450
    again.run(1)
    assert again.pictures[0][1] > len(device.pictures)


def test_a_reboot_goes_on_with_the_time_last_stored() -> None:
    device = Device()
    device.ask(600)
    device.run(100)
    again = Device(device.kept, boot="c", at_s=7.0)
    assert 500 <= again.mode.left_s <= 560
    assert not Device(device.kept, at_s=99_999.0).mode.left_s


@pytest.mark.parametrize("data", [b"", b"{", b'{"id": 1}'])
def test_a_damaged_state_is_no_rescue_mode(data: bytes) -> None:
    assert Device({KEY: data}).mode.left_s == 0


def test_numbers_of_pictures_are_reserved_before_they_are_used() -> None:
    device = Device()
    device.cameras = [f"cam{number}" for number in range(60)]
    device.ask(3600)
    for _ in range(300):
        device.room = 50
        asyncio.run(device.mode.step())
        device.at_s += 1
    numbers = [number for _, number, _ in device.pictures]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 3 * NUMBERS_AHEAD
    again = Device(device.kept, at_s=device.at_s)
    again.run(1)
    assert again.pictures[0][1] > numbers[-1]


def test_the_budget_holds_and_pictures_come_before_telemetry() -> None:
    budget = Budget(3600, 0.0)  # one byte a second, 600 saved
    budget.spend(400, 0.0)
    assert (budget.allows_telemetry(0.0), budget.allows_media(0.0)) == (True, False)
    budget.pictures_first = True
    assert (budget.allows_telemetry(0.0), budget.allows_media(0.0)) == (False, True)
    budget.spend(200, 0.0)
    assert (budget.allows_telemetry(0.0), budget.allows_media(0.0)) == (False, False)
    assert (budget.allows_resends(0.0), budget.allows_resends(1.0)) == (False, True)
