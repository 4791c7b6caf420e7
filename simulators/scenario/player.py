"""Plays the timeline of a scenario on a stage, and judges what came of it. No failure is swallowed."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from agent.config.merge_patch import merged
from agent.domain.message import new_id, stamp
from agent.runtime.error_text import describe_error
from centre.sequence_gaps import Ranges
from simulators.checker.disks import note_disks
from simulators.faults.fault import FaultStep
from simulators.run_record import RunRecord
from simulators.scenario.delivery import DeliveryProof, counted_delivery
from simulators.scenario.expectations import judge_expectations, judge_never, judge_sometimes
from simulators.scenario.invariants import judge_invariants
from simulators.scenario.known_fields import unknown_fields
from simulators.scenario.model import Scenario
from simulators.scenario.step import Step
from simulators.scenario.verdict import Verdict, fault_times
from simulators.stage import Stage, StagedDevice

Announce = Callable[[str], None]
"""Takes a line about what happens next."""


async def play(
    scenario: Scenario, stage: Stage, began_at: datetime, announce: Announce = lambda _: None
) -> Verdict:
    """Plays the scenario on ``stage``, whose devices run; stops them at the end, and judges the run."""
    wall_s = time.perf_counter()
    stage.record.event("began", at=stamp(began_at))
    run = TimelineRun(scenario, stage, announce)
    await run.play()
    counts, losses = DeliveryProof(), dict[str, dict[str, Ranges]]()
    record = stage.record
    # Without the goodbyes of the devices, which are no part of the scenario.
    until_the_end = RunRecord(record.now_s, list(record.messages), record.truth, record.events)
    try:
        for device in stage.devices.values():
            if device.running:
                await device.stop()
        note_disks(record, {name: one.folder for name, one in stage.devices.items()}, stage.centre.db)
    except OSError as error:
        run.incomplete.append(f"the disks can't be read: {describe_error(error)}")
    run.incomplete += unknown_fields(scenario, record)
    for name in stage.devices:
        proof, losses[name] = counted_delivery(record, name)
        counts += proof
    return Verdict(
        scenario=scenario.name,
        seed=stage.seed,
        clock=stage.clock,
        began_at=began_at,
        duration_s=scenario.seconds,
        wall_s=time.perf_counter() - wall_s,
        sha256=record.sha256(),
        expectations=judge_expectations(scenario, until_the_end),
        never=judge_never(scenario, until_the_end),
        sometimes=judge_sometimes(scenario, record),
        invariants=judge_invariants(scenario, record, counts),
        faults=fault_times(scenario, record),
        incomplete=run.incomplete,
        losses=losses,
        counts=counts,
    )


class TimelineRun:
    """One pass over the timeline. ``incomplete``: what could not be carried out, had no effect, or died."""

    def __init__(self, scenario: Scenario, stage: Stage, announce: Announce) -> None:
        self._scenario = scenario
        self._stage = stage
        self._announce = announce
        self._unproved: list[tuple[Step, FaultStep]] = []
        self._failed: set[int] = set()
        self.incomplete: list[str] = []

    async def play(self) -> None:
        """Returns at the end of the scenario's duration."""
        tasks = [asyncio.ensure_future(self._carry_out(step)) for step in self._scenario.timeline]
        for person in self._scenario.world.people:
            if person.comes <= self._scenario.duration:
                self._announce(f"{person.comes.total_seconds():g} s: {person.name} will come")
        try:
            await self._stage.sleep_until(self._scenario.seconds)
            if tasks:
                await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
        for step, placed in self._unproved:
            self._prove(step, placed)
        for step in self._scenario.timeline:
            if step.number not in self._failed and (missing := self._unanswered(step)) is not None:
                self._note(step, missing)
        for one in self._stage.record.events:
            if one["event"] == "died":
                what = f"the {one.get('part', 'device')} of {one.get('device', 'the run')}"
                self.incomplete.append(f"{what} died at {one['t']:.2f} s: {one.get('error', 'unknown')}")

    async def _carry_out(self, step: Step) -> None:
        await self._stage.sleep_until(step.at_s)
        self._announce(f"{step.at_s:g} s: {step.describe(self._source_kind(step))}")
        try:
            if step.fault is not None:
                await self._play_fault(step)
            else:
                await self._act(step)
        except Exception as error:
            self._failed.add(step.number)
            self._note(step, f"could not be carried out: {describe_error(error)}")

    async def _play_fault(self, step: Step) -> None:
        fault, stage = step.fault, self._stage
        assert fault is not None  # noqa: S101  the caller knows
        placed = step.fault_step(self._source_kind(step))
        fields = _event_fields(step)
        placed.began_s = stage.now_s()
        stage.record.event("fault_began", step.device, **fields)
        await fault.begin(stage, placed)
        try:
            await stage.sleep_until(step.end_s)
        finally:
            await fault.end(stage, placed)
            placed.ended_s = stage.now_s()
            stage.record.event("fault_ended", step.device, **fields)
        if fault.took_effect(stage, placed):
            stage.record.event("fault_effect", step.device, **fields)
        else:
            self._unproved.append((step, placed))

    def _prove(self, step: Step, placed: FaultStep) -> None:
        """Asks a fault again whose effect comes after its end, as that of a push."""
        fault = step.fault
        late = fault is not None and (fault.instant or fault.kind.startswith("config."))
        if late and fault is not None and fault.took_effect(self._stage, placed):
            self._stage.record.event("fault_effect", step.device, **_event_fields(step))
        else:
            self._note(step, f"had no effect; the proof would be: {fault.proof if fault else ''}")

    async def _act(self, step: Step) -> None:
        device = self._stage.devices[step.device or ""]
        if step.press is not None:
            await self._press(step, device)
        elif step.push is not None:
            await device.push(json.dumps(merged(dict(device.config), step.push)))
            self._stage.record.event("pushed", step.device)
        elif step.ack is not None:
            for alert_id in self._active_alerts(step):
                answer = {"alert_id": alert_id, "role": "desk", "action": "ack", **step.fields}
                await device.command("ack", answer)
        elif step.command is not None:
            await device.command(step.command, {"id": new_id(), **step.fields})

    async def _press(self, step: Step, device: StagedDevice) -> None:
        source, _, button = (step.press or "").partition(".")
        board = device.hardware[source]
        board.press(button)
        self._stage.record.event("pressed", step.device, press=step.press)
        await self._stage.sleep_until(step.end_s)
        board.press(button, on=False)
        self._stage.record.event("released", step.device, press=step.press)

    def _active_alerts(self, step: Step) -> list[str]:
        """The ids of the alerts of the rule that have not ended. ValueError where there is none."""
        phases: dict[str, str] = {}
        for one in self._stage.record.messages:
            alert = one["body"].get("alert") if one["topic"] == "alert" else None
            if isinstance(alert, dict) and (one["device"], alert.get("rule")) == (step.device, step.ack):
                phases[str(alert.get("alert_id"))] = str(alert.get("phase"))
        active = [alert_id for alert_id, phase in phases.items() if phase != "end"]
        if not active:
            raise ValueError(f"no active alert of {step.ack} to answer")
        return active

    def _unanswered(self, step: Step) -> str | None:
        """What a device has not answered to an action, at the end of the run."""
        answers = {"push": "config/reported", "command": "command/result", "ack": "alert"}
        if step.fault is not None or step.kind not in answers:
            return None
        for one in self._stage.record.messages:
            if (one["device"], one["topic"]) != (step.device, answers[step.kind]) or one["t"] < step.at_s:
                continue
            body = one["body"]
            answered = {
                "push": True,
                "command": body.get("command") == step.command,
                "ack": (body.get("alert") or {}).get("acknowledged") is not None,
            }
            if not answered[step.kind]:
                continue
            if step.command is None or body.get("state") != "rejected" or self._expects_rejection(step):
                return None
            return f"the device rejected it: {body.get('reason')}"
        return "the device never answered"

    def _expects_rejection(self, step: Step) -> bool:
        """Whether the scenario is about a command that is refused."""
        return any(
            (one.device, one.topic, one.having.get("state")) == (step.device, "command/result", "rejected")
            for one in self._scenario.expect
        )

    def _source_kind(self, step: Step) -> str:
        settings = self._scenario.devices.get(step.device or "")
        return "" if settings is None else str(settings.sources().get(step.source or "", {}).get("kind", ""))

    def _note(self, step: Step, what: str) -> None:
        self.incomplete.append(f"{step.at_s:g} s: {step.describe(self._source_kind(step))}: {what}")


def _event_fields(step: Step) -> dict[str, Any]:
    """What the record says of a fault."""
    source = {} if step.source is None else {"source": step.source}
    return {"fault": step.number, "kind": step.kind, **source}
