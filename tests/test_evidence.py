"""Pictures of alerts: which frame, how soon, what is in it; and that nothing leaves that should not."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models
from agent.audit.audit_log import AuditLog
from agent.audit.chain_files import ChainFiles
from agent.audit.verify import read_entries
from agent.domain.findings import Finding
from agent.domain.message import Message
from agent.domain.observations import Observation, SeenObject, Sighting
from agent.evidence import people_search as module
from agent.evidence.camera_buffer import LINGER_S
from agent.evidence.jpeg import read_label
from agent.evidence.recorder import FETCH_EVERY_S, MAX_FRAME_AGE_S, EvidenceRecorder
from agent.evidence.settings import Evidence
from agent.privacy.redaction import (
    CONFIDENT_SCORE,
    FILL,
    REDACTION_MIN_SCORE,
    REDACTION_PASSES,
    FrameWithPeople,
    person_boxes,
    redact,
)
from agent.privacy.rescue_grant import Grant
from agent.vision.camera import Camera
from models.detection import Box, Detect, Detection, Frame
from simulators.scene import Scene
from tests.test_picture import CORNER, corner_of, inside, pixels, scene
from tests.thorough import all_or
from tests.waiting import until

START = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
GRANT = Grant(id="g1", expires=START + timedelta(hours=1), role="watch-officer", reason="man in the water")
NEAR: Box = (0.4, 0.2, 0.6, 0.8)
FAR: Box = (0.45, 0.4, 0.5, 0.55)


@dataclass
class Desk:
    """A recorder, what it has sent, and the seconds that pass for it."""

    folder: Path
    evidence: Mapping[str, Any] = field(default_factory=dict)
    grant: Grant | None = None
    finds: tuple[Detection, ...] = ()
    sent: list[tuple[Message, Mapping[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        audit = AuditLog(ChainFiles(self.folder / "audit"))
        self.recorder = EvidenceRecorder("d1", self.folder, lambda _: self.grant, self.send, audit)
        self.configure()

    def configure(self) -> None:
        config = Evidence.model_validate({"least_free_mb": 0} | dict(self.evidence))
        self.recorder.configure(config, {"cam1": [CORNER]}, lambda: {"to": ["mqtt://b"]}, {"cam1": self.load})

    @property
    def busy(self) -> bool:
        """Whether pictures are still to leave or to be recorded."""
        return bool(self.recorder._requests) or any(one.waiting for one in self.recorder._cameras.values())

    def load(self) -> Detect:
        """The detector that looks through what leaves."""
        return lambda _: self.finds

    async def send(self, message: Message, entry: Mapping[str, Any]) -> None:
        self.sent.append((message, entry))

    def see(
        self, second: float, *objects: tuple[int, Box], seen: list[Detection] | None = None, frame: Any = None
    ) -> None:
        """A sighting of people at these boxes, with their track numbers; ``seen`` is the whole detection pass."""
        everything = seen if seen is not None else [Detection("person", 0.8, box) for _, box in objects]
        self.see_look(
            second, FrameWithPeople(scene(360, 640) if frame is None else frame, everything), *objects
        )

    def see_look(self, second: float, look: FrameWithPeople, *objects: tuple[int, Box]) -> None:
        """A sighting with this frame."""
        things = tuple(SeenObject(track=track, label="person", score=0.8, box=box) for track, box in objects)
        sighting = Sighting(frame=int(second * 5), objects=things, frame_with_people=look)
        self.recorder.on_observation(
            Observation("cam1", START + timedelta(seconds=second), 100 + second, sighting)
        )

    def alert(
        self, second: float, box: Box | None = NEAR, alert_id: str = "a1", source: str = "cam1"
    ) -> list[str]:
        finding = Finding(key="k", text="t", since=START, source=source, label="person", box=box)
        return self.recorder.on_alert(alert_id, "rail", finding, 100 + second)

    async def work(self) -> None:
        while await self.recorder.step():
            pass

    def labels(self) -> list[dict[str, Any]]:
        return [read_label(message.body) for message, _ in self.sent]

    def log(self) -> list[dict[str, Any]]:
        return [entry.fields for entry in read_entries(self.folder / "audit") if entry.kind == "picture"]


def played(scene_: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scene_(), 120))


def test_an_alert_has_its_picture_at_once_named_covered_and_listed(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def run() -> None:
        desk.see(0, (1, NEAR))
        assert desk.alert(0.1) == ["media/a1/1"]
        await desk.work()

    played(run)
    ((message, entry),) = desk.sent
    assert (message.lane, message.topic, message.retain) == ("media", "media/a1/1", False)
    assert len(message.body) <= 64_000
    shown = pixels(message.body)
    assert abs(inside(shown, NEAR).astype(int) - FILL).max() <= 2
    assert corner_of(shown).max() == 0
    assert inside(shown, (0.65, 0.3, 0.95, 0.9)).max() > 200
    assert read_label(message.body) == {
        "device": "d1", "camera": "cam1", "frame": 0, "at": "2026-11-28T06:00:00.000Z", "alert_id": "a1", "n": 1,
        "why": "alert rail", "looks": REDACTION_PASSES, "covered": True, "people": [[0.4, 0.2, 0.6, 0.8]],
    }  # fmt: skip
    (logged,) = desk.log()
    assert {key: one for key, one in entry.items() if key != "entry"}.items() <= logged.items()
    assert (logged["sha256"], logged["bytes"]) == (sha256(message.body).hexdigest(), len(message.body))
    assert (logged["topic"], logged["to"], logged["why"]) == ("media/a1/1", ["mqtt://b"], "alert rail")
    assert (logged["covered"], logged["shown"], logged["flag"]) == (1, 0, None)


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([NEAR, FAR], 0),  # he walked away: the picture in which he was large
        ([FAR, NEAR], 5),
        ([(0.0, 0.2, 0.21, 0.8), (0.4, 0.2, 0.58, 0.8)], 5),  # cut off by the edge, then whole
    ],
)
def test_the_picture_is_the_one_that_shows_it_best(boxes: list[Box], expected: int, tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def run() -> None:
        for second, box in enumerate(boxes):
            desk.see(second, (1, box), (2, (0.8, 0.1, 0.9, 0.2)))
            await desk.work()
        desk.alert(1.1, boxes[-1])
        await desk.work()

    played(run)
    assert [label["frame"] for label in desk.labels()] == [expected]


def test_another_s_best_picture_is_not_his(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def run() -> None:
        desk.see(0, (1, NEAR))
        await desk.work()
        desk.see(1, (2, FAR))
        desk.alert(1.1, FAR)
        await desk.work()

    played(run)
    assert [label["frame"] for label in desk.labels()] == [5]


@pytest.mark.parametrize(
    ("source", "after_s", "box"),
    [("board", 0.1, None), ("cam2", 0.1, NEAR), ("cam1", MAX_FRAME_AGE_S + 1, NEAR)],
)
def test_without_a_fresh_frame_no_picture_is_promised(
    source: str, after_s: float, box: Box | None, tmp_path: Path
) -> None:
    desk = Desk(tmp_path)

    async def run() -> None:
        desk.see(0, (1, NEAR))
        assert desk.alert(after_s, box, source=source) == []
        await desk.work()

    played(run)
    assert desk.sent == []


def test_a_flood_of_alerts_holds_a_bounded_number_of_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alert beyond it promises no picture, until one of the others has left."""
    monkeypatch.setattr("agent.evidence.recorder.MAX_REQUESTS", 2)
    desk = Desk(tmp_path)
    desk.see(0, (1, NEAR))
    assert [bool(desk.alert(0.1, alert_id=f"a{number}")) for number in range(3)] == [True, True, False]
    played(desk.work)
    assert len(desk.sent) == 2
    assert desk.alert(0.2, alert_id="a4") == ["media/a4/1"]


