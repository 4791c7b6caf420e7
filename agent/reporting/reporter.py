"""What the centre is told beside alerts: status, birth, health, position, telemetry. Pure but for ids.

Observations and time go in, messages come out; app.py puts them into the outbox.
"""

import math
import re
from collections import Counter
from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from agent.config.model import Config
from agent.domain.inference_rate import InferenceRate
from agent.domain.message import Message, encode
from agent.domain.observations import CameraState, Observation, Sighting, Tick, View
from agent.positioning.device_position import DevicePosition
from agent.reporting.flood_limit import FloodLimit
from agent.reporting.messages import MessageFactory
from agent.reporting.vessel_reports import VesselReports, approach_fields, motion_at
from agent.runtime.health import Health
from agent.vision.camera import Camera
from agent.vision.visibility_state import VisibilityState
from firmware_bridge.readings import (
    Capture,
    Drone,
    Fix,
    GnssState,
    LineState,
    RadarTarget,
    Reading,
    StatusText,
    Switch,
    Vessel,
)

TELEMETRY_BYTES = 6 * 1024
"""A batch goes out before it grows past this, so that the message stays under 8 KiB."""
DRONE_EVERY_S, DRONE_CHANGES_EVERY_S = 1.0, 0.2
REGULARS = {"drones": 20, "radar_targets": 50, "readings": 200, "switches": 200}
"""Of each source so many drones, targets and names are told whenever they are due; all others share
`crowd.OTHERS_PER_MINUTE`. What is left out is counted as ``…_left_out``."""
MOST_NAMES = 2000
"""A line may make up names: beyond that it is forgotten what of each was told."""
_FIGURE = re.compile(r"(?<![\w-])\d+(\.\d+)?(?![\w-])")
"""A number that stands alone: those in names, such as cam1 and zone-2, tell one thing from another."""
TELEMETRY_EXPIRES = timedelta(hours=24)


