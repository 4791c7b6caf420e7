"""The second looks at new critical alerts: closer, and perhaps by another model, while the alert is held.

    Sighting ─▶ the newest frames of its camera ─▶ look ─▶ agrees: verified
                                                    └─▶ does not: the next frame, until the limit

One look at a time, on a thread of its own beside the inference pool: the alert that had the fewest looks
first, then the one whose limit is nearest. No alert waits longer than its limit, whatever the others do and
whether or not the detector answers. A detector that hangs is asked no more until its thread comes back.
Event loop only, but for the look itself.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import structlog

from agent.alerts.alert import Alert
from agent.alerts.verification import NOT_IN_TIME, SecondLook, Verified
from agent.domain.contracts import Verification
from agent.domain.observations import Observation, SeenObject, Sighting
from agent.evidence.object_crop import score_in_crop
from agent.host.clock import monotonic_s
from agent.privacy.redaction import FrameWithPeople
from agent.runtime.native_calls import abandon, within
from models.boxes import iou
from models.detection import Box, Detect, Frame

log = structlog.get_logger()

MOST_LOOKS = 20
"""Alerts under a second look at a time: further ones are sent at once."""
FRAMES_KEPT = 2
MAX_AGE_S = 2.0
"""An older frame shows another situation."""
MARGIN_S = 0.05
"""The verdict is due so long before the limit: it has to be written before the alert may go."""
HANGS_S = 5.0
LOAD_AGAIN_S = 60.0

OnVerdict: TypeAlias = Callable[[Verified, SecondLook | None], None]


@dataclass(frozen=True, slots=True)
class Verifier:
    """The detector of a camera's second looks: its model, and the function that loads it (blocking)."""

    model: str
    load: Callable[[], Detect]
    load_within_s: float = 60.0


@dataclass(slots=True)
class _Camera:
    verifier: Verifier
    frames: deque[tuple[float, Frame, tuple[SeenObject, ...]]] = field(
        default_factory=lambda: deque(maxlen=FRAMES_KEPT)
    )
    detect: Detect | None = None
    loading: asyncio.Task[None] | None = None
    load_after_s: float = float("-inf")
    hanging: threading.Thread | None = None

    @property
    def hangs(self) -> bool:
        return self.hanging is not None and self.hanging.is_alive()


@dataclass(slots=True)
class _Look:
    alert_id: str
    camera: str
    model: str
    wanted: Verification
    began_s: float
    box: Box
    label: str | None
    on_verdict: OnVerdict
    limit: asyncio.TimerHandle
    frames: deque[tuple[Frame, Box]] = field(default_factory=lambda: deque(maxlen=FRAMES_KEPT))
    looks: int = 0
    best: float = 0.0

    def follow(self, objects: Sequence[SeenObject]) -> None:
        """Its object is now where the nearest one with its label is that overlaps with it."""
        own = [seen for seen in objects if self.label in (None, seen.label) and iou(seen.box, self.box)]
        if own:
            self.box = max(own, key=lambda seen: iou(seen.box, self.box)).box


