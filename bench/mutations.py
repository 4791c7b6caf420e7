"""Breaks the agent on purpose, one promise at a time, and plays a scenario: each must turn red.

``python -m bench.mutations [NAME…] [--list]``. For each mutation the first complaint is printed. Those
without a scenario play `TROUBLES`, which expects nothing.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import structlog

from agent.alerts.alert import Alert
from agent.domain.message import new_id
from agent.mqtt.envelope import Envelope
from agent.outbox.alert_storage import AlertStorage
from agent.pipeline import Pipeline
from agent.positioning.device_position import DevicePosition
from agent.positioning.locator import Locator
from agent.reporting.clock_quality import ClockWatch
from agent.reporting.reporter import Reporter
from centre.message_store import MessageStore
from simulators.scenario.loader import SCENARIOS, find_scenario, parse
from simulators.scenario.session import run_scenario
from simulators.virtual.broker_connection import BrokerConnection

Change = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Mutation:
    """``change`` gets the method that it replaces, and then what that would get. ``scenario``: by default
    `TROUBLES`."""

    name: str
    scenario: str
    owner: type
    method: str
    change: Change


def raised(edit: Callable[[list[Alert]], Iterable[Alert]]) -> Change:
    """A mutation of what the pipeline raises."""

    def change(method: Change, self: Pipeline, alerts: Iterable[Alert], now_s: float) -> Any:
        return method(self, list(edit(list(alerts))), now_s)

    return change


def without(phase: str, rule: str | None = None) -> Change:
    return raised(
        lambda alerts: [
            one for one in alerts if one.phase != phase or (rule is not None and one.policy.rule != rule)
        ]
    )


def shifted(field_of: Callable[[dict[str, Any]], dict[str, Any] | None], by_deg: float) -> Change:
    """A mutation of a latitude in the result."""

    def change(method: Change, *given: Any) -> Any:
        result = method(*given)
        place = None if result is None else field_of(result)
        if place is not None and place.get("lat") is not None:
            place["lat"] += by_deg
        return result

    return change


def edited(**fields: Any) -> Change:
    def change(method: Change, *given: Any) -> Any:
        result = method(*given)
        return result if result is None else {**result, **fields}

    return change


def giving(value: Any) -> Change:
    return lambda _method, *_given, **_named: value


def late(method: Change, self: Pipeline, alerts: Iterable[Alert], now_s: float) -> None:
    import asyncio

    found = list(alerts)
    if found:
        asyncio.get_running_loop().call_later(3.0, method, self, found, now_s)


def flapping(alerts: list[Alert]) -> Iterator[Alert]:
    for one in alerts:
        yield one
        if one.phase == "new":
            yield replace(one, phase="end")
            yield replace(one, alert_id=new_id())


def new_ids(alerts: list[Alert]) -> Iterator[Alert]:
    for one in alerts:
        yield one
        if one.phase == "new":
            yield replace(one, alert_id=new_id())


def not_simulated(method: Change, self: Envelope, *given: Any, **named: Any) -> Any:
    message = method(self, *given, **named)
    return replace(message, body=message.body.replace(b'"simulated":true,', b""))


def one_id(method: Change, self: Envelope, *given: Any, **named: Any) -> Any:
    message = method(self, *given, **named)
    fixed = "01a2204f-5600-7004-9be0-8f31e01dafc1"
    return replace(message, id=fixed, body=message.body.replace(message.id.encode(), fixed.encode()))


def forgets(method: Change, self: AlertStorage, messages: Any, remember: Any) -> Any:
    """Each third alert is not written."""
    kept = [one for number, one in enumerate(messages) if one.lane != "alert" or b'"end"' not in one.body]
    return method(self, kept, remember)


def quietly(method: Change, self: BrokerConnection, *given: Any, **named: Any) -> Any:
    """The broker forgets the last will."""
    return method(self, *given, **{**named, "with_will": False})


def receipts_first(method: Change, self: MessageStore, messages: Any, *given: Any) -> Any:
    """The centre says that it has stored what it has not."""
    alerts = [one for one in messages if one.topic == "alert"]
    others = [one for one in messages if one.topic != "alert"]
    outcomes = iter(method(self, others, *given))
    return ["new" if one in alerts else next(outcomes) for one in messages]


def wrong_numbers(method: Change, self: Any, *given: Any) -> Any:
    rows = method(self, *given)
    return [replace(row, seq=1) for row in rows]


TROUBLES = """
schema: ringpost-scenario/1
name: troubles
seed: 1
duration: 4m
devices:
  boat-1:
    start: {lat: 32.0950, lon: 118.7300, speed_mps: 6}
    config:
      kind: patrol_boat
      place: {ring: inner_city, domain: water, site: s, post: p}
      reporting: {position_every: 2s}
      sources: {gnss: {kind: nmea, port: "x"}, board: {kind: sensor_board, port: "x"}}
      rules:
        panic: {kind: switch, source: board, name: panic_button, severity: critical}
  post-1:
    config:
      kind: watch_point
      place: {ring: inner_city, domain: ground, site: s, post: q, lat: 32.1, lon: 118.7}
      sources: {board: {kind: sensor_board, port: "x"}}
