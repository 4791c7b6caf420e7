"""A frame, and what becomes of it."""

import threading
from dataclasses import dataclass

from agent.vision.motion_gate import MotionDecision
from models.detection import Detection, Frame

NO_GLANCE = MotionDecision(None)


@dataclass(frozen=True, slots=True)
class CapturedFrame:
    """A frame in hand; ``at_s`` is the monotonic time at which it was taken, as near as the source tells."""

    number: int
    at_s: float
    frame: Frame


@dataclass(slots=True)
class InferenceResult:
    """What becomes of a frame, in which thread and since when (monotonic); ``seen`` is all that the detector
    found, None where it was spared."""

    taken: CapturedFrame
    thread: threading.Thread
    since_s: float
    glance: MotionDecision = NO_GLANCE
    seen: tuple[Detection, ...] | None = None
    took_s: float = 0.0
    """How long the detector took."""
    error: Exception | None = None
    done: bool = False
