"""The drill: proof that an alert would get through, from the detector to the centre's receipt.

    clip ─▶ detector of a camera ─▶ rule engine of the drill ─▶ write buffer ─▶ outbox ─▶ broker ─▶ receipt

The message has the schema and the lane of an alert, and ``drill: true`` on itself and on its alert. Its phase
is ``drill`` and its severity ``info``. It never enters the alert book: no siren, no escalation, no fallback
broker, no place in ``alerts/active``. Rules and tracks of the device are not touched.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from typing import Any

import structlog

from agent.alerts.alert import Alert
from agent.alerts.rule_engine import RuleEngine
from agent.audit.silent import Audit, SilentAudit
from agent.commands.commands import State
from agent.commands.requests import Command, DrillRequest
from agent.config.model import Config
from agent.control.drill_clip import detect_clip, load_clip
from agent.control.drill_plan import DrillPlan, drill_observations, plan_drill, seen_plan
from agent.control.drill_record import DrillRecord, Steps, waits_for
from agent.control.drill_schedule import next_drill
from agent.domain.message import RANKS, Message, new_id
from agent.host.clock import monotonic_s, read_clocks, utc_now
from agent.mqtt.link import Link
from agent.outbox.outbox import Outbox
from agent.pipeline import Pipeline
from agent.runtime.error_text import describe_error
from models.detection import Detection

log = structlog.get_logger()

KEY = "drill"
"""Where the outbox remembers the last drill."""
POLL_S = 20.0
SendResult = Callable[[Mapping[str, Any]], Awaitable[None]]


class Drill:
    """Drills on command and on schedule, one at a time."""

    def __init__(
        self,
        pipeline: Pipeline,
        link: Link,
        outbox: Outbox,
        running: Callable[[], Config],
        send_result: SendResult,
        spawn: Callable[[Any], object],
    ) -> None:
        """``running`` gives the configuration that runs; ``spawn`` starts a task that ends with the agent."""
        self._pipeline = pipeline
        self._link = link
        self._outbox = outbox
        self._running = running
        self._send_result = send_result
        self._spawn = spawn
        self._busy = False
        self.last: DrillRecord | None = None
        self.audit: Audit = SilentAudit()

    def restore(self) -> None:
        """Takes up the last drill of before a restart."""
        try:
            data = self._outbox.recall(KEY)
            self.last = None if data is None else DrillRecord.model_validate_json(data)
        except ValueError:
            log.warning("drill_damaged")

    def troubles(self) -> list[str]:
        """Why the last drill failed: a fault until one passes."""
        return [f"drill: {self.last.reason}"] if self.last and self.last.reason else []

    def fields(self) -> dict[str, Any]:
        """The last drill, for ``health``."""
        return {} if self.last is None else {"drill": self.last.fields()}

    async def command(self, command: Command, result: Mapping[str, Any]) -> State:
        """``command/drill``. ValueError where nothing can be drilled as requested, or a drill runs."""
        wanted = DrillRequest.model_validate(command.model_dump())
        plan = self._plan(wanted.rule, wanted.camera)
        if self._busy:
            raise ValueError("a drill is under way: one at a time")

        async def carry_out() -> None:
            record = await self.run(plan)
            state = {"state": "succeeded"} if record.reason is None else {"state": "failed"}
            reason = {} if record.reason is None else {"reason": record.reason}
            await self._send_result({**result, **state, **reason, **record.fields()})

        self._busy = True  # before another command comes
        self._spawn(carry_out())
        return "accepted"

    async def run_schedule(self) -> None:
        """A job: drills when one is due by the configuration."""
        started_at = utc_now()
        while True:
            await asyncio.sleep(POLL_S)
            config, now = self._running(), utc_now()
            last = None if self.last is None else self.last.at
            failed = bool(self.last and self.last.reason)
            due = next_drill(
                config.drill, config.place.timezone, last=last, failed=failed, started=started_at, now=now
            )
            if due is not None and now >= due and not self._busy:
                await self.run(self._plan(None, None))

    def _plan(self, rule: str | None, camera: str | None) -> DrillPlan:
        vision = find_spec("cv2") is not None and find_spec("onnxruntime") is not None
        return plan_drill(self._running(), rule, camera, vision=vision)

    async def run(self, plan: DrillPlan) -> DrillRecord:
        """One drill to its end; the record is on disk on return."""
        self._busy = True
        at, steps = utc_now(), Steps()
        within_s = self._running().drill.within.total_seconds()
        try:
            async with asyncio.timeout(within_s):
                await self._steps(plan, steps)
            reason = None
        except TimeoutError as error:  # of a step that hangs, with its words, or of the whole
            reason = str(error) or f"{waits_for(steps, camera=plan.camera is not None)} within {within_s:g} s"
        except (OSError, ValueError) as error:
            reason = describe_error(error)
        except Exception as error:  # a bug of a rule or of the inference runtime is a failed drill
            log.exception("drill_crashed")
            reason = f"{type(error).__name__}: {error}"
        finally:
            self._busy = False
        total_ms = round((monotonic_s() - steps.began_s) * 1000, 1)
        record = DrillRecord(
            at=at, reason=reason and reason[:300], rule=plan.name, camera=plan.camera_name, steps_ms=steps.ms,
            total_ms=total_ms,
        )  # fmt: skip
        self.last = record
        self.audit.append(
            "drill", rule=plan.name, camera=plan.camera_name, passed=reason is None, reason=record.reason
        )
        log.log(20 if reason is None else 30, "drill_done", rule=plan.name, reason=reason, ms=total_ms)
        try:
            await self._outbox.put(remember={KEY: record.model_dump_json().encode()})
        except OSError as error:
            log.warning("drill_not_recorded", error=str(error))
        return record

    async def _steps(self, plan: DrillPlan, steps: Steps) -> None:
        seen: list[tuple[Detection, ...]] = []
        if plan.camera is not None:
            frames = await asyncio.to_thread(load_clip, plan.camera, self._running().drill.clip)
            steps.done("clip")
            seen = await detect_clip(plan.camera, frames)
            plan = seen_plan(plan, seen)
            steps.done("detector")
        alert = await asyncio.to_thread(fire, plan, seen)
        steps.done("rule")
        await self._send(self._message(alert, steps.ms), steps)

    def _message(self, alert: Alert, steps_ms: Mapping[str, float]) -> Message:
        at, now_s = read_clocks()
        fields = alert.fields() | {
            "phase": "drill", "drill": True, "severity": "info", "text": f"drill: {alert.text}",
        }  # fmt: skip
        body = {"drill": True, "alert": fields, "latency_ms": dict(steps_ms)}
        messages, rank = self._pipeline.messages, RANKS["info"]
        return messages.make("alert/1", body, "alert", "alert", at, now_s, rank=rank, group=alert.alert_id)

    async def _send(self, message: Message, steps: Steps) -> None:
        """Returns once the broker has acknowledged, and the centre has received the message."""
        acknowledged = asyncio.get_running_loop().create_future()

        def on_acknowledged(now_s: float) -> None:
            if not acknowledged.done():
                acknowledged.set_result(now_s)

        needs_receipt = self._running().broker.delivery == "receipt"
        receipt = asyncio.ensure_future(self._link.receipt_of(message.id))
        await asyncio.sleep(0)  # it listens before anything is sent
        self._pipeline.latency.acknowledgements[message.id] = on_acknowledged
        try:
            self._pipeline.buffer.add(message)
            if written := self._pipeline.buffer.written():
                await asyncio.wait([written])
            steps.done("disk")
            if needs_receipt:
                await asyncio.wait([acknowledged, receipt], return_when=asyncio.FIRST_COMPLETED)
            else:
                await acknowledged
            if acknowledged.done():
                steps.done("broker", acknowledged.result())
            if needs_receipt:
                await receipt
                steps.done("receipt")
        finally:
            receipt.cancel()
            self._pipeline.latency.acknowledgements.pop(message.id, None)


def fire(plan: DrillPlan, seen: list[tuple[Detection, ...]]) -> Alert:
    """The new alert of the rule, in a rule engine of its own. ValueError where the rule does not fire."""
    at, now_s = read_clocks()
    engine = RuleEngine(new_id)
    engine.apply({plan.name: plan.rule}, at, now_s)
    for observation in drill_observations(plan, seen, at, now_s):
        for alert in engine.on_observation(observation, observation.at, observation.mono_s):
            if alert.phase == "new":
                return alert
    raise ValueError(f"rule {plan.name} did not fire on the clip")
