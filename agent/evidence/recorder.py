"""What is kept and sent of what cameras saw: the best picture of an alert at once, and the seconds around it.

Frames come in with each `Sighting`; one at a time is covered, compressed and written, off the loop. Where
that is slower than the cameras, the newest frame wins. Every picture that leaves goes through `_leave`, which
looks for people in it once more, closely; where that can't be done, it leaves covered from edge to edge.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from agent.domain.findings import Finding
from agent.domain.message import Message, new_id, stamp
from agent.domain.observations import Observation, SeenObject, Sighting
from agent.domain.zones import Corner
from agent.evidence.clip_store import ClipStore
from agent.evidence.jpeg import QualityHint, decoded, label_of, picture, reencode
from agent.evidence.settings import Evidence
from agent.privacy.egress_log import EgressLog
from agent.privacy.redaction import LOOKS, FrameWithPeople, find_people
from agent.privacy.rescue_grant import Grant
from agent.runtime.native_calls import within
from agent.vision.detector import DetectorSettings
from models.detection import Box, Detect, Detection, Frame

log = structlog.get_logger()

LINGER_S = 2.0
"""Where somebody was so long ago is covered too: a detector that blinks shows nobody."""
FRESH_S = 10.0
"""A frame older than this is no picture of what is so now."""
FORGOTTEN_S = 60.0
MOST_TRACKS = 32
MOST_ORDERS = 50
"""Frames wait in memory: an alert more than this brings no picture."""
EXPIRES = timedelta(hours=24)
"""A picture that could not be sent for so long is not wanted any more; it can still be fetched."""
LOOK_S = 20.0
"""The last look through a picture may take so long; then it leaves covered from edge to edge."""
NO_LOOK_S = 60.0
"""After a look that failed none is begun for so long: a detector that hangs holds a thread each time."""
FETCH_MOST = 40
FETCH_EVERY_S = 0.25
TIDY_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame, who has to be covered in it, and what was tracked in it."""

    camera: str
    number: int
    at: datetime
    at_s: float
    frame: Frame
    people: tuple[Box, ...]
    objects: tuple[SeenObject, ...]


@dataclass(slots=True)
class _CameraState:
    """What is known of one camera just now."""

    blackout: Sequence[Sequence[Corner]]
    people: deque[tuple[float, tuple[Box, ...]]] = field(default_factory=deque)
    newest: Seen | None = None
    waiting: Seen | None = None
    recorded_s: float = float("-inf")
    habit: QualityHint = field(default_factory=QualityHint)
    best: dict[int, tuple[float, float, bytes]] = field(default_factory=dict)
    """By track: how well it is seen, when it was seen last, and the picture."""


@dataclass(slots=True)
class PictureRequest:
    """Pictures that are to leave, and why; ``done`` hears how many did, and how many were withheld."""

    alert_id: str
    camera: str
    why: str
    pictures: deque[tuple[int, "Source"]]
    done: Callable[[Mapping[str, Any]], Awaitable[None]] | None = None
    kept: int = 0
    complete: bool = True
    sent: int = 0
    withheld: int = 0
    due_s: float = 0.0


Source: TypeAlias = Seen | Path | bytes
"""What a picture that leaves is made from: a frame, or one that was kept."""


