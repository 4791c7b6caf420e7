"""A staged roll-out: wave after wave, stopped by the first device that does not end up well.

What a device is counted by is its own report, never what was sent: ``config/reported`` with our revision and
hash, then ``status`` under that revision, without a fault that was not there before.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.cli.command_request import NoAnswerError, final_result
from agent.cli.fleet_link import FleetLink
from agent.cli.orders import OrderSigner, is_not_permitted, is_push_not_permitted, raise_counter
from agent.cli.pushed_change import PushedChange
from agent.cli.revisions import active_revision
from agent.cli.rollout_plan import FAILED, DeviceProgress, RolloutState, Step
from agent.runtime.sanitize import as_dict, as_list, printable

IN_FLIGHT = frozenset({"pending", "trial", "unconfirmed"})
"""States of ``config/reported`` in which a push is under way."""
ENDS: Mapping[str, Step] = {
    "applied": "done", "unconfirmed": "done", "rejected": "rejected", "rolled_back": "rolled_back",
    "degraded": "degraded",
}  # fmt: skip
ANSWER_MARGIN_S = 20.0
"""Beyond the time for the trial: for the way to the device and back."""
AT_ONCE = 50
"""Devices of one wave that are pushed to at the same time."""
OnChange = Callable[[str, DeviceProgress], None]


class Rollout:
    """Carries out a plan from where its state stands."""

    def __init__(
        self,
        state: RolloutState,
        change: PushedChange,
        link: FleetLink,
        signer: OrderSigner,
        *,
        file: Path | None = None,
        on_change: OnChange = lambda _, __: None,
        confirms: bool = True,
    ) -> None:
        """``file`` keeps the state; without one it is lost with the process. ``confirms``: a push that waits
        for a confirmation gets it once its device is healthy."""
        self.state, self.change, self.link, self.signer = state, change, link, signer
        self.not_permitted = False
        """Whether a device refused for its signature or role."""
        self._is_new: dict[str, Callable[[], bool]] = {}
        self._file, self._on_change, self._confirms = file, on_change, confirms

    async def run(self, on_wave: Callable[[int, float], None] = lambda _, __: None) -> bool:
        """Whether every wave ended well. ``on_wave`` hears of each wave, and of each pause, in seconds.

        OSError where the state file can't be written, or the connection is lost for good.
        """
        waves = self.state.wave_count()
        for wave in range(waves):
            open_names = set(self.state.with_step("waiting", "sent"))
            names = [name for name in self.state.in_wave(wave) if name in open_names]
            if not names:
                continue
            on_wave(wave, 0.0)
            slots = asyncio.Semaphore(AT_ONCE)
            await asyncio.gather(*(self._push_in_turn(name, slots) for name in names))
            if not self.failed() and wave + 1 < waves and self.state.pause_s > 0:
                on_wave(wave, self.state.pause_s)
                await self._watch(self.state.pause_s)
            if self.failed():
                return False
        return True

    def failed(self) -> list[str]:
        """The devices that did not end up well."""
        return self.state.with_step(*FAILED)

    def report_of(self, name: str) -> dict[str, Any] | None:
        """The device's final report on our push; None while there is none."""
        report = self.link.report(name, "config/reported")
        manual = self.state.confirm == "manual"
        final = str(report.get("state")) in ENDS and (manual or report.get("state") != "unconfirmed")
        new = name not in self._is_new or self._is_new[name]()
        return report if final and new and self._ours(name, report) else None

    async def _push_in_turn(self, name: str, slots: asyncio.Semaphore) -> None:
        async with slots:
            if not self.failed():  # a device of this wave failed meanwhile: nothing more is sent
                await self._push(name)

    async def _push(self, name: str) -> None:
        device = self.state.devices[name]
        if device.step == "waiting" or not self._arrived(name):
            if device.step == "waiting" and (reason := self._not_ready(name)):
                return self._end(name, "rejected", reason)
            device.reasons_before = self._reasons(name)
            self._end(name, "sent")  # on disk before it is sent: who resumes asks the device
            await self._send(name)
        limit_s = self.state.confirm_within_s + ANSWER_MARGIN_S
        report = await self.link.until(lambda: self.report_of(name), limit_s)
        if report is not None and raise_counter(self.signer, json.dumps(report.get("errors", ""))):
            await self._send(name)
            report = await self.link.until(lambda: self.report_of(name), limit_s)
        if report is None:
            return self._end(name, "no_answer", f"no answer within {limit_s:g} s; {await self._leave(name)}")
        step = ENDS[str(report["state"])]
        if step != "done":
            return self._end(name, step, self._describe(report))
        if self.state.healthy_within_s > 0 and (reason := await self._until_healthy(name)):
            return self._end(name, "unhealthy", reason)
        waits = report["state"] == "unconfirmed" and self._confirms
        if waits and (reason := await self._confirm(name)):
            return self._end(name, "unhealthy", reason)
        warnings = "; ".join(printable(line) for line in as_list(report.get("warnings")))
        return self._end(name, "done", warnings)

    async def _send(self, name: str) -> None:
        self._is_new[name] = self.link.mark(name, "config/reported")
        order = self.signer.push(name, desired_fields(self.state, self.change, name))
        await self.link.publish(f"{self.link.root}/{name}/config/desired", order, retain=True)

    async def _leave(self, name: str) -> str:
        """What becomes of a push without an answer: in a roll-out, nothing that nobody watches."""
        if self._file is None:
            return f"{name} receives it when it reconnects"
        await self.link.publish(f"{self.link.root}/{name}/config/desired", b"", retain=True)
        return "the push was taken from the broker again"

    def _not_ready(self, name: str) -> str | None:
        """Why a push should not be sent now; sets the base revision that it is made for."""
        device, report = self.state.devices[name], self.link.report(name, "config/reported")
        if str(report.get("state")) in IN_FLIGHT:
            revision = printable(report.get("revision"))
            return f"one in flight: revision {revision} is on trial; try again after it"
        base = active_revision(report)
        if device.base_revision is not None and base is not None and base != device.base_revision:
            return f"changed meanwhile: revision {base} is in force, not {device.base_revision}"
        device.base_revision = base
        return None

    def _arrived(self, name: str) -> bool:
        """Whether the device knows of the push that an earlier run sent."""
        return self._ours(name, self.link.report(name, "config/reported"))

    def _ours(self, name: str, report: Mapping[str, Any]) -> bool:
        pushed = (report.get("revision"), report.get("sha256"))
        return pushed == (self.state.devices[name].revision, self.change.sha256)

    def _describe(self, report: Mapping[str, Any]) -> str:
        self.not_permitted |= is_push_not_permitted(report)
        lines = self.change.error_lines(report)
        more = f" and {len(lines) - 1} more errors" if len(lines) > 1 else ""
        return lines[0] + more if lines else printable(report.get("reason", report.get("state")))

    def _reasons(self, name: str) -> list[str]:
        return list(map(str, as_list(self.link.report(name, "status").get("reasons"))))

    async def _until_healthy(self, name: str) -> str | None:
        """Why the device is not well under the new configuration, once its time is over; None where it is."""
        if await self.link.until(lambda: self._problem(name) is None, self.state.healthy_within_s):
            return None
        return f"{self._problem(name)}; within {self.state.healthy_within_s:g} s"

    def _problem(self, name: str) -> str | None:
        """What is wrong with a device that runs our revision."""
        device, status = self.state.devices[name], self.link.report(name, "status")
        state = printable(status.get("state", "without status"))
        running = as_dict(status.get("config"))
        # What waits for its confirmation is not called in force yet.
        waits = self.link.report(name, "config/reported").get("state") == "unconfirmed"
        if waits and not self.link.is_later(name, "status", "config/reported"):
            return "no status since its trial began"
        if running and not waits and running.get("revision") != device.revision:
            return f"runs revision {printable(running.get('revision', 'of its local file'))}"
        if state == "online":
            return None
        before = {_without_figures(reason) for reason in device.reasons_before}
        new = [reason for reason in self._reasons(name) if _without_figures(reason) not in before]
        if state == "degraded" and not new:
            return None
        return f"{state}: {printable('; '.join(new))}" if new else state

    async def _confirm(self, name: str) -> str | None:
        """Confirms a push that waits for it; why it did not succeed, or None."""
        fields = {"revision": self.state.devices[name].revision}
        try:
            result = await final_result(self.link, self.signer, name, "config_confirm", fields)
        except NoAnswerError as error:
            return f"not confirmed: {error}"
        if result.get("state") == "succeeded":
            return None
        self.not_permitted |= is_not_permitted(result.get("reason"))
        return f"not confirmed: {printable(result.get('reason', result.get('state')))}"

    async def _watch(self, pause_s: float) -> None:
        """Waits; a device that turns bad meanwhile ends the wait, and counts as failed."""

        def bad() -> str | None:
            return next((name for name in self.state.with_step("done") if self._problem(name)), None)

        loop = asyncio.get_running_loop()
        end_s = loop.time() + pause_s
        while (left_s := end_s - loop.time()) > 0 and (name := await self.link.until(bad, left_s)):
            if reason := await self._until_healthy(name):
                return self._end(name, "unhealthy", reason)
        return None

    def _end(self, name: str, step: Step, detail: str = "") -> None:
        device = self.state.devices[name]
        device.step, device.detail = step, detail
        if self._file is not None:
            self.state.save(self._file)
        self._on_change(name, device)


def desired_fields(state: RolloutState, change: PushedChange, name: str) -> dict[str, Any]:
    """The body of ``config/desired`` for one device."""
    device = state.devices[name]
    fields = {
        "revision": device.revision,
        "base_revision": device.base_revision,
        "confirm_within_s": state.confirm_within_s,
        "confirm": "manual" if state.confirm == "manual" else None,
        **change.fields(),
    }
    return {key: value for key, value in fields.items() if value is not None}


def _without_figures(reason: str) -> str:
    """A reason without the figures in it, which change as time passes."""
    return re.sub(r"\d[\d.,:]*", "#", reason)