def test_without_a_detection_pass_there_is_no_picture(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def run() -> None:
        bare = Sighting(frame=1, objects=(SeenObject(track=1, label="person", score=0.9, box=NEAR),))
        desk.recorder.on_observation(Observation("cam1", START, 100, bare))
        assert desk.alert(0.1) == []
        await desk.work()

    played(run)
    assert (desk.sent, list(tmp_path.rglob("*.jpg"))) == ([], [])


def test_the_unsure_are_covered_and_those_just_seen_too(tmp_path: Path) -> None:
    """One at 0.1, and one whom the detector loses for a second: neither is in the picture."""
    desk = Desk(tmp_path)
    unsure, lost = (0.7, 0.5, 0.8, 0.9), (0.35, 0.1, 0.45, 0.3)

    async def run() -> None:
        desk.see(0, seen=[Detection("person", 0.5, lost)])
        desk.see(
            LINGER_S - 0.1,
            seen=[
                Detection("person", REDACTION_MIN_SCORE, unsure),
                Detection("boat", 0.9, (0.5, 0.5, 0.6, 0.6)),
            ],
        )
        desk.alert(LINGER_S, None)
        await desk.work()
        desk.see(5, seen=[])
        desk.alert(5, None, "a2")
        await desk.work()

    played(run)
    first, second = (pixels(message.body) for message, _ in desk.sent)
    for box in (unsure, lost):
        assert abs(inside(first, box).astype(int) - FILL).max() <= 2
        assert inside(second, box).max() > 90
    assert inside(first, (0.52, 0.52, 0.58, 0.58)).max() > 90


def test_under_a_flag_people_are_shown_and_it_is_logged_under_which(tmp_path: Path) -> None:
    desk = Desk(tmp_path, grant=GRANT)

    async def run() -> None:
        desk.see(0, (1, NEAR))
        desk.alert(0.1)
        await desk.work()

    played(run)
    ((message, _),) = desk.sent
    assert inside(pixels(message.body), NEAR).max() > 200
    assert corner_of(pixels(message.body)).max() == 0
    assert not read_label(message.body)["covered"]
    (logged,) = desk.log()
    assert (logged["covered"], logged["shown"]) == (0, 1)
    assert logged["flag"] == {
        "id": "g1",
        "role": "watch-officer",
        "reason": "man in the water",
        "until": "2026-11-28T07:00:00.000Z",
    }


def test_what_was_kept_under_a_flag_leaves_covered_after_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, grant=GRANT)

    async def run() -> None:
        desk.see(0, (1, NEAR))
        await desk.work()
        desk.grant = None
        desk.see(1, (1, FAR))
        desk.alert(1.1, FAR)  # the best picture is the one of the flag
        await desk.work()
        await desk.recorder.fetch("a1", 10, done)
        await until(lambda: finished, doing=desk.work)

    finished: list[Mapping[str, Any]] = []

    async def done(counts: Mapping[str, Any]) -> None:
        finished.append(counts)

    played(run)
    assert [label["frame"] for label in desk.labels()] == [0, 0, 5]
    assert finished == [{"sent": 2, "withheld": 0, "kept": 2, "complete": False}]
    for message, _ in desk.sent[:2]:
        assert abs(inside(pixels(message.body), NEAR).astype(int) - FILL).max() <= 2
    assert [entry["shown"] for entry in desk.log()] == [0, 0, 0]


