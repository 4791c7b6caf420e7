"""The regions of a camera in one run: its settings, the size of its frames, and what is learned of them."""

from collections.abc import Sequence

from agent.positioning.apparent_size import ground_view
from agent.vision.camera_settings import CameraSettings
from agent.vision.closer_look import CloserLook
from agent.vision.far_zones import LearnedHeights, PersonHeight, SmallPeople, find_small_people
from agent.vision.inference_result import ExaminedRegion, InferenceResult
from agent.vision.regions import Region, Size
from agent.vision.tracker import Tracker
from models.detection import Detect, Detection
from models.session import Loaded

RELEARN_S = 60.0
"""Interval in which learned heights are used anew."""


class CameraRegions:
    """`join`, then `plan`, for each result in order; `on` is False where frames are examined whole only."""

    def __init__(self, settings: CameraSettings, detect: Detect) -> None:
        # Tiles show all of the frame in full resolution already.
        self._loaded = detect if isinstance(detect, Loaded) else None
        self._look = CloserLook(settings.detector.regions, settings.detector.score)
        self._heights = LearnedHeights()
        self._frame_size: Size | None = None
        self._known_s = float("-inf")
        self.change(settings)

    def change(self, settings: CameraSettings) -> None:
        """Takes over changed settings."""
        self._settings = settings
        self._look.mode, self._look.score = settings.detector.regions, settings.detector.score
        self.on = self._loaded is not None and self._look.mode != "never"
        self._frame_size = None

    def join(
        self, result: InferenceResult, examined: Sequence[ExaminedRegion], tracker: Tracker
    ) -> tuple[tuple[Detection, ...], tuple[Detection, ...]] | None:
        """The detections of a frame and of the regions examined before it, and those that a region cut.

        None where the detector was skipped. OSError where the inference of a region failed.
        """
        for one in examined:
            if one.error is not None:
                raise OSError(f"detector {self._settings.detector.model}: {one.error}") from one.error
        captured, moved = result.captured, result.decision.egomotion
        joined = self._look.join(captured, moved, result.detections, examined, tracker)
        return None if joined is None else (joined, self._look.cut)

    def waits(self) -> bool:
        """Whether regions show an object that no frame has joined yet."""
        return self._look.waits()

    def plan(self, result: InferenceResult, tracker: Tracker) -> tuple[Region, ...]:
        """The regions of a frame that ``tracker`` has got; none where the detector was skipped."""
        if not self.on or self._loaded is None or result.detections is None:
            return ()
        captured = result.captured
        rows, columns = captured.frame.shape[:2]
        input_size = self._loaded.input_size(columns, rows)
        wanted = self._settings.detector.wanted(result.detections)
        self._heights.learn(one for one in wanted if one.score >= self._look.score)
        if self._frame_size != (columns, rows) or captured.at_s - self._known_s >= RELEARN_S:
            self._frame_size, self._known_s = (columns, rows), captured.at_s
            self._look.small = self._small_people(self._frame_size, input_size)
        return self._look.regions(
            (columns, rows), input_size, captured, wanted, result.decision.boxes, tracker
        )

    def _small_people(self, frame_size: Size, input_size: Size) -> SmallPeople:
        view = ground_view(self._settings, frame_size)
        height: PersonHeight | None
        if view is None:
            height = self._heights.height()
        else:

            def height(corner: tuple[float, float]) -> float | None:
                tall_px = view.person_px(corner)
                return None if tall_px is None else tall_px / frame_size[1]

        return find_small_people(height, self._settings.zones, input_size, frame_size)
