"""Fills the database of a centre with the messages of a whole city, live: for the map and its figures.

``python -m simulators.city_map --db FILE --devices 2000 --alerts-per-minute 20``
"""

import argparse
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.domain.message import ROOT, SIMULATED_ROOT, Lane, new_id, stamp
from agent.mqtt.envelope import Envelope, wire
from centre.message_header import MessageHeader, ReceivedMessage
from centre.message_store import MessageStore
from simulators.city_fleet import PLANE, CityDevice, make_fleet

HEALTH_EVERY_S = 60
REPEAT_S = 60
"""An alert that nobody has answered is repeated after this time."""
LABELS = {
    "patrol_boat": ("person_in_water", "person in the water", "quay"),
    "drone_ground_station": ("zone_enter", "boat in the closed area", "lock"),
    "metro_post": ("beyond_railing", "person beyond the railing", "platform"),
    "checkpoint_camera": ("line_cross", "car against the direction", "gate"),
    "watch_point": ("switch", "panic button pressed", ""),
}


@dataclass
class CityAlert:
    """An alert that runs until ``ends``, in seconds of the simulation."""

    device: CityDevice
    fields: dict[str, Any]
    ends: float
    told: float


@dataclass
class City:
    """Makes the messages of each second, the same for the same seed but for their ids."""

    devices: int = 2_000
    seed: int = 7
    alerts_per_minute: float = 20.0
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    simulated: bool = True

    def __post_init__(self) -> None:
        self.fleet = make_fleet(self.devices, self.seed)
        self._chance = random.Random(self.seed + 1)
        self.alerts: list[CityAlert] = []
        root = SIMULATED_ROOT if self.simulated else ROOT
        self._envelopes = {device.name: Envelope(device=device.name, root=root) for device in self.fleet}
        self._epoch = new_id()
        self._seq = 0

    def at(self, second: float) -> datetime:
        return self.began + timedelta(seconds=second)

    def births(self, second: float = 0.0) -> Iterator[ReceivedMessage]:
        """What each device says at its start."""
        for device in self.fleet:
            state = {"state": "degraded" if device.reasons() else "online", "reasons": device.reasons()}
            yield self._message(device, "status", "status", state, second)
            yield self._message(device, "birth", "status", device.birth(), second)
            yield self._message(device, "health", "status", device.health(self.at(second)), second)
            yield self._message(
                device, "position", "position", device.position(second, self.at(second)), second
            )
            yield self._message(device, "alerts/active", "status", {"count": 0, "alerts": []}, second)

    def positions(self, second: float) -> Iterator[ReceivedMessage]:
        """The position of each device that is not silent; ``health`` once a minute."""
        at = self.at(second)
        for number, device in enumerate(self.fleet):
            if device.trouble == "silent":
                continue
            yield self._message(device, "position", "position", device.position(second, at), second)
            if int(second) % HEALTH_EVERY_S == number % HEALTH_EVERY_S:
                yield self._message(device, "health", "status", device.health(at), second)

    def alert_messages(self, second: float, for_s: float = 1.0) -> Iterator[ReceivedMessage]:
        """Alerts that begin, go on and end in this second."""
        changed: dict[str, CityDevice] = {}
        expected = self.alerts_per_minute * for_s / 60
        for _ in range(int(expected) + (self._chance.random() < expected % 1)):
            device = self._chance.choice(self.fleet)
            if device.trouble != "silent":
                alert = CityAlert(
                    device, self._new_alert(device, second), second + self._chance.uniform(30, 240), second
                )
                self.alerts.append(alert)
                changed[device.name] = device
                yield self._alert(alert, second)
        for alert in list(self.alerts):
            if second >= alert.ends:
                self.alerts.remove(alert)
                alert.fields |= {"phase": "end", "reason": "cleared"}
            elif second - alert.told >= REPEAT_S:
                alert.fields["phase"] = "update"
            else:
                continue
            alert.told = second
            changed[alert.device.name] = alert.device
            yield self._alert(alert, second)
        for device in changed.values():
            listed = [alert.fields for alert in self.alerts if alert.device is device]
            fields = {"count": len(listed), "alerts": [_listed(one) for one in listed]}
            yield self._message(device, "alerts/active", "status", fields, second)

    def second(self, second: float) -> list[ReceivedMessage]:
        """All messages of one second."""
        return [*self.positions(second), *self.alert_messages(second)]

    def _new_alert(self, device: CityDevice, second: float) -> dict[str, Any]:
        kind, text, zone = LABELS[device.kind]
        severity = self._chance.choices(("critical", "warning", "info"), (3, 5, 2))[0]
        east_m, north_m, _ = device.place(second)
        lat, lon = PLANE.position(east_m + self._chance.gauss(0, 60), north_m + self._chance.gauss(0, 60))
        alert_id = new_id()
        return {
            "alert_id": alert_id, "phase": "new", "kind": kind, "rule": "r1", "severity": severity,
            "text": f"{text} at {device.site}", "camera": "cam1", "zone": zone or None,
            "since": self.at(second),
            "score": round(self._chance.uniform(0.5, 0.95), 3),
            "point": {"lat": round(lat, 6), "lon": round(lon, 6), "how": "ground_plane",
                      "error_m": round(self._chance.uniform(3, 40), 1)},
            "media": [f"media/{alert_id}/1"],
        }  # fmt: skip

    def _alert(self, alert: CityAlert, second: float) -> ReceivedMessage:
        steps = {"frame_to_detection": 180.0, "detection_to_finding": 600.0, "finding_to_outbox": 4.2}
        fields = {key: value for key, value in alert.fields.items() if value is not None}
        return self._message(alert.device, "alert", "alert", {"alert": fields, "latency_ms": steps}, second)

    def _message(
        self, device: CityDevice, topic: str, lane: Lane, fields: Mapping[str, Any], second: float
    ) -> ReceivedMessage:
        self._seq += 1
        schema = f"{topic.replace('/', '_')}/1"
        at = self.at(second)
        message = self._envelopes[device.name].message(
            schema, fields, lane=lane, topic=topic, session=1, clock={"source": "ntp", "error_ms": 5}, at=at
        )
        header = MessageHeader(
            id=message.id, device=device.name, schema=schema, session=1, epoch=self._epoch, seq=self._seq,
            at=stamp(at),
        )  # fmt: skip
        return ReceivedMessage(topic, header, wire(message.body, self._epoch, self._seq))


