"""Serial ports: present, a character device, openable by the agent, and held by nobody else. Opens none."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from agent.cli.checks.finding import Finding, failed, ok, skipped
from agent.cli.checks.target import Target, group_name, may_use, user_name
from firmware_bridge.serial.holders import held_by

MEMORY_DEVICES = 1
"""Major number of /dev/null, /dev/zero and similar devices."""
LIST = "`ringpost devices` lists the ports"
REMEDIES = {
    "ModemManager": "sudo systemctl disable --now ModemManager",
    "gpsd": "write kind: gpsd for this receiver, or: sudo systemctl disable --now gpsd.socket gpsd",
    "brltty": "sudo systemctl mask --now brltty-udev",
    "agetty": "sudo systemctl disable --now serial-getty@{name}",
}
"""Programs that often take serial ports, and how to stop each."""


def check_ports(target: Target) -> Iterator[Finding]:
    """Each serial port of the configuration; servers (``tcp://``) are checked by `check_servers`."""
    assert target.config is not None  # noqa: S101  the runner skips it otherwise
    found = False
    for name, source in target.config.sources.items():
        serial = source.serial_port()
        if serial is not None and "://" not in serial.address:
            found = True
            yield _check_port(target, f"sources.{name}.{serial.key}", serial.address)
    if not found:
        yield skipped("the configuration has no serial port")


def _check_port(target: Target, place: str, port: str) -> Finding:
    path = Path(port)
    try:
        status = path.stat()
    except OSError:
        return failed(f"{port} not found: unplugged or renamed", LIST, place)
    if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) == MEMORY_DEVICES:
        return failed(f"{port} is not a serial port", LIST, place)
    if not may_use(path, target.agent_uid):
        user, group = user_name(target.agent_uid), group_name(status.st_gid)
        if target.agent_pid is None or not target.part(place.split(".")[1]).get("good"):
            remedy = f"add this user to its group: sudo usermod -aG {group} {user}"
            return failed(f"no permission to open {port} as {user}", remedy, place)
    holders = held_by(path, target.machine.proc)
    ours = [one for one in holders if target.agent_pid is not None and one.endswith(f"({target.agent_pid})")]
    if ours:
        return ok(f"{port}: open by the running agent", place)
    if holders:
        held = holders[0].rpartition(" (")[0]
        pid = holders[0].rpartition("(")[2].rstrip(")")
        remedy = REMEDIES.get(held, f"stop it: sudo kill {pid}").format(name=path.resolve().name)
        return failed(f"{port} is in use by {', '.join(holders)}", remedy, place)
    return ok(f"{port}: present, may be opened, nobody holds it", place)