class SecondLooks:
    """Those of one device."""

    def __init__(self) -> None:
        self._cameras: dict[str, _Camera] = {}
        self._looks: dict[str, _Look] = {}
        self._work = asyncio.Event()

    def configure(self, verifiers: Mapping[str, Verifier]) -> None:
        """The cameras with rules that ask for a second look. Looks on other cameras end."""
        before = self._cameras
        self._cameras = {}
        for name, verifier in verifiers.items():
            known = before.get(name)
            same = known is not None and known.verifier.model == verifier.model
            self._cameras[name] = known if known is not None and same else _Camera(verifier)
        for look in [look for look in self._looks.values() if look.camera not in self._cameras]:
            self._conclude(look)

    def on_observation(self, observation: Observation) -> None:
        """Takes the frame of a `Sighting` of these cameras; ignores any other observation."""
        camera, sighting = self._cameras.get(observation.source), observation.value
        if camera is None or not isinstance(sighting, Sighting):
            return
        if not isinstance(sighting.frame_with_people, FrameWithPeople):
            return
        frame, objects = sighting.frame_with_people.frame, sighting.objects
        camera.frames.append((observation.mono_s, frame, objects))
        self._load(camera)
        for look in self._looks.values():
            if look.camera == observation.source:
                look.follow(objects)
                look.frames.append((frame, look.box))
                self._work.set()

    def begin(self, alert: Alert, wanted: Verification, now_s: float, on_verdict: OnVerdict) -> bool:
        """Begins the second look at ``alert``; False where there can be none. ``on_verdict`` is called once,
        at the latest shortly before the limit."""
        finding, camera = alert.finding, self._cameras.get(alert.finding.source or "")
        if finding.box is None or camera is None or not camera.frames or len(self._looks) >= MOST_LOOKS:
            return False
        if camera.detect is None or camera.hangs or now_s - camera.frames[-1][0] > MAX_AGE_S:
            return False
        loop, due_s = asyncio.get_running_loop(), max(0.0, wanted.within_s - MARGIN_S)
        look = self._looks[alert.alert_id] = _Look(
            alert.alert_id, finding.source or "", camera.verifier.model, wanted, monotonic_s(), finding.box,
            finding.label, on_verdict, loop.call_later(due_s, self.end, alert.alert_id),
        )  # fmt: skip
        look.frames.extend((frame, look.box) for _, frame, _ in reversed(camera.frames))
        self._work.set()
        return True

    def end(self, alert_id: str) -> None:
        """The verdict is due now, whatever the looks so far have found."""
        if (look := self._looks.get(alert_id)) is not None:
            self._conclude(look)

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while waiting := [look for look in self._looks.values() if look.frames]:
                await self._look(min(waiting, key=lambda look: (look.looks, look.limit.when())))

    async def _look(self, look: _Look) -> None:
        camera = self._cameras[look.camera]
        frame, box = look.frames.popleft()
        if camera.detect is None or camera.hangs:
            self._conclude(look)
            return

        def abandoned(thread: threading.Thread) -> None:
            camera.hanging = thread
            abandon(thread)

        work = partial(score_in_crop, camera.detect, frame, box, look.wanted.labels)
        try:
            score = await within(HANGS_S, work, "second look", abandoned)
        except Exception as error:  # onnxruntime's and OpenCV's own among them: the alert goes without
            log.warning("second_look_failed", camera=look.camera, error=str(error))
            self._conclude(look)
            return
        if look.alert_id not in self._looks:  # its limit has passed meanwhile
            return
        look.looks += 1
        look.best = max(look.best, score)
        if score >= look.wanted.min_score:
            self._conclude(look, agreed=True)

    def _conclude(self, look: _Look, *, agreed: bool = False) -> None:
        if self._looks.pop(look.alert_id, None) is None:
            return
        look.limit.cancel()
        verified: Verified = agreed if look.looks else NOT_IN_TIME
        taken_ms = (monotonic_s() - look.began_s) * 1000
        found = SecondLook(taken_ms, look.best, look.looks, look.model) if look.looks else None
        log.info("second_look", alert_id=look.alert_id, verified=verified, ms=round(taken_ms, 1))
        look.on_verdict(verified, found)

    def _load(self, camera: _Camera) -> None:
        """Loads its detector with its first frame, so that it is there before the first alert."""
        if camera.detect is None and camera.loading is None and monotonic_s() >= camera.load_after_s:
            camera.loading = asyncio.ensure_future(self._load_now(camera))

    async def _load_now(self, camera: _Camera) -> None:
        verifier = camera.verifier
        try:
            what = f"loading {verifier.model}"
            camera.detect = await within(verifier.load_within_s, verifier.load, what)
        except Exception as error:  # whatever a model or its library may raise: alerts go without
            log.warning("second_look_unavailable", model=verifier.model, error=str(error))
            camera.load_after_s = monotonic_s() + LOAD_AGAIN_S
        finally:
            camera.loading = None
