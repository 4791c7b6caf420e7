"""The clip of a drill: one picture that moves a little from frame to frame, through the real detector."""

from pathlib import Path

import models
from agent.evidence.jpeg import decode_jpeg
from agent.host.clock import monotonic_s
from agent.runtime.native_calls import within
from agent.vision.camera import Camera
from agent.vision.camera_slot import CameraSlot
from agent.vision.inference_pool import SHARED_POOL
from agent.vision.inference_result import CapturedFrame
from agent.vision.motion_gate import MotionDecision
from models.detection import Detection, Frame
from models.regular import read_regular

PICTURE = Path(models.__file__).parent / "pictures/man.jpg"
"""For models whose card has no test picture; see models/LICENSES.md."""
MAX_BYTES = 8 * 1024 * 1024
LEAST_SCORE = 0.25
FRAMES, STEP = 5, 0.01
"""So many inferences; from frame to frame the picture moves by this share of its width."""


def load_clip(camera: Camera, clip: Path | None) -> list[Frame]:
    """The frames; blocking. OSError or ValueError: the picture cannot be read."""
    import numpy as np

    proof = camera.detector.card().proof
    path = clip or (PICTURE if proof is None else proof.picture)
    try:
        picture = decode_jpeg(read_regular(path, MAX_BYTES) or b"-")
    except ValueError as error:
        raise ValueError(f"{path}: no readable picture") from error
    step = max(1, round(picture.shape[1] * STEP))
    return [np.ascontiguousarray(np.roll(picture, number * step, axis=1)) for number in range(FRAMES)]


async def detect_clip(camera: Camera, frames: list[Frame]) -> list[tuple[Detection, ...]]:
    """What the camera's detector finds in each frame, through the inference pool of all cameras.

    OSError: it can't be loaded, or hangs. The slot is the drill's own: frames of the cameras go on.
    """
    detect, _ = await within(
        camera.detector.max_load_s(), camera.detector.load, f"loading {camera.detector.model}"
    )
    seen = []
    with CameraSlot(SHARED_POOL, lambda *_: MotionDecision("no_gate"), detect, 0.0, "drill") as slot:
        for number, frame in enumerate(frames, 1):
            slot.offer(CapturedFrame(number, monotonic_s(), frame))
            result = None
            while result is None:
                result = await slot.next(0.5)
            seen.append(tuple(one for one in result.detections or () if one.score >= LEAST_SCORE))
    return seen
