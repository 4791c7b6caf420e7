"""``ringpost config push --layer``: one push to a whole group, which its later members get, too.

The patch is the group's layer from then on, in place of the one before. All devices of the group take it at
once: what should be tried first is rolled out device by device.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import click

from agent.cli.config_report import print_report
from agent.cli.device_selection import Selection
from agent.cli.fleet_link import FleetLink
from agent.cli.orders import OrderSigner, is_push_not_permitted
from agent.cli.pushed_change import PushedChange
from agent.cli.rollout import ANSWER_MARGIN_S, ENDS
from agent.cli.signing import target_topic
from agent.runtime.exit_codes import EX_NOPERM, EX_UNAVAILABLE
from agent.runtime.sanitize import as_dict, as_list
from agent.trust.order import GROUP


async def push_layer(
    selection: Selection,
    change: PushedChange,
    link: FleetLink,
    signer: OrderSigner,
    confirm_within_s: float,
    as_json: bool,
) -> int:
    """Pushes a patch to the group and prints what each known member reports. 1, 69 and 77 as a push."""
    await link.settle()
    names, target = selection.among(link.reports), f"{GROUP}{selection.group}"
    revision = 1 + max((_newest(link.report(name, "config/reported"), target) for name in names), default=0)
    desired = {"revision": revision, "confirm_within_s": confirm_within_s, **change.fields()}
    is_new = {name: link.mark(name, "config/reported") for name in names}
    topic = f"{target_topic(link.root, target)}/config/desired"
    await link.publish(topic, signer.push(target, desired), retain=True)
    click.echo(f"config: revision {revision} sent to {selection.group}: {len(names)} known devices", err=True)
    ours = (revision, change.sha256)

    def answer(name: str) -> dict[str, Any] | None:
        report = link.report(name, "config/reported")
        pushed = (report.get("revision"), report.get("sha256"))
        final = pushed == ours and str(report.get("state")) in ENDS
        return report if final and is_new[name]() else None

    async def wait(name: str) -> int:
        report = await link.until(lambda: answer(name), confirm_within_s + ANSWER_MARGIN_S)
        if report is None:
            click.echo(f"config: no answer from {name}; it receives the push when it reconnects", err=True)
            return EX_UNAVAILABLE
        print_report(name, report, as_json, change)
        if report["state"] == "applied":
            return 0
        return EX_NOPERM if is_push_not_permitted(report) else 1

    codes = await asyncio.gather(*map(wait, names))
    return next((code for code in (EX_NOPERM, 1, EX_UNAVAILABLE) if code in codes), 0)


def _newest(report: Mapping[str, Any], target: str) -> int:
    """The newest revision of a group that a device reports."""
    entries = [report, *map(as_dict, as_list(report.get("layers")))]
    named = [entry.get("revision") for entry in entries if entry.get("target") == target]
    return max((one for one in named if isinstance(one, int) and 0 < one < 2**52), default=0)
