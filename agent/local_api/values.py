"""``sources``: the newest value of each source, kind and key, with its age and its rate."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from agent.domain.message import stamp
from agent.domain.observations import Observation, Sighting, Tick
from agent.host.clock import monotonic_s
from agent.local_api.change_signal import ChangeSignal
from agent.local_api.parts import AgentParts, Answer, Call, RequestError
from firmware_bridge.drone_readings import Capture, Drone, StatusText
from firmware_bridge.readings import RadarTarget, Reading, Switch, Vessel

MOST_VALUES = 2_000
"""A line may make up names: beyond so many the values unchanged for longest are left out."""
LEAST_EVERY_S = 0.25
LOOK_BACK = 100
"""Observations of each source from before anyone looked."""


class Key(NamedTuple):
    """What a value is of."""

    source: str
    kind: str
    name: str


@dataclass(slots=True)
class Known:
    """The newest observation under a key; ``number`` counts all observations, ``interval_s`` is smoothed."""

    observation: Observation
    number: int
    interval_s: float | None = None


class NewestValues:
    """The newest value of each key. Pure."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, Known] = OrderedDict()
        self.number = 0
        self.changed = ChangeSignal()

    def on_observation(self, observation: Observation) -> None:
        """Takes one observation; ticks are left out."""
        if isinstance(observation.value, Tick):
            return
        if isinstance(observation.value, Sighting):  # its picture must not leave
            bare = replace(observation.value, frame_with_people=None)
            observation = replace(observation, value=bare)
        key = key_of(observation)
        self.number += 1
        known = self._known.get(key)
        if known is None:
            self._known[key] = Known(observation, self.number)
            if len(self._known) > MOST_VALUES:
                self._known.popitem(last=False)
        else:
            passed_s = observation.mono_s - known.observation.mono_s
            before_s = known.interval_s
            known.interval_s = passed_s if before_s is None else before_s + 0.1 * (passed_s - before_s)
            known.observation, known.number = observation, self.number
            self._known.move_to_end(key)
        self.changed.fire()

    def since(self, number: int, source: str | None, kinds: Mapping[str, str]) -> list[dict[str, Any]]:
        """What came after the observation ``number``, the oldest first; ``kinds`` are those of sources."""
        now_s = monotonic_s()
        found = []
        for key in reversed(self._known):
            known = self._known[key]
            if known.number <= number:
                break
            if source is None or key.source == source:
                found.append(_fields(key, known, kinds, now_s))
        return found[::-1]


def key_of(observation: Observation) -> Key:
    """The key of its value: quantity, name, MMSI, system or number; empty where a source has one only."""
    match observation.value:
        case Reading(quantity=name) | Switch(name=name):
            pass
        case Vessel(mmsi=number) | RadarTarget(number=number):
            name = str(number)
        case Drone(system=number) | Capture(system=number) | StatusText(system=number):
            name = str(number)
        case _:
            name = ""
    return Key(observation.source, observation.value.kind, name)


def _fields(key: Key, known: Known, kinds: Mapping[str, str], now_s: float) -> dict[str, Any]:
    observation = known.observation
    value = {name: one for name, one in asdict(observation.value).items() if one is not None}
    value.pop("frame_with_people", None)
    fields = {
        "source": key.source,
        "kind": kinds.get(key.source, ""),
        "value_kind": key.kind,
        "key": key.name,
        "value": value,
        "at": stamp(observation.at),
        "age_s": round(max(0.0, now_s - observation.mono_s), 2),
        "rate_hz": round(1 / known.interval_s, 2) if known.interval_s else None,
    }
    return fields if observation.doubt is None else {**fields, "doubt": observation.doubt}


class ValueTap:
    """`NewestValues` of the pipeline, while anyone looks."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts
        self._values: NewestValues | None = None
        self._streams = 0

    async def sources(self, call: Call) -> AsyncGenerator[Answer, None]:
        """First all values that are known, then what is new, at most four times a second."""
        source = None if call.params.get("source") is None else call.text("source")
        if source is not None and source not in self._parts.running().sources:
            raise RequestError(f"source: no {source!r} is configured")
        values = self._begin()
        try:
            number = values.number
            yield Answer({"snapshot": values.since(-1, source, self._kinds())})
            while True:
                await asyncio.sleep(LEAST_EVERY_S)
                while not (new := values.since(number, source, self._kinds())):
                    number = values.number
                    await values.changed.wait()
                number = values.number
                yield Answer({"values": new})
        finally:
            self._end(values)

    def _kinds(self) -> dict[str, str]:
        return {name: source.kind for name, source in self._parts.running().sources.items()}

    def _begin(self) -> NewestValues:
        pipeline = self._parts.pipeline
        if self._values is None:
            self._values = NewestValues()
            for observation in self._before():
                self._values.on_observation(observation)
            pipeline.watchers = (*pipeline.watchers, self._values)
        self._streams += 1
        return self._values

    def _end(self, values: NewestValues) -> None:
        self._streams -= 1
        if not self._streams:
            pipeline = self._parts.pipeline
            pipeline.watchers = tuple(one for one in pipeline.watchers if one is not values)
            self._values = None

    def _before(self) -> Iterable[Observation]:
        """What rules keep of the time before anyone looked, the oldest first."""
        kept = self._parts.pipeline.rules.latest(LOOK_BACK)
        return sorted(kept, key=lambda observation: observation.mono_s)
