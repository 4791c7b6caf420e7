"""A run as the checker reads it: by device, with its faults, and both disks at the end. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from simulators.checker.finding import Limits
from simulators.run_record import Fields, RunRecord

NUMBERED = {"alert": "alert", "command/result": "result", "gap": "result", "audit": "result"}
"""Topics whose messages want a receipt, and the lane that numbers them."""
DEAD = ("killed", "stopped", "died")
NEVER = float("inf")
STOPPING_S = 10.0
"""A device that was stopped so long before the end of the record was stopped because the run was over."""
INSTANT_S = 1e-6

Number: TypeAlias = tuple[str, str, int]
"""Lane, epoch, number."""


class Period(NamedTuple):
    """Of a fault, or without a device; ``end_s`` is infinite where nothing ended it."""

    begin_s: float
    end_s: float
    kind: str
    source: str | None = None


class Device:
    """All that the record has of one device. Messages are those that the broker took from it, in order."""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        self.name = name
        self.config = config
        self.messages: list[tuple[float, str, Fields]] = []
        """(second, topic, body); without pictures."""
        self.events: list[Fields] = []
        self.truth: list[Fields] = []
        """Where it was."""

    def sent(self, *topics: str) -> Iterator[tuple[float, Fields]]:
        """(second, body) of the messages on ``topics``."""
        return ((t, body) for t, topic, body in self.messages if topic in topics)

    def happened(self, *events: str) -> Iterator[Fields]:
        return (one for one in self.events if one["event"] in events)

    @cached_property
    def statuses(self) -> list[tuple[float, Fields]]:
        """Its ``status``, last wills included; without those of an earlier connection: docs/centre.md."""
        found, session = [], 0
        for t, topic, body in self.messages:
            of_session = body.get("session", 0)
            if topic == "status" and ("id" in body or of_session >= session):
                found.append((t, body))
            session = max(session, of_session)
        return found

    def status_at(self, second: float) -> str | None:
        """The retained state at ``second``."""
        states = [body.get("state") for t, body in self.statuses if t <= second]
        return states[-1] if states else None

    @cached_property
    def faults(self) -> list[Period]:
        """Those that took effect."""
        return effective(self.events)

    @cached_property
    def absences(self) -> list[Period]:
        """The times in which the device was not running."""
        found: list[Period] = []
        since: Fields | None = None
        for one in self.happened("started", *DEAD):
            if one.get("part", "device") != "device":
                continue
            if one["event"] in DEAD and since is None:
                since = one
            elif one["event"] == "started" and since is not None:
                found.append(Period(since["t"], one["t"], since["event"]))
                since = None
        return found if since is None else [*found, Period(since["t"], NEVER, since["event"])]

    @cached_property
    def accepted(self) -> list[Fields]:
        """The alert messages that its disk took, in order."""
        return list(self.happened("accepted"))

    @cached_property
    def on_disk(self) -> list[Fields] | None:
        """Its messages on its disk at the end; None where the record does not say."""
        return self._at_end("on_disk")

    @cached_property
    def at_centre(self) -> list[Fields] | None:
        """Its messages at the centre at the end; None where the record does not say."""
        return self._at_end("at_centre")

    def _at_end(self, event: str) -> list[Fields] | None:
        found = [one["messages"] for one in self.happened(event)]
        return found[-1] if found else None


class History:
    """A record by device, and what concerns all: faults of the broker and the centre."""

    def __init__(
        self,
        record: RunRecord,
        configs: Mapping[str, Mapping[str, Any]],
        limits: Limits,
        memory_mb: Sequence[float] = (),
    ) -> None:
        self.limits = limits
        self.memory_mb = memory_mb
        self.devices = {name: Device(name, config) for name, config in configs.items()}
        self.common: list[Fields] = []
        """Events of no device."""
        self.objects: dict[str, list[Fields]] = defaultdict(list)
        """The truth of people, vessels and drones, by name."""
        self.foreign: list[Fields] = []
        """Messages that the broker took outside the topics of devices."""
        for message in record.messages:
            body = message.get("body")
            if not message.get("device"):
                self.foreign.append(message)
            elif isinstance(body, dict):
                self._of(message["device"]).messages.append((message["t"], message["topic"], body))
        for event in record.events:
            (self._of(event["device"]).events if event.get("device") else self.common).append(event)
        for fact in record.truth:
            if "lat" in fact and "object" in fact:
                self.objects[fact["object"]].append(fact)
            elif "lat" in fact and "device" in fact:
                self._of(fact["device"]).truth.append(fact)
        times = (one["t"] for one in (*record.messages, *record.events, *record.truth))
        last_s = max(times, default=0.0)
        gone = [absence for device in self.devices.values() for absence in device.absences[-1:]]
        stops = [one.begin_s for one in gone if one.end_s == NEVER and one.kind == "stopped"]
        self.end_s: float = min(
            (one - INSTANT_S for one in stops if last_s - one < STOPPING_S), default=last_s
        )
        """Just before all devices were stopped."""

    def _of(self, name: str) -> Device:
        return self.devices.setdefault(name, Device(name, {}))

    @cached_property
    def faults(self) -> list[Period]:
        """Those of the broker and the centre."""
        return effective(self.common)

    @cached_property
    def healed_s(self) -> float:
        """When the last fault ended, and the last device came back; infinite where one did not."""
        ends = [one.end_s for one in periods(self.common)]
        for device in self.devices.values():
            absences = [one for one in device.absences if one.begin_s <= self.end_s]
            ends += [one.end_s for one in (*periods(device.events), *absences)]
        return max(ends, default=0.0)


def effective(events: Sequence[Fields]) -> list[Period]:
    """The periods of those faults that took effect."""
    return periods(events, {one.get("fault") for one in events if one["event"] == "fault_effect"})


def periods(events: Sequence[Fields], numbers: Collection[Any] | None = None) -> list[Period]:
    """The periods of faults in ``events``; only of those with these ``numbers`` in the timeline."""
    found: dict[Any, Period] = {}
    for event in events:
        number = event.get("fault")
        if numbers is not None and number not in numbers:
            continue
        if event["event"] == "fault_began":
            found[number] = Period(event["t"], NEVER, str(event["kind"]), event.get("source"))
        elif event["event"] == "fault_ended" and number in found:
            found[number] = found[number]._replace(end_s=event["t"])
    return list(found.values())


def without(period: Period, others: Sequence[Period], margin_s: float = 0.0) -> bool:
    """Whether none of ``others`` overlaps ``period``, or comes within ``margin_s`` of it."""
    return all(
        one.end_s + margin_s < period.begin_s or one.begin_s - margin_s > period.end_s for one in others
    )
