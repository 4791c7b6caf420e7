"""Faults of configuration: pushes that are invalid, that would lock the device out, or meet a power cut."""

import asyncio
import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from agent.domain.durations import Duration
from simulators.faults.fault import Fault, FaultStep, device_of
from simulators.stage import Stage

NOBODY = "mqtt://127.0.0.1:9"
"""A broker that no device reaches."""


class _Pushed(Fault):
    subject = "device"
    instant = True

    def _reported(self, stage: Stage, step: FaultStep) -> Iterable[dict[str, Any]]:
        """What the device reported about pushes since the fault began."""
        for one in stage.record.messages[step.before["seen"] :]:
            if (one["device"], one["topic"]) == (step.device, "config/reported"):
                yield one["body"]

    def _has(self, stage: Stage, step: FaultStep, state: str) -> bool:
        return any(body.get("state") == state for body in self._reported(stage, step))


class InvalidPush(_Pushed):
    kind = "config.invalid_push"
    text = "somebody pushes an invalid configuration"
    proof = "the device reports that it rejected it"

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        device = device_of(stage, step)
        step.before["seen"] = len(stage.record.messages)
        await device.push(json.dumps({**device.config, "rules": {"nonsense": {"kind": "no_such_rule"}}}))

    async def end(self, stage: Stage, step: FaultStep) -> None:
        """It is over."""

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return self._has(stage, step, "rejected")


class LockoutPush(_Pushed):
    kind = "config.lockout_push"
    text = "somebody pushes a configuration with a broker that nobody reaches"
    proof = "the device reports that it rolled it back"

    broker: str = NOBODY

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        await _push_broker(stage, step, self.broker)

    async def end(self, stage: Stage, step: FaultStep) -> None:
        """The device returns by itself."""

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return self._has(stage, step, "rolled_back")


class PowerCutOnTrial(_Pushed):
    kind = "config.power_cut_on_trial"
    state = "process"
    text = "the power is cut while a pushed configuration is on trial"
    proof = "the device was started again, and reports that it rolled back"
    instant = False

    broker: str = NOBODY
    after: Duration = timedelta(seconds=2)
    """From the push to the power cut."""

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        await _push_broker(stage, step, self.broker)
        await asyncio.sleep(self.after.total_seconds())
        await device_of(stage, step).cut_power()
        step.before["starts"] = device_of(stage, step).starts

    async def end(self, stage: Stage, step: FaultStep) -> None:
        await device_of(stage, step).start()

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        started = device_of(stage, step).starts > step.before["starts"]
        return started and self._has(stage, step, "rolled_back")


async def _push_broker(stage: Stage, step: FaultStep, url: str) -> None:
    device = device_of(stage, step)
    step.before["seen"] = len(stage.record.messages)
    await device.push(json.dumps({**device.config, "broker": {**device.config["broker"], "url": url}}))


CONFIGURATION: tuple[type[Fault], ...] = (InvalidPush, LockoutPush, PowerCutOnTrial)
