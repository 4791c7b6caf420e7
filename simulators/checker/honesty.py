"""Who is dead looks dead, who has a trouble says so, and who has none does not. Pure."""

from collections.abc import Iterator

from simulators.checker.finding import Finding
from simulators.checker.history import Device, History, Period, without

TOLD = (
    "line.unplug", "line.mute", "line.silent", "line.wrong_speed", "board.deaf", "board.sensor_failed",
    "receiver.silence", "receiver.no_fix", "receiver.cold", "receiver.antenna", "receiver.jam",
    "camera.cut", "camera.frozen", "camera.black", "camera.covered", "camera.auth_refused",
    "disk.full", "disk.read_only", "disk.io_error",
)  # fmt: skip
"""Faults of which a device says in its status that something is wrong. Others may leave no trace, such as a
line that splits its packets."""
CUT = (
    "link.down", "link.half_open", "link.reset", "link.tls_expired", "link.auth_revoked", "broker.down",
    "broker.refuse",
)  # fmt: skip
"""Faults during which nothing of the device reaches the broker."""
GONE = ("offline", "stopped")


def dead_devices_look_dead(history: History) -> Iterator[Finding]:
    """A device that does not run, or whose link is down, is soon ``offline`` or ``stopped`` at the broker."""
    for device in history.devices.values():
        cut = [one for one in device.faults if one.kind in ("link.down", "link.half_open")]
        for gone in (*device.absences, *cut):
            end_s = min(gone.end_s, history.end_s)
            seen_s = gone.begin_s + history.limits.offline_s
            unkind = [one for one in (*history.faults, *device.faults) if one.kind.startswith("broker.")]
            if end_s <= seen_s or not device.statuses or not without(gone, unkind, history.limits.offline_s):
                continue
            state = device.status_at(seen_s)
            if state is not None and state not in GONE:
                text = f"{gone.kind}, and still {state} after {history.limits.offline_s:g} s"
                yield Finding("dead_devices_look_dead", device.name, text, seen_s)


def faults_are_told(history: History) -> Iterator[Finding]:
    """A device under a fault of its own says so in its status, or in an alert, within the limit."""
    for device in history.devices.values():
        unreachable = [one for one in (*device.faults, *history.faults) if one.kind in CUT]
        for fault in device.faults:
            until_s = fault.begin_s + history.limits.told_s
            hidden = Period(fault.begin_s, until_s, "")
            if fault.kind not in TOLD or min(fault.end_s, history.end_s) < until_s:
                continue
            if not without(hidden, [*unreachable, *device.absences], history.limits.told_s):
                continue
            if not _told(device, fault, until_s):
                state = device.status_at(until_s)
                of = f" of {fault.source}" if fault.source else ""
                text = f"{fault.kind}{of} since {fault.begin_s:.1f} s, and its status is {state}"
                yield Finding("faults_are_told", device.name, text, until_s)


def _told(device: Device, fault: Period, until_s: float) -> bool:
    """Whether the status at ``until_s`` names the source, or the part, or an alert does."""
    family = fault.kind.partition(".")[0]
    word = fault.source or {"disk": "outbox"}.get(family)
    words = tuple(filter(None, (word, "position" if family == "receiver" else None)))
    status = next((body for t, body in reversed(device.statuses) if t <= until_s), None)
    reasons = (status or {}).get("reasons", ())
    named = not words or any(str(reason).startswith(words) for reason in reasons)
    if status is not None and status.get("state") == "degraded" and named:
        return True
    for t, body in device.sent("alert"):
        alert = body.get("alert", {})
        if fault.begin_s <= t <= until_s and word in (alert.get("source"), alert.get("camera")):
            return True
    return False


def only_troubles_are_told(history: History) -> Iterator[Finding]:
    """A device without any fault in the whole run, its own or of all, is ``degraded`` only at its start."""
    if history.faults:
        return
    for device in history.devices.values():
        if device.faults or device.absences or any(True for _ in device.happened("fault_began", "pushed")):
            continue
        starting_s = min((one["t"] for one in device.happened("started")), default=0.0) + 60.0
        for t, body in device.statuses:
            if t > starting_s and body.get("state") == "degraded":
                text = f"degraded without a fault: {', '.join(map(str, body.get('reasons', ())))}"
                yield Finding("only_troubles_are_told", device.name, text, t)
                break