HIDDEN: Box = (0.7, 0.3, 0.9, 0.9)
"""Somebody whom the camera's own look misses, and the look before a picture leaves finds."""


async def fetched(desk: Desk, alert_id: str = "a1") -> Mapping[str, Any]:
    """Fetches a clip to its end, and what is said of it."""
    finished: list[Mapping[str, Any]] = []

    async def done(counts: Mapping[str, Any]) -> None:
        finished.append(counts)

    await desk.recorder.fetch(alert_id, 10, done)
    await until(lambda: finished, doing=desk.work)
    return finished[0]


def test_whom_the_last_look_finds_is_covered_in_whatever_leaves(tmp_path: Path) -> None:
    """The frame of the alert, an earlier one in which it shows better, and a clip: also if recorded before."""
    desk = Desk(tmp_path)

    async def run() -> None:
        desk.see(0, (1, NEAR))
        await desk.work()
        kept = next((tmp_path / "evidence").rglob("*.jpg"))
        assert inside(pixels(kept.read_bytes()), HIDDEN).max() > 200
        desk.finds = (Detection("person", 0.2, HIDDEN), Detection("boat", 0.9, (0.0, 0.0, 0.3, 1.0)))
        desk.alert(0.1, None, "fresh")
        desk.see(1, (1, FAR))
        desk.alert(1.1, FAR, "better")
        await desk.work()
        await fetched(desk, "fresh")

    played(run)
    assert [message.topic.split("/")[1] for message, _ in desk.sent] == ["fresh", "better", "fresh", "fresh"]
    assert [label["frame"] for label in desk.labels()] == [0, 0, 0, 5]
    for (message, entry), label, logged in zip(desk.sent, desk.labels(), desk.log(), strict=True):
        assert abs(inside(pixels(message.body), HIDDEN).astype(int) - FILL).max() <= 2
        assert list(HIDDEN) in label["people"]
        assert (label["covered"], label["looks"]) == (True, REDACTION_PASSES)
        assert entry["covered"] == logged["covered"] == len(label["people"]) >= 2
        assert (logged["shown"], logged["looks"]) == (0, REDACTION_PASSES)
    assert inside(pixels(desk.sent[0][0].body), (0.05, 0.5, 0.3, 0.9)).max() > 90  # a boat is no person


