"""The redacted pictures of one camera for all who look at it: one at a time, at the rate and size of the most
demanding of them, as far as `agent.evidence.people_search` lets it."""

import asyncio
from dataclasses import dataclass
from typing import Any

from agent.evidence.camera_buffer import EvidenceFrame
from agent.evidence.jpeg import read_label
from agent.host.clock import monotonic_s
from agent.local_api.change_signal import ChangeSignal
from agent.local_api.looks import LookLog
from agent.local_api.parts import AgentParts, Peer


@dataclass(frozen=True, slots=True)
class Looked:
    """One picture; ``number`` counts them, ``frame`` and ``at_s`` (monotonic) are those of its frame."""

    number: int
    jpeg: bytes
    frame: int
    at_s: float
    redacted: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """What one stream wants."""

    peer: Peer
    every_s: float
    width: int


class CameraPictures:
    """Made with the first wish, and ends with the last."""

    def __init__(self, camera: str, parts: AgentParts, changed: ChangeSignal) -> None:
        self._camera, self._parts, self._changed = camera, parts, changed
        self.newest: Looked | None = None
        self.trouble: str | None = None
        """Why there is no picture."""
        self._wishes: set[Wish] = set()
        self._looks: LookLog | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, peer: Peer, every_s: float, width: int, looks: LookLog) -> Wish:
        """A stream wants pictures; `end` with the same wish."""
        wish = Wish(peer, every_s, width)
        self._wishes.add(wish)
        self._looks = looks
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"pictures of {self._camera}")
        return wish

    def end(self, wish: Wish) -> None:
        """One stream less."""
        self._wishes.discard(wish)
        if not self._wishes and self._task is not None:
            self._task.cancel()
            self._task = self.newest = None

    async def _run(self) -> None:
        number = 0
        while True:
            began_s = monotonic_s()
            frame, _ = self._parts.pipeline.recorder.newest(self._camera)
            if frame is None:
                self.trouble = self._why_none()
            elif self.newest is None or (frame.number, frame.at_s) != (self.newest.frame, self.newest.at_s):
                if self.newest is None:
                    self.trouble = "the first picture is searched for people"
                try:
                    number += 1
                    self.newest = await self._make(number, frame)
                    self.trouble = None
                except Exception as error:  # OpenCV's own among them: the next frame comes soon
                    self.trouble = f"no picture can be made: {error}"
                self._changed.fire()
            left_s = began_s + min(wish.every_s for wish in self._wishes) - monotonic_s()
            await asyncio.sleep(max(left_s, 0.02))

    async def _make(self, number: int, frame: EvidenceFrame) -> Looked:
        rows, columns = frame.frame.shape[:2]
        width = max(wish.width for wish in self._wishes)
        longer = round(width * max(rows, columns) / columns)
        recorder = self._parts.pipeline.recorder
        jpeg = await recorder.look(frame, self._camera, {"why": "look"}, longer)
        redacted = redacted_fields(jpeg)
        if not redacted["redacted"] and self._looks is not None:  # a rescue grant is in force
            for peer in {wish.peer for wish in self._wishes}:
                if why := await self._looks.begin(peer, camera=self._camera, people_shown=True):
                    raise OSError(why)
        return Looked(number, jpeg, frame.number, frame.at_s, redacted)

    def _why_none(self) -> str:
        camera = self._parts.running().cameras().get(self._camera)
        if camera is not None and not camera.can_redact():
            return "its model detects no people, so its pictures never leave"
        return "it has given no frame yet"


def redacted_fields(jpeg: bytes) -> dict[str, Any]:
    """What its label says: people found and covered; ``whole`` where all is covered. ValueError: no label."""
    label = read_label(jpeg)
    people = None if label["people"] is None else len(label["people"])
    redacted = bool(label["covered"])
    return {
        "people": people,
        "covered": (people or 0) if redacted else 0,
        "whole": redacted and people is None,
        "redacted": redacted,
    }
