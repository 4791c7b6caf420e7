"""``command/rescue_mode``: a profile with an end, for the minutes in which people look for somebody.

While it lasts cameras get more inferences, the position is sent each second, a snapshot of each camera leaves
at once and then every `SNAPSHOT_EVERY_S`, and other telemetry is thinned and waits behind the snapshots. All
within the byte budget. People are redacted as ever: only a rescue grant shows them.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import structlog
from pydantic import BaseModel

from agent.commands.requests import Command, RescueModeRequest
from agent.config.model import Config
from agent.domain.message import stamp
from agent.evidence.recorder import MAX_FRAME_AGE_S
from agent.evidence.release import PictureRequest
from agent.host.clock import boot_id, monotonic_s, read_clocks, since_boot_s, utc_now
from agent.mqtt.link import Link
from agent.outbox.outbox import Outbox
from agent.pipeline import Pipeline
from agent.vision.inference_pool import SHARED_POOL

log = structlog.get_logger()

KEY = "rescue_mode"
"""Where the outbox remembers it."""
SPEED_UP = 3.0
"""Cameras get up to this many times their configured inferences, as far as the machine can."""
POSITION_EVERY = timedelta(seconds=1)
SNAPSHOT_EVERY_S = 10.0
SAVED_EVERY_S, NUMBERS_AHEAD = 60.0, 100
"""The remaining time is stored this often; numbers of pictures are taken from the disk in such lots."""


class _Saved(BaseModel):
    """The state on disk; ``until_s`` is since the boot with the id ``boot``."""

    id: str
    reason: str
    left_s: float
    boot: str
    until_s: float
    number: int


class RescueMode:
    """Begins and ends the mode; `run` is a job."""

    def __init__(
        self,
        pipeline: Pipeline,
        link: Link,
        outbox: Outbox,
        running: Callable[[], Config],
        clock: Callable[[], float] = since_boot_s,
        boot: Callable[[], str] = boot_id,
    ) -> None:
        """``clock`` gives the seconds since the boot that ``boot`` identifies."""
        self._pipeline = pipeline
        self._link = link
        self._outbox = outbox
        self._running = running
        self._clock = clock
        self._boot = boot
        self._state: _Saved | None = None
        self._began = asyncio.Event()
        self._next_number = 1
        self._saved_s = 0.0
        self._sent_s: dict[str, float] = {}
        """By camera: when its last snapshot was requested."""

    @property
    def left_s(self) -> float:
        """Seconds until the end; 0 outside the mode."""
        return 0.0 if self._state is None else max(0.0, self._state.until_s - self._clock())

    def fields(self) -> dict[str, Any]:
        """For ``status``: the end and the reason; empty outside the mode."""
        if self._state is None:
            return {}
        until = utc_now() + timedelta(seconds=self.left_s)
        return {"rescue_mode": {"until": stamp(until), "reason": self._state.reason}}

    async def command(self, command: Command, _: Mapping[str, Any]) -> Mapping[str, Any]:
        """On disk on return. ``for_s`` 0 ends the mode."""
        wanted = RescueModeRequest.model_validate(command.model_dump())
        if not wanted.for_s:
            await self._end("by command")
            return {}
        until_s = self._clock() + wanted.for_s
        state = _Saved(
            id=wanted.id, reason=wanted.reason, left_s=wanted.for_s, boot=self._boot(),
            until_s=until_s, number=1 + NUMBERS_AHEAD,
        )  # fmt: skip
        await self._outbox.put(remember={KEY: state.model_dump_json().encode()})
        self._state, self._next_number, self._saved_s = state, 1, self._clock()
        self._sent_s = {}
        self._began.set()
        log.warning("rescue_mode_began", for_s=wanted.for_s, reason=wanted.reason)
        self._apply()
        await self._report()
        return {"until": self.fields()["rescue_mode"]["until"]}

    def restore(self) -> None:
        """Takes up the mode with the remaining time of before a restart. After a reboot that is the time last
        stored."""
        data = self._outbox.recall(KEY)
        if not data:
            return
        try:
            saved = _Saved.model_validate_json(data)
        except ValueError:
            log.warning("rescue_mode_damaged")
            return
        now_s = self._clock()
        left_s = saved.until_s - now_s if saved.boot == self._boot() else saved.left_s
        if 0 < left_s <= saved.left_s + 1:
            self._state = saved.model_copy(update={"until_s": now_s + left_s, "boot": self._boot()})
            self._next_number, self._saved_s = saved.number, now_s - SAVED_EVERY_S
            self._apply()

    async def run(self) -> None:
        """A job: takes the snapshots, and ends the mode in time."""
        while True:
            if self._state is None:
                self._began.clear()
                await self._began.wait()
            await self.step()
            await asyncio.sleep(1)

    async def step(self) -> None:
        """What is due now, about once a second."""
        if self._state is None:
            return
        now_s = self._clock()
        if now_s >= self._state.until_s:
            await self._end("its time is over")
            return
        if now_s - self._saved_s >= SAVED_EVERY_S or self._next_number >= self._state.number - 1:
            await self._save(self._state, now_s)
        self._take_snapshots(self._state, now_s)

    def _take_snapshots(self, state: _Saved, now_s: float) -> None:
        """Requests the snapshots that are due, of the camera without one for longest first."""
        recorder = self._pipeline.recorder
        for camera in sorted(self._running().cameras(), key=lambda name: self._sent_s.get(name, 0.0)):
            if now_s - self._sent_s.get(camera, float("-inf")) < SNAPSHOT_EVERY_S:
                continue
            frame, _ = recorder.newest(camera)
            if frame is None or monotonic_s() - frame.at_s > MAX_FRAME_AGE_S:
                continue
            if self._next_number >= state.number:
                return
            try:
                recorder.send_frame(state.id, "rescue mode", frame, _nothing, self._next_number)
            except ValueError:  # as many wait as may: next second
                return
            self._next_number += 1
            self._sent_s[camera] = now_s

    async def _save(self, state: _Saved, now_s: float) -> None:
        left_s, number = state.until_s - now_s, self._next_number + NUMBERS_AHEAD
        saved = state.model_copy(update={"left_s": left_s, "number": number})
        await self._outbox.put(remember={KEY: saved.model_dump_json().encode()})
        if self._state is state:  # no command came meanwhile
            self._state, self._saved_s = saved, now_s

    async def _end(self, reason: str) -> None:
        if self._state is None:
            return
        await self._outbox.put(remember={KEY: b""})
        log.warning("rescue_mode_ended", reason=reason)
        self._state = None
        self._apply()
        await self._report()

    def _apply(self) -> None:
        """Sets what the mode changes, or its usual value."""
        active = self._state is not None
        SHARED_POOL.speed_up = SPEED_UP if active else 1.0
        self._link.put_pictures_first(active)
        self._pipeline.reporter.position_every = POSITION_EVERY if active else None
        self._pipeline.reporter.mode_fields = self.fields

    async def _report(self) -> None:
        await self._outbox.put_within(self._pipeline.reporter.status(*read_clocks()))


async def _nothing(_: PictureRequest) -> None:
    """No result for each snapshot."""
