"""``ringpost config push``: to one device, or staged over many of them (docs/decisions/0053)."""

import time
from dataclasses import dataclass
from pathlib import Path

import click

from agent.cli.broker_session import run_at_broker
from agent.cli.device_selection import TOPICS, Selection
from agent.cli.fleet_link import fleet_link
from agent.cli.layer_push import push_layer
from agent.cli.orders import OrderSigner, Presigned, load_signer, local_exit_code
from agent.cli.push_session import PushSession
from agent.cli.pushed_change import PushedChange
from agent.cli.rollout_plan import RolloutState, load_rollout, plan_waves
from agent.cli.signed_push import read_signed_push
from agent.domain.durations import parse_duration
from agent.domain.yaml_loader import BadConfig
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG

CONFIRM_RANGE_S = (2, 3600)
"""Allowed time for the confirmation of a push; the device rejects other values."""

HEALTHY_WITHIN = "30s"
"""In a roll-out each device must report within this time that it is well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOptions:
    """The options of ``config push``, as on the command line."""

    devices: tuple[str, ...] = ()
    group: str | None = None
    layer: bool = False
    everything: bool = False
    file: Path | None = None
    patch: str | None = None
    confirm_within: str = "60s"
    confirm: str = "auto"
    waves: str | None = None
    canary: int | None = None
    pause: str = "30s"
    healthy_within: str | None = None
    skip_offline: bool = False
    skip_failed: bool = False
    state: Path | None = None
    resume: Path | None = None
    dry_run: bool = False
    keys: tuple[Path, ...] = ()
    prepare: Path | None = None
    cosigner: tuple[str, ...] = ()
    signed: Path | None = None

    @property
    def to_one(self) -> bool:
        """Whether this is a push to one device, without waves."""
        if self.signed is not None:
            return True
        return self.resume is None and len(self.devices) == 1 and self.waves is None and self.canary is None


def push_command(options: PushOptions, url: str, root: str, as_json: bool) -> int:
    """Pushes a file or a patch and waits for the results.

    1: refused, rolled back or not healthy; 2: wrong use; 69: no answer; 77: not permitted; 78: wrong file.
    """
    try:
        signer: OrderSigner
        if options.signed is not None:
            state, envelope = read_signed_push(options.signed, options.devices, root)
            selection, file, signer = Selection(tuple(state.devices)), options.signed, Presigned(envelope)
        else:
            selection, state, file = _plan(options, root)
            signer = load_signer(options.keys)
        change = PushedChange(state.name, state.text, state.patch)
    except BadConfig as error:
        click.echo(str(error), err=True)
        return EX_CONFIG
    except (OSError, ValueError) as error:
        click.echo(f"config: {describe_error(error)}", err=True)
        return local_exit_code(error)
    return run_at_broker(url, lambda: _session(options, selection, state, change, signer, file, url, as_json))


async def _session(
    options: PushOptions,
    selection: Selection,
    state: RolloutState,
    change: PushedChange,
    signer: OrderSigner,
    file: Path,
    url: str,
    as_json: bool,
) -> int:
    def note(line: str) -> None:
        click.echo(f"config: {line}", err=True)

    filters = selection.filters(state.root, (*TOPICS, "command/result"))
    async with fleet_link(url, state.root, filters, reconnects=not options.to_one, note=note) as link:
        if options.layer:
            return await push_layer(selection, change, link, signer, state.confirm_within_s, as_json)
        session = PushSession(state, change, link, signer, as_json)
        if options.signed is not None:
            await session.wait_for_report(selection.devices[0])
        elif options.resume is None:
            code = await session.choose(
                selection, canary=options.canary, skip_offline=options.skip_offline, to_one=options.to_one
            )
            if code is not None:
                return code
        else:
            await session.take_up(skip_failed=options.skip_failed)
        if options.dry_run:
            return await session.dry_run()
        if options.prepare is not None:
            return session.prepare(options.prepare, options.cosigner)
        if options.to_one:
            return await session.push_to_one()
        return await session.roll_out(file)


def _plan(options: PushOptions, root: str) -> tuple[Selection, RolloutState, Path]:
    """Selection, plan and file of the plan. BadConfig, OSError, ValueError."""
    if options.resume is not None:
        state = load_rollout(options.resume)
        return Selection(tuple(state.devices)), state, options.resume
    selection = Selection.from_options(options.devices, options.group, options.everything)
    within_s = parse_duration(options.confirm_within).total_seconds()
    if not CONFIRM_RANGE_S[0] <= within_s <= CONFIRM_RANGE_S[1]:
        raise ValueError(f"--confirm-within: {options.confirm_within} is not between 2s and 1h")
    if (options.file is None) == (options.patch is None):
        raise ValueError("name a FILE with the whole configuration, or --patch: one of them")
    if options.file is not None:
        change = PushedChange.whole(options.file)
    else:
        change = PushedChange.from_patch(options.patch or "")
    if options.layer and (selection.group is None or change.patch is None):
        raise ValueError("--layer: is a --patch for a --group, or for --all")
    if change.patch is None and len(selection.devices) != 1:
        raise ValueError(f"{options.file} is the configuration of one device; for several use --patch")
    healthy_within = options.healthy_within or ("0s" if options.to_one else HEALTHY_WITHIN)
    plan_waves([], options.waves or "100%", options.canary)  # says what is wrong with them before anything
    state = RolloutState(
        root=root,
        name=change.name,
        text=change.text,
        patch=None if change.patch is None else dict(change.patch),
        waves=options.waves or "",
        pause_s=parse_duration(options.pause).total_seconds(),
        confirm_within_s=within_s,
        healthy_within_s=parse_duration(healthy_within).total_seconds(),
        confirm="manual" if options.confirm == "manual" else "auto",
        devices={},
    )
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    return selection, state, options.state or Path(f"rollout-{stamp}-{change.sha256[:8]}.json")
