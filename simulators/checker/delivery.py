"""No accepted message is lost, none has a receipt too soon, none is two messages, none looks real. Pure."""

from collections.abc import Iterator
from typing import Any

from simulators.checker.finding import Finding
from simulators.checker.history import NUMBERED, Device, History

CHANGING = ("epoch", "seq", "historical", "latency_ms")
"""Fields in which a repeat may differ: docs/centre.md."""
CORRECTED = ("restamped_by_s",)
INSTANTS = ("at", "since")
"""Fields that a corrected clock moves, at any depth."""
MOST = 5
"""Findings of one kind for one device that are named."""


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
