"""A device in virtual time: its disk, its power, its camera, its desk."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from models.detection import Detection
from simulators.run_record import RunRecord
from simulators.stage import NotInVirtualTimeError
from simulators.virtual.disk import VirtualDisk
from simulators.virtual.stage import VirtualStage, run_virtual
from tests.test_virtual import Post, alerts, events, played, watch_point


def reasons(record: RunRecord, after_s: float = 0.0) -> str:
    """All that the device said was wrong."""
    found = [one["body"].get("reasons", []) for one in record.messages if one["t"] >= after_s]
    return "; ".join(reason for one in found for reason in one)


FAULTS: dict[str, tuple[Callable[[VirtualDisk, bool], None], str]] = {
    "full": (lambda disk, on: disk.set_full(on), "full"),
    "read_only": (lambda disk, on: disk.set_read_only(on), "readonly"),
    "io_error": (lambda disk, on: disk.set_io_error(on), "I/O error"),
    "slow": (lambda disk, on: disk.set_slow(5.0 if on else 0.0), "disk takes|disk took"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_alert_gets_through_whatever_the_disk_does(name: str, tmp_path: Path) -> None:
    set_to, said = FAULTS[name]

    async def play(post: Post) -> None:
        disk = post.device.disk
        await post.stage.sleep_until(10)
        set_to(disk, True)
        await post.press(12)
        await post.stage.sleep_until(60)
        set_to(disk, False)
        assert disk.errors > 0
        await post.stage.sleep_until(140)

    record = played(tmp_path, play)
    at_s, phase = alerts(record)[0]
    assert phase == "new"
    assert at_s < 20
    assert any(word in reasons(record) for word in said.split("|"))
    states = [one["body"]["state"] for one in record.messages if one["topic"] == "status"]
    assert states[-1] == "online"
    ids = {one["id"] for one in events(record, "accepted")}
    assert ids <= {one["id"] for one in events(record, "committed")}


def test_on_a_full_disk_an_alert_is_durable_in_the_room_that_was_reserved(tmp_path: Path) -> None:
    async def play(post: Post) -> None:
        post.stage.broker.cut("post-1", "unreachable")
        post.device.disk.set_full(True)
        await post.press(5)
        await post.stage.sleep_until(10)
        await post.device.cut_power()
        post.device.disk.set_full(False)
        post.stage.broker.mend("post-1")
        await post.device.start()
        await post.stage.sleep_until(30)

    record = played(tmp_path, play)
    assert alerts(record)[0][1] == "new"
    assert events(record, "accepted")[0]["t"] < 6


def test_a_power_cut_takes_what_was_not_synced_and_no_alert(tmp_path: Path) -> None:
    def rows(device_folder: Path, pattern: str) -> int:
        count = 0
        for path in device_folder.glob(pattern):
            with sqlite3.connect(path) as database, suppress(sqlite3.OperationalError):  # not even its tables
                count += database.execute("SELECT count(*) FROM owed").fetchone()[0]
        return count

    async def play(post: Post) -> None:
        folder = post.device.folder
        post.stage.broker.cut("post-1", "unreachable")
        await post.press(5)
        await post.stage.sleep_until(30)
        before = rows(folder, "telemetry*.db"), rows(folder, "alerts.db")
        await post.device.cut_power()
        after = rows(folder, "telemetry*.db"), rows(folder, "alerts.db")
        assert before[0] > after[0]
        assert before[1] == after[1] > 0
        first = post.device.clock.kernel_boot_id()
        assert first is not None
        await post.stage.sleep_until(40)
        await post.device.start()
        post.stage.broker.mend("post-1")
        await post.stage.sleep_until(100)

    record = played(tmp_path, play)
    assert alerts(record)[0][1] == "new"
    (cut,) = events(record, "killed")
    assert cut["power"] is False


def test_a_kill_closes_connections_and_a_power_cut_does_not(tmp_path: Path) -> None:
    async def wills(post: Post, end: Callable[[], Any]) -> float:
        """When the broker tells that the device is gone, after it was."""
        told: list[float] = []

        def listen(_device: str, topic: str, body: Any) -> None:
            if topic == "status" and body.get("state") == "offline":
                told.append(post.stage.now_s())

        post.stage.on_message(listen)
        began_s = post.stage.now_s()
        await end()
        await post.stage.sleep_until(began_s + 120)
        return told[0] - began_s

    async def play(post: Post) -> None:
        await post.stage.sleep_until(10)
        assert await wills(post, post.device.kill) == pytest.approx(5, abs=0.5)
        await post.device.start()
        await post.stage.sleep_until(post.stage.now_s() + 10)
        assert 20 < await wills(post, post.device.cut_power) < 60

    played(tmp_path, play)


def test_a_stopped_agent_says_goodbye_and_starts_again_where_it_was(tmp_path: Path) -> None:
    async def play(post: Post) -> None:
        await post.press(5)
        await post.stage.sleep_until(10)
        await post.device.stop()
        assert not post.device.running
        await post.stage.sleep_until(20)
        await post.device.start()
        with pytest.raises(RuntimeError, match="runs already"):
            await post.device.start()
        with pytest.raises(NotInVirtualTimeError):
            post.device.set_hanging(True)
        await post.stage.sleep_until(30)

    record = played(tmp_path, play)
    states = [one["body"]["state"] for one in record.messages if one["topic"] == "status"]
    assert "stopped" in states
    assert states[-1] != "stopped"
    assert [one["event"] for one in record.events if one.get("part") == "device"] == [
        "started", "stopped", "started",
    ]  # fmt: skip


def test_a_signed_push_and_signed_commands_are_taken(tmp_path: Path) -> None:
    async def play(post: Post) -> None:
        await post.stage.sleep_until(5)
        text = (tmp_path / "post-1" / "config.yaml").read_text()
        await post.device.push(text.replace("critical", "warning"))
        await post.stage.sleep_until(20)
        await post.device.command("output", {"source": "board", "output": "siren", "on": True, "for_s": 5})
        await post.press(30)
        await post.stage.sleep_until(40)

    record = played(tmp_path, play)
    reported = [one["body"].get("state") for one in record.messages if one["topic"] == "config/reported"]
    assert reported[-1] == "applied"
    answers = [one["body"] for one in record.messages if one["topic"] == "command/result"]
    assert any("nonce" in body for body in answers)
    raised = next(one["body"]["alert"] for one in record.messages if one["topic"] == "alert")
    assert raised["severity"] == "warning"


def test_two_devices_have_clocks_of_their_own(tmp_path: Path) -> None:
    async def main() -> RunRecord:
        async with VirtualStage(tmp_path, seed=1) as stage:
            posts = [Post(stage, name) for name in ("post-1", "post-2")]
            for post in posts:
                await post.device.start()
            posts[0].device.clock.step(-3600)
            posts[1].device.clock.set_rate(1.1)
            await stage.sleep_until(100)
            assert posts[0].device.clock.wrong_reads > 0
            return stage.record

    record = run_virtual(main)
    last = {one["device"]: one["body"]["at"] for one in record.messages if one["topic"] == "health"}
    assert last["post-1"].startswith("2026-11-28T03:0")
    assert last["post-2"].startswith("2026-11-28T04:01:")


@dataclass
class Frame:
    detections: tuple[Detection, ...]
    delay_s: float = 0.12
    camera_moves: bool = False


class Railing:
    """Somebody stands at the railing from the 10th to the 30th second."""

    def frame(self, second: float) -> Frame:
        person = Detection("person", 0.8, (0.4, 0.4, 0.5, 0.8))
        return Frame((person,) if 10 <= second < 30 else ())


URL = "http://127.0.0.1:9/cam1.mjpg"


def with_camera() -> dict[str, Any]:
    zone = [[0.3, 0.3], [0.7, 0.3], [0.7, 0.9], [0.3, 0.9]]
    return watch_point() | {
        "kind": "checkpoint_camera",
        "sources": {"cam1": {"kind": "camera", "url": URL, "purpose": "test", "zones": {"railing": zone}}},
        "rules": {
            "there": {
                "kind": "zone_dwell", "camera": "cam1", "zone": "railing", "labels": ["person"],
                "dwell": "4s", "severity": "warning",
            },
            "blind": {"kind": "blind", "camera": "cam1", "after": "5s", "severity": "warning"},
        },
    }  # fmt: skip


def test_a_camera_shows_what_the_world_has_and_says_when_it_is_blind(tmp_path: Path) -> None:
    async def main() -> RunRecord:
        async with VirtualStage(tmp_path, seed=1) as stage:
            device = stage.add_device("post-1", with_camera())
            device.add_camera("cam1", Railing(), stage.now_s)
            camera = device.hardware["cam1"]
            await device.start()
            await stage.sleep_until(50)
            camera.blinding = "covered"
            await stage.sleep_until(80)
            camera.blinding = None
            await stage.sleep_until(120)
            await camera.cut()
            await stage.sleep_until(160)
            await camera.restore()
            await stage.sleep_until(200)
            assert camera.faulty > 0
            assert camera.connections == 2
            return stage.record

    record = run_virtual(main)
    told = [
        (one["body"]["alert"]["rule"], one["body"]["alert"]["phase"], one["t"])
        for one in record.messages
        if one["topic"] == "alert" and one["body"]["alert"]["phase"] != "update"
    ]
    assert [one[:2] for one in told[:4]] == [
        ("there", "new"), ("there", "end"), ("blind", "new"), ("blind", "end"),
    ]  # fmt: skip
    assert 14 < told[0][2] < 17
    assert "covered" in reasons(record)
    assert "no frame" in reasons(record, 120) or "cam1" in reasons(record, 120)


def test_a_run_that_waits_for_nothing_ends_with_an_error() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="waits for what never comes"):
        run_virtual(main)
