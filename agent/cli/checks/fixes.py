"""GNSS receivers: fix, satellites and error; of a running agent by its health, else by reading the port."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from agent.cli.checks.finding import Finding, failed, ok, skipped, warning
from agent.cli.checks.target import Target, shown
from agent.config.model import Config
from agent.runtime.error_text import error_reason
from agent.runtime.sanitize import as_dict, as_list
from firmware_bridge.readings import Fix, GnssState, LineState
from firmware_bridge.serial.holders import held_by
from firmware_bridge.source import SourcePart

RECEIVERS = frozenset({"nmea", "ubx", "gpsd"})
LISTEN_S = 8.0
SKY = "give its antenna a free view of the sky; wait 15 min after a cold start"


async def check_fixes(target: Target) -> AsyncIterator[Finding]:
    """All receivers concurrently."""
    config = target.config
    assert config is not None  # noqa: S101  the runner skips it otherwise
    receivers = {name: source for name, source in config.sources.items() if source.kind in RECEIVERS}
    if not receivers:
        surveyed = config.place.lat is not None
        yield skipped("no GNSS receiver" + ("; the position is surveyed" if surveyed else ""))
    if target.agent is not None:
        for name in receivers:
            yield _of_running_agent(target, name)
        return
    jobs = (_listen(target, config, name, source) for name, source in receivers.items())
    for finding in await asyncio.gather(*jobs):
        yield finding


def _of_running_agent(target: Target, name: str) -> Finding:
    place, part = f"sources.{name}", target.part(name)
    if not part:
        return skipped(f"the running agent, {target.agent}, reads it; its health is not known", place=place)
    receivers = (as_dict(one) for one in as_list(target.fresh_health.get("receivers")))
    receiver: dict[str, Any] = next((one for one in receivers if one.get("source") == name), {})
    known = ", ".join(
        f"{key} {shown(value)}" for key, value in receiver.items() if key not in ("source", "used")
    )
    if part.get("running") != "running" or part.get("speaking") is False:
        return failed(f"the running agent says: {shown(part.get('error') or 'silent')}", SKY, place)
    reasons = [str(one) for one in as_list(target.fresh_health.get("reasons"))]
    mine = next((one for one in reasons if one.startswith((f"{name}:", "position:"))), None)
    if mine is not None:
        return warning(f"the running agent says: {mine}", SKY, place)
    return ok(f"the running agent gets fixes{f': {known}' if known else ''}", place)


async def _listen(target: Target, config: Config, name: str, source: SourcePart) -> Finding:
    """Reads the source for `LISTEN_S`, as the agent does; a port that anybody holds is left alone."""
    place, serial = f"sources.{name}", source.serial_port()
    if serial is not None and "://" not in serial.address:
        if not os.path.exists(serial.address):  # noqa: PTH110  False for a name that can't be
            return skipped(f"{serial.address} not found", place=place)
        if holders := held_by(serial.address, target.machine.proc):
            return skipped(f"{serial.address} is in use by {', '.join(holders)}", place=place)
    best: Fix | None = None
    gnss, line = GnssState(), LineState()

    def emit(value: object) -> None:
        nonlocal best, gnss, line
        if isinstance(value, Fix) and (best is None or best.lat is None or value.lat is not None):
            best = value
        elif isinstance(value, GnssState):
            gnss = value
        elif isinstance(value, LineState):
            line = value

    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(LISTEN_S):
                await source.run(emit)
    except OSError as error:
        return failed(error_reason(error), "see the check of the ports", place)
    if "jamming" in (gnss.jamming or "") or gnss.jamming == "critical":
        return warning("the receiver reports jamming", "move the antenna away from transmitters", place)
    if gnss.antenna in ("short", "open"):
        return failed(f"the antenna is {gnss.antenna}", "check the antenna, its cable and its plug", place)
    if best is None:
        received = f"{line.skipped_bytes} unrecognised bytes" if line.skipped_bytes else "nothing"
        port = serial.address if serial else "it"
        remedy = f"ringpost read {port}" if line.skipped_bytes else "check its power and its cable"
        return failed(f"no fix message in {LISTEN_S:g} s, {received} received", remedy, place)
    return _judge(config, best, place)


def _judge(config: Config, fix: Fix, place: str) -> Finding:
    known = (
        None if fix.satellites is None else f"{fix.satellites} satellites",
        None if fix.satellites_seen is None else f"{fix.satellites_seen} in view",
        None if fix.hdop is None else f"HDOP {fix.hdop:g}",
        None if fix.error_m is None else f"within {fix.error_m:g} m",
    )
    text = ", ".join([f"{fix.mode.upper()} fix" if fix.lat is not None else "no fix", *filter(None, known)])
    rejection = config.positioning.rejection(fix)
    if rejection is None:
        return ok(text, place)
    return warning(f"{text}: not accepted ({rejection})" if fix.lat is not None else text, SKY, place)
