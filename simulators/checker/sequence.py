"""A number names one message, and each number has an explanation. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from simulators.checker.finding import Finding
from simulators.checker.history import NEVER, NUMBERED, Device, History, Number
from simulators.run_record import Fields

LANES = {"status": "status", "birth": "status", "health": "status", "alerts/active": "status",
         "config/reported": "status", "position": "position", **NUMBERED}  # fmt: skip
EXPLAINED = ("alert", "result", "telemetry")
"""Lanes whose losses are told; of the others only the latest message counts. Telemetry, the last, has no
receipts: what a broker acknowledges and loses is lost."""


def lane_of(topic: str) -> str:
    return LANES.get(topic, topic.partition("/")[0])


def number_of(topic: str, body: Fields) -> Number | None:
    """None for a last will."""
    if not isinstance(body.get("seq"), int):
        return None
    return lane_of(topic), str(body.get("epoch")), body["seq"]


def one_number_one_message(history: History) -> Iterator[Finding]:
    """No (lane, epoch, number) of a device ever names two messages."""
    for device in history.devices.values():
        names: dict[Number, str] = {}
        for t, topic, body in device.messages:
            number = number_of(topic, body)
            if number is None:
                continue
            before = names.setdefault(number, str(body.get("id")))
            if before != body.get("id"):
                text = f"{_text(number)} names {before} and {body.get('id')}"
                yield Finding("one_number_one_message", device.name, text, t)


def numbers_are_explained(history: History) -> Iterator[Finding]:
    """Each number that was given is at the centre, still on the disk, told in a ``gap``, or its message went
    out under another number."""
    loses = any(one.kind == "broker.drop_after_acknowledgement" for one in history.faults)
    for device in history.devices.values():
        if device.on_disk is None or device.at_centre is None:
            if any("seq" in body for _, body in device.sent("alert")):
                yield Finding("numbers_are_explained", device.name, "the record does not have both disks")
            continue
        yield from _unexplained(device, EXPLAINED[:2] if loses else EXPLAINED)


def _unexplained(device: Device, lanes: Sequence[str]) -> Iterator[Finding]:
    explained: dict[tuple[str, str], set[int]] = defaultdict(set)
    last: dict[tuple[str, str], int] = defaultdict(int)
    stored = [*(device.on_disk or ()), *(device.at_centre or ())]
    ids = {one["id"] for one in stored}
    for one in stored:
        if "seq" in one:
            explained[one["lane"], one["epoch"]].add(one["seq"])
    for _, topic, body in device.messages:
        number = number_of(topic, body)
        if number is None or number[0] not in lanes:
            continue
        lane, epoch, seq = number
        last[lane, epoch] = max(last[lane, epoch], seq)
        if lane == "telemetry" or body.get("id") in ids:
            explained[lane, epoch].add(seq)
    for _, body in device.sent("health"):
        for one in body.get("numbers", ()):
            where = one["lane"], one["epoch"]
            last[where] = max(last[where], one["last"])
    told = list(_told(device))
    moved = any(one.kind.startswith("disk.") for one in device.faults)
    of_disk = {one["epoch"] for one in device.on_disk or () if "epoch" in one}
    for (lane, epoch), highest in last.items():
        if moved and epoch not in of_disk:
            continue  # what only memory held gets other numbers once the disk takes it
        missing = [
            number
            for number in range(1, highest + 1)
            if number not in explained[lane, epoch]
            and not any(where == (lane, epoch) and first <= number <= end for where, first, end in told)
        ]
        if missing:
            text = f"{lane} {epoch}: {spans(missing)} of 1-{highest} without explanation"
            yield Finding("numbers_are_explained", device.name, text)


def _told(device: Device) -> Iterator[tuple[tuple[str, str], float, float]]:
    """Lane and epoch, first and last number of each loss that the device told, or will tell."""
    bodies = [body for _, body in device.sent("gap")]
    bodies += [one["body"] for one in device.on_disk or () if one.get("topic") == "gap"]
    for body in bodies:
        gap = body.get("gap", {})
        last = gap.get("last") or (NEVER if gap.get("count") is None else gap.get("first"))
        yield (str(gap.get("lane")), str(body.get("of_epoch"))), gap.get("first") or 1, last


def spans(numbers: list[int]) -> str:
    """``[1, 2, 3, 7]`` as ``1-3, 7``."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def _text(number: Number) -> str:
    lane, epoch, seq = number
    return f"{lane} {epoch} {seq}"
