"""Temperature, throttling, memory and load, from /proc and /sys, or ``vcgencmd`` of a Raspberry Pi."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from agent.cli.checks.finding import Finding, failed, ok, skipped, warning
from agent.cli.checks.target import Target
from agent.host.clock import utc_now
from agent.reporting.host_monitor import THROTTLED, HostState, read_host

HOT_C, TOO_HOT_C = 75.0, 85.0
SINCE_BOOT_BITS = 16
LEAST_MEMORY_MB = 100
LONGEST_S = 5.0


def check_host(target: Target) -> Iterator[Finding]:
    """What slows this machine down or ends the agent."""
    host = read_host(target.folder, {}, utc_now(), target.machine.root)
    if host.throttled is None and str(target.machine.root) == "/":
        host = replace(host, throttled=_vcgencmd())
    yield from _temperature(host)
    yield from _throttling(host)
    if host.memory_free_mb is not None:
        text = f"{host.memory_free_mb} of {host.memory_total_mb} MB memory free"
        load = "" if host.load is None else f", load {host.load:g} per core"
        if host.memory_free_mb < LEAST_MEMORY_MB:
            yield warning(text + load, "see what uses it: ps aux --sort=-rss | head")
        elif host.load is not None and host.load > 2:
            yield warning(text + load, "see what uses it: top")
        else:
            yield ok(text + load)


def _temperature(host: HostState) -> Iterator[Finding]:
    if host.temperature_c is None:
        yield skipped("this machine reports no temperature")
    elif host.temperature_c >= TOO_HOT_C:
        yield failed(f"{host.temperature_c:g} °C", "shade it, clear its vents, check its fan")
    elif host.temperature_c >= HOT_C:
        yield warning(f"{host.temperature_c:g} °C", "shade it, clear its vents, check its fan")
    else:
        yield ok(f"{host.temperature_c:g} °C")


def _throttling(host: HostState) -> Iterator[Finding]:
    if host.throttled is not None:
        now = {text for bit, text in enumerate(THROTTLED) if host.throttled >> bit & 1}
        before = {text for bit, text in enumerate(THROTTLED) if host.throttled >> SINCE_BOOT_BITS >> bit & 1}
        remedy = "a stronger power supply and a shorter, thicker cable"
        if not any("voltage" in text for text in now | before):
            remedy = "shade it, clear its vents, check its fan"
        if now:
            yield failed(f"now: {', '.join(sorted(now))}", remedy)
        elif before:
            yield warning(f"since the start: {', '.join(sorted(before))}", remedy)
        else:
            yield ok("not throttled, supply voltage well")
    elif host.throttle_count:
        yield warning(
            f"the CPU was slowed down {host.throttle_count} times since the start",
            "shade it, clear its vents, check its fan",
        )


def _vcgencmd() -> int | None:
    """The throttling bits by the Raspberry Pi's own command, for kernels without them in /sys."""
    command = shutil.which("vcgencmd")
    if command is None:
        return None
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        done = subprocess.run(
            [command, "get_throttled"], capture_output=True, text=True, check=True, timeout=LONGEST_S
        )
        return int(done.stdout.partition("=")[2], 16)
    return None
