"""One force on the map: a device, with what its messages say of its state, place and sight. Pure."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from agent.cli.device_presence import SILENT_AFTER_INTERVALS, DevicePresence
from agent.runtime.sanitize import as_dict, as_list
from centre.map.airborne import Airborne, read_drones
from centre.map.field_values import coordinates, instant, name, text, texts
from centre.map.position import Position, read_position
from centre.map.stored_message import StoredMessage
from centre.schema import WILL

TAIL_POINTS, TAIL_EVERY_S = 30, 10.0
"""The last minutes of each force are at hand; longer tracks come from the database."""
MAX_LISTED = 64
"""Zones, outputs and reasons of one device that are read."""
STATE_TOPICS = frozenset({"status", "birth", "health", "position", "alerts/active"})
Link = Literal["online", "degraded", "silent", "stopped", "offline", "unknown"]


@dataclass(frozen=True, slots=True)
class BlindZone:
    """A zone that a camera does not see."""

    camera: str
    zone: str
    why: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class TrackPoint:
    lat: float
    lon: float
    at: datetime
    quality: str = "good"


@dataclass(slots=True, eq=False)
class Force:
    """A device by its name. `Forces` makes and updates it; ``version`` grows with each change."""

    device: str
    kind: str = ""
    ring: str = ""
    domain: str = ""
    site: str = ""
    post: str = ""
    timezone: str = ""
    unit: str = ""
    """The unit on duty, never a person."""
    groups: tuple[str, ...] = ()
    outputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the outputs that may be switched, by source."""
    cameras: tuple[str, ...] = ()
    software: str = ""
    position: Position | None = None
    place: tuple[float, float] | None = None
    """The surveyed place of a fixed post, from ``birth``."""
    tail: deque[TrackPoint] = field(default_factory=lambda: deque(maxlen=TAIL_POINTS))
    blind: tuple[BlindZone, ...] = ()
    rescue_until: datetime | None = None
    rescue_reason: str = ""
    simulated: bool = False
    telemetry: dict[str, tuple[datetime, list[Any]]] = field(default_factory=dict)
    """By source: the values of the newest batch, and when it was made."""
    drones: dict[int, Airborne] = field(default_factory=dict)
    """The drones of a ground station, by system number."""
    active_alerts: int = 0
    version: int = 0
    presence: DevicePresence = field(default_factory=lambda: DevicePresence(0.0))
    will_at: datetime | None = None
    newest: dict[str, tuple[str, int, datetime]] = field(default_factory=dict)
    """By topic: epoch, number and time of the newest message."""

    def seen_at(self) -> datetime | None:
        """When the device made its newest message."""
        last_s = self.presence.last_live_s
        return None if last_s is None else datetime.fromtimestamp(last_s, UTC)

    def silence_s(self, now: datetime) -> float:
        return max(0.0, self.presence.silence_s(now.timestamp(), now))

    def link(self, now: datetime) -> Link:
        """By the four rules of docs/centre.md."""
        state = self.presence.state
        if state in ("stopped", "offline"):
            return "stopped" if state == "stopped" else "offline"
        if self.silence_s(now) > SILENT_AFTER_INTERVALS * self.presence.health_every_s:
            return "silent"
        if state == "degraded":
            return "degraded"
        return "unknown" if self.presence.last_live_s is None else "online"

    def reachable(self, now: datetime) -> bool:
        """Whether an order would reach the device now, as far as known."""
        return self.link(now) in ("online", "degraded")

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the device is degraded."""
        return tuple(self.presence.reasons[:MAX_LISTED])

    @property
    def coordinates(self) -> tuple[float, float] | None:
        """Where it is drawn."""
        return self.place if self.position is None else (self.position.lat, self.position.lon)

    def stale(self, now: datetime) -> bool:
        """Whether its position is old, or of a moving device that is silent."""
        if self.position is None:
            return self.place is None
        if self.position.surveyed:
            return False
        return self.position.stale(now) or self.link(now) in ("silent", "offline", "stopped")

    def all_groups(self) -> tuple[str, ...]:
        """The groups of devices that it belongs to, as roles name them."""
        general = ("all", f"domain.{self.domain}", f"ring.{self.ring}", f"kind.{self.kind}")
        return (*general, *(f"group.{name}" for name in self.groups))

    def in_rescue_mode(self, now: datetime) -> bool:
        return self.rescue_until is not None and self.rescue_until > now

    def apply(self, message: StoredMessage) -> None:
        """Takes one message of this device."""
        topic, body = message.topic, message.body
        if self._is_late(message) or not self._update_presence(message):
            return  # or the last will of an older connection
        self.simulated = message.simulated
        if topic == "position":
            self._update_position(message)
        elif topic == "birth":
            self._update_birth(body)
        elif topic == "health":
            self.blind = _blind_zones(body)
        elif topic == "status":
            rescue = as_dict(body.get("rescue_mode"))
            self.rescue_until = instant(rescue.get("until"))
            self.rescue_reason = text(rescue.get("reason"))
        elif topic == "alerts/active":
            self.active_alerts = len(as_list(body.get("alerts")))
        elif topic.startswith("telemetry/"):
            source = name(topic.removeprefix("telemetry/"))
            if source in self.telemetry or len(self.telemetry) < MAX_LISTED:
                values = as_list(body.get("values"))
                self.telemetry[source] = message.made_at, values
                self.drones = read_drones(values, message.made_at, self.drones)

    def _update_presence(self, message: StoredMessage) -> bool:
        """The time stamp of a message says when the device was alive, so late and retained ones count so."""
        will = message.topic == WILL
        if not will and not message.body:
            return False
        made_at = message.made_at
        if will:
            self.will_at = message.received_at
        elif self.presence.will is None:
            self.will_at = None
        last_s = self.presence.last_live_s
        late = (self.will_at is not None and made_at <= self.will_at) or (
            last_s is not None and made_at.timestamp() < last_s
        )
        if not self.presence.first_seen_s:
            self.presence.first_seen_s = made_at.timestamp()
        return self.presence.update(
            "status" if will else message.topic,
            {"state": "offline"} | message.body if will else message.body,
            retained=will or late,
            now_s=made_at.timestamp(),
            now=message.received_at,
        )

    def _is_late(self, message: StoredMessage) -> bool:
        """Whether a newer message of this topic is known, by its number and by the device's time: messages
        that are sent again, or that two workers receive, arrive in any order."""
        epoch, seq = message.body.get("epoch"), message.body.get("seq")
        if not isinstance(epoch, str) or not isinstance(seq, int) or message.topic not in STATE_TOPICS:
            return False
        known_epoch, known_seq, known_at = self.newest.get(message.topic, ("", 0, message.made_at))
        if epoch == known_epoch and seq < known_seq and message.made_at < known_at:
            return True
        self.newest[message.topic] = (epoch, seq, message.made_at)
        return False

    def _update_position(self, message: StoredMessage) -> None:
        position = read_position(message.body, message.made_at, self.position)
        if (
            position is None
            or message.late_without_clock
            or (
                self.position is not None
                and position.measured_at < self.position.measured_at - timedelta(seconds=1)
            )
        ):
            return
        self.position = position
        last = self.tail[-1].at if self.tail else None
        if last is None or (position.measured_at - last).total_seconds() >= TAIL_EVERY_S:
            self.tail.append(TrackPoint(position.lat, position.lon, position.measured_at, position.quality))

    def _update_birth(self, body: Mapping[str, Any]) -> None:
        self.kind, self.ring, self.domain = (name(body.get(key)) for key in ("kind", "ring", "domain"))
        self.site, self.post, self.timezone = (name(body.get(key)) for key in ("site", "post", "timezone"))
        self.place = coordinates(body.get("lat"), body.get("lon"))
        self.groups = texts(body.get("groups"), MAX_LISTED)
        self.unit = name(as_dict(body.get("duty")).get("unit"))
        self.software = name(as_dict(body.get("software")).get("ringpost"))
        capabilities = as_dict(body.get("capabilities"))
        self.outputs = {
            name(source): texts(outputs, MAX_LISTED)
            for source, outputs in list(as_dict(capabilities.get("outputs")).items())[:MAX_LISTED]
        }
        sources = list(as_dict(capabilities.get("sources")).items())[:MAX_LISTED]
        self.cameras = tuple(name(source) for source, kind in sources if kind == "camera")


def _blind_zones(health: Mapping[str, Any]) -> tuple[BlindZone, ...]:
    found = []
    for camera, coverage in list(as_dict(health.get("coverage")).items())[:MAX_LISTED]:
        blind = map(as_dict, as_list(as_dict(coverage).get("blind"))[:MAX_LISTED])
        found += [
            BlindZone(name(camera), name(one.get("zone")), name(one.get("why")), instant(one.get("since")))
            for one in blind
        ]
    return tuple(found)
