"""The gate: what opens it, what does not, and that no event of a clip is lost behind it."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import models
from agent.vision.capture import frames
from agent.vision.motion import LIVE_S, Gate, Motion
from models.detection import Frame
from simulators.scene import Scene

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "vision" / "clips"
ON = Motion.model_validate({"gate": True, "heartbeat": "5s"})


def texture(seed: int = 0) -> Frame:
    """A still view with detail everywhere, 640 x 360."""
    blocks = np.random.default_rng(seed).integers(0, 256, (45, 80, 1), np.uint8)
    return np.ascontiguousarray(np.kron(blocks, np.ones((8, 8, 3), np.uint8)))


def test_a_still_view_is_looked_at_by_the_heartbeat_alone() -> None:
    gate = Gate(ON)
    noise = np.random.default_rng(1)
    view = texture().astype(np.int16)
    reasons = [
        gate.reason(np.clip(view + noise.integers(-6, 7, view.shape), 0, 255).astype(np.uint8), step / 5)
        for step in range(101)
    ]
    assert [step for step, reason in enumerate(reasons) if reason] == [0, 25, 50, 75, 100]
    assert set(reasons) == {"heartbeat", None}


def test_a_small_thing_that_moves_opens_it() -> None:
    gate = Gate(ON)
    view = np.full((1080, 1920, 3), 90, np.uint8)
    gate.reason(view, 0)
    swimmer = view.copy()
    swimmer[500:540, 900:920] = 200
    assert gate.reason(swimmer, 0.2) == "motion"


def test_who_stops_moving_is_not_forgotten() -> None:
    """He melts into the background; as long as the detector sees him, it is asked again."""
    gate = Gate(ON)
    gate.reason(Scene(comes_s=5).picture(0), 0)
    reasons = []
    for step in range(1, 150):
        now_s = step / 5
        reasons.append(gate.reason(Scene(comes_s=-10).picture(1), now_s))
        if reasons[-1]:
            gate.detected(now_s)
    assert None not in reasons
    assert reasons[0] == "motion"
    assert reasons[-1] == "track"


def test_it_closes_when_nothing_is_seen_any_more() -> None:
    gate = Gate(ON)
    view = texture()
    gate.reason(view, 0)
    gate.detected(0)
    assert gate.reason(view, LIVE_S) == "track"
    assert gate.reason(view, LIVE_S + 0.1) is None


def test_a_camera_that_moves_opens_it_each_time() -> None:
    gate = Gate(ON)
    gate.reason(texture(), 0)
    view = texture()
    assert {gate.reason(np.roll(view, 16 * step, axis=1), step / 5) for step in range(1, 20)} == {
        "camera_moves"
    }


def test_without_a_gate_every_frame_is_looked_at() -> None:
    gate = Gate(Motion())
    assert all(gate.reason(texture(), step / 5) for step in range(10))


@pytest.mark.parametrize("heartbeat", ["0s", "2min", "-1s", "often"])
def test_a_heartbeat_that_cannot_be_is_refused(heartbeat: str) -> None:
    with pytest.raises(ValidationError, match="heartbeat"):
        Motion.model_validate({"gate": True, "heartbeat": heartbeat})


@pytest.mark.needs_shared
@pytest.mark.skipif(not CLIPS.exists(), reason="the clips of ../shared are not here")
def test_no_frame_with_somebody_is_lost_behind_it() -> None:
    detect = models.find("default").at(0.4).load()
    gate = Gate(ON)
    lost = 0
    for _, second, frame in frames(str(CLIPS / "person-bicycle-car_preview.mp4")):
        seen = detect(frame)
        if gate.reason(frame, second) is None:
            lost += bool(seen)
        elif seen:
            gate.detected(second)
    assert lost == 0