def _listed(fields: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("alert_id", "rule", "kind", "severity", "text", "since", "zone")
    return {key: fields[key] for key in keys if fields.get(key) is not None}


def fill_history(store: MessageStore, city: City, hours: float, every_s: float) -> int:
    """Writes the hours before ``city.began``: positions and alerts at an interval. Returns the messages."""
    written = 0
    second = -hours * 3600
    store.keep(list(city.births(second)), city.at(second))
    while second < 0:
        batch = [*city.positions(second), *city.alert_messages(second, every_s)]
        store.keep(batch, city.at(second + 0.2))
        written += len(batch)
        second += every_s
    return written


def write_live(store: MessageStore, city: City, seconds: Iterable[int]) -> Iterator[float]:
    """Writes each second at its time; gives the seconds that each commit took."""
    for second in seconds:
        messages = city.second(second)
        time.sleep(max(0.0, (city.at(second) - datetime.now(UTC)).total_seconds()))
        began_s = time.monotonic()
        store.keep(messages)
        yield time.monotonic() - began_s


def main() -> None:
    """Fills the database, until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--devices", type=int, default=2_000)
    parser.add_argument("--alerts-per-minute", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=10**7, help="how long to write live")
    parser.add_argument("--history-hours", type=float, default=0.0)
    parser.add_argument("--history-every", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument(
        "--as-real", action="store_true", help="not marked as simulated, so that alarms sound"
    )
    given = parser.parse_args()
    store = MessageStore(given.db)
    city = City(given.devices, given.seed, given.alerts_per_minute, simulated=not given.as_real)
    if given.history_hours:
        fill_history(store, city, given.history_hours, given.history_every)
    city.began = datetime.now(UTC)
    store.keep(list(city.births()))
    try:
        for _ in write_live(store, city, range(given.seconds)):
            pass
    except KeyboardInterrupt:
        pass
    finally:
        store.close()


if __name__ == "__main__":
    main()
