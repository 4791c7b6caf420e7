"""``camera``: what the agent sees in a camera, now and then with a redacted picture.

    pipeline ─▶ CameraWatch ─▶ meta of each stream, at its own rate
    recorder ─▶ CameraPictures ─▶ the newest picture, shared by all streams

Both exist only while somebody looks at the camera.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from agent.domain.message import stamp
from agent.domain.observations import CameraState, Observation, SeenObject, Sighting, View
from agent.evidence.recorder import EvidenceRecorder
from agent.host.clock import monotonic_s, read_clocks
from agent.local_api.camera_pictures import CameraPictures, Looked
from agent.local_api.change_signal import ChangeSignal
from agent.local_api.looks import LookLog
from agent.local_api.parts import AgentParts, Answer, Call, RequestError
from agent.local_api.rule_progress import progress_fields
from agent.vision.camera import Camera

MOST_FPS, MOST_WIDTH, LEAST_WIDTH = 10.0, 1920.0, 160.0
LEAST_EVERY_S = 1.0
"""Without anything new the age of what is shown is told so often."""


class CameraWatch:
    """The newest observations of one camera, and the rate of its inferences. A listener of the pipeline."""

    def __init__(self, camera: str, recorder: EvidenceRecorder) -> None:
        self.camera = camera
        self.streams = 0
        self.changed = ChangeSignal()
        self.pictures: CameraPictures | None = None
        self.state: CameraState | None = None
        self.sighting: Observation | None = None
        frame, self.view = recorder.newest(camera)
        self._frame = frame
        self._interval_s: float | None = None

    def on_observation(self, observation: Observation) -> None:
        """Takes what this camera reports."""
        if observation.source != self.camera:
            return
        value = observation.value
        if isinstance(value, Sighting):
            if self.sighting is not None:
                passed_s = observation.mono_s - self.sighting.mono_s
                before_s = self._interval_s or passed_s
                self._interval_s = before_s + 0.2 * (passed_s - before_s)
            self.sighting, self._frame = observation, None
            self.changed.fire()
        elif isinstance(value, CameraState):
            self.state = value
        elif isinstance(value, View):
            self.view = value

    def seen(self, now_s: float) -> dict[str, Any]:
        """The newest sighting as fields; of before anyone looked, where it is the newest."""
        if self.sighting is not None and isinstance(value := self.sighting.value, Sighting):
            at, at_s, number = self.sighting.at, self.sighting.mono_s, value.frame
            objects, moves = value.objects, value.camera_moves
        elif self._frame is not None:
            at, at_s, number = self._frame.at, self._frame.at_s, self._frame.number
            objects, moves = self._frame.objects, False
        else:
            return {"frame": None, "at": None, "age_s": None, "objects": [], "camera_moves": False}
        return {
            "frame": number,
            "at": stamp(at),
            "age_s": round(max(0.0, now_s - at_s), 2),
            "objects": [_object(one) for one in objects],
            "camera_moves": moves,
        }

    def load(self, configured_fps: float) -> dict[str, Any]:
        """The work of the detector."""
        state, rate = self.state, 1 / self._interval_s if self._interval_s else None
        regions = 0.0 if state is None else state.regions
        cores = None if state is None or rate is None else round((rate + regions) * state.detect_ms / 1000, 3)
        return {
            "fps": None if state is None else state.fps,
            "inferences_per_s": None if rate is None else round(rate, 2),
            "detect_ms": None if state is None else state.detect_ms,
            "regions_per_s": None if state is None else regions,
            "regions_wanted_per_s": None if state is None else state.regions_wanted,
            "looked": None if state is None else state.looked,
            "skipped": None if state is None else state.skipped,
            "configured_fps": configured_fps,
            "cores_used": cores,
        }


class CameraTap:
    """A `CameraWatch` for each camera that somebody looks at."""

    def __init__(self, parts: AgentParts, looks: LookLog) -> None:
        self._parts, self._looks = parts, looks
        self._watches: dict[str, CameraWatch] = {}

    async def camera(self, call: Call) -> AsyncGenerator[Answer, None]:
        """Meta and picture, at most ``fps`` times a second; each picture once."""
        name = call.text("camera")
        every_s = 1 / call.number("fps", 5.0, 0.1, MOST_FPS)
        width = int(call.number("width", 960, LEAST_WIDTH, MOST_WIDTH))
        self._camera(name)
        withheld = await self._looks.begin(call.peer, camera=name)
        watch = self._begin(name)
        wish = None
        try:
            if call.params.get("picture", True) is not False and withheld is None:
                pictures = watch.pictures = watch.pictures or CameraPictures(name, self._parts, watch.changed)
                wish = pictures.begin(call.peer, every_s, width, self._looks)
            shown = -1
            while True:
                began_s = monotonic_s()
                looked = watch.pictures.newest if watch.pictures is not None and wish is not None else None
                jpeg = b""
                if looked is not None and looked.number != shown:
                    shown, jpeg = looked.number, looked.jpeg
                trouble = watch.pictures.trouble if watch.pictures is not None else None
                yield Answer(self._meta(watch, looked, withheld or trouble if wish else withheld), jpeg)
                await watch.changed.wait(LEAST_EVERY_S)
                await asyncio.sleep(began_s + every_s - monotonic_s())
        finally:
            if wish is not None and watch.pictures is not None:
                watch.pictures.end(wish)
            self._end(watch)

    def _camera(self, name: str) -> Camera:
        cameras = self._parts.running().cameras()
        if name not in cameras:
            raise RequestError(f"camera: no {name!r} is configured; cameras: {', '.join(cameras) or 'none'}")
        return cameras[name]

    def _begin(self, name: str) -> CameraWatch:
        pipeline, watch = self._parts.pipeline, self._watches.get(name)
        if watch is None:
            watch = self._watches[name] = CameraWatch(name, pipeline.recorder)
            pipeline.watchers = (*pipeline.watchers, watch)
        watch.streams += 1
        return watch

    def _end(self, watch: CameraWatch) -> None:
        watch.streams -= 1
        if not watch.streams:
            pipeline = self._parts.pipeline
            pipeline.watchers = tuple(one for one in pipeline.watchers if one is not watch)
            del self._watches[watch.camera]

    def _meta(self, watch: CameraWatch, looked: Looked | None, no_picture: str | None) -> dict[str, Any]:
        now_s = monotonic_s()
        camera, pipeline = self._camera(watch.camera), self._parts.pipeline
        size = pipeline.health.frame_size(watch.camera)
        frame, _ = pipeline.recorder.newest(watch.camera)
        if frame is not None:  # as it was rotated and cropped: boxes and zones are shares of this
            size = frame.frame.shape[1], frame.frame.shape[0]
        blind = watch.view.blind if watch.view is not None else ()
        rules = self._parts.running().rules.items()
        lines = {
            rule_name: [list(end) for end in line]
            for rule_name, rule in rules
            if watch.camera in rule.sources() and (line := rule.picture_line) is not None
        }
        return {
            "camera": watch.camera,
            **watch.seen(now_s),
            "width": size[0] if size else None,
            "height": size[1] if size else None,
            "zones": {name: [list(corner) for corner in zone] for name, zone in camera.zones.items()},
            "lines": lines,
            "blind": [{"zone": one.zone, "why": one.why, "for_s": round(one.for_s, 1)} for one in blind],
            "progress": progress_fields(pipeline.rules.progress(watch.camera, *read_clocks()), blind),
            "load": watch.load(camera.fps),
            "redacted": None if looked is None else looked.redacted,
            "picture_frame": None if looked is None else looked.frame,
            "picture_age_s": None if looked is None else round(now_s - looked.at_s, 2),
            "no_picture": no_picture,
        }


def _object(seen: SeenObject) -> dict[str, Any]:
    return {
        "track": seen.track,
        "label": seen.label,
        "score": round(seen.score, 3),
        "box": [round(edge, 4) for edge in seen.box],
        "zones": list(seen.zones),
        "sure": seen.sure,
    }
