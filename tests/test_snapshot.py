"""``command/snapshot``: a current frame, redacted, logged; and what is answered where there is none."""

import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.commands.requests import Snapshot
from agent.config.loader import parse
from agent.control.snapshot import Snapshots
from agent.domain.observations import BlindZone, Observation, SeenObject, Sighting, View
from agent.evidence.jpeg import read_label
from agent.privacy.redaction import FILL, FrameWithPeople
from models.detection import Detection
from tests.test_evidence import NEAR, START, Desk, played
from tests.test_picture import inside, pixels, scene

CONFIG = """\
schema_version: 1
device: d1
kind: checkpoint_camera
place: {ring: perimeter, domain: ground, site: rig, post: north}
broker: {url: "mqtt://127.0.0.1"}
sources:
  cam1: {kind: camera, url: "rtsp://10.0.0.8/1", purpose: a test}
  cam2: {kind: camera, url: "rtsp://10.0.0.9/1", purpose: a test}
"""


class Asked:
    """A recorder with a camera, and the results of snapshots of it."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk(folder)
        self.results: list[dict[str, Any]] = []
        config = parse(CONFIG, name="test", base=folder)
        self.snapshots = Snapshots(self.desk.recorder, lambda: config, self.send)

    async def send(self, result: Mapping[str, Any]) -> None:
        self.results.append(dict(result))

    def see(self, age_s: float = 0.0) -> None:
        seen = SeenObject(track=1, label="person", score=0.8, box=NEAR)
        frame = FrameWithPeople(scene(360, 640), [Detection("person", 0.8, NEAR)])
        value = Sighting(frame=7, objects=(seen,), frame_with_people=frame)
        at = START - timedelta(seconds=age_s)
        self.desk.recorder.on_observation(Observation("cam1", at, time.monotonic() - age_s, value))

    async def ask(self, camera: str = "cam1", name: str = "s-1") -> str:
        command = Snapshot(id=name, camera=camera)
        return await self.snapshots.carry_out(command, {"command_id": name})


def test_a_snapshot_is_the_newest_frame_redacted_and_logged(tmp_path: Path) -> None:
    asked = Asked(tmp_path)

    async def run() -> None:
        asked.see()
        assert await asked.ask() == "accepted"
        await asked.desk.work()

    played(run)
    ((message, entry),) = asked.desk.sent
    (result,) = asked.results
    assert (message.lane, message.topic) == ("media", "media/s-1/1")
    assert len(message.body) <= 64_000
    assert abs(inside(pixels(message.body), NEAR).astype(int) - FILL).max() <= 2
    assert read_label(message.body)["command_id"] == "s-1"
    assert (entry["why"], entry["covered"], asked.desk.log()[0]["topic"]) == (
        "command snapshot", 1, "media/s-1/1",
    )  # fmt: skip
    assert result.items() >= {
        "command_id": "s-1", "state": "succeeded", "camera": "cam1", "width": 640, "height": 360,
        "media": "media/s-1/1", "people_redacted": 1, "people_shown": 0, "fully_redacted": False,
        "bytes": len(message.body),
    }.items()  # fmt: skip
    assert "blind" not in result


def test_a_blind_camera_says_so_beside_its_picture(tmp_path: Path) -> None:
    asked = Asked(tmp_path)

    async def run() -> None:
        asked.see()
        view = View(zones=("rail",), blind=(BlindZone(zone="rail", why="over_exposed", for_s=12.2),))
        asked.desk.recorder.on_observation(Observation("cam1", START, time.monotonic(), view))
        await asked.ask()
        await asked.desk.work()

    played(run)
    assert asked.results[0]["blind"] == ["rail: over exposed for 12 s"]


@pytest.mark.parametrize(
    ("camera", "age_s", "error"),
    [
        ("cam3", 0.0, "no camera 'cam3'; did you mean"),
        ("cam2", 0.0, "cam2: it has given no frame yet"),
        ("cam1", 25.0, "cam1: stale, its last frame is 25 s old"),
    ],
)
def test_without_a_current_frame_the_reason_is_told(
    camera: str, age_s: float, error: str, tmp_path: Path
) -> None:
    asked = Asked(tmp_path)

    async def run() -> None:
        asked.see(age_s)
        with pytest.raises((OSError, ValueError), match=error.replace("?", r"\?")):
            await asked.ask(camera)
        assert not asked.desk.recorder._requests

    played(run)


def test_alerts_go_first_and_few_snapshots_wait(tmp_path: Path) -> None:
    asked = Asked(tmp_path)

    async def run() -> None:
        asked.see()
        await asked.ask(name="s-1")
        await asked.ask(name="s-2")
        with pytest.raises(ValueError, match="2 pictures of commands wait"):
            await asked.ask(name="s-3")
        asked.desk.alert(time.monotonic() - 100)
        await asked.desk.work()

    played(run)
    assert [message.topic for message, _ in asked.desk.sent] == ["media/a1/1", "media/s-1/1", "media/s-2/1"]


def test_a_picture_that_is_withheld_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    async def run() -> None:
        asked.see()
        await asked.ask()
        monkeypatch.setattr(asked.desk.recorder._release._audit, "append_durably", refuse)
        await asked.desk.work()

    played(run)
    assert asked.desk.sent == []
    assert asked.results[0]["state"] == "failed"
    assert "the disk is full" in asked.results[0]["reason"]


@pytest.mark.parametrize("name", ["../alert", "a/b", "#", "+", "ä", ""])
def test_the_id_is_a_level_of_a_topic_and_nothing_else(name: str) -> None:
    with pytest.raises(ValidationError):
        Snapshot(id=name, camera="cam1")
