"""``command/probe``: what a camera, a port, a broker or a model is, before a configuration names it.

Nothing in force is changed. The target is looked at in a process of its own (`probe_process`), one at a time;
what is in force already is not opened a second time: the answer has what the agent knows of it.
"""

import base64
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import structlog

from agent.commands.commands import State
from agent.commands.requests import Command, Probe
from agent.config.model import Config
from agent.control.order_gate import OrderGate
from agent.control.probe_policy import Target, find_target
from agent.control.probe_request import MAX_S
from agent.control.snapshot import blind_texts
from agent.control.turn_limit import TurnLimit
from agent.evidence.camera_buffer import EvidenceFrame
from agent.evidence.jpeg import decode_jpeg
from agent.evidence.recorder import MAX_FRAME_AGE_S
from agent.evidence.release import PictureRequest
from agent.host.clock import monotonic_s, utc_now
from agent.mqtt.link import Link
from agent.pipeline import Pipeline
from agent.runtime.child_process import run_child
from agent.runtime.native_calls import within
from agent.trust.refusal import OrderRefused

log = structlog.get_logger()

CHECK_WITHIN_S = 10.0
PAUSE_S, PER_HOUR = 3.0, 60
"""The least time between the starts of two probes, and how many may start in an hour."""
PRIVACY_OFFICER = "privacy_officer"
WITHHELD = "no picture: it may show what no camera in force shows, so a privacy officer has to sign too"


class Probes:
    """Carries out ``probe``. ``gate`` knows the signers of the command under way."""

    def __init__(
        self,
        pipeline: Pipeline,
        link: Link,
        running: Callable[[], Config],
        send_result: Callable[[Mapping[str, Any]], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        gate: OrderGate,
    ) -> None:
        self._pipeline, self._link, self._running = pipeline, link, running
        self._send_result, self._spawn, self._gate = send_result, spawn, gate
        self._turns = TurnLimit("probe", pause_s=PAUSE_S, per_hour=PER_HOUR)

    async def carry_out(self, command: Command, result: Mapping[str, Any]) -> State:
        """Checks whether the target may be probed; a second result has the answer. ValueError: it may not."""
        wanted = Probe.model_validate(command.model_dump())
        self._turns.begin(monotonic_s())
        try:
            target = await within(CHECK_WITHIN_S, partial(self._find, wanted, self._running()), "a probe")
            self._check_signers(target)
        except BaseException:
            self._turns.end()
            raise
        self._spawn(self._probe(wanted, target, result))
        return "accepted"

    def _check_signers(self, target: Target) -> None:
        """ValueError where the target takes more signatures than the command has."""
        try:
            if target.changes:
                authorize, _ = self._gate.present_signers()
                authorize(target.changes)
        except OrderRefused as refusal:
            raise ValueError(f"not allowed: an HTTP address that is not in force {refusal.reason}") from None

    def _find(self, wanted: Probe, running: Config) -> Target:
        deployment = self._pipeline.deployment
        return find_target(wanted, running, deployment.local_file_config(), deployment.base)

    async def _probe(self, wanted: Probe, target: Target, result: Mapping[str, Any]) -> None:
        try:
            frame: EvidenceFrame | None = None
            if target.in_force is not None and target.request.broker is None:
                fields, frame = self._known(target)
            else:
                request = target.request.model_copy(update={"within_s": MAX_S})
                fields, failure = await run_child("agent.control.probe_process", request.dump(), MAX_S)
                if failure is not None:
                    fields.setdefault("error", failure)
                if target.request.broker is not None and target.in_force is not None:
                    fields |= {"in_force": "link", "connected": self._link.is_healthy}
                frame = await self._frame(target, fields.pop("jpeg", None))
            await self._answer(wanted, target, fields, frame, result)
        except Exception as error:
            log.exception("probe_failed")
            await self._send_result({**result, "state": "failed", "reason": f"the probe failed: {error}"})
        finally:
            self._turns.end()

    def _known(self, target: Target) -> tuple[dict[str, Any], EvidenceFrame | None]:
        """What the agent knows of a part that it runs: opening it again could take it away."""
        now_s, name = monotonic_s(), str(target.in_force)
        parts = self._pipeline.health.parts(now_s)
        fields = dict(next((part for part in parts if part["part"] == name), {}))
        fields.pop("part", None)
        fields["in_force"] = name
        if target.request.camera is None:
            return fields | {"kind": "port", "port": target.request.port}, None
        frame, view = self._pipeline.recorder.newest(name)
        if blind := blind_texts(view):
            fields["blind"] = blind
        if frame is not None:
            rows, columns = frame.frame.shape[:2]
            fields |= {"width": columns, "height": rows}
            if now_s - frame.at_s > MAX_FRAME_AGE_S:
                frame = None
        return fields | {"kind": "camera"}, frame

    async def _frame(self, target: Target, jpeg: str | None) -> EvidenceFrame | None:
        """The frame that the process answered."""
        if jpeg is None:
            return None
        call = partial(decode_jpeg, base64.b64decode(jpeg))
        frame = await within(CHECK_WITHIN_S, call, "decoding a frame of a probe")
        return EvidenceFrame(target.camera, 0, utc_now(), monotonic_s(), frame, (), ())

    async def _answer(
        self,
        wanted: Probe,
        target: Target,
        fields: dict[str, Any],
        frame: EvidenceFrame | None,
        result: Mapping[str, Any],
    ) -> None:
        """Sends the result, after the picture where there is one."""
        reason = fields.pop("error", None)
        state = {"state": "succeeded"} if reason is None else {"state": "failed", "reason": reason}
        fields = {**result, **state, **fields}
        if frame is None:
            await self._send_result(fields)
        elif target.shows_new and PRIVACY_OFFICER not in self._gate.trust.roles_of_keys(
            result.get("keys", ())
        ):
            await self._send_result(fields | {"picture": WITHHELD})
        else:

            async def done(request: PictureRequest) -> None:
                withheld = {} if request.sent else {"picture": "it was withheld; see health"}
                await self._send_result(fields | dict(request.picture) | withheld)

            self._pipeline.recorder.send_frame(wanted.id, "command probe", frame, done)
