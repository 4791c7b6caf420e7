"""The gate: what opens it, what does not, and that no event of a clip is lost behind it."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

import models
from agent.vision.egomotion import estimate_egomotion
from agent.vision.motion_gate import (
    HEIGHT,
    TRACK_EVERY_S,
    TRACK_LIVE_S,
    WIDTH,
    MotionGate,
    MotionSettings,
    shrink,
)
from agent.vision.video_file import frames
from models.detection import Frame
from simulators.scene import Scene

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "vision" / "clips"
ON = MotionSettings.model_validate({"gate": True, "heartbeat": "5s"})


def reason(gate: MotionGate, frame: Frame, now_s: float) -> str | None:
    return gate.decide(frame, now_s).reason


def texture(seed: int = 0) -> Frame:
    """A still view with detail everywhere, 640 x 360."""
    blocks = np.random.default_rng(seed).integers(0, 256, (45, 80, 1), np.uint8)
    return np.ascontiguousarray(np.kron(blocks, np.ones((8, 8, 3), np.uint8)))


def test_a_still_view_is_looked_at_by_the_heartbeat_alone() -> None:
    gate = MotionGate(ON)
    noise = np.random.default_rng(1)
    view = texture().astype(np.int16)
    reasons = [
        reason(gate, np.clip(view + noise.integers(-6, 7, view.shape), 0, 255).astype(np.uint8), step / 5)
        for step in range(101)
    ]
    assert [step for step, reason in enumerate(reasons) if reason] == [0, 25, 50, 75, 100]
    assert set(reasons) == {"heartbeat", None}


def test_a_small_thing_that_moves_opens_it() -> None:
    gate = MotionGate(ON)
    view = np.full((1080, 1920, 3), 90, np.uint8)
    reason(gate, view, 0)
    swimmer = view.copy()
    swimmer[500:540, 900:920] = 200
    assert reason(gate, swimmer, 0.2) == "motion"


@pytest.mark.slow
def test_who_stops_moving_is_not_forgotten() -> None:
    """He melts into the background; as long as the detector sees him, it is asked again."""
    gate = MotionGate(ON)
    reason(gate, Scene(comes_s=5).picture(0), 0)
    reasons = []
    for step in range(1, 150):
        now_s = step / 5
        reasons.append(reason(gate, Scene(comes_s=-10).picture(1), now_s))
        if reasons[-1]:
            gate.detected(now_s)
    assert reasons[0] == "motion"
    assert set(reasons[-30:]) == {"track", None}
    looked = [step for step, why in enumerate(reasons) if why]
    assert max(np.diff(looked)) / 5 < TRACK_EVERY_S + 0.2


def test_it_closes_when_nothing_is_seen_any_more() -> None:
    gate = MotionGate(ON)
    view = texture()
    reason(gate, view, 0)
    gate.detected(0)
    assert reason(gate, view, TRACK_LIVE_S) == "track"
    assert reason(gate, view, TRACK_LIVE_S + 0.1) is None


def test_a_camera_that_moves_opens_it_each_time() -> None:
    gate = MotionGate(ON)
    reason(gate, texture(), 0)
    view = texture()
    assert {reason(gate, np.roll(view, 16 * step, axis=1), step / 5) for step in range(1, 20)} == {
        "camera_moves"
    }


def turned(view: Frame, across: float, down: float, degrees: float = 0.0, zoom: float = 1.0) -> Frame:
    """What a camera sees after it moved, so that the picture moves by shares of its size."""
    rows, columns = view.shape[:2]
    matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), degrees, zoom)
    matrix[:, 2] += (across * columns, down * rows)
    return np.asarray(cv2.warpAffine(view, matrix, (columns, rows), borderMode=cv2.BORDER_WRAP), np.uint8)


@pytest.mark.parametrize("move", [(0.05, 0, 0, 1), (-0.02, 0.08, 0, 1), (0.04, 0, 3, 1), (0, 0.01, -3, 1.05)])
def test_how_the_camera_moved_is_measured(move: tuple[float, float, float, float]) -> None:
    view = texture()
    found = estimate_egomotion(shrink(view), shrink(turned(view, *move)))
    assert found is not None
    assert found.far
    rows, columns = view.shape[:2]
    matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), move[2], move[3])
    for x, y in ((0.2, 0.3), (0.5, 0.5), (0.8, 0.6)):
        expected = matrix @ (x * columns, y * rows, 1) / (columns, rows) + move[:2]
        assert found.point(x, y) == pytest.approx(tuple(expected), abs=0.006)
    left, top, right, bottom = found.box((0.4, 0.4, 0.6, 0.6))
    assert right - left == pytest.approx(0.2 * move[3], rel=0.03)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx(found.point(0.5, 0.5), abs=1e-6)


def test_a_camera_that_turns_slowly_is_noticed_in_time() -> None:
    gate = MotionGate(MotionSettings(camera_moves=True))
    view = texture()
    gate.decide(view, 0)
    moved = [gate.decide(turned(view, 0.001 * step, 0), step / 10).egomotion for step in range(1, 21)]
    seen = sum(one.across[2] for one in moved if one is not None)
    assert seen == pytest.approx(0.02, abs=0.005)


def test_the_light_is_not_the_camera() -> None:
    gate = MotionGate(ON)
    gate.decide(texture() // 2, 0)
    glance = gate.decide(texture(), 0.2)
    assert (glance.reason, glance.egomotion) == ("view_changes", None)


def test_something_big_that_passes_is_not_the_camera() -> None:
    view, lorry = texture(), texture(7)
    before, now = view.copy(), view.copy()
    before[60:300, 100:400] = lorry[60:300, 100:400]
    now[60:300, 130:430] = lorry[60:300, 100:400]
    assert estimate_egomotion(shrink(before), shrink(now)) is None


@pytest.mark.parametrize("picture", [np.zeros((HEIGHT, WIDTH), np.uint8), shrink(texture())])
def test_where_nothing_moves_or_nothing_is_seen_it_is_not_guessed(picture: Any) -> None:
    assert estimate_egomotion(picture, picture) is None


@pytest.mark.needs_shared
@pytest.mark.skipif(not CLIPS.exists(), reason="needs the clips beside this folder: ../shared/data")
@pytest.mark.parametrize(
    ("clip", "least", "most"),
    [("vtest.mp4", 0, 0), ("car-detection.mp4", 0, 0), ("boats_pan_synthetic.mp4", 30, 60)],
)
def test_real_cameras_that_move_and_that_do_not(clip: str, least: int, most: int) -> None:
    gate = MotionGate(MotionSettings(camera_moves=True))
    moved = [
        gate.decide(frame, second).egomotion
        for number, second, frame in frames(str(CLIPS / clip))
        if number % 5 == 0
    ]
    assert least <= sum(one is not None and one.far for one in moved) <= most


def test_without_a_gate_every_frame_is_looked_at() -> None:
    gate = MotionGate(MotionSettings())
    assert all(reason(gate, texture(), step / 5) for step in range(10))


@pytest.mark.parametrize("heartbeat", ["0s", "2min", "-1s", "often"])
def test_a_heartbeat_that_cannot_be_is_refused(heartbeat: str) -> None:
    with pytest.raises(ValidationError, match="heartbeat"):
        MotionSettings.model_validate({"gate": True, "heartbeat": heartbeat})


@pytest.mark.needs_shared
@pytest.mark.skipif(not CLIPS.exists(), reason="needs the clips beside this folder: ../shared/data")
def test_no_frame_with_somebody_is_lost_behind_it() -> None:
    detect = models.find("default").at(0.4).load()
    gate = MotionGate(ON)
    lost = 0
    for _, second, frame in frames(str(CLIPS / "person-bicycle-car_preview.mp4")):
        seen = detect(frame)
        if reason(gate, frame, second) is None:
            lost += bool(seen)
        elif seen:
            gate.detected(second)
    assert lost == 0


def test_what_moves_has_a_box_with_and_without_a_gate_and_a_moving_camera_has_none() -> None:
    view = texture()
    small = view.copy()
    small[100:112, 200:206] = 255
    rows, columns = view.shape[:2]
    box = (200 / columns, 100 / rows, 206 / columns, 112 / rows)
    for settings in (MotionSettings(), ON):
        gate = MotionGate(settings, finds_boxes=True)
        assert gate.decide(view, 0).boxes == ()
        (found,) = gate.decide(small, 0.2).boxes
        assert found[0] <= box[0]
        assert box[3] <= found[3]
        assert max(found[2] - found[0], found[3] - found[1]) < 0.1
        assert gate.decide(turned(view, 0.2, 0.1), 0.4).boxes == ()  # the view has changed
    assert MotionGate(ON).decide(view, 0).boxes == ()
    moving = MotionGate(MotionSettings(camera_moves=True), finds_boxes=True)
    assert [moving.decide(frame, 0.2 * n).boxes for n, frame in enumerate((view, small))] == [(), ()]