class EvidenceRecorder:
    """All pictures of one device. ``flag`` says under which grant a camera's people may be shown now.

    ``send`` takes a picture and its entry in the egress log, and keeps it; ``to`` is said in that entry.
    """

    def __init__(
        self,
        device: str,
        folder: Path,
        flag: Callable[[str], Grant | None],
        send: Callable[[Message, Mapping[str, Any]], Awaitable[None]],
    ) -> None:
        self._device = device
        self._egress = EgressLog(folder)
        self._folder = folder / "evidence"
        self._flag = flag
        self._send = send
        self._config = Evidence()
        self._to: Mapping[str, Any] = {}
        self._eyes: dict[str, _CameraState] = {}
        self._detectors: Mapping[str, Callable[[], Detect]] = {}
        self._no_look: dict[str, float] = {}
        """Until when no look is begun through pictures of a camera."""
        self._ring = ClipStore(self._folder, self._config)
        self._orders: deque[PictureRequest] = deque()
        self._work = asyncio.Event()
        self.troubles: dict[str, str] = {}
        """What is wrong, for ``health``."""
        self.skipped = 0
        """Frames that were to be recorded, but the disk or this machine was too slow."""

    def configure(
        self,
        config: Evidence,
        blackout: Mapping[str, Sequence[Sequence[Corner]]],
        to: Mapping[str, Any],
        detectors: Mapping[str, Callable[[], Detect]],
    ) -> None:
        """``blackout`` and ``detectors`` have an entry for each camera of the configuration.

        A detector is loaded by whoever looks, on a thread. Where a camera is no more, the default one looks.
        """
        self._config, self._to, self._detectors = config, to, detectors
        self._no_look.clear()
        self._ring.config = config
        for camera in set(self._eyes) - set(blackout):
            del self._eyes[camera]
        for camera, polygons in blackout.items():
            self._eyes.setdefault(camera, _CameraState(polygons)).blackout = polygons

    # What comes in, on the loop.

    def hear(self, observation: Observation) -> None:
        """Notes each frame of which a picture can be made."""
        sighting, camera = observation.value, observation.source
        eye = self._eyes.get(camera)
        if (
            eye is None
            or not isinstance(sighting, Sighting)
            or not isinstance(sighting.look, FrameWithPeople)
        ):
            return
        now_s = observation.mono_s
        while eye.people and now_s - eye.people[0][0] > LINGER_S:
            eye.people.popleft()
        lingering = [box for _, boxes in eye.people for box in boxes]
        eye.people.append((now_s, sighting.look.sure))
        people = (*sighting.look.people, *lingering)
        eye.newest = Seen(
            camera, sighting.frame, observation.at, now_s, sighting.look.frame, people, sighting.objects
        )
        if now_s - eye.recorded_s >= 0.99 / self._config.fps:
            eye.recorded_s = now_s
            self.skipped += eye.waiting is not None
            eye.waiting = eye.newest
            self._work.set()

    def alerted(self, alert_id: str, rule: str, finding: Finding, now_s: float) -> list[str]:
        """A new alert: the topics of the pictures that will come of it; none without a fresh frame."""
        eye = self._eyes.get(finding.source or "")
        seen = eye.newest if eye else None
        if eye is None or seen is None or now_s - seen.at_s > FRESH_S or len(self._orders) >= MOST_ORDERS:
            return []
        chosen: Seen | bytes = seen
        thing = _meant(finding, seen.objects)
        if thing is not None:
            best = eye.best.get(thing.track)
            if best is not None and best[0] > clearness(thing):
                chosen = best[2]
        self._orders.append(PictureRequest(alert_id, seen.camera, f"alert {rule}", deque([(1, chosen)])))
        if self._config.record:
            self._ring.keep(seen.camera, alert_id, now_s)
        self._work.set()
        return [f"media/{alert_id}/1"]

    async def fetch(
        self, alert_id: str, most: int, done: Callable[[Mapping[str, Any]], Awaitable[None]]
    ) -> None:
        """Begins to send the clip of an alert, up to ``most`` pictures of it, spread over its length.

        ``done`` hears how many of how many were sent or withheld, and whether the clip was complete.
        ValueError where there is none, or another one is on its way.
        """
        if any(order.done for order in self._orders):
            raise ValueError("another clip is on its way: one at a time")
        clip = await asyncio.to_thread(self._ring.clip, alert_id)
        if clip is None:
            raise ValueError(f"no clip of alert {alert_id!r} is kept here")
        camera, numbered = clip
        most = min(most, FETCH_MOST, len(numbered))
        chosen = [numbered[round(index * (len(numbered) - 1) / max(1, most - 1))] for index in range(most)]
        pictures: deque[tuple[int, Source]] = deque(chosen)
        complete = not self._ring.keeping(alert_id)
        self._orders.append(
            PictureRequest(alert_id, camera, "fetch", pictures, done, len(numbered), complete)
        )
        self._work.set()

    # What is done with it, one thing after the other.

    async def run(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        tidied_s = float("-inf")
        while True:
            self._work.clear()
            if not await self.step():
                with suppress(TimeoutError):
                    async with asyncio.timeout(FETCH_EVERY_S if self._orders else TIDY_EVERY_S):
                        await self._work.wait()
            if loop.time() - tidied_s >= TIDY_EVERY_S:
                tidied_s = loop.time()
                await self._disk(self._ring.tidy)

    async def step(self) -> bool:
        """Does what is most urgent; False where there is nothing."""
        now_s = asyncio.get_running_loop().time()
        order = next((one for one in self._orders if one.due_s <= now_s), None)
        if order is not None:
            number, source = order.pictures.popleft()
            order.due_s = float("inf")
            try:
                await self._leave(order, number, source)
            finally:  # whatever happened, it is not the order's turn for ever
                order.due_s = now_s + FETCH_EVERY_S
                if not order.pictures:
                    self._orders.remove(order)
            if not order.pictures and order.done:
                counts = {"sent": order.sent, "withheld": order.withheld, "kept": order.kept}
                await order.done(counts | {"complete": order.complete})
            return True
        for eye in self._eyes.values():
            if eye.waiting is not None:
                seen, eye.waiting = eye.waiting, None
                await self._record(eye, seen)
                return True
        return False

    async def _record(self, eye: _CameraState, seen: Seen) -> None:
        try:
            grant = self._flag(seen.camera)
            jpeg = await asyncio.to_thread(self._picture, seen, eye.blackout, grant, habit=eye.habit)
        except Exception as error:  # OpenCV's own among them: the next frame comes soon
            self._trouble("picture", f"no picture of {seen.camera} can be made: {error}")
            return
        self.troubles.pop("picture", None)
        if self._config.record:
            await self._disk(lambda: self._ring.write(seen.camera, seen.number, seen.at, seen.at_s, jpeg))
        for thing in seen.objects:
            before = eye.best.get(thing.track)
            score = clearness(thing)
            if before is None or score > before[0]:
                eye.best[thing.track] = (score, seen.at_s, jpeg)
            else:
                eye.best[thing.track] = (before[0], seen.at_s, before[2])
        for track in sorted(eye.best, key=lambda one: eye.best[one][1]):
            if seen.at_s - eye.best[track][1] > FORGOTTEN_S or len(eye.best) > MOST_TRACKS:
                del eye.best[track]

    async def _leave(self, order: PictureRequest, number: int, source: Source) -> None:
        """One picture leaves, or is withheld: covered as it has to be now, and in the egress log first."""
        try:
            kept = await asyncio.to_thread(source.read_bytes) if isinstance(source, Path) else source
            frame = kept.frame if isinstance(kept, Seen) else await asyncio.to_thread(decoded, kept)
            found = await self._look(order.camera, frame)
            jpeg, entry = await asyncio.to_thread(self._made, order, number, kept, found)
        except Exception as error:  # OpenCV's own among them: whatever it is, this one does not leave
            order.withheld += 1
            self._trouble("withheld", f"a picture was withheld: {error}")
            return
        self.troubles.pop("withheld", None)
        message = Message(lane="media", topic=entry["topic"], id=new_id(), body=jpeg, expires_after=EXPIRES)
        await self._send(message, entry)
        order.sent += 1

    async def _look(self, camera: str, frame: Frame) -> tuple[Box, ...] | None:
        """Who may be in a picture that is to leave; None where nobody can look, which is said."""
        now_s = time.monotonic()
        if now_s < self._no_look.get(camera, 0.0):
            return None
        load = self._detectors.get(camera, DetectorSettings().finder)

        def look() -> tuple[Box, ...]:
            detect = load()

            def hurried(frame: Frame) -> tuple[Detection, ...]:
                if time.monotonic() > now_s + LOOK_S:  # it does not hang, but this machine is too slow
                    raise TimeoutError(f"{LOOKS} looks take longer than {LOOK_S:g} s here")
                return detect(frame)

            return find_people(frame, hurried)

        try:
            found = await within(LOOK_S, look, f"looking for people in a picture of {camera}")
        except Exception as error:  # of whatever runs the network, too
            self._no_look[camera] = time.monotonic() + NO_LOOK_S
            self._trouble(f"look {camera}", f"pictures of {camera} leave covered from edge to edge: {error}")
            return None
        self._no_look.pop(camera, None)
        self.troubles.pop(f"look {camera}", None)
        return found

    def _made(
        self, order: PictureRequest, number: int, source: Seen | bytes, found: tuple[Box, ...] | None
    ) -> tuple[bytes, dict[str, Any]]:
        """A picture and its entry in the egress log, which is on disk on return. Runs on a thread."""
        eye = self._eyes.get(order.camera)
        blackout = eye.blackout if eye else ()
        grant = self._flag(order.camera)
        label = {"alert_id": order.alert_id, "n": number, "why": order.why}
        label["looks"] = 0 if found is None else LOOKS
        if isinstance(source, Seen):
            jpeg = self._picture(source, blackout, grant, found, label)
        else:
            most_bytes = self._config.picture_kb * 1000
            uncovered = grant is not None
            jpeg = reencode(
                source, label, found=found, blackout=blackout, uncovered=uncovered, most_bytes=most_bytes
            )
        said = label_of(jpeg)
        count = None if said["people"] is None else len(said["people"])
        entry = {
            "at": stamp(datetime.now(UTC)),
            "topic": f"media/{order.alert_id}/{number}",
            **self._to,
            "camera": order.camera,
            "taken_at": said.get("at"),
            "why": order.why,
            "looks": label["looks"],
            "covered": count if said["covered"] else 0,
            "shown": 0 if said["covered"] else count,
            "flag": None if said["covered"] or grant is None else _flag_fields(grant),
            "sha256": sha256(jpeg).hexdigest(),
            "bytes": len(jpeg),
        }
        entry["entry"] = self._egress.note(entry)
        return jpeg, entry

    def _picture(
        self,
        seen: Seen,
        blackout: Sequence[Sequence[Corner]],
        grant: Grant | None,
        found: tuple[Box, ...] | None = (),
        label: Mapping[str, Any] | None = None,
        habit: QualityHint | None = None,
    ) -> bytes:
        """The picture of a frame, covered unless there is a grant. Runs on a thread.

        ``found`` are people whom a closer look found; None where that look could not be.
        """
        fields = {"device": self._device, "camera": seen.camera, "frame": seen.number, "at": seen.at}
        return picture(
            seen.frame,
            None if found is None else (*seen.people, *found),
            fields | dict(label or {}),
            blackout=blackout,
            uncovered=grant is not None,
            most_bytes=self._config.picture_kb * 1000,
            habit=habit,
        )

    async def _disk(self, work: Callable[[], None]) -> None:
        """What the disk does not take is said, and not tried again: the next frame comes soon."""
        try:
            await asyncio.to_thread(work)
        except OSError as error:
            self._trouble("disk", f"nothing is recorded: {error}")
            return
        self.troubles.pop("disk", None)
        trouble = self._ring.trouble
        if trouble:
            self._trouble("room", trouble)
        else:
            self.troubles.pop("room", None)

    def _trouble(self, what: str, text: str) -> None:
        if self.troubles.get(what) != text:
            log.warning("evidence_trouble", what=what, text=text)
        self.troubles[what] = text


def clearness(thing: SeenObject) -> float:
    """How well an object can be seen: sure, large, and not cut off by the edge of the picture."""
    left, top, right, bottom = thing.box
    cut = min(left, top, 1 - right, 1 - bottom) < 0.005
    return float(thing.score * ((right - left) * (bottom - top)) ** 0.5 * (0.7 if cut else 1.0))


def _meant(finding: Finding, objects: Sequence[SeenObject]) -> SeenObject | None:
    """The object that a finding is about: by its box, or by the nearest of its kind."""
    box = finding.box
    if box is None:
        return None
    likely = [thing for thing in objects if finding.label in (None, thing.label)]
    return min(
        likely, key=lambda one: sum(abs(a - b) for a, b in zip(one.box, box, strict=True)), default=None
    )


def _flag_fields(grant: Grant) -> dict[str, Any]:
    return {"id": grant.id, "role": grant.role, "reason": grant.reason, "until": stamp(grant.expires)}
