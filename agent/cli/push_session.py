"""One push or roll-out at the broker: which devices, what is sent, and what is said at the end."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from agent.cli.command_request import NoAnswerError
from agent.cli.config_diff import changed_text, print_difference
from agent.cli.config_report import print_report
from agent.cli.config_text import RefusedError, configuration_text
from agent.cli.device_selection import Selection
from agent.cli.fleet_link import FleetLink
from agent.cli.orders import OrderSigner, is_push_not_permitted
from agent.cli.pushed_change import PushedChange
from agent.cli.revisions import active_revision, next_revision
from agent.cli.rollout import (
    ANSWER_MARGIN_S,
    Rollout,
    desired_fields,
)
from agent.cli.rollout_board import WORDS, RolloutBoard, who_has_what
from agent.cli.rollout_plan import (
    DEFAULT_WAVES,
    FAILED,
    RolloutState,
    list_names,
    plan_waves,
    sole_use,
    summary_json,
)
from agent.cli.signed_push import prepared_push
from agent.cli.signing import DeskSigner
from agent.runtime.atomic_files import write_durably
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_NOPERM, EX_UNAVAILABLE, EX_USAGE

REPORT_TIMEOUT_S = 5.0
UNREACHABLE = ("offline", "stopped")


class PushSession:
    """The steps of ``config push`` once the broker is reached."""

    def __init__(
        self, state: RolloutState, change: PushedChange, link: FleetLink, signer: OrderSigner, as_json: bool
    ) -> None:
        self.state, self.change, self.link, self.signer, self.as_json = state, change, link, signer, as_json

    async def choose(
        self, selection: Selection, *, canary: int | None, skip_offline: bool, to_one: bool
    ) -> int | None:
        """Plans the waves over the selected devices; an exit code where nothing should be sent.

        One device may be offline: it gets the push when it connects. A roll-out does not begin with devices
        that can't answer.
        """
        if to_one:
            name = selection.devices[0]
            await self.wait_for_report(name)
            self._plan([name], None)
            return None
        await self.link.settle()
        names = selection.among(self.link.reports)
        if not names:
            self._say(f"no device of {selection.group} reports on {self.link.root}")
            return EX_UNAVAILABLE
        silent = [name for name in names if not self._reachable(name)]
        if silent and (not skip_offline or len(silent) == len(names)):
            self._say(
                f"nothing was sent: offline or without report: {list_names(silent)}; leave them out with"
                " --skip-offline, or wait"
            )
            return EX_UNAVAILABLE
        for name in silent:
            self._say(f"{name} is offline or without report: skipped")
        self._plan([name for name in names if name not in silent], canary)
        return None

    async def wait_for_report(self, name: str) -> None:
        """The report from before the push, from which its answer has to differ."""
        if not await self.link.until(lambda: self.link.report(name, "config/reported"), REPORT_TIMEOUT_S):
            self._say(f"no report from {name} on {self.link.root}; check the device name")

    async def take_up(self, *, skip_failed: bool) -> None:
        """Takes up a roll-out that stopped: failed devices are left out, or get a new revision."""
        await self.link.settle()
        failed = self.state.with_step(*FAILED)
        reports = [self.link.report(name, "config/reported") for name in self.state.devices]
        newest = max(map(next_revision, reports), default=1)
        for name in failed:
            device, report = self.state.devices[name], self.link.report(name, "config/reported")
            arrived = (report.get("revision"), report.get("sha256")) == (device.revision, self.change.sha256)
            if device.step == "no_answer" and arrived:  # it answered after all
                device.step = "sent"
                continue
            device.step, device.detail = ("skipped", device.detail) if skip_failed else ("waiting", "")
            if not skip_failed:
                device.revision, device.base_revision = newest, active_revision(report)

    def _reachable(self, name: str) -> bool:
        state = str(self.link.report(name, "status").get("state"))
        return bool(self.link.report(name, "config/reported")) and state not in UNREACHABLE

    def _plan(self, names: Sequence[str], canary: int | None) -> None:
        """Fills in the devices: waves, and one revision for all of them."""
        self.state.waves = self.state.waves or (DEFAULT_WAVES if len(names) > 1 else "100%")
        self.state.devices = plan_waves(names, self.state.waves, canary)
        reports = {name: self.link.report(name, "config/reported") for name in names}
        revision = max(map(next_revision, reports.values()), default=1)
        for name, report in reports.items():
            self.state.devices[name].base_revision = active_revision(report)
            self.state.devices[name].revision = revision

    async def push_to_one(self) -> int:
        """A push to the only device; prints its report."""
        ((name, progress),) = self.state.devices.items()

        def on_change(_: str, __: object) -> None:
            if progress.step == "sent":
                click.echo(f"revision {progress.revision} sent to {name}", err=True)

        rollout = Rollout(
            self.state, self.change, self.link, self.signer, on_change=on_change, confirms=False
        )
        await rollout.run()
        if (report := rollout.report_of(name)) is not None:
            print_report(name, report, self.as_json, self.change)
        elif progress.detail:
            self._say(progress.detail if progress.step == "no_answer" else f"{name}: {progress.detail}")
        if progress.step == "unhealthy":
            self._say(f"{name} is not healthy: {progress.detail}")
        if report is not None and report.get("state") == "unconfirmed":
            self._say(f"it goes back by itself unless confirmed: ringpost config confirm {name}")
        return _exit_code(rollout)

    async def roll_out(self, file: Path) -> int:
        """Carries out the plan, and says at the end who has what and how to go on."""
        with ExitStack() as held:
            try:
                held.enter_context(sole_use(file))
                self.state.save(file)
            except OSError as error:
                self._say(f"{describe_error(error)}; --state names another file")
                return EX_USAGE
            return await self._roll_out(file)

    async def _roll_out(self, file: Path) -> int:
        self._say(f"the state of this roll-out is in {file}")
        with RolloutBoard(self.state, self.as_json) as board:
            self.link.note = board.note
            rollout = Rollout(
                self.state, self.change, self.link, self.signer, file=file, on_change=board.on_change
            )
            await rollout.run(board.on_wave)
        for line in [summary_json(self.state)] if self.as_json else who_has_what(self.state):
            click.echo(line)
        if failed := rollout.failed():
            device = self.state.devices[failed[0]]
            self._say(
                f"stopped: {failed[0]}: {WORDS[device.step]}: {device.detail}\n"
                f"  try again:           ringpost config push --resume {file}\n"
                f"  go on without it:    ringpost config push --resume {file} --skip-failed\n"
                f"  take it all back:    ringpost config rollback --rollout {file}"
            )
        return _exit_code(rollout)

    async def dry_run(self) -> int:
        """Has each device check the push without trying it. 1 where one refuses, 69 where one is silent."""
        codes = await asyncio.gather(*map(self._validate, self.state.devices))
        if len(codes) == 1 and codes[0] == 0:
            await self._show_difference(next(iter(self.state.devices)))
        elif not self.as_json:
            click.echo(f"{codes.count(0)} of {len(codes)} devices would take it")
        return next((code for code in (EX_NOPERM, 1, EX_UNAVAILABLE) if code in codes), 0)

    async def _show_difference(self, name: str) -> None:
        """What the push would change; the result of the check stands, also where the text can't be had."""
        try:
            present = await configuration_text(self.link, self.signer, name, None)
        except (NoAnswerError, RefusedError) as error:
            self._say(f"no difference can be shown: {error}")
            return
        patch = self.change.patch
        wanted = self.change.text if patch is None else changed_text(present, patch)
        print_difference(name, present, wanted, self.change.name, self.as_json)

    async def _validate(self, name: str) -> int:
        desired = desired_fields(self.state, self.change, name) | {"validate_only": True}
        key = (desired["revision"], desired["sha256"])
        order = self.signer.push(name, desired)
        is_new = self.link.mark(name, "config/reported")
        await self.link.publish(f"{self.link.root}/{name}/config/desired", order)

        def answer() -> dict[str, Any] | None:
            report = self.link.report(name, "config/reported")
            ours = (report.get("revision"), report.get("sha256")) == key
            return (
                report
                if ours and is_new() and str(report.get("state")) in ("validated", "rejected")
                else None
            )

        report = await self.link.until(answer, ANSWER_MARGIN_S)
        if report is None:
            self._say(f"no answer from {name} within {ANSWER_MARGIN_S:g} s")
            return EX_UNAVAILABLE
        print_report(name, report, self.as_json, self.change)
        if report["state"] == "validated":
            return 0
        return EX_NOPERM if is_push_not_permitted(report) else 1

    def prepare(self, file: Path, cosigners: Sequence[str]) -> int:
        """Writes the push, signed so far, to ``file`` instead of sending it."""
        if len(self.state.devices) != 1 or not isinstance(self.signer, DeskSigner):
            self._say("--prepare is for one device")
            return EX_USAGE
        name = next(iter(self.state.devices))
        desired = desired_fields(self.state, self.change, name)
        try:
            write_durably(file, prepared_push(self.signer, name, desired, cosigners))
        except OSError as error:
            self._say(describe_error(error))
            return EX_USAGE
        self._say(f"revision {desired['revision']} for {name} was not sent; it is in {file}")
        if cosigners:
            self._say(f"add each signature with: ringpost keys sign {file} --key FILE")
        self._say(f"send it with: ringpost config push {name} --signed {file}")
        return 0

    def _say(self, line: str) -> None:
        click.echo(f"config: {line}", err=True)


def _exit_code(rollout: Rollout) -> int:
    """0 where all went well; 77, 69 or 1 by what failed."""
    failed = rollout.failed()
    if not failed:
        return 0
    if rollout.not_permitted:
        return EX_NOPERM
    steps = {rollout.state.devices[name].step for name in failed}
    return EX_UNAVAILABLE if steps == {"no_answer"} else 1