class Reporter:
    """Collects what was observed, and says when something is due."""

    def __init__(
        self,
        config: Config,
        messages: MessageFactory,
        health: Health,
        whereabouts: DevicePosition,
        birth: Mapping[str, Any],
    ) -> None:
        self._config = config
        self.messages = messages
        self._health = health
        self._birth = birth
        self.config_fields: Mapping[str, Any] = {}
        """What ``status`` says of the configuration: revision and sha256."""
        self.latency_fields: Mapping[str, Any] = {}
        """How long alerts took, for ``health``."""
        self.more_fields: Mapping[str, Any] = {}
        """What else ``health`` says: the machine, the link, what is owed."""
        self.thin = False
        """Bytes are short: of each quantity only the newest reading of a batch is told."""
        self.troubles: Sequence[str] = ()
        """Reasons for being degraded that no part can tell: the store, the configuration."""
        self.alerted: Container[str] = ()
        """Keys of active alerts, among them MMSI and system numbers: these are told before others."""
        self._whereabouts = whereabouts
        self._position_s: float | None = None
        self._position_mark: tuple[Any, ...] = ()
        self._telemetry: dict[str, list[tuple[str, bytes]]] = {}
        self._telemetry_s = 0.0
        self._switches: dict[tuple[str, str], Any] = {}
        self._readings: dict[tuple[str, str], float] = {}
        self._crowds: dict[tuple[str, str], FloodLimit] = {}
        self._left_out: Counter[str] = Counter()
        self._drones: dict[tuple[str, int], tuple[Any, float]] = {}
        self._vessels = VesselReports()
        self._told: tuple[str, tuple[str, ...]] | None = None
        self._health_s: float | None = None
        self._sights: dict[str, VisibilityState] = {}
        self._looks: dict[str, InferenceRate] = {}
        self.configure(config, birth)

    def configure(self, config: Config, birth: Mapping[str, Any]) -> None:
        """A new configuration is in force."""
        self._config, self._birth = config, birth
        cameras = {name: one for name, one in config.sources.items() if isinstance(one, Camera)}
        self._sights = {
            name: self._sights.get(name) or VisibilityState(tuple(camera.zones))
            for name, camera in cameras.items()
            if camera.coverage.watch
        }
        needs = config.required_rates()
        before = self._looks
        self._looks = {name: InferenceRate(name, needs.get(name, ())) for name in cameras}
        self._looks |= {
            name: one
            for name, one in before.items()
            if name in cameras and one.needs == self._looks[name].needs
        }

    def _look(self, observation: Observation) -> None:
        for looks in self._looks.values():
            looks.hear(observation)
        for name, sight in self._sights.items():
            if isinstance(observation.value, Tick) or name == observation.source:
                sight.hear(observation)

    def hear(self, observation: Observation) -> None:
        """Notes what is worth telling; `due` tells it."""
        value = observation.value
        self._look(observation)
        match value:
            case GnssState():
                noticed = (value.jamming, value.spoofing, value.antenna)
                self._note_change(value.kind, noticed, observation)
            case Drone():
                self._note_drone(value, observation)
            case Vessel():
                self._vessels.hear(value, observation, self.alerted)
            case RadarTarget():
                self._note_radar(value, observation)
            case Reading():
                self._note_reading(value, observation)
            case Switch():
                self._note_change(value.name, value.on, observation)
            case StatusText() | Capture():
                if self._admitted("drones", value.system, observation):
                    self._note(observation)
            case Fix() | Sighting() | Tick() | LineState() | CameraState() | View():
                pass
            case _:
                self._note(observation)

    def _note(self, observation: Observation, more: Mapping[str, Any] = MappingProxyType({})) -> None:
        fields = {key: value for key, value in asdict(observation.value).items() if value is not None}
        what = fields.get("quantity") or fields.get("name") or fields.get("text")
        what = str(what or (fields["kind"], fields.get("system")))
        if "mmsi" in fields:
            what = str((fields["mmsi"], fields.get("text"), "lat" in fields))
        batch = self._telemetry.setdefault(observation.source, [])
        batch.append((what, encode({"at": observation.at, **fields, **more})))

    def _note_change(self, name: str, state: Hashable, observation: Observation) -> None:
        where = (observation.source, name)
        if self._switches.get(where) != state and self._admitted("switches", name, observation):
            _bounded(self._switches)[where] = state
            self._note(observation)

    def _note_reading(self, reading: Reading, observation: Observation) -> None:
        """Now and then: an instrument may say ten times a second what hardly changes in a minute."""
        told, every_s = self._readings, self._config.reporting.readings_every.total_seconds()
        name, now_s = (observation.source, reading.quantity), observation.mono_s
        if every_s and now_s - told.get(name, -math.inf) < every_s:
            self._left_out[observation.source] += 1
            return
        if self._admitted("readings", reading.quantity, observation):
            _bounded(told)[name] = now_s
            self._note(observation)

    def _admitted(self, what: str, name: Hashable, observation: Observation) -> bool:
        """Whether one of the many names that come from outside may be told now."""
        where = (observation.source, what)
        crowd = self._crowds.get(where) or self._crowds.setdefault(where, FloodLimit(REGULARS[what]))
        return crowd.admits(name, observation.mono_s, always=what == "drones" and str(name) in self.alerted)

    def _note_radar(self, target: RadarTarget, observation: Observation) -> None:
        """Each target now and then, as readings: a radar tells each with every turn."""
        every_s = self._config.reporting.readings_every.total_seconds()
        told, name = self._readings, (observation.source, f"radar target {target.number}")
        if observation.mono_s - told.get(name, -math.inf) >= every_s and self._admitted(
            "radar_targets", target.number, observation
        ):
            _bounded(told)[name] = observation.mono_s
            self._note(observation)

    def _note_drone(self, drone: Drone, observation: Observation) -> None:
        """Once a second, and when it changes: its positions come more often than the centre needs them."""
        mark = (drone.state, drone.mode, drone.armed)
        before, told_s = self._drones.get((observation.source, drone.system), (None, 0.0))
        every_s = DRONE_EVERY_S if mark == before else DRONE_CHANGES_EVERY_S
        if (before is None or observation.mono_s - told_s >= every_s) and self._admitted(
            "drones", drone.system, observation
        ):
            _bounded(self._drones)[observation.source, drone.system] = (mark, observation.mono_s)
            self._note(observation)

    def due(self, at: datetime, now_s: float) -> list[Message]:
        """What is due now; called about once a second."""
        messages = []
        every = self._config.reporting
        state = self._state(now_s)
        changed = state != self._told
        if changed:
            messages.append(self.status(at, now_s))
        if changed or self._health_s is None or now_s - self._health_s >= every.health_every.total_seconds():
            messages.append(self.health(at, now_s))
        mark, wait_s = self._whereabouts.mark(now_s), every.position_every.total_seconds()
        if self._position_s is None or mark != self._position_mark or now_s - self._position_s >= wait_s:
            position = self.position(at, now_s)
            if position is not None:
                self._position_s, self._position_mark = now_s, mark
                messages.append(position)
        full = not self.thin and any(
            sum(len(item) for _, item in batch) > TELEMETRY_BYTES / 2 for batch in self._telemetry.values()
        )
        if full or now_s - self._telemetry_s >= every.telemetry_every.total_seconds():
            self._telemetry_s = now_s
            own = motion_at(self._whereabouts.position(now_s), now_s)
            for seen in self._vessels.due(now_s, self.thin, own, self.alerted):
                self._note(seen, approach_fields(own, seen, now_s))
            messages += self._telemetry_batches(at, now_s)
        return messages

    def greet(self, session: int, at: datetime, now_s: float) -> list[Message]:
        """What every connection begins with: status, birth, health and position."""
        self.messages.session = session
        messages = [self.status(at, now_s), self.birth(at, now_s), self.health(at, now_s)]
        position = self.position(at, now_s)
        return messages if position is None else [*messages, position]

    def _state(self, now_s: float) -> tuple[str, tuple[str, ...]]:
        """What a change is measured by: reasons without the figures in them, which change all the time."""
        reasons = self.reasons(now_s)
        steady = tuple(_FIGURE.sub("", reason) for reason in reasons)
        return ("degraded" if reasons else "online"), steady

    def reasons(self, now_s: float) -> list[str]:
        sights = [(name, sight.reason(now_s)) for name, sight in self._sights.items()]
        blind = [f"{name}: {reason}" for name, reason in sights if reason]
        looks = [(name, one.short(now_s)) for name, one in self._looks.items()]
        blind += [f"{name}: blind: {short.text}" for name, short in looks if short]
        lost = self._whereabouts.troubles(now_s)
        return [*self.troubles, *self._health.reasons(now_s), *lost, *blind]

    def status(self, at: datetime, now_s: float, state: str | None = None) -> Message:
        """``status``: online, degraded with its reasons, or what ``state`` says (stopped)."""
        self._told = self._state(now_s)
        fields = {
            "state": state or self._told[0],
            "reasons": self.reasons(now_s),
            "config": self.config_fields,
        }
        return self.messages.make("status/1", fields, "status", "status", at, now_s, retain=True)

    def birth(self, at: datetime, now_s: float) -> Message:
        return self.messages.make("birth/1", self._birth, "status", "birth", at, now_s, retain=True)

    def health(self, at: datetime, now_s: float) -> Message:
        self._health_s = now_s
        fields = {"parts": self._health.parts(now_s), "reasons": self.reasons(now_s)}
        fields |= self.more_fields
        if self._sights:
            fields["coverage"] = {name: sight.fields(now_s) for name, sight in self._sights.items()}
        if receivers := self._whereabouts.receivers(now_s):
            fields["receivers"] = receivers
        if self.latency_fields:
            fields["alert_latency_ms"] = self.latency_fields
        return self.messages.make("health/1", fields, "status", "health", at, now_s, retain=True)

    def position(self, at: datetime, now_s: float) -> Message | None:
        """``position``: where the device is, with its age and its worth; None where nothing is known."""
        fields = self._whereabouts.position(now_s)
        if fields is None:
            return None
        return self.messages.make("position/1", fields, "position", "position", at, now_s, qos=0, retain=True)

    def _telemetry_batches(self, at: datetime, now_s: float) -> list[Message]:
        messages = []
        for source, noted in sorted(self._telemetry.items()):
            items, thinned = [item for _, item in noted], self._left_out.pop(source, 0)
            if self.thin:
                items = list(dict(noted).values())
                thinned += len(noted) - len(items)
            counts = {"thinned": thinned, "vessels_left_out": self._vessels.left_out(source)}
            for what in REGULARS:
                if (source, what) in self._crowds:
                    counts[f"{what}_left_out"] = self._crowds[source, what].left_out()
            batch: list[bytes] = []
            for item in [*items, None]:
                if batch and (item is None or sum(map(len, batch)) + len(item) > TELEMETRY_BYTES):
                    messages.append(self._batch(source, batch, counts, at, now_s))
                    batch, counts = [], {}
                if item is not None:
                    batch.append(item)
        self._telemetry.clear()
        return messages

    def _batch(
        self, source: str, batch: list[bytes], counts: Mapping[str, int], at: datetime, now_s: float
    ) -> Message:
        fields = {"source": source} | {name: count or None for name, count in counts.items()}
        message = self.messages.make(
            "telemetry/1",
            fields,
            "telemetry",
            f"telemetry/{source}",
            at,
            now_s,
            expires_after=TELEMETRY_EXPIRES,
        )
        body = message.body[:-1] + b',"values":[' + b",".join(batch) + b"]}"
        return Message(
            lane=message.lane,
            topic=message.topic,
            id=message.id,
            body=body,
            expires_after=message.expires_after,
        )


def _bounded(told: dict[Any, Any]) -> dict[Any, Any]:
    """``told``, emptied where it has too many names."""
    if len(told) >= MOST_NAMES:
        told.clear()
    return told
