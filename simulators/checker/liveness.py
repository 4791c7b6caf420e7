"""Once all faults have ended all is delivered, and all devices are healthy; memory stays bounded. Pure."""

from collections.abc import Iterator

from simulators.checker.finding import Finding
from simulators.checker.history import History

REMEMBERED = "alerts of "
"""How a reason begins that tells of a late alert, minutes after it."""


def all_heals(history: History) -> Iterator[Finding]:
    """Some time after the last fault nothing is owed, each accepted alert is at the centre, and each device
    is ``online``."""
    if history.end_s < history.healed_s + history.limits.settle_s:
        return
    for device in history.devices.values():
        owed = [one for one in device.on_disk or () if one["state"] == "owed" and one["lane"] == "alert"]
        if owed:
            yield Finding("all_heals", device.name, f"still owes {len(owed)} alert messages", history.end_s)
        at_centre = {one["id"] for one in device.at_centre or ()}
        absent = [one for one in device.accepted if one["id"] not in at_centre]
        if absent:
            text = f"{len(absent)} accepted alert messages are not at the centre"
            yield Finding("all_heals", device.name, text, history.end_s)
        state = device.status_at(history.end_s)
        reasons = device.statuses[-1][1].get("reasons") or () if device.statuses else ()
        remembers = bool(reasons) and all(str(reason).startswith(REMEMBERED) for reason in reasons)
        if state != "online" and not (state == "degraded" and remembers):
            text = f"its status is {state}: {', '.join(map(str, reasons))}"
            yield Finding("all_heals", device.name, text, history.end_s)


def memory_is_bounded(history: History) -> Iterator[Finding]:
    """The process does not grow by more than the limit from the first measurement to the last."""
    if history.memory_mb:
        growth_mb = history.memory_mb[-1] - history.memory_mb[0]
        if growth_mb > history.limits.growth_mb:
            text = f"it grew by {growth_mb:.0f} MB, more than {history.limits.growth_mb:g} MB"
            yield Finding("memory_is_bounded", None, text, history.end_s)
