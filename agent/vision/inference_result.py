"""A captured frame, and the results of its inference and of the inference of its regions."""

import threading
from dataclasses import dataclass, field

from agent.vision.motion_gate import MotionDecision
from agent.vision.regions import Region
from models.detection import Detection, Frame
from models.tiles import PartDetection

NO_DECISION = MotionDecision(None)


@dataclass(frozen=True, slots=True)
class CapturedFrame:
    """A frame; ``at_s`` is the monotonic time at which it was taken, as near as the source allows."""

    number: int
    at_s: float
    frame: Frame
    generation: int = 0
    """Counts changes of the blackout during a run of the camera."""


@dataclass(slots=True)
class InferenceResult:
    """The inference of one frame: its thread, its start (monotonic), and what came of it.

    ``detections`` holds all that the detector found, None where the motion gate skipped the detector.
    """

    captured: CapturedFrame
    thread: threading.Thread
    started_s: float
    decision: MotionDecision = NO_DECISION
    detections: tuple[Detection, ...] | None = None
    inference_s: float = 0.0
    error: Exception | None = None
    done: bool = False


@dataclass(slots=True, eq=False)
class ExaminedRegion:
    """The inference of one region of a frame; ``thread`` and ``started_s`` as in `InferenceResult`."""

    captured: CapturedFrame
    region: Region
    thread: threading.Thread | None = None
    started_s: float = 0.0
    found: list[PartDetection] = field(default_factory=list)
    error: Exception | None = None
    done: bool = False