class Refuses:
    """Detectors that can't look: in each way in which one can't."""

    def __init__(self) -> None:
        self.asked = 0
        self.free = threading.Event()

    def missing(self) -> Detect:
        self.asked += 1
        raise OSError("detector x: no model 'x'")

    def fails(self) -> Detect:
        self.asked += 1

        def detect(_: Frame) -> tuple[Detection, ...]:
            raise ValueError("it fails as it runs")

        return detect

    def hangs(self) -> Detect:
        self.asked += 1

        def detect(_: Frame) -> tuple[Detection, ...]:
            self.free.wait()
            return ()

        return detect

    def loads_for_ever(self) -> Detect:
        self.asked += 1
        self.free.wait()
        return lambda _: ()

    def is_slow(self) -> Detect:
        self.asked += 1

        def detect(_: Frame) -> tuple[Detection, ...]:
            time.sleep(0.1)
            return ()

        return detect


@pytest.mark.parametrize("how", ["missing", "fails", "hangs", "loads_for_ever", "is_slow"])
def test_without_the_last_look_a_picture_leaves_covered_from_edge_to_edge_and_says_so(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REDACTION_LIMIT_S", 0.3)
    desk, refuses = Desk(tmp_path), Refuses()
    monkeypatch.setattr(desk, "load", getattr(refuses, how))
    desk.configure()

    async def run() -> None:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        beside = asyncio.ensure_future(others())
        desk.see(0, (1, NEAR))
        assert desk.alert(0.1) == ["media/a1/1"]  # the alert waits for nothing
        await desk.work()
        beside.cancel()
        assert turns >= 10 or how in ("missing", "fails")  # and nothing else does
        desk.see(1, (1, NEAR))
        desk.alert(1.1, alert_id="a2")
        await desk.work()
        await fetched(desk, "a1")

    try:
        played(run)
    finally:
        refuses.free.set()
    assert [message.topic for message, _ in desk.sent] == [
        "media/a1/1",
        "media/a2/1",
        "media/a1/2",
        "media/a1/3",
    ]
    for (message, _), label, logged in zip(desk.sent, desk.labels(), desk.log(), strict=True):
        shown = pixels(message.body).astype(int)
        assert (abs(shown - FILL).max(axis=2) <= 2).mean() > 0.9  # all but the blackout
        assert ((abs(shown - FILL) <= 2) | (shown <= 2)).mean() > 0.99
        assert corner_of(shown).max() == 0
        assert (label["covered"], label["people"], label["looks"]) == (True, None, 0)
        assert (logged["covered"], logged["shown"], logged["looks"]) == (None, 0, 0)
    assert refuses.asked == 1  # who could not look is not asked for each picture
    assert "pictures of cam1 leave fully redacted" in desk.recorder.troubles["redaction cam1"]


def test_a_detector_that_can_look_again_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, refuses = Desk(tmp_path), Refuses()
    monkeypatch.setattr(desk, "load", refuses.missing)
    desk.configure()

    async def run() -> None:
        for number in range(4):
            desk.see(number, (1, NEAR))
            desk.alert(number + 0.1, alert_id=f"a{number}")
            await desk.work()
            if number == 1:
                monkeypatch.setattr(module, "RETRY_AFTER_S", 0.0)
                desk.recorder._release._people._not_until_s.clear()  # a minute later
            if number == 2:
                monkeypatch.undo()
                desk.configure()

    played(run)
    assert [label["people"] is None for label in desk.labels()] == [True, True, True, False]
    assert refuses.asked == 2
    assert desk.recorder.troubles == {}


def test_under_a_flag_a_picture_leaves_without_a_look_too_and_how_many_it_shows_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rescuers don't wait for a detector; and when the flag is over, such a picture leaves wholly covered."""
    desk = Desk(tmp_path, grant=GRANT)
    monkeypatch.setattr(desk, "load", Refuses().missing)
    desk.configure()

    async def run() -> None:
        desk.see(0, (1, NEAR))
        desk.alert(0.1)
        await desk.work()
        desk.grant = None
        await fetched(desk)

    played(run)
    shown, hidden = (pixels(message.body) for message, _ in desk.sent)
    assert inside(shown, NEAR).max() > 200
    assert (abs(hidden.astype(int) - FILL).max(axis=2) <= 2).mean() > 0.9
    assert [(label["covered"], label["people"]) for label in desk.labels()] == [(False, None), (True, None)]
    assert [(entry["covered"], entry["shown"]) for entry in desk.log()] == [(0, None), (None, 0)]


@pytest.mark.slow
def test_the_clip_of_a_camera_that_is_no_more_is_looked_through_by_the_default(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    photograph = Scene(comes_s=0, leaves_s=60).picture(20)

    async def run() -> None:
        desk.see(0, frame=photograph, seen=[])
        desk.alert(0.1, None)
        await desk.work()
        desk.sent.clear()
        desk.recorder.configure(Evidence(least_free_mb=0), {}, dict, {})
        await fetched(desk)

    played(run)
    ((message, _),) = desk.sent
    assert (abs(inside(pixels(message.body), (0.45, 0.45, 0.55, 0.9)).astype(int) - FILL) <= 2).mean() > 0.95


def test_a_blackout_outlives_its_camera(tmp_path: Path) -> None:
    """A push may remove the camera while a frame of it waits to leave, or is being recorded."""
    desk = Desk(tmp_path)
    recorded: list[bytes] = []

    async def run() -> None:
        desk.see(0, (1, NEAR))
        desk.alert(0.1)
        camera = desk.recorder._cameras["cam1"]
        desk.recorder.configure(Evidence(least_free_mb=0), {}, dict, {"cam1": desk.load})
        await desk.work()
        assert camera.waiting is not None
        recorded.append(desk.recorder._release.encode(camera.waiting, camera.quality_hint))

    played(run)
    ((message, _),) = desk.sent
    assert corner_of(pixels(message.body)).max() == 0
    assert corner_of(pixels(recorded[0])).max() == 0


def test_a_clip_is_fetched_in_numbered_pieces_spread_over_it_one_clip_at_a_time(tmp_path: Path) -> None:
    desk = Desk(tmp_path, {"before": "10s", "after": "5s"})
    finished: list[Mapping[str, Any]] = []

    async def done(counts: Mapping[str, Any]) -> None:
        finished.append(counts)

    async def run() -> None:
        for second in range(30):
            desk.see(second, (1, NEAR))
            if second == 20:
                desk.alert(20.1)
            await desk.work()
        desk.sent.clear()
        with pytest.raises(ValueError, match="no clip of alert 'a2' is kept here"):
            await desk.recorder.fetch("a2", 5, done)
        await desk.recorder.fetch("a1", 4, done)
        with pytest.raises(ValueError, match="one at a time"):
            await desk.recorder.fetch("a1", 4, done)
        began_s = asyncio.get_running_loop().time()
        await until(lambda: finished, doing=desk.work)
        assert asyncio.get_running_loop().time() - began_s >= 3 * FETCH_EVERY_S

    played(run)
    assert [message.topic for message, _ in desk.sent] == [
        "media/a1/2",
        "media/a1/7",
        "media/a1/11",
        "media/a1/16",
    ]
    assert [label["frame"] for label in desk.labels()] == [55, 80, 100, 125]
    assert {label["why"] for label in desk.labels()} == {"fetch"}
    assert finished == [{"sent": 4, "withheld": 0, "kept": 15, "complete": True}]


def test_without_an_entry_in_the_log_nothing_leaves(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "audit").write_bytes(b"")

    async def run() -> None:
        desk.see(0, (1, NEAR))
        desk.alert(0.1)
        await desk.work()
        assert "a picture was withheld" in desk.recorder.troubles["withheld"]
        (tmp_path / "audit").unlink()
        desk.alert(0.2, alert_id="a2")
        await desk.work()

    played(run)
    assert [message.topic for message, _ in desk.sent] == ["media/a2/1"]
    assert desk.recorder.troubles == {}


def cut_off(jpeg: bytes) -> bytes:
    return jpeg[:700]


def immense(jpeg: bytes) -> bytes:
    """It says that it is 65,500 pixels wide and high (SOF0), at which OpenCV raises an error of its own."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + b"\xff\xdc\xff\xdc" + jpeg[at + 4 :]


@pytest.mark.parametrize("damage", [cut_off, immense])
def test_a_damaged_picture_in_a_clip_is_withheld_and_the_others_leave(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    desk = Desk(tmp_path)
    finished: list[Mapping[str, Any]] = []

    async def done(counts: Mapping[str, Any]) -> None:
        finished.append(counts)

    async def run() -> None:
        for second in range(3):
            desk.see(second, (1, NEAR))
            if second == 1:
                desk.alert(1.1)
            await desk.work()
        desk.sent.clear()
        victim = sorted((tmp_path / "evidence" / "cam1" / "clips" / "a1").glob("*.jpg"))[1]
        victim.write_bytes(damage(victim.read_bytes()))
        await desk.recorder.fetch("a1", 10, done)
        await until(lambda: finished, doing=desk.work)

    played(run)
    assert finished == [{"sent": 2, "withheld": 1, "kept": 3, "complete": False}]
    assert [message.topic for message, _ in desk.sent] == ["media/a1/2", "media/a1/4"]


def test_a_frame_that_opencv_refuses_stops_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def run() -> None:
        desk.see(0, (1, NEAR), frame=np.zeros((360, 640, 5), np.uint8))
        desk.alert(0.1)
        await desk.work()
        assert set(desk.recorder.troubles) == {"picture", "withheld"}
        desk.see(1, (1, NEAR))
        desk.alert(1.1, alert_id="a2")
        await desk.work()

    played(run)
    assert [message.topic for message, _ in desk.sent] == ["media/a2/1"]
    assert not desk.busy


def test_an_order_that_fails_does_not_stand_in_the_way_of_the_next(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def refuse(*_: Any) -> None:
        raise OSError("the disk takes nothing")

    async def run() -> None:
        desk.see(0, (1, NEAR))
        desk.alert(0.1)
        desk.recorder._release._send = refuse
        with pytest.raises(OSError, match="the disk"):
            await desk.work()
        desk.recorder._release._send = desk.send
        desk.alert(0.2, alert_id="a2")
        await desk.work()

    played(run)
    assert [message.topic for message, _ in desk.sent] == ["media/a2/1"]
    assert not desk.busy


def test_what_lies_on_the_disk_is_covered_and_carries_its_label(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def run() -> None:
        for second in range(5):
            desk.see(second, (1, NEAR))
            await desk.work()

    played(run)
    kept = sorted(tmp_path.rglob("*.jpg"))
    assert len(kept) == 5
    for path in kept:
        assert abs(inside(pixels(path.read_bytes()), NEAR).astype(int) - FILL).max() <= 2
        assert read_label(path.read_bytes())["covered"]


def test_a_machine_that_is_too_slow_records_the_newest_and_counts_the_rest(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def run() -> None:
        for second in range(5):
            desk.see(second, (1, NEAR))
        await desk.work()

    played(run)
    assert [read_label(path.read_bytes())["frame"] for path in tmp_path.rglob("*.jpg")] == [20]
    assert desk.recorder.skipped == 4


def test_a_full_disk_takes_no_recording_but_the_picture_of_the_alert_goes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    async def run() -> None:
        monkeypatch.setattr(Path, "write_bytes", full)
        desk.see(0, (1, NEAR))
        desk.alert(0.1)
        await desk.work()
        assert "nothing is recorded" in desk.recorder.troubles["disk"]
        monkeypatch.undo()
        desk.see(1, (1, NEAR))
        await desk.work()

    played(run)
    assert [message.topic for message, _ in desk.sent] == ["media/a1/1"]
    assert desk.recorder.troubles == {}


@pytest.mark.slow
@pytest.mark.parametrize("rotate", all_or([0, 90], [0, 90, 180, 270]))  # tests/test_privacy.py has all four
def test_nobody_whom_the_detector_finds_is_seen_in_anything_that_leaves(rotate: int, tmp_path: Path) -> None:
    """By the way that frames go: a camera with a blackout, the real detector, the album; each picture's pixels.

    The man stands upright before the camera, and its ``rotate`` is right or wrong. What the detector finds in
    the source frame, at the camera's own score and far below, is one grey in the picture; what it finds in the
    picture, put upright, is nobody; a blackout is zero to the last pixel; the log counts him.
    """
    import cv2

    man = Scene(comes_s=0, leaves_s=60)
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"FFV1"), 5, (640, 360))
    source = [man.picture(10 + step / 5) for step in range(12)]
    for frame in source:
        writer.write(frame)
    writer.release()
    camera = Camera.model_validate(
        {
            "url": str(clip),
            "purpose": "a test",
            "rotate": rotate,
            "blackout": [CORNER],
            "every_frame": True,
            "coverage": {"watch": False},
        }
    )
    desk = Desk(tmp_path, {"fps": 10})
    desk.load = camera.detector.finder  # type: ignore[method-assign]  the real one
    desk.configure()

    async def run() -> None:
        def hear(value: Any) -> None:
            if isinstance(value, Sighting):
                second = value.frame / 5
                desk.recorder.on_observation(
                    Observation("cam1", START + timedelta(seconds=second), 100 + second, value)
                )
                box = value.objects[0].box if value.objects else None
                if value.frame % 4 == 0:
                    finding = Finding(key="k", text="t", since=START, source="cam1", box=box)
                    desk.recorder.on_alert(f"a{value.frame}", "rail", finding, 100 + second)

        worker = asyncio.ensure_future(desk.recorder.run())
        await camera.run(hear)  # type: ignore[arg-type]  None is an answer
        await until(lambda: not desk.busy and desk.recorder._clips.clip("a4") is not None)
        await fetched(desk, "a4")
        worker.cancel()

    played(run)
    detect = models.find("default").at(REDACTION_MIN_SCORE).load()
    assert len(desk.sent) >= 5
    turns = rotate // 90
    for message, entry in desk.sent:
        shown, label = pixels(message.body), read_label(message.body)
        assert corner_of(shown).max() == 0
        upright = np.ascontiguousarray(np.rot90(shown, turns))
        black = np.rot90(redact(np.full_like(shown, 255), [], [CORNER]), turns)
        frame = np.where(cv2.resize(black, (640, 360)) == 0, 0, source[label["frame"] - 1])
        found = person_boxes(one for one in detect(frame) if one.score >= CONFIDENT_SCORE)
        assert found
        for box in found:
            assert abs(inside(upright, box).astype(int) - FILL).max() <= 2 or _black_besides(upright, box)
        assert [one for one in detect(upright) if one.label == "person" and one.score >= 0.4] == []
        assert entry["covered"] == len(label["people"]) >= len(found)
    assert len(desk.log()) == len(desk.sent)


def _black_besides(shown: Any, box: Box) -> bool:
    """Whether all of the box is the fill, or blackout."""
    part = inside(shown, box).astype(int)
    return bool(((abs(part - FILL) <= 2) | (part <= 2)).all())