timeline:
  - {at: 20s, device: boat-1, fault: line.unplug, source: board, for: 40s}
  - {at: 70s, device: boat-1, fault: receiver.no_fix, source: gnss, for: 40s}
  - {at: 30s, device: boat-1, press: board.panic_button, for: 2s}
"""
"""Two devices without an expectation: only the invariants see what is wrong."""

MUTATIONS = (
    Mutation("panic suppressed", "bad_lines", Pipeline, "raise_alerts", without("new", "panic")),
    Mutation("end dropped", "bad_lines", Pipeline, "raise_alerts", without("end")),
    Mutation("end dropped, boat", "boat_jammed", Pipeline, "raise_alerts", without("end")),
    Mutation("update dropped", "drone_out_of_reach", Pipeline, "raise_alerts", without("update")),
    Mutation("position swallowed", "bad_lines", DevicePosition, "position", giving(None)),
    Mutation("position 5.5 km off", "bad_lines", DevicePosition, "position", shifted(lambda one: one, 0.05)),
    Mutation(
        "alert point 55 km off", "boat_jammed", Locator, "fields", shifted(lambda one: one.get("point"), 0.5)
    ),
    Mutation("each alert twice", "bad_lines", Pipeline, "raise_alerts", raised(lambda found: found * 2)),
    Mutation("health that lies", "", Reporter, "reasons", giving([])),
    Mutation("simulated left out", "bad_lines", Envelope, "message", not_simulated),
    Mutation("receipts ignored", "broker_lies", AlertStorage, "record_receipts", giving(0)),
    Mutation("3 s late", "bad_lines", Pipeline, "raise_alerts", late),
    Mutation("flap", "bad_lines", Pipeline, "raise_alerts", raised(flapping)),
    Mutation("panic suppressed, unexpected", "", Pipeline, "raise_alerts", without("new")),
    Mutation("trust always good", "", DevicePosition, "position", edited(trust="good")),
    Mutation("told under two ids", "", Pipeline, "raise_alerts", raised(new_ids)),
    Mutation("all messages under one id", "", Envelope, "message", one_id),
    Mutation("ends not written", "bad_lines", AlertStorage, "put", forgets),
    Mutation("receipt without commit", "bad_lines", MessageStore, "keep", receipts_first),
    Mutation("one number for all", "bad_lines", AlertStorage, "due", wrong_numbers),
    Mutation(
        "claims a good clock", "clock_wrong_at_boot", ClockWatch, "state",
        giving({"source": "ntp", "error_ms": 5}),
    ),
    Mutation("claims 1 cm", "", DevicePosition, "position", edited(error_m=0.01)),
    Mutation("always degraded", "", Reporter, "reasons", giving(["cam1: silent"])),
    Mutation("disk takes nothing, and nothing says so", "", AlertStorage, "put", giving(None)),
    Mutation("no last will", "checkpoint_power_cut", BrokerConnection, "close", quietly),
    Mutation("stops with the board", "", Pipeline, "emitter", giving(lambda _value: None)),
)  # fmt: skip


@contextmanager
def mutated(one: Mutation) -> Iterator[None]:
    original = getattr(one.owner, one.method)

    def method(self: Any, *given: Any, **named: Any) -> Any:
        return one.change(original, self, *given, **named)

    with patch.object(one.owner, one.method, method):
        yield


def complaints_of(one: Mutation) -> list[str]:
    """What the run of its scenario complains of; empty where it stays green."""
    with tempfile.TemporaryDirectory() as folder, mutated(one):
        here = parse(TROUBLES, name="troubles", base=SCENARIOS)
        verdict, _ = run_scenario(find_scenario(one.scenario) if one.scenario else here, Path(folder))
        return verdict.complaints()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.mutations", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("names", nargs="*", help="default: all")
    given = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    green = []
    for one in MUTATIONS:
        if given.names and one.name not in given.names:
            continue
        began_s = time.process_time()
        complaints = complaints_of(one)
        if not complaints:
            green.append(one.name)
        first = complaints[0][:150] if complaints else "GREEN"
        took = f"{time.process_time() - began_s:.1f} s"
        print(f"{one.name} | {one.scenario or 'troubles'} | {len(complaints)} | {first} | {took}", flush=True)
    print(f"green: {', '.join(green) or 'none'}")
    return bool(green)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
