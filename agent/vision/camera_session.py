"""One run of a camera: its stages after the capture, under settings that may change while it runs.

    frame ─▶ preprocessor ─▶ CameraSlot ═▶ inference ═▶ Tracker, zones ─▶ Sighting
                                 └─▶ VisibilityMonitor ─▶ View

A change keeps the capture and the detector. `CameraSession.take` runs in the camera's thread, all else on the
event loop. Frames that were captured under another blackout lead to nothing.
"""

import asyncio

from agent.domain.observations import SeenObject, Sighting, View
from agent.domain.zones import zones_of
from agent.host.clock import monotonic_s
from agent.privacy.redaction import FrameWithPeople
from agent.vision.camera_regions import CameraRegions
from agent.vision.camera_settings import CameraSettings
from agent.vision.camera_slot import CameraSlot
from agent.vision.camera_url import is_file
from agent.vision.evidence_stream import EvidenceStream
from agent.vision.inference_pool import SHARED_POOL
from agent.vision.inference_result import CapturedFrame, InferenceResult
from agent.vision.motion_gate import MotionGate
from agent.vision.preprocess import preprocessor
from agent.vision.tracker import TrackedObject, Tracker
from agent.vision.visibility import VisibilityMonitor, VisibilitySettings
from firmware_bridge.source import SourcePart
from models.detection import Detect, Detection, Frame

OBJECTS_AGE_S = 3.0
"""A zone in which an object was seen within this time is not covered by it."""


class CameraSession:
    """The state of one run. ``redactable``: the detector finds people, so pictures may be made.

    ``evidence``: the stream that pictures are made of, where it is another one.
    """

    def __init__(
        self,
        settings: CameraSettings,
        detect: Detect,
        redactable: bool,
        evidence: EvidenceStream | None = None,
    ) -> None:
        self.settings = settings
        self.waits_for_each = is_file(settings.url) and settings.every_frame
        """Whether each frame of a file gets an inference."""
        self._redactable, self._evidence = redactable, evidence
        self._gate, self._tracker = MotionGate(settings.motion), Tracker(settings.detector.score)
        self._regions = CameraRegions(settings, detect)
        self._gate.finds_boxes = self._regions.on
        self._preprocess = (0, preprocessor(settings.rotate, settings.crop, settings.blackout))
        self._visibility = VisibilityMonitor(settings.zones, visibility_settings(settings))
        self._seen: tuple[float, tuple[SeenObject, ...]] = (0.0, ())
        self.slot = CameraSlot(SHARED_POOL, self._gate.decide, detect, self._interval_s(), settings.url)

    @property
    def expected_fps(self) -> float | None:
        """The configured frame rate; None where a file sets it."""
        return None if is_file(self.settings.url) else self.settings.fps

    def take(self, number: int, at_s: float, frame: Frame) -> None:
        """A frame of the capture; called in the camera's thread."""
        generation, preprocess = self._preprocess
        captured = CapturedFrame(number, at_s, preprocess(frame), generation)
        self.slot.offer(captured, wait=self.waits_for_each)

    def adopt(self, changed: SourcePart) -> None:
        """Takes over changed settings; those that need a restart are the same (`Camera.goes_on_as`)."""
        before = self.settings
        if changed is before or not isinstance(changed, CameraSettings):
            return
        self.settings = changed
        self._gate.settings = changed.motion
        self._tracker.score = changed.detector.score
        self._regions.change(changed)
        self._gate.finds_boxes = self._regions.on
        self.slot.set_interval(self._interval_s())
        if changed.blackout != before.blackout:
            generation, _ = self._preprocess
            self._preprocess = (
                generation + 1,
                preprocessor(changed.rotate, changed.crop, changed.blackout),
            )
            self._visibility = VisibilityMonitor(changed.zones, visibility_settings(changed))
        else:
            self._visibility.change(changed.zones, visibility_settings(changed))

    def is_current(self, result: InferenceResult) -> bool:
        """Whether the frame was captured under the present blackout."""
        return result.captured.generation == self._preprocess[0]

    async def view(self, result: InferenceResult, *, intact: bool) -> View | None:
        """The visibility in the frame of ``result``, where a check is due."""
        frame, at_s = result.captured.frame, result.captured.at_s
        if not self.is_current(result) or not self._visibility.due(at_s):
            return None
        seen_s, objects = self._seen
        recent = objects if at_s - seen_s <= OBJECTS_AGE_S else ()
        return await asyncio.to_thread(self._visibility.check, frame, at_s, learn=intact, objects=recent)

    def sighting(self, result: InferenceResult) -> Sighting | None:
        """The tracked objects of a frame; with the frame itself where its people can be redacted.

        None where the detector was skipped. Regions examined before the frame join it; regions of the frame
        are examined later.
        """
        captured, moved = result.captured, result.decision.egomotion
        examined = [
            one for one in self.slot.take_examined() if one.captured.generation == captured.generation
        ]
        joined = self._regions.join(result, examined, self._tracker)
        if joined is None:
            if self._regions.waits():
                self._gate.detected(captured.at_s)
            return None
        detections, cut = joined
        wanted = self.settings.detector.wanted(detections)
        tracked = self._tracker.track(wanted, captured.at_s, moved)
        if tracked or self._tracker.has_unconfirmed:
            self._gate.detected(captured.at_s)
        self._seen = captured.at_s, self._objects(tracked)
        self.slot.examine(captured, self._regions.plan(result, self._tracker))
        return Sighting(
            frame=captured.number,
            objects=self._seen[1],
            delay_s=round(monotonic_s() - captured.at_s, 4),
            camera_moves=moved is not None and moved.far,
            frame_with_people=self._with_people(captured, (*detections, *cut)) if self._redactable else None,
        )

    def _with_people(self, captured: CapturedFrame, detections: tuple[Detection, ...]) -> FrameWithPeople:
        """A frame of the present blackout, and the way to a larger picture of it, under the same one."""
        evidence, frame = self._evidence, captured.frame
        if evidence is None or not evidence.ready:
            return FrameWithPeople(frame, detections)
        preprocess = self._preprocess[1]
        return FrameWithPeople(frame, detections, lambda: evidence.picture(captured.at_s, frame, preprocess))

    def _objects(self, tracked: list[TrackedObject]) -> tuple[SeenObject, ...]:
        return tuple(
            SeenObject(
                track=seen.track,
                label=seen.label,
                score=seen.score,
                box=seen.box,
                zones=zones_of(seen.box, self.settings.zones),
                sure=seen.sure,
            )
            for seen in tracked
        )

    def _interval_s(self) -> float:
        return 0.0 if self.waits_for_each else 1 / self.settings.fps


def visibility_settings(settings: CameraSettings) -> VisibilitySettings:
    """The settings; a camera that turns with its platform has no fixed view to compare with."""
    turns = settings.mount is not None and settings.mount.heading_deg is None
    return settings.coverage.model_copy(update={"moves": True}) if turns else settings.coverage
