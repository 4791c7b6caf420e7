"""``command/snapshot``: the newest frame of a running camera, redacted as every picture that leaves."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent.commands.commands import State
from agent.commands.requests import Command, Snapshot
from agent.config.model import Config
from agent.domain.observations import View
from agent.domain.yaml_loader import alternatives
from agent.evidence.recorder import MAX_FRAME_AGE_S, EvidenceRecorder
from agent.evidence.release import PictureRequest
from agent.host.clock import monotonic_s

SendResult = Callable[[Mapping[str, Any]], Awaitable[None]]
"""Sends a further result of a command."""


class Snapshots:
    """Carries out ``snapshot``. ``running`` gives the configuration that runs."""

    def __init__(
        self, recorder: EvidenceRecorder, running: Callable[[], Config], send_result: SendResult
    ) -> None:
        self._recorder, self._running, self._send_result = recorder, running, send_result

    async def carry_out(self, command: Command, result: Mapping[str, Any]) -> State:
        """Requests the picture; a second result reports what was sent. ValueError: no such camera.

        OSError where the camera gives no current frame.
        """
        wanted = Snapshot.model_validate(command.model_dump())
        cameras = self._running().cameras()
        if wanted.camera not in cameras:
            raise ValueError(f"no camera {wanted.camera!r}; {alternatives(wanted.camera, cameras)}")
        frame, view = self._recorder.newest(wanted.camera)
        if frame is None:
            why = "it has given no frame yet"
            if not cameras[wanted.camera].can_redact():
                why = "its model detects no people, so its pictures never leave"
            raise OSError(f"{wanted.camera}: {why}")
        age_s = monotonic_s() - frame.at_s
        if age_s > MAX_FRAME_AGE_S:
            raise OSError(f"{wanted.camera}: stale, its last frame is {age_s:.0f} s old")
        rows, columns = frame.frame.shape[:2]
        facts = {"camera": wanted.camera, "width": columns, "height": rows, "age_s": round(age_s, 1)}
        blind = blind_texts(view)

        async def done(request: PictureRequest) -> None:
            state = "succeeded" if request.sent else "failed"
            fields = facts | ({"blind": blind} if blind else {}) | dict(request.picture)
            if not request.sent:
                fields["reason"] = self._recorder.troubles.get("withheld", "the picture was withheld")
            await self._send_result({**result, "state": state, **fields})

        self._recorder.send_frame(wanted.id, "command snapshot", frame, done)
        return "accepted"


def blind_texts(view: View | None) -> list[str]:
    """The zones of a camera without visibility, such as ``rail: dark for 12 s``."""
    return (
        [f"{zone.zone}: {zone.why.replace('_', ' ')} for {zone.for_s:.0f} s" for zone in view.blind]
        if view
        else []
    )
