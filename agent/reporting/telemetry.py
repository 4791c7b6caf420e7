"""Telemetry: collects observations at limited rates, and makes batches of them. Pure but for message ids."""

import math
from collections import Counter
from collections.abc import Container, Hashable, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from agent.config.model import Reporting
from agent.domain.message import Message, encode
from agent.domain.observations import CameraState, Observation, Sighting, Tick, View
from agent.reporting.flood_limit import FloodLimit
from agent.reporting.messages import MessageFactory
from agent.reporting.vessel_reports import VesselReports, approach_fields, motion_at
from firmware_bridge.drone_readings import Capture, Drone, StatusText
from firmware_bridge.readings import Fix, GnssState, LineState, RadarTarget, Reading, Switch, Vessel

MAX_BATCH_BYTES = 6 * 1024
"""A batch is closed before it grows past this, so that the message stays under 8 KiB."""
DRONE_EVERY_S, DRONE_CHANGES_EVERY_S = 1.0, 0.2
REGULARS = {"drones": 20, "radar_targets": 50, "readings": 200, "switches": 200}
"""Names of each source that are reported whenever they are due; all others share
`flood_limit.OTHERS_PER_MINUTE`. Names left out are counted as ``…_left_out``."""
MAX_NAMES = 2000
"""A line may make up names: beyond this number the last reports of all names are forgotten."""
EXPIRES_AFTER = timedelta(hours=24)


