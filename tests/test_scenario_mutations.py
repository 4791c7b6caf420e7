"""Each deliberate fault of the agent or of the centre turns a scenario red, and names what it broke."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.alerts.alert import Alert
from agent.domain.message import Message, new_id
from agent.mqtt.envelope import Envelope
from agent.outbox.outbox import Outbox
from agent.pipeline import Pipeline
from agent.positioning.device_position import DevicePosition
from agent.reporting.messages import MessageFactory
from centre.message_store import MessageStore
from simulators.scenario.loader import SCENARIOS, parse
from simulators.scenario.session import run_scenario
from tests.thorough import all_or

BOAT = """
schema: ringpost-scenario/1
name: mutated
duration: 150s
devices:
  boat-1:
    start: {lat: 32.0950, lon: 118.7300, speed_mps: 0.4}
    config:
      kind: patrol_boat
      place: {ring: inner_city, domain: water, site: demo, post: boat-1}
      broker: {resend_after: 20s}
      reporting: {telemetry_every: 5s, position_every: 2s, health_every: 20s}
      sources:
        gnss: {kind: nmea, port: /dev/gnss}
        board: {kind: sensor_board, port: /dev/board}
      rules:
        panic: {kind: switch, source: board, name: panic_button, severity: critical}
        tamper: {kind: switch, source: board, name: tamper, severity: warning}
        quiet: {kind: silence, source: gnss, after: 5s, cool_down: 1s}
timeline:
  - {at: 10s, name: press, press: board.panic_button, for: 25s}
  - {at: 40s, name: unplugged, fault: line.unplug, source: gnss, for: 20s}
  - {at: 70s, fault: disk.full, for: 8s}
  - {at: 70s, fault: link.down, for: 12s}
  - {at: 72s, name: tampered, press: board.tamper, for: 500ms}
  - {at: 74s, name: dark, fault: power.cut, for: 6s}
expect:
  - {name: raised, alert: panic, after: press, within: 500ms, count: 1, position_within_m: 20, having: {simulated: true, alert.severity: critical}}
  - {name: goes on, alert: panic, phases: [new, update], after: press, within: 15s}
  - {name: over, alert: panic, phases: [new, end], after: press, within: 26s, count: 1, receipt: true}
  - {name: silence, alert: quiet, phases: [new, end], after: unplugged, within: 23s, count: 1, receipt: true}
  - {name: told, topic: status, having: {state: degraded, reasons: "gnss: */gnss not found*"}, after: unplugged, within: 3s}
  - {name: old position, topic: position, having: {trust: old}, after: unplugged, within: 22s}
  - {name: well again, topic: status, having: {state: online}, after: unplugged, between: [20s, 28s]}
  - {name: place, topic: position, having: {trust: good, mode: 3d, simulated: true}, position_within_m: 15, between: [4s, 39s]}
  - {name: not lost in the dark, alert: tamper, after: tampered, within: 20s, count: 1, receipt: true}
