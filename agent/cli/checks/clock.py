"""The clock: set, synchronised, by which source, and how far off."""

from collections.abc import Iterator

from agent.cli.checks.finding import Finding, failed, ok, warning
from agent.cli.checks.target import Target
from agent.host.clock import NEVER_AFTER, NEVER_BEFORE, kernel_clock, utc_now
from agent.runtime.sanitize import as_dict

MAX_ERROR_MS = 1000.0
DAEMONS = {
    "chrony/chronyd.pid": "chrony",
    "chronyd.pid": "chrony",
    "ntpd.pid": "ntpd",
    "systemd/timesync/synchronized": "systemd-timesyncd",
    "systemd/timesync": "systemd-timesyncd",
}
"""Files below /run, and the daemon that makes each."""


def check_clock(target: Target) -> Iterator[Finding]:
    """The state of the kernel's clock, as an NTP daemon keeps it, or the GNSS receiver that confirms it."""
    now = utc_now()
    if not NEVER_BEFORE <= now < NEVER_AFTER:
        yield failed(
            f"the clock says {now:%Y-%m-%d %H:%M} UTC, which is wrong",
            f"sudo date -u -s 'YEAR-MONTH-DAY HOUR:MINUTE'; then: {_remedy(target)}",
        )
        return
    synced, error_ms = kernel_clock()
    said = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if synced and error_ms is not None:
        text = f"{said}, synchronised by {_daemon(target) or 'NTP'}, within {error_ms:.0f} ms"
        yield ok(text) if error_ms <= MAX_ERROR_MS else warning(text, "use a nearer NTP server")
        return
    clock = as_dict(target.fresh_health.get("clock"))
    if clock.get("source") == "gnss":
        yield ok(f"{said}, confirmed by the GNSS receiver, within {clock.get('error_ms')} ms")
        return
    source = "battery-backed RTC" if (target.machine.dev / "rtc0").exists() else "no RTC: lost at power off"
    yield warning(f"{said}, not synchronised ({source})", _remedy(target))


def _daemon(target: Target) -> str | None:
    found = (name for path, name in DAEMONS.items() if (target.machine.root / "run" / path).exists())
    return next(found, None)


def _remedy(target: Target) -> str:
    daemon = _daemon(target)
    if daemon == "chrony":
        return "chronyc -a makestep; chronyc sources names the servers that do not answer"
    if (target.machine.root / "usr/bin/timedatectl").exists():
        return "sudo timedatectl set-ntp true"
    return "install an NTP client: sudo apt install chrony"