class Telemetry:
    """The observations since the last batch, and when each name was reported last."""

    def __init__(self, messages: MessageFactory, intervals: Reporting) -> None:
        self._messages = messages
        self.intervals = intervals
        self.thin = False
        """Bytes are short: only the newest reading of each quantity goes into a batch."""
        self.alerted: Container[str] = ()
        """Keys of active alerts, among them MMSI and system numbers: these are sent before others."""
        self._pending: dict[str, list[tuple[str, bytes]]] = {}
        self._sent_s = 0.0
        self._states: dict[tuple[str, str], Any] = {}
        self._reported_s: dict[tuple[str, str], float] = {}
        self._drones: dict[tuple[str, int], tuple[Any, float]] = {}
        self._limits: dict[tuple[str, str], FloodLimit] = {}
        self._thinned: Counter[str] = Counter()
        self._vessels = VesselReports()

    def on_observation(self, observation: Observation) -> None:
        """Collects an observation that is worth reporting."""
        value = observation.value
        match value:
            case Reading():  # the most frequent ones first
                self._add_reading(value, observation)
            case Switch():
                self._add_change(value.name, value.on, observation)
            case GnssState():
                state = (value.jamming, value.spoofing, value.antenna)
                self._add_change(value.kind, state, observation)
            case Drone():
                self._add_drone(value, observation)
            case Vessel():
                self._vessels.on_vessel(value, observation, self.alerted)
            case RadarTarget():
                self._add_radar(value, observation)
            case StatusText() | Capture():
                if self._admits("drones", value.system, observation):
                    self._add(observation)
            case Fix() | Sighting() | Tick() | LineState() | CameraState() | View():
                pass
            case _:
                self._add(observation)

    def due(self, own: Mapping[str, Any] | None, at: datetime, now_s: float) -> list[Message]:
        """The batches, where their interval is over or much is pending; ``own`` is our own ``position``."""
        full = not self.thin and any(
            sum(len(item) for _, item in pending) > MAX_BATCH_BYTES / 2 for pending in self._pending.values()
        )
        if not full and now_s - self._sent_s < self.intervals.telemetry_every.total_seconds():
            return []
        self._sent_s = now_s
        motion = motion_at(own, now_s)
        for report in self._vessels.due(now_s, self.thin, motion, self.alerted):
            self._add(report, approach_fields(motion, report, now_s))
        batches = []
        for source, pending in sorted(self._pending.items()):
            batches += self._batches(source, pending, at, now_s)
        self._pending.clear()
        return batches

    def _add(self, observation: Observation, extra: Mapping[str, Any] = MappingProxyType({})) -> None:
        fields = {key: value for key, value in asdict(observation.value).items() if value is not None}
        name = fields.get("quantity") or fields.get("name") or fields.get("text")
        key = str(name or (fields["kind"], fields.get("system")))
        if "mmsi" in fields:
            key = str((fields["mmsi"], fields.get("text"), "lat" in fields))
        pending = self._pending.setdefault(observation.source, [])
        pending.append((key, encode({"at": observation.at, **fields, **extra})))

    def _add_change(self, name: str, state: Hashable, observation: Observation) -> None:
        key = (observation.source, name)
        if self._states.get(key) != state and self._admits("switches", name, observation):
            _bounded(self._states)[key] = state
            self._add(observation)

    def _add_reading(self, reading: Reading, observation: Observation) -> None:
        """At most once an interval: an instrument may give ten readings a second that hardly differ."""
        every_s = self.intervals.readings_every.total_seconds()
        key, now_s = (observation.source, reading.quantity), observation.mono_s
        if every_s and now_s - self._reported_s.get(key, -math.inf) < every_s:
            self._thinned[observation.source] += 1
            return
        if self._admits("readings", reading.quantity, observation):
            _bounded(self._reported_s)[key] = now_s
            self._add(observation)

    def _add_radar(self, target: RadarTarget, observation: Observation) -> None:
        """Each target at most once an interval, as readings: a radar reports each on every turn."""
        every_s = self.intervals.readings_every.total_seconds()
        key, now_s = (observation.source, f"radar target {target.number}"), observation.mono_s
        if now_s - self._reported_s.get(key, -math.inf) >= every_s and self._admits(
            "radar_targets", target.number, observation
        ):
            _bounded(self._reported_s)[key] = now_s
            self._add(observation)

    def _add_drone(self, drone: Drone, observation: Observation) -> None:
        """Once a second, and on a change: its positions come more often than the centre needs them."""
        state, key = (drone.state, drone.mode, drone.armed), (observation.source, drone.system)
        before, reported_s = self._drones.get(key, (None, 0.0))
        every_s = DRONE_EVERY_S if state == before else DRONE_CHANGES_EVERY_S
        if (before is None or observation.mono_s - reported_s >= every_s) and self._admits(
            "drones", drone.system, observation
        ):
            _bounded(self._drones)[key] = (state, observation.mono_s)
            self._add(observation)

    def _admits(self, category: str, name: Hashable, observation: Observation) -> bool:
        """Whether a report under a name from outside may be sent now."""
        key = (observation.source, category)
        limit = self._limits.get(key) or self._limits.setdefault(key, FloodLimit(REGULARS[category]))
        alerted = category == "drones" and str(name) in self.alerted
        return limit.admits(name, observation.mono_s, always=alerted)

    def _batches(
        self, source: str, pending: list[tuple[str, bytes]], at: datetime, now_s: float
    ) -> list[Message]:
        items, thinned = [item for _, item in pending], self._thinned.pop(source, 0)
        if self.thin:
            items = list(dict(pending).values())
            thinned += len(pending) - len(items)
        counts = {"thinned": thinned, "vessels_left_out": self._vessels.pop_left_out(source)}
        for category in REGULARS:
            if (source, category) in self._limits:
                counts[f"{category}_left_out"] = self._limits[source, category].pop_left_out()
        messages: list[Message] = []
        batch: list[bytes] = []
        for item in [*items, None]:
            if batch and (item is None or sum(map(len, batch)) + len(item) > MAX_BATCH_BYTES):
                messages.append(self._message(source, batch, counts, at, now_s))
                batch, counts = [], {}  # the counts stand in the first batch only
            if item is not None:
                batch.append(item)
        return messages

    def _message(
        self, source: str, batch: list[bytes], counts: Mapping[str, int], at: datetime, now_s: float
    ) -> Message:
        fields = {"source": source} | {name: count or None for name, count in counts.items()}
        topic = f"telemetry/{source}"
        message = self._messages.make(
            "telemetry/1", fields, "telemetry", topic, at, now_s, expires_after=EXPIRES_AFTER
        )
        return replace(message, body=message.body[:-1] + b',"values":[' + b",".join(batch) + b"]}")


def _bounded(reports: dict[Any, Any]) -> dict[Any, Any]:
    """``reports``, emptied where it holds `MAX_NAMES` names."""
    if len(reports) >= MAX_NAMES:
        reports.clear()
    return reports