"""

RaiseAlerts = Callable[[Pipeline, Iterable[Alert], float], None]
Patch = pytest.MonkeyPatch


def broken(folder: Path) -> set[str]:
    """The names of what is not met."""
    verdict, _ = run_scenario(parse(BOAT, name="mutated", base=SCENARIOS), folder)
    assert not verdict.incomplete
    return {one.name for one in verdict.unmet()}


def on_alerts(change: Callable[[list[Alert]], list[Alert]]) -> Callable[[Patch], None]:
    """Changes the alerts that the agent raises."""
    original = Pipeline.raise_alerts

    def raise_alerts(self: Pipeline, alerts: Iterable[Alert], now_s: float) -> None:
        original(self, change(list(alerts)), now_s)

    return lambda patch: patch.setattr(Pipeline, "raise_alerts", raise_alerts)


def without(wrong: Callable[[Alert], bool]) -> Callable[[Patch], None]:
    return on_alerts(lambda alerts: [one for one in alerts if not wrong(one)])


def twice_under_two_ids(alerts: list[Alert]) -> list[Alert]:
    return [*alerts, *(replace(one, alert_id=new_id()) for one in alerts)]


def late_alerts(patch: Patch) -> None:
    original = Pipeline.raise_alerts

    def raise_alerts(self: Pipeline, alerts: Iterable[Alert], now_s: float) -> None:
        asyncio.get_running_loop().call_later(3, original, self, list(alerts), now_s)

    patch.setattr(Pipeline, "raise_alerts", raise_alerts)


def on_made(change: Callable[[str, dict[str, Any]], dict[str, Any] | None]) -> Callable[[Patch], None]:
    """Changes the fields of messages by their topic."""
    original = MessageFactory.make

    def make(
        self: MessageFactory, schema: str, fields: Any, lane: Any, topic: str, *rest: Any, **more: Any
    ) -> Message:
        return original(self, schema, change(topic, dict(fields)) or fields, lane, topic, *rest, **more)

    return lambda patch: patch.setattr(MessageFactory, "make", make)


def moved(topic: str, fields: dict[str, Any]) -> dict[str, Any] | None:
    return fields | {"lat": fields["lat"] + 0.05} if topic == "position" and "lat" in fields else None


def point_moved(topic: str, fields: dict[str, Any]) -> dict[str, Any] | None:
    if topic != "alert" or "point" not in fields["alert"]:
        return None
    alert = fields["alert"]
    return fields | {"alert": alert | {"point": alert["point"] | {"lat": alert["point"]["lat"] + 0.5}}}


def all_well(topic: str, fields: dict[str, Any]) -> dict[str, Any] | None:
    return fields | {"state": "online", "reasons": []} if topic == "status" else None


def exact(topic: str, fields: dict[str, Any]) -> dict[str, Any] | None:
    return fields | {"error_m": 0.05} if topic == "position" else None


def mild(topic: str, fields: dict[str, Any]) -> dict[str, Any] | None:
    return fields | {"alert": fields["alert"] | {"severity": "info"}} if topic == "alert" else None


def each_message_twice(patch: Patch) -> None:
    original = Pipeline.raise_alerts

    def raise_alerts(self: Pipeline, alerts: Iterable[Alert], now_s: float) -> None:
        raised = list(alerts)
        original(self, raised, now_s)
        original(self, raised, now_s)

    patch.setattr(Pipeline, "raise_alerts", raise_alerts)


def unmarked(patch: Patch) -> None:
    original = Envelope.message

    def message(self: Envelope, *rest: Any, **more: Any) -> Message:
        made = original(self, *rest, **more)
        return replace(made, body=made.body.replace(b'"simulated":true,', b""))

    patch.setattr(Envelope, "message", message)


def receipts_ignored(patch: Patch) -> None:
    async def record_receipts(_self: Outbox, _ids: Any) -> int:
        return 0

    patch.setattr(Outbox, "record_receipts", record_receipts)


def always_trusted(patch: Patch) -> None:
    original = DevicePosition.position

    def position(self: DevicePosition, now_s: float) -> Any:
        fields = original(self, now_s)
        return None if fields is None else {**fields, "trust": "good"}

    patch.setattr(DevicePosition, "position", position)


def no_positions(patch: Patch) -> None:
    patch.setattr(DevicePosition, "position", lambda *_: None)


def centre_stores_no_alert(patch: Patch) -> None:
    """It takes them, and gives its receipt."""
    original = MessageStore.keep

    def keep(self: MessageStore, messages: Any, received_at: Any = None) -> Any:
        kept = original(self, [one for one in messages if one.topic != "alert"], received_at)
        rest = iter(kept)
        return ["new" if one.topic == "alert" else next(rest) for one in messages]

    patch.setattr(MessageStore, "keep", keep)


def deleted_when_sent(patch: Patch) -> None:
    """Alerts leave the disk without a receipt, and are never told."""
    original = Outbox.put

    async def put(self: Outbox, *messages: Message, **more: Any) -> None:
        await original(self, *(one for one in messages if one.lane != "alert"), **more)

    patch.setattr(Outbox, "put", put)


MUTATIONS: dict[str, tuple[Callable[[Patch], None], str]] = {
    "the panic is suppressed": (without(lambda one: one.policy.rule == "panic"), "raised"),
    "the end is dropped": (without(lambda one: one.phase == "end"), "over"),
    "the update is dropped": (without(lambda one: one.phase == "update"), "goes on"),
    "the silence is suppressed": (without(lambda one: one.policy.rule == "quiet"), "silence"),
    "positions are swallowed": (no_positions, "place"),
    "the position is 5.5 km off": (on_made(moved), "place"),
    "the point of the alert is 55 km off": (on_made(point_moved), "raised"),
    "each alert message twice": (each_message_twice, "raised"),
    "each alert twice under two ids": (on_alerts(twice_under_two_ids), "raised"),
    "a status that says that all is well": (on_made(all_well), "told"),
    "the flag simulated is left out": (unmarked, "raised"),
    "receipts are ignored": (receipts_ignored, "over"),
    "alerts are 3 s late": (late_alerts, "raised"),
    "the position is always trusted": (always_trusted, "old position"),
    "each position claims 5 cm": (on_made(exact), "positions_are_as_good_as_they_say"),
    "each alert is mild": (on_made(mild), "raised"),
    "the centre gives receipts for alerts that it does not store": (centre_stores_no_alert, "nothing_lost"),
    "alerts are never written": (deleted_when_sent, "raised"),
}
FEW = ("the position is 5.5 km off", "receipts are ignored")


def test_the_agent_as_it_is_passes(tmp_path: Path) -> None:
    assert broken(tmp_path) == set()


@pytest.mark.parametrize("name", all_or(FEW, tuple(MUTATIONS)))
def test_a_mutation_turns_the_scenario_red(name: str, tmp_path: Path, monkeypatch: Patch) -> None:
    mutate, expectation = MUTATIONS[name]
    mutate(monkeypatch)
    assert expectation in broken(tmp_path)
