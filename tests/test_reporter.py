"""What the centre is told beside alerts: from lists of observations, with the time put in."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.config.loader import parse
from agent.config.model import Config
from agent.domain.message import MAX_BODY, Message
from agent.domain.observations import Observation, Sighting
from agent.mqtt.envelope import Envelope
from agent.positioning.device_position import STALE_S
from agent.positioning.locator import Locator
from agent.reporting.clock_quality import ClockWatch
from agent.reporting.messages import MessageFactory
from agent.reporting.reporter import Reporter
from agent.reporting.telemetry import MAX_BATCH_BYTES
from agent.runtime.health import Health, Running
from firmware_bridge.drone_readings import Drone
from firmware_bridge.readings import Fix, GnssState, LineState, Reading, Switch, Value

AT = datetime(2026, 11, 28, tzinfo=UTC)
FIX = Fix(mode="3d", lat=32.1, lon=118.7, error_m=2.5)
CONFIG = """\
schema_version: 1
device: d1
kind: watch_point
place: {{ring: inner_city, domain: ground, site: s, post: p{surveyed}}}
broker: {{url: "mqtt://127.0.0.1:1883"}}
reporting: {{position_every: 10s, health_every: 30s, telemetry_every: 5s, readings_every: {readings}}}
"""


def config(surveyed: str = "", readings: str = "0s") -> Config:
    return parse(CONFIG.format(surveyed=surveyed, readings=readings), name="c.yaml", base=Path())


class Desk:
    """A reporter and the seconds that pass for it."""

    def __init__(self, surveyed: str = "", readings: str = "0s") -> None:
        self.health = Health()
        its = config(surveyed, readings)
        self.locator = Locator(its.locator_settings())
        self.device_position = self.locator.device_position
        messages = MessageFactory(Envelope(device="d1"), ClockWatch())
        self.reporter = Reporter(its, messages, self.health, self.device_position, {"kind": "x"})
        self.now_s = 0.0

    def hear(self, value: Value | Sighting, source: str = "gnss") -> None:
        observation = Observation(source, AT + timedelta(seconds=self.now_s), self.now_s, value)
        observation = self.locator.with_doubt(observation)
        self.health.on_observation(observation)
        self.reporter.on_observation(observation)

    def due(self, after_s: float = 0.0) -> dict[str, dict[str, Any]]:
        self.now_s += after_s
        return {message.topic: read(message) for message in self.messages()}

    def messages(self) -> list[Message]:
        return self.reporter.due(AT + timedelta(seconds=self.now_s), self.now_s)


def read(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(message.body)
    return body


def test_the_first_report_is_status_and_health_and_then_only_what_is_due() -> None:
    desk = Desk()
    assert set(desk.due()) == {"status", "health"}
    assert desk.due(1) == {}
    assert set(desk.due(29)) == {"health"}


def test_a_surveyed_post_says_where_it_is_without_a_receiver() -> None:
    desk = Desk(", lat: 32.11, lon: 118.74")
    position = desk.due()["position"]
    assert (position["lat"], position["mode"], position["source"]) == (32.11, "surveyed", "place")
    place = desk.device_position.alert_point(0)
    assert place is not None
    assert place["how"] == "surveyed"
    assert "position" not in desk.due(59)
    assert desk.due(1)["position"]["next_within_s"] == 60


def test_a_fix_is_told_with_its_age_and_places_alerts_with_a_radius_that_grows() -> None:
    desk = Desk()
    assert "position" not in desk.due()
    desk.hear(FIX)
    told = desk.due(1)["position"]
    assert (told["age_s"], told["trust"], told["error_from"]) == (1.0, "good", "receiver")
    place = desk.device_position.alert_point(desk.now_s)
    assert place is not None
    assert (place["lat"], place["how"], place["error_m"]) == (32.1, "gnss", 2.5)
    late = desk.due(STALE_S)["position"]
    assert (late["age_s"], late["stale_after_s"], late["trust"]) == (STALE_S + 1, STALE_S, "old")
    assert desk.device_position.alert_point(desk.now_s) == {
        "lat": 32.1, "lon": 118.7, "error_m": 2.5 + 60 * 16, "how": "last_known", "age_s": 16.0,
    }  # fmt: skip


def test_a_lost_fix_is_told_at_once_with_the_last_position_as_such() -> None:
    desk = Desk()
    desk.hear(FIX)
    desk.due()
    desk.now_s = 2.0
    desk.hear(Fix(mode="none", satellites=2))
    position = desk.due(1)["position"]
    assert (position["mode"], position["lat"], position["satellites"]) == ("none", 32.1, 2)
    assert (position["age_s"], position["why"]) == (3.0, "no fix")
    place = desk.device_position.alert_point(desk.now_s)
    assert place is not None
    assert (place["how"], place["age_s"]) == ("last_known", 3.0)


def test_a_second_receiver_without_a_fix_does_not_hide_the_first() -> None:
    desk = Desk()
    desk.hear(FIX)
    desk.hear(Fix(mode="none"), "spare")
    assert desk.due()["position"]["mode"] == "3d"


def test_health_tells_of_each_receiver_and_status_of_its_troubles() -> None:
    desk = Desk()
    desk.hear(Fix(mode="3d", lat=32.1, lon=118.7, satellites=9, satellites_seen=14, hdop=0.9, time=AT))
    desk.hear(GnssState(jamming="critical", antenna="ok"))
    told = desk.due(1)
    (receiver,) = told["health"]["receivers"]
    assert receiver == {
        "source": "gnss", "used": True, "fix": "3d", "trust": "good", "age_s": 1.0, "satellites": 9,
        "satellites_seen": 14, "hdop": 0.9, "error_m": 4.5, "error_from": "hdop", "jamming": "critical",
        "antenna": "ok", "clock_offset_s": 0.0,
    }  # fmt: skip
    assert told["status"]["reasons"] == ["gnss: jamming (critical)"]


def test_what_a_receiver_notices_is_telemetry_when_it_changes() -> None:
    desk = Desk()
    desk.due()
    for state in ("ok", "ok", "critical"):
        desk.hear(GnssState(jamming=state))  # type: ignore[arg-type]  # it is one of the three
    values = desk.due(5)["telemetry/gnss"]["values"]
    assert [value["jamming"] for value in values] == ["ok", "critical"]


def test_telemetry_is_batched_by_source_and_a_switch_is_noted_when_it_changes() -> None:
    desk = Desk()
    desk.due()
    for volts in (12.1, 12.2):
        desk.hear(Reading(quantity="supply_voltage", value=volts, unit="V"), "board")
    for on in (True, True, False):
        desk.hear(Switch(name="tamper", on=on), "board")
    desk.hear(LineState(), "board")
    desk.hear(Sighting(frame=1, objects=()), "cam1")
    desk.hear(FIX)
    told = desk.due(5)
    assert {topic for topic in told if topic.startswith("telemetry")} == {"telemetry/board"}
    values = told["telemetry/board"]["values"]
    assert [value.get("value", value.get("on")) for value in values] == [12.1, 12.2, True, False]
    assert all(value["at"].endswith("Z") for value in values)
    assert "telemetry/board" not in desk.due(5)


def test_a_drone_is_noted_once_a_second_and_when_it_changes() -> None:
    desk = Desk()
    desk.due()
    for number in range(40):
        desk.now_s += 0.25
        for system in (1, 2):
            desk.hear(Drone(system=system, armed=number < 21, height_m=float(number)), "radio")
    desk.reporter.telemetry.thin = True
    values = desk.due(5)["telemetry/radio"]["values"]
    assert [(value["system"], value["armed"]) for value in values] == [(1, False), (2, False)]
    desk.reporter.telemetry.thin = False
    for number in range(40):
        desk.now_s += 0.25
        desk.hear(Drone(system=1, armed=number < 21, height_m=float(number)), "radio")
    values = desk.due(5)["telemetry/radio"]["values"]
    assert [value["height_m"] for value in values] == [0, 4, 8, 12, 16, 20, 21, 25, 29, 33, 37]


def test_a_burst_is_cut_into_messages_that_stay_small() -> None:
    desk = Desk()
    for number in range(500):
        desk.hear(Reading(quantity="depth_below_transducer", value=number / 10, unit="m"), "sounder")
    messages = [message for message in desk.messages() if message.lane == "telemetry"]
    assert len(messages) > 1
    assert all(len(message.body) < MAX_BODY for message in messages)
    assert max(len(message.body) for message in messages) > MAX_BATCH_BYTES / 2
    assert [value["value"] for message in messages for value in read(message)["values"]] == [
        number / 10 for number in range(500)
    ]


def test_when_bytes_are_short_only_the_newest_of_each_quantity_is_told_and_how_many_were_left_out() -> None:
    desk = Desk()
    desk.due()
    desk.reporter.telemetry.thin = True
    for number in range(100):
        desk.hear(Reading(quantity="depth_below_transducer", value=number / 10, unit="m"), "sounder")
        desk.hear(Reading(quantity="water_temperature", value=20.0, unit="degC"), "sounder")
    desk.hear(Switch(name="tamper", on=True), "sounder")
    assert desk.due(1) == {}
    told = desk.due(4)["telemetry/sounder"]
    assert [(value.get("quantity"), value.get("value")) for value in told["values"]] == [
        ("depth_below_transducer", 9.9), ("water_temperature", 20.0), (None, None),
    ]  # fmt: skip
    assert told["thinned"] == 198


def test_of_a_quick_instrument_one_reading_in_five_seconds_is_told_and_how_many_were_left_out() -> None:
    assert config().model_validate(
        config().model_dump(exclude={"reporting"})
    ).reporting.readings_every == timedelta(seconds=5)
    desk = Desk(readings="5s")
    told = []
    for tenth in range(301):
        desk.now_s = tenth / 10
        desk.hear(Reading(quantity="depth_below_transducer", value=float(tenth), unit="m"), "sounder")
        desk.hear(Reading(quantity="wind_speed", value=float(tenth), unit="m/s"), "sounder")
        desk.hear(Reading(quantity="wind_speed", value=float(tenth), unit="m/s"), "mast")
        told += [read(one) for one in desk.messages() if one.topic == "telemetry/sounder"]
    values = [value for batch in told for value in batch["values"]]
    for quantity in ("depth_below_transducer", "wind_speed"):
        assert [one["value"] for one in values if one["quantity"] == quantity] == list(range(0, 301, 50))
    assert sum(batch.get("thinned", 0) for batch in told) == 2 * (301 - 7)


def test_quantities_that_a_line_makes_up_are_not_remembered_for_ever() -> None:
    desk = Desk(readings="5s")
    for number in range(5000):
        desk.hear(Reading(quantity=f"made_up_{number}", value=1.0, unit="m"), "sounder")
    assert len(desk.reporter.telemetry._reported_s) <= 2000


def test_status_tells_a_change_once_with_its_reasons_and_not_each_second() -> None:
    desk = Desk()
    desk.health.set_running("gnss", Running(state="running"), 0.0, speaks=True)
    desk.hear(FIX)
    assert desk.due()["status"]["state"] == "online"
    desk.health.set_running("gnss", Running(state="waiting", error="it is unplugged"), 1.0, speaks=True)
    status = desk.due(1)["status"]
    assert status["state"] == "degraded"
    assert "it is unplugged" in str(status["reasons"])
    assert [topic for second in range(5) for topic in desk.due(1) if topic == "status"] == []
    desk.reporter.troubles = ["outbox: disk full"]
    assert "outbox: disk full" in desk.due(1)["status"]["reasons"]
    desk.reporter.troubles = []
    desk.health.set_running("gnss", Running(state="running"), desk.now_s, speaks=True)
    desk.hear(FIX)
    assert desk.due(1)["status"]["state"] == "online"


def test_a_connection_tells_its_status_again_behind_a_late_last_will() -> None:
    """The broker may retain the ``offline`` of the connection before, beside a device that is there."""
    desk = Desk()
    desk.due()
    desk.reporter.birth_messages(2, AT, desk.now_s)
    said = [second for second in range(1, 200) if "status" in desk.due(1)]
    assert said == [60]


def test_figures_in_a_reason_are_no_change() -> None:
    """A poor receiver says another error each second; a camera that is slow another rate."""
    desk = Desk()
    desk.due(100)
    said = []
    for second in range(40):
        desk.hear(Fix(mode="3d", lat=32.1, lon=118.7, error_m=60.0 + second, hdop=9.0))
        desk.reporter.troubles = [f"cam1: slow: {second / 10:.1f} frames a second come, 5 are wanted"]
        said += [message for message in desk.due(1).items() if message[0] == "status"]
    reasons = [body["reasons"] for _, body in said]
    assert [len(one) for one in reasons] == [1, 2]
    desk.reporter.troubles = ["cam2: slow: 1.0 frames a second come, 5 are wanted"]
    assert "status" in desk.due(1)


@pytest.mark.parametrize("surveyed", ["", ", lat: 32.11, lon: 118.74"])
def test_every_connection_begins_with_status_birth_health_and_where_it_is(surveyed: str) -> None:
    reporter = Desk(surveyed).reporter
    messages = reporter.birth_messages(42, AT, 0.0)
    assert [message.topic for message in messages] == [
        "status",
        "birth",
        "health",
        *(["position"] if surveyed else []),
    ]
    assert {read(message)["session"] for message in messages} == {42}
    assert all(message.retain for message in messages)


def test_a_clean_stop_says_so() -> None:
    status = read(Desk().reporter.status(AT, 0.0, state="stopped"))
    assert (status["state"], status["schema"]) == ("stopped", "status/1")
