"""Virtual time: real agents, a broker and a centre in one loop."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from simulators.devices import Board
from simulators.run_record import RunRecord
from simulators.virtual.device import VirtualDevice
from simulators.virtual.host import virtual_loop
from simulators.virtual.ports import VirtualLine
from simulators.virtual.stage import URL, VirtualStage, run_virtual

PORT = "/dev/sim/board"


def watch_point(name: str = "post-1") -> dict[str, Any]:
    return {
        "schema_version": 1,
        "device": name,
        "kind": "watch_point",
        "roles": "roles.json",
        "place": {
            "ring": "inner_city", "domain": "ground", "site": "demo", "post": "square",
            "lat": 32.1162, "lon": 118.7404,
        },
        "broker": {"url": URL},
        "data": {"max_mb": 64},
        "reporting": {"telemetry_every": "5s", "position_every": "5s", "health_every": "20s"},
        "sources": {"board": {"kind": "sensor_board", "port": PORT}},
        "rules": {
            "panic": {"kind": "switch", "source": "board", "name": "panic_button", "severity": "critical"}
        },
    }  # fmt: skip


class Post:
    """A watch point with its board."""

    def __init__(self, stage: VirtualStage, name: str = "post-1") -> None:
        self.stage = stage
        self.device: VirtualDevice = stage.add_device(name, watch_point(name))
        self.line = self.device.lines["board"] = VirtualLine(virtual_loop(), PORT)
        self.board = Board(self.line)
        self.hardware = asyncio.ensure_future(self.board.run())

    async def press(self, at_s: float) -> None:
        await self.stage.sleep_until(at_s)
        self.board.press("panic_button")


def played(folder: Path, play: Callable[[Post], Awaitable[None]], seed: int = 3) -> RunRecord:
    """The record of one post, on which ``play`` acts."""

    async def main() -> RunRecord:
        async with VirtualStage(folder, seed=seed) as stage:
            post = Post(stage)
            await post.device.start()
            await play(post)
            post.hardware.cancel()
            return stage.record

    return run_virtual(main)


def alerts(record: RunRecord) -> list[tuple[float, str]]:
    found = [one for one in record.messages if one["topic"] == "alert"]
    return [(one["t"], one["body"]["alert"]["phase"]) for one in found]


def events(record: RunRecord, name: str) -> list[dict[str, Any]]:
    return [one for one in record.events if one["event"] == name]


def test_a_press_reaches_the_centre_in_virtual_time(tmp_path: Path) -> None:
    async def play(post: Post) -> None:
        await post.press(5)
        await post.stage.sleep_until(60)

    record = played(tmp_path, play)
    at_s, phase = alerts(record)[0]
    assert phase == "new"
    assert 5 <= at_s < 5.5
    accepted = events(record, "accepted")[0]
    assert accepted["rule"] == "panic"
    assert accepted["id"] in [one["id"] for one in events(record, "committed")]
    assert accepted["id"] in [one for receipt in events(record, "receipt") for one in receipt["ids"]]


def test_a_killed_agent_does_nothing_more_and_its_disk_is_as_it_was(tmp_path: Path) -> None:
    async def play(post: Post) -> None:
        post.stage.broker.cut("post-1", "closed")
        await post.press(5)
        await post.stage.sleep_until(6)
        await post.device.kill()
        assert not post.device.running
        post.stage.broker.mend("post-1")
        await post.stage.sleep_until(40)
        assert alerts(post.stage.record) == []
        await post.device.start()
        await post.stage.sleep_until(60)

    record = played(tmp_path, play)
    assert [phase for _, phase in alerts(record)][:1] == ["new"]
    assert alerts(record)[0][0] >= 40
    ids = {one["id"] for one in events(record, "accepted")}
    assert ids <= {one["id"] for one in events(record, "committed")}


def test_a_late_last_will_does_not_stay_retained_beside_a_device_that_is_there(tmp_path: Path) -> None:
    retained = []

    async def scene(post: Post) -> None:
        broker = post.stage.broker
        await post.stage.sleep_until(10)
        broker.set_unkind("late_will", 1.0)
        broker.cut("post-1", "closed")
        broker.mend("post-1")
        for second in (60, 130):
            await post.stage.sleep_until(second)
            status = broker.router.retained["ringpost-sim/v1/post-1/status"]
            retained.append(json.loads(status.payload)["state"])

    played(tmp_path, scene)
    assert retained == ["offline", "online"]
