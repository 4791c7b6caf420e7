"""No accepted message is lost, none has a receipt too soon, none is two messages, none looks real. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from simulators.checker.finding import Finding
from simulators.checker.history import DEAD, NUMBERED, Device, History, Period, periods, without

CHANGING = ("epoch", "seq", "historical", "latency_ms")
"""Fields in which a repeat may differ: docs/centre.md."""
CORRECTED = ("restamped_by_s",)
INSTANTS = ("at", "since")
"""Fields that a corrected clock moves, at any depth."""
MOST = 5
"""Findings of one kind for one device that are named."""
RECEIPT_S = 5.0
"""From a commit to its receipt, where nothing is in the way."""
UNSEEN_S = 10.0
"""From the end of a broker's fault until all that it takes is on record."""


def accepted_alerts_are_kept(history: History) -> Iterator[Finding]:
    """Each alert message that the disk of a device took is at the centre, or still on that disk."""
    for device in history.devices.values():
        if not device.accepted:
            continue
        if device.on_disk is None or device.at_centre is None:
            yield Finding("accepted_alerts_are_kept", device.name, "the record does not have both disks")
            continue
        known = {one["id"] for one in (*device.on_disk, *device.at_centre)}
        lost = [one for one in device.accepted if one["id"] not in known]
        for one in lost[:MOST]:
            text = f"{one.get('phase')} of {one.get('rule')} ({one['id']}) is nowhere; {len(lost)} in all"
            yield Finding("accepted_alerts_are_kept", device.name, text, one["t"])


def receipts_follow_commits(history: History) -> Iterator[Finding]:
    """The centre gives a receipt for a message only once it has committed it."""
    for device in history.devices.values():
        wanting = {one["id"] for one in device.accepted}
        wanting |= {body.get("id") for _, body in device.sent(*NUMBERED)}
        committed: set[str] = set()
        for event in device.happened("committed", "receipt"):
            if event["event"] == "committed":
                committed.add(event["id"])
                continue
            for one in event["ids"]:
                if one in wanting - committed:
                    text = f"a receipt for {one}, which was not committed"
                    yield Finding("receipts_follow_commits", device.name, text, event["t"])


def commits_get_receipts(history: History) -> Iterator[Finding]:
    """What the centre has committed gets a receipt at once, or after the faults that keep it back."""
    for device in history.devices.values():
        receipted = {one for event in device.happened("receipt") for one in event["ids"]}
        troubles = [*periods(history.common), *periods(device.events), *device.absences]
        troubles += [Period(one["t"], one["t"], "centre") for one in history.common if one["event"] in DEAD]
        for event in device.happened("committed"):
            due = Period(event["t"], event["t"] + RECEIPT_S, "")
            if not without(due, troubles):
                due = due._replace(end_s=max(one.end_s for one in troubles) + history.limits.settle_s)
            if event["id"] not in receipted and due.end_s < history.end_s:
                text = f"{event['id']} was committed, and has no receipt"
                yield Finding("commits_get_receipts", device.name, text, event["t"])
                break


def centre_has_what_was_sent(history: History) -> Iterator[Finding]:
    """Each message at the centre is one that the broker took from its device."""
    hidden = [one for one in periods(history.common) if one.kind.startswith("broker.")]
    for device in history.devices.values():
        sent = {body.get("id") for _, body in device.sent(*NUMBERED)}
        committed_s = {one["id"]: one["t"] for one in device.happened("committed")}
        for one in device.at_centre or ():
            second = committed_s.get(one["id"])
            if one["id"] in sent or (second is not None and not _is_outside(second, hidden)):
                continue
            text = f"the centre has the {one['lane']} {one['id']}, which the device never sent"
            yield Finding("centre_has_what_was_sent", device.name, text, second)


def _is_outside(second: float, periods: Sequence[Period]) -> bool:
    """In real time, who looks on loses the broker together with the devices, and may miss a message."""
    return without(Period(second, second, ""), periods, UNSEEN_S)


def alerts_are_on_disk_first(history: History) -> Iterator[Finding]:
    """An alert message is on the disk of its device before it is sent, unless the disk refuses it."""
    for device in history.devices.values():
        if not device.accepted or any(one.kind.startswith("disk.") for one in device.faults):
            continue  # a run in real time does not see what the disk takes
        accepted_s: dict[str, float] = {}
        for one in device.accepted:
            accepted_s.setdefault(one["id"], one["t"])
        for t, body in device.sent("alert"):
            committed_s = accepted_s.get(str(body.get("id")))
            if committed_s is None and any(one.begin_s <= t for one in device.absences):
                continue  # the device may have died at the commit, before the record had it
            if committed_s is None or committed_s > t:
                text = f"{body.get('id')} was sent, and was not on the disk"
                yield Finding("alerts_are_on_disk_first", device.name, text, t)
                break


def one_id_one_message(history: History) -> Iterator[Finding]:
    """Under one id of a device there is one message: repeats differ only as docs/centre.md allows."""
    for device in history.devices.values():
        first: dict[str, Any] = {}
        told: set[str] = set()
        for t, topic, body in device.messages:
            identity = body.get("id")
            if identity is None or identity in told:
                continue
            before = first.setdefault(identity, (topic, body))
            if before != (topic, body) and not (before[0] == topic and is_repeat(before[1], body)):
                told.add(identity)
                text = f"id {identity} names two messages: {difference(before[1], body)}"
                yield Finding("one_id_one_message", device.name, text, t)
        yield from _copies(device)


def _copies(device: Device) -> Iterator[Finding]:
    """The centre stored two messages under one id: no repeat may be taken for another message."""
    for one in device.at_centre or ():
        if one.get("copies", 1) > 1:
            text = f"the centre has {one['copies']} messages under the id {one['id']}"
            yield Finding("one_id_one_message", device.name, text)


def is_repeat(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether both bodies are one message."""
    corrected = any(field in body for field in CORRECTED for body in (one, other))
    return bool(comparable(one, corrected=corrected) == comparable(other, corrected=corrected))


def comparable(value: Any, *, corrected: bool, top: bool = True) -> Any:
    """``value`` without what may differ in a repeat; with ``corrected`` without instants, too."""
    if isinstance(value, list):
        return [comparable(one, corrected=corrected, top=False) for one in value]
    if not isinstance(value, dict):
        return value
    left_out = (*(CHANGING if top else ()), *((*CORRECTED, *INSTANTS) if corrected else ()))
    return {
        key: comparable(one, corrected=corrected, top=False)
        for key, one in value.items()
        if key not in left_out
    }


def difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    """The fields in which two bodies differ."""
    fields = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return "they differ in " + ", ".join(field for field in fields if field not in CHANGING) if fields else ""


def everything_is_simulated(history: History) -> Iterator[Finding]:
    """Nothing leaves that is not marked ``simulated``, or not below the root of simulations."""
    for message in history.foreign:
        text = f"a message on {message['topic']}, outside the topics of simulated devices"
        yield Finding("everything_is_simulated", None, text, message["t"])
    for device in history.devices.values():
        for t, topic, body in device.messages:
            if "id" in body and body.get("simulated") is not True:  # a last will has none
                text = f"a message on {topic} without simulated: true"
                yield Finding("everything_is_simulated", device.name, text, t)
                break
