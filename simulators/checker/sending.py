"""How a device sends: what it says in two places agrees, critical alerts go first, and no message is repeated
without end. Pure."""

from collections import defaultdict, deque
from collections.abc import Iterator

from simulators.checker.finding import Finding
from simulators.checker.history import Device, History

REPEATS_WITHIN_S = 10.0
MOST_REPEATS = 4
"""More copies of one message within `REPEATS_WITHIN_S` are a storm."""
WAITED_S = 5.0
CRITICAL = "critical"
HELD_BACK = (
    "link.latency",
    "link.bandwidth",
    "link.slicer",
    "broker.",
    "disk.full",
    "disk.read_only",
    "disk.io",
)
"""Faults in which an earlier message may be long under way, or only memory knows the order."""


def health_agrees_with_status(history: History) -> Iterator[Finding]:
    """A ``health`` has reasons exactly where the ``status`` before it is degraded; judged where the broker
    loses and reorders nothing."""
    if any(one.kind.startswith("broker.") for one in history.faults):
        return
    for device in history.devices.values():
        state = None
        for t, topic, body in device.messages:
            if topic == "status":
                state = body.get("state") if "id" in body else None
            elif topic != "health" or state not in ("online", "degraded"):
                continue
            elif bool(body.get("reasons")) != (state == "degraded"):
                text = f"its status is {state}, and its health has the reasons {body.get('reasons')}"
                yield Finding("health_agrees_with_status", device.name, text, t)
                break


def repeats_are_bounded(history: History) -> Iterator[Finding]:
    """A message that waits for its receipt is sent again seldom: a few copies in ten seconds at most, and one
    for each new connection."""
    for device in history.devices.values():
        times: dict[str, deque[float]] = defaultdict(deque)
        births: list[float] = []
        for t, topic, body in device.messages:
            if topic == "birth":
                births.append(t)
            if topic != "alert":
                continue
            recent = times[str(body.get("id"))]
            recent.append(t)
            while recent[0] < t - REPEATS_WITHIN_S:
                recent.popleft()
            connections = sum(1 for birth in births if birth >= recent[0] - 1.0)
            if len(recent) > MOST_REPEATS + connections:
                text = f"{body.get('id')} came {len(recent)} times in {REPEATS_WITHIN_S:g} s"
                yield Finding("repeats_are_bounded", device.name, text, t)
                break


def critical_alerts_go_first(history: History) -> Iterator[Finding]:
    """A critical alert that has waited on the disk goes before all others that waited with it; judged where
    neither the broker nor the link holds messages back."""
    if any(one.kind.startswith("broker.") for one in history.faults):
        return
    for device in history.devices.values():
        if not any(one.kind.startswith(HELD_BACK) for one in device.faults):
            yield from _overtaken(device)


def _overtaken(device: Device) -> Iterator[Finding]:
    accepted_s = {one["id"]: one["t"] for one in device.accepted}
    alerts = list(device.sent("alert"))
    urgent = {str(one["alert"]["alert_id"]) for _, one in alerts if one["alert"].get("severity") == CRITICAL}
    seen: set[str] = set()
    before: tuple[float, str] | None = None
    for t, body in alerts:
        identity, alert = str(body.get("id")), body["alert"]
        if identity in seen:
            continue
        seen.add(identity)
        if str(alert.get("alert_id")) not in urgent:
            before = t, str(alert.get("rule"))
        elif before is not None and before[0] - accepted_s.get(identity, t) > WAITED_S:
            text = f"{alert.get('rule')} has waited, and came behind {before[1]}, which is less urgent"
            yield Finding("critical_alerts_go_first", device.name, text, t)
            return
