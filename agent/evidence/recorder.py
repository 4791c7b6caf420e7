"""Records what cameras see: the best picture of an alert at once, and a clip of the seconds around it.

Frames arrive with each `Sighting`. One at a time is redacted, compressed and written, off the event loop.
Where that is slower than the cameras, the newest frame replaces the waiting one. Every picture that leaves
goes through `PictureRelease.release`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.audit.silent import Audit
from agent.domain.findings import Finding
from agent.domain.message import Message
from agent.domain.observations import Observation, Sighting, View
from agent.domain.zones import Corner
from agent.evidence.camera_buffer import CameraBuffer, EvidenceFrame
from agent.evidence.clip_store import ClipStore, nearest_picture
from agent.evidence.people_search import set_trouble
from agent.evidence.release import PictureRelease, PictureRequest, PictureSource
from agent.evidence.settings import Evidence
from agent.privacy.redaction import FrameWithPeople
from agent.privacy.rescue_grant import Grant
from agent.vision.view_match import shrunk
from models.detection import Detect

MAX_FRAME_AGE_S = 10.0
"""An older frame is no picture of an alert."""
MAX_REQUESTS = 50
"""Requested frames wait in memory: beyond this an alert brings no picture."""
MAX_WAITING_SIDE = 1920
"""Longer side in pixels of a frame that waits: pictures that leave are smaller."""
MAX_FETCH = 40
MAX_COMMAND_PICTURES = 2
FETCH_EVERY_S = 0.25
PRUNE_EVERY_S = 10.0


class EvidenceRecorder:
    """All pictures of one device. ``active_grant``: the grant under which a camera's people may be shown now.

    ``send`` takes a picture with its entry in the audit log and stores it in the outbox.
    """

    def __init__(
        self,
        device: str,
        folder: Path,
        active_grant: Callable[[str], Grant | None],
        send: Callable[[Message, Mapping[str, Any]], Awaitable[None]],
        audit: Audit,
    ) -> None:
        self._config = Evidence()
        self._cameras: dict[str, CameraBuffer] = {}
        self._clips = ClipStore(folder / "evidence", self._config)
        self._requests: deque[PictureRequest] = deque()
        self._work = asyncio.Event()
        self.troubles: dict[str, str] = {}
        """What is wrong, in words, by topic: for ``health``."""
        self.skipped = 0
        """Frames due for recording that a newer one replaced: the disk or this machine was too slow."""
        self._release = PictureRelease(device, audit, active_grant, send, self.troubles)

    def configure(
        self,
        config: Evidence,
        blackout: Mapping[str, Sequence[Sequence[Corner]]],
        recipients: Callable[[], Mapping[str, Any]],
        detectors: Mapping[str, Callable[[], Detect]],
    ) -> None:
        """New settings. ``blackout`` and ``detectors`` have an entry for each configured camera.

        ``recipients`` gives the brokers for a picture's entry in the audit log. A detector is loaded by the
        redaction pass, in a thread; for a camera that is no longer configured the default detector runs.
        """
        self._config = self._clips.config = config
        self._release.configure(config, blackout, recipients, detectors)
        self._cameras = {camera: self._cameras.get(camera) or CameraBuffer() for camera in blackout}

    def on_observation(self, observation: Observation) -> None:
        """Takes the frame of a `Sighting`, and the visibility; ignores any other observation."""
        sighting, camera = observation.value, self._cameras.get(observation.source)
        if camera is not None and isinstance(sighting, View):
            camera.view = sighting
        if camera is None or not isinstance(sighting, Sighting):
            return
        frame = sighting.frame_with_people
        if not isinstance(frame, FrameWithPeople):
            return
        now_s = observation.mono_s
        camera.newest = EvidenceFrame(
            camera=observation.source,
            number=sighting.frame,
            at=observation.at,
            at_s=now_s,
            frame=frame.frame,
            people=camera.people(frame, now_s),
            objects=sighting.objects,
            larger=frame.larger,
        )
        if now_s - camera.recorded_s >= 0.99 / self._config.fps:
            camera.recorded_s = now_s
            self.skipped += camera.waiting is not None
            camera.waiting = camera.newest
            self._work.set()

    def on_alert(self, alert_id: str, rule: str, finding: Finding, now_s: float) -> list[str]:
        """Requests the picture of a new alert, and its clip. Returns the topics of the pictures to come."""
        camera = self._cameras.get(finding.source or "")
        frame = camera.newest if camera else None
        if camera is None or frame is None or now_s - frame.at_s > MAX_FRAME_AGE_S:
            return []
        if len(self._requests) >= MAX_REQUESTS:
            return []
        picture = camera.clearest(finding, frame)
        if isinstance(picture, EvidenceFrame):  # it may wait for others: 50 pictures of 4K would take 1.2 GB
            picture = replace(picture, frame=shrunk(picture.frame, MAX_WAITING_SIDE))
        request = PictureRequest(alert_id, frame.camera, f"alert {rule}", deque([(1, picture)]))
        self._requests.append(request)
        if self._config.record:
            self._clips.request_clip(frame.camera, alert_id, now_s)
        self._work.set()
        return [f"media/{alert_id}/1"]

    async def fetch(
        self, alert_id: str, max_pictures: int, done: Callable[[Mapping[str, Any]], Awaitable[None]]
    ) -> None:
        """Begins to send up to ``max_pictures`` pictures of an alert's clip, spread over its length.

        ``done`` is called with how many were sent and withheld, how many are kept here, and whether the clip
        was complete. ValueError: there is no such clip, or another one is on its way.
        """
        if any(request.done and not request.by_command for request in self._requests):
            raise ValueError("another clip is on its way: one at a time")
        clip = await asyncio.to_thread(self._clips.clip, alert_id)
        if clip is None:
            raise ValueError(f"no clip of alert {alert_id!r} is kept here")
        camera, numbered = clip
        count = min(max_pictures, MAX_FETCH, len(numbered))
        chosen = [numbered[round(index * (len(numbered) - 1) / max(1, count - 1))] for index in range(count)]
        pictures: deque[tuple[int, PictureSource]] = deque(chosen)
        complete = not self._clips.is_growing(alert_id)
        request = PictureRequest(alert_id, camera, "fetch", pictures, done, len(numbered), complete)
        self._requests.append(request)
        self._work.set()

    def newest(self, camera: str) -> tuple[EvidenceFrame | None, View | None]:
        """The newest frame of a camera, and its visibility; None where there is none yet."""
        buffer = self._cameras.get(camera) or CameraBuffer()
        return buffer.newest, buffer.view

    async def look(
        self, picture: EvidenceFrame | bytes, camera: str, label: Mapping[str, Any], max_side: int
    ) -> bytes:
        """``picture`` for a page at the device, redacted as one that leaves; see `PictureRelease.look`."""
        return await self._release.look(picture, camera, label, max_side)

    async def kept_picture(self, alert_id: str, number: int) -> tuple[str, bytes]:
        """The camera and the JPEG of picture ``number`` of an alert's clip (from 2 on; 1: the nearest to the
        alert), as it was recorded. ValueError where it is not kept; OSError where it can't be read."""
        clip = await asyncio.to_thread(self._clips.clip, alert_id)
        if clip is None:
            raise ValueError(f"no clip of alert {alert_id!r} is kept here")
        camera, numbered = clip
        by_number = dict(numbered)
        path = nearest_picture(alert_id, by_number.values()) if number == 1 else by_number.get(number)
        if path is None:
            raise ValueError(f"alert {alert_id!r} has pictures 1 to {max(by_number)}")
        return camera, await asyncio.to_thread(path.read_bytes)

    def send_frame(
        self,
        command_id: str,
        reason: str,
        frame: EvidenceFrame,
        done: Callable[[PictureRequest], Awaitable[None]],
        number: int = 1,
    ) -> None:
        """Requests ``frame`` as picture ``number`` of a command; pictures of alerts go first.

        ``done`` is called with the finished request. ValueError where too many wait.
        """
        if sum(request.by_command for request in self._requests) >= MAX_COMMAND_PICTURES:
            raise ValueError(f"{MAX_COMMAND_PICTURES} pictures of commands wait: try again in a few seconds")
        request = PictureRequest(command_id, frame.camera, reason, deque([(number, frame)]), by_command=True)
        request.done = lambda _: done(request)
        self._requests.append(request)
        self._work.set()

    async def run(self) -> None:
        """Works until it is cancelled."""
        loop = asyncio.get_running_loop()
        pruned_s = float("-inf")
        while True:
            self._work.clear()
            if not await self.step():
                with suppress(TimeoutError):
                    async with asyncio.timeout(FETCH_EVERY_S if self._requests else PRUNE_EVERY_S):
                        await self._work.wait()
            if loop.time() - pruned_s >= PRUNE_EVERY_S:
                pruned_s = loop.time()
                await self._on_disk(self._clips.prune)

    async def step(self) -> bool:
        """Releases one picture, or else records one frame. False where there is nothing to do."""
        now_s = asyncio.get_running_loop().time()
        due = [one for one in self._requests if one.due_s <= now_s]
        request = min(due, key=lambda one: one.by_command, default=None)
        if request is not None:
            await self._release_next(request, now_s)
            return True
        for camera in self._cameras.values():
            if camera.waiting is not None:
                frame, camera.waiting = camera.waiting, None
                await self._record(camera, frame)
                return True
        return False

    async def _release_next(self, request: PictureRequest, now_s: float) -> None:
        """The next picture of a request leaves; after the last one the request is done."""
        number, source = request.pictures.popleft()
        request.due_s = float("inf")
        try:
            await self._release.release(request, number, source)
        finally:  # also after a failure: the request must not stay first in the queue for ever
            request.due_s = now_s + FETCH_EVERY_S
            if not request.pictures:
                self._requests.remove(request)
        if not request.pictures and request.done:
            counts = {"sent": request.sent, "withheld": request.withheld, "kept": request.kept}
            await request.done(counts | {"complete": request.complete})

    async def _record(self, camera: CameraBuffer, frame: EvidenceFrame) -> None:
        """Writes one frame to the ring buffer, and keeps it where it is the best picture of a track."""
        try:
            jpeg = await asyncio.to_thread(self._release.encode, frame, camera.quality_hint)
        except Exception as error:  # OpenCV's own errors among them: the next frame comes soon
            set_trouble(self.troubles, "picture", f"no picture of {frame.camera} can be made: {error}")
            return
        self.troubles.pop("picture", None)
        if self._config.record:
            await self._on_disk(
                lambda: self._clips.write(frame.camera, frame.number, frame.at, frame.at_s, jpeg)
            )
        camera.keep_best(frame, jpeg)

    async def _on_disk(self, work: Callable[[], None]) -> None:
        """Runs disk work in a thread. A failure is reported and not retried: the next frame comes soon."""
        try:
            await asyncio.to_thread(work)
        except OSError as error:
            set_trouble(self.troubles, "disk", f"nothing is recorded: {error}")
            return
        self.troubles.pop("disk", None)
        if self._clips.trouble:
            set_trouble(self.troubles, "room", self._clips.trouble)
        else:
            self.troubles.pop("room", None)
