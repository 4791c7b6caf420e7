"""Mutations of the agent and of the centre, each of which a scenario must notice.

``python -m bench.mutations [NAME…]`` plays each in virtual time in a process of its own, and prints which
expectation or invariant was broken. Exit code 1 where one stays green, had no effect, or where a scenario is
not green without it. The source is never changed: a mutation wraps a function of the running process.
"""

import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from agent.alerts.alert_book import AlertBook
from agent.config.deployment import Deployment
from agent.domain.message import new_id
from agent.host.clock import read_clocks
from agent.mqtt.connection import Connection
from agent.mqtt.envelope import Envelope
from agent.mqtt.receipts import Receipts
from agent.mqtt.sender import ConnectionSender
from agent.outbox.alert_queue import AlertQueue
from agent.outbox.alert_storage import AlertStorage
from agent.outbox.outbox import Outbox
from agent.pipeline import Pipeline
from agent.positioning.device_position import DevicePosition
from agent.positioning.locator import Locator
from agent.reporting.clock_quality import ClockWatch
from agent.reporting.reporter import Reporter
from agent.rules.switch import SwitchRule
from agent.runtime.logging_setup import set_up_log
from agent.vision.visibility_state import VisibilityState
from centre.message_store import MessageStore
from simulators.scenario.loader import SCENARIOS, check, find_scenario, parse
from simulators.scenario.session import run_scenario
from simulators.scenario.verdict import Verdict
from simulators.virtual.broker_connection import BrokerConnection
from simulators.virtual.host import virtual_loop

Original = Callable[..., Any]
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
TROUBLES_NAME = "troubles"


class Patch:
    """Wraps functions until `close`. ``effects``: how often the mutated code did something else."""

    def __init__(self) -> None:
        self.effects = 0
        self._stack = ExitStack()

    def wrap(self, owner: Any, name: str, mutated: Callable[..., Any]) -> None:
        """``owner.name`` becomes ``mutated(original, *args)``."""
        original = getattr(owner, name)

        def replacement(*args: Any, **kwargs: Any) -> Any:
            return mutated(original, *args, **kwargs)

        self._stack.enter_context(mock.patch.object(owner, name, replacement))

    def hit(self) -> None:
        self.effects += 1

    def close(self) -> None:
        self._stack.close()


@dataclass(frozen=True, slots=True)
class Mutation:
    """``scenario``: the one that notices it."""

    name: str
    text: str
    scenario: str
    apply: Callable[[Patch], None]


MUTATIONS: dict[str, Mutation] = {}


def _mutation(scenario: str, text: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    def add(apply: Callable[[Patch], None]) -> Callable[[Patch], None]:
        MUTATIONS[apply.__name__] = Mutation(apply.__name__, text, scenario, apply)
        return apply

    return add


# Those of the first trial


@_mutation("boat_gps_jammed_link_down", "positions are 5.5 km off")
def position_off(patch: Patch) -> None:
    def position(original: Original, *args: Any) -> Any:
        fields = original(*args)
        if fields and fields.get("lat") is not None:
            patch.hit()
            fields["lat"] += 0.05
        return fields

    patch.wrap(DevicePosition, "position", position)


@_mutation("bridge_rescue", "the point of an alert is 55 km off")
def alert_point_off(patch: Patch) -> None:
    def fields(original: Original, *args: Any) -> Any:
        found = original(*args)
        if found.get("point"):
            patch.hit()
            found["point"] = {**found["point"], "lat": found["point"]["lat"] + 0.5}
        return found

    patch.wrap(Locator, "fields", fields)


def _alerts(patch: Patch, change: Callable[[Any], list[Any]]) -> None:
    """Each alert that is raised becomes those of ``change``."""

    def raise_alerts(original: Original, pipeline: Pipeline, alerts: Any, now_s: float) -> None:
        raised = list(alerts)
        changed = [other for alert in raised for other in change(alert)]
        if changed != raised:
            patch.hit()
        original(pipeline, changed, now_s)

    patch.wrap(Pipeline, "raise_alerts", raise_alerts)


@_mutation("watch_point_panic", "each alert message is sent twice, under two ids")
def alert_twice(patch: Patch) -> None:
    _alerts(patch, lambda alert: [alert, alert])


@_mutation("camera_blinded", "health says that all is well")
def health_lies(patch: Patch) -> None:
    def health_fields(original: Original, *args: Any) -> Any:
        fields = original(*args)
        if fields["reasons"]:
            patch.hit()
        return {**fields, "reasons": []}

    patch.wrap(Reporter, "health_fields", health_fields)


@_mutation("disk_full", "status and health say that all is well")
def status_lies(patch: Patch) -> None:
    def reasons(original: Original, *args: Any) -> list[str]:
        if original(*args):
            patch.hit()
        return []

    patch.wrap(Reporter, "reasons", reasons)


@_mutation("watch_point_panic", "messages are not marked as simulated")
def simulated_left_out(patch: Patch) -> None:
    def message(original: Original, *args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        body = made.body.replace(b'"simulated":true,', b"").replace(b',"simulated":true', b"")
        if body != made.body:
            patch.hit()
        return replace(made, body=body)

    patch.wrap(Envelope, "message", message)


@_mutation("broker_lies", "the device ignores receipts")
def receipts_ignored(patch: Patch) -> None:
    def handed_out(_: Original, _receipts: Receipts, ids: Any, _in_flight: Any) -> list[str]:
        if list(ids):
            patch.hit()
        return []

    patch.wrap(Receipts, "handed_out", handed_out)


@_mutation("slow_disk", "the board gets its acknowledgement before the press is on disk")
def acknowledged_before_stored(patch: Patch) -> None:
    def emitter(original: Original, *args: Any) -> Any:
        emit = original(*args)

        def emit_and_forget(value: Any) -> None:
            if emit(value) is not None:
                patch.hit()

        return emit_and_forget

    patch.wrap(Pipeline, "emitter", emitter)


@_mutation("metro_post_underground", "each alert is 3 s late")
def alert_late(patch: Patch) -> None:
    def raise_alerts(original: Original, pipeline: Pipeline, alerts: Any, now_s: float) -> None:
        if raised := list(alerts):
            patch.hit()
            virtual_loop().call_later(3.0, original, pipeline, raised, now_s)

    patch.wrap(Pipeline, "raise_alerts", raise_alerts)


def _without(patch: Patch, phase: str) -> None:
    _alerts(patch, lambda alert: [] if alert.phase == phase else [alert])


@_mutation("metro_post_underground", "updates of alerts are dropped")
def update_dropped(patch: Patch) -> None:
    _without(patch, "update")


@_mutation("drone_link_lost", "ends of alerts are dropped")
def end_dropped(patch: Patch) -> None:
    _without(patch, "end")


@_mutation("watch_point_panic", "beginnings of alerts are dropped")
def new_dropped(patch: Patch) -> None:
    _without(patch, "new")


@_mutation("watch_point_panic", "presses raise no alert")
def panic_suppressed(patch: Patch) -> None:
    def start(original: Original, *args: Any) -> Any:
        evaluate = original(*args)

        def suppress(observation: Any) -> list[Any]:
            if list(evaluate(observation)):
                patch.hit()
            return []

        return suppress

    patch.wrap(SwitchRule, "start", start)


@_mutation("position_stale", "the trust of a position is always good")
def trust_always_good(patch: Patch) -> None:
    def position(original: Original, *args: Any) -> Any:
        fields = original(*args)
        if fields and fields.get("trust") not in (None, "good"):
            patch.hit()
            fields["trust"] = "good"
        return fields

    patch.wrap(DevicePosition, "position", position)


@_mutation("watch_point_panic", "an alert ends at once and begins again")
def flap(patch: Patch) -> None:
    def again(alert: Any) -> list[Any]:
        if alert.phase != "new":
            return [alert]
        return [
            replace(alert, alert_id=new_id()),
            replace(alert, alert_id=new_id(), phase="end"),
            alert,
        ]

    _alerts(patch, again)


@_mutation("boat_gps_jammed_link_down", "positions are swallowed")
def position_swallowed(patch: Patch) -> None:
    def messages(original: Original, *args: Any) -> list[Any]:
        if original(*args):
            patch.hit()
        return []

    patch.wrap(Reporter, "_position_messages", messages)


# What would hurt most in the field


@_mutation("broker_lies", "the broker's acknowledgement is taken for the centre's receipt")
def acknowledgement_for_receipt(patch: Patch) -> None:
    def acknowledged(original: Original, sender: ConnectionSender, packet_id: int, code: int) -> None:
        sent = sender.in_flight._sent.get(packet_id)
        original(sender, packet_id, code)
        if sent is not None and sent.row.lane == "alert" and code == 0:
            patch.hit()
            sender._receipts.forget([sent.row.id])
            sender._outbox.mark_delivered([sent.row])

    patch.wrap(ConnectionSender, "_on_acknowledgement", acknowledged)


@_mutation("checkpoint_power_cut", "the outbox is emptied at each start")
def outbox_dropped_on_restart(patch: Patch) -> None:
    def open_empty(original: Original, folder: Path, *args: Any) -> Any:
        for path in folder.glob("alerts.db*"):
            patch.hit()
            path.unlink()
        return original(folder, *args)

    patch.wrap(Outbox, "open", open_empty)


@_mutation("position_stale", "a stale position is told as a fresh one")
def stale_told_as_fresh(patch: Patch) -> None:
    def position(original: Original, *args: Any) -> Any:
        fields = original(*args)
        if fields and (fields.get("age_s", 0.0) > 2 or fields.get("mode") == "none"):
            patch.hit()
            fields |= {"age_s": 0.0, "trust": "good", "mode": "3d"}
            fields.pop("why", None)
        return fields

    patch.wrap(DevicePosition, "position", position)


@_mutation("camera_blinded", "a blind camera is told as one that sees")
def blind_camera_sees(patch: Patch) -> None:
    def blind(original: Original, *args: Any) -> dict[str, Any]:
        if original(*args):
            patch.hit()
        return {}

    patch.wrap(VisibilityState, "blind", blind)


@_mutation("slow_disk", "the queue is reordered: critical alerts wait behind all others")
def critical_waits(patch: Patch) -> None:
    def due(original: Original, queue: Any, stores: Any, limit: int, most_rank: int, failed: Any) -> Any:
        rows = original(queue, stores, limit, most_rank, failed)
        turned = sorted(rows, key=lambda row: -row.rank)
        if turned != rows:
            patch.hit()
        return turned

    patch.wrap(AlertQueue, "due", due)


@_mutation("clock_wrong_at_boot", "after a step of the clock the last alert is told again")
def clock_step_duplicates(patch: Patch) -> None:
    last: list[Any] = []
    offset: list[float] = []

    def raise_alerts(original: Original, pipeline: Pipeline, alerts: Any, now_s: float) -> None:
        raised = list(alerts)
        last[:] = [alert for alert in raised if alert.phase == "new"] or last
        original(pipeline, raised, now_s)

    def report_due(original: Original, pipeline: Pipeline, at: Any, now_s: float) -> None:
        now = at.timestamp() - now_s
        if offset and abs(now - offset[0]) > 5 and last:
            patch.hit()
            again = [replace(alert, alert_id=new_id(), at=read_clocks()[0]) for alert in last]
            pipeline.raise_alerts(again, now_s)
        offset[:] = [now]
        original(pipeline, at, now_s)

    patch.wrap(Pipeline, "raise_alerts", raise_alerts)
    patch.wrap(Pipeline, "report_due", report_due)


@_mutation("checkpoint_power_cut", "active alerts are forgotten at a restart")
def alerts_forgotten_on_restart(patch: Patch) -> None:
    def restore(_: Original, _book: AlertBook, data: bytes, *_args: Any) -> list[Any]:
        if b'"alert_id"' in data:
            patch.hit()
        return []

    patch.wrap(AlertBook, "restore", restore)


@_mutation("slow_disk", "messages without receipt are sent again every 0.2 s")
def resend_storm(patch: Patch) -> None:
    def wait_s(_: Original, *_args: Any) -> float:
        patch.hit()
        return 0.2

    patch.wrap(Receipts, "_wait_s", wait_s)


@_mutation("config_push_that_would_lock_out", "a pushed configuration is kept without proof")
def push_without_proof(patch: Patch) -> None:
    async def prove(_: Original, _deployment: Any, config: Any, _within_s: float, steps: Any) -> Any:
        patch.hit()
        await steps.apply(config)
        return None, []

    patch.wrap(Deployment, "_prove_trial", prove)


@_mutation("boat_gps_jammed_link_down", "no last will is set")
def no_last_will(patch: Patch) -> None:
    def init(original: Original, *args: Any, **kwargs: Any) -> None:
        patch.hit()
        original(*args[:3], None, *args[4:], **kwargs)

    patch.wrap(Connection, "__init__", init)


@_mutation("watch_point_panic", "the centre gives a receipt for an alert that it did not store")
def receipt_without_commit(patch: Patch) -> None:
    def keep(original: Original, store: MessageStore, messages: Sequence[Any], *args: Any) -> Any:
        kept = [one for one in messages if one.topic != "alert"]
        patch.effects += len(messages) - len(kept)
        outcomes = iter(original(store, kept, *args))
        return ["new" if one.topic == "alert" else next(outcomes) for one in messages]

    patch.wrap(MessageStore, "keep", keep)


@_mutation("clock_wrong_at_boot", "each clock claims to be synchronised")
def clock_always_good(patch: Patch) -> None:
    def state(original: Original, *args: Any) -> dict[str, Any]:
        found = original(*args)
        if found.get("source") != "ntp":
            patch.hit()
        return {"source": "ntp", "error_ms": 20}

    patch.wrap(ClockWatch, "state", state)


# Those that only the invariants of the checker see, in `TROUBLES`, or that they see first


def _always(owner: type, method: str, change: Callable[..., Any]) -> Callable[[Patch], None]:
    """``change`` at each call."""

    def apply(patch: Patch) -> None:
        def mutated(original: Original, *args: Any, **kwargs: Any) -> Any:
            patch.hit()
            return change(original, *args, **kwargs)

        patch.wrap(owner, method, mutated)

    return apply


def _edited(**fields: Any) -> Callable[..., Any]:
    def change(original: Original, *args: Any) -> Any:
        result = original(*args)
        return None if result is None else {**result, **fields}

    return change


def _giving(value: Any) -> Callable[..., Any]:
    return lambda _original, *_args, **_kwargs: value


def _one_id(original: Original, *args: Any, **kwargs: Any) -> Any:
    message = original(*args, **kwargs)
    fixed = "01a2204f-5600-7004-9be0-8f31e01dafc1"
    return replace(message, id=fixed, body=message.body.replace(message.id.encode(), fixed.encode()))


def _without_ends(original: Original, storage: Any, messages: Any, remember: Any) -> Any:
    kept = [one for one in messages if one.lane != "alert" or b'"end"' not in one.body]
    return original(storage, kept, remember)


def _one_number(original: Original, *args: Any) -> Any:
    return [replace(row, seq=1) for row in original(*args)]


def _without_will(original: Original, *args: Any, **kwargs: Any) -> Any:
    return original(*args, **{**kwargs, "with_will": False})


def _two_ids(patch: Patch) -> None:
    _alerts(
        patch,
        lambda alert: [alert, replace(alert, alert_id=new_id())] if alert.phase == "new" else [alert],
    )


for _name, _text, _scenario, _apply in (
    (
        "two_ids",
        "each alert is told under two ids",
        "",
        _two_ids,
    ),
    (
        "panic_suppressed_unexpected",
        "no alert begins",
        "",
        lambda patch: _without(patch, "new"),
    ),
    (
        "one_id_for_all",
        "all messages have one id",
        "",
        _always(Envelope, "message", _one_id),
    ),
    (
        "ends_not_written",
        "the disk does not get the ends",
        "bad_lines",
        _always(AlertStorage, "put", _without_ends),
    ),
    (
        "one_number_for_all",
        "all alerts have one number",
        "bad_lines",
        _always(AlertStorage, "due", _one_number),
    ),
    (
        "claims_1_cm",
        "positions claim an error of 1 cm",
        "",
        _always(DevicePosition, "position", _edited(error_m=0.01)),
    ),
    (
        "always_degraded",
        "a healthy device complains",
        "",
        _always(Reporter, "reasons", _giving(["cam1: silent"])),
    ),
    (
        "disk_takes_nothing",
        "the disk takes nothing, and nothing says so",
        "",
        _always(AlertStorage, "put", _giving(None)),
    ),
    (
        "broker_without_wills",
        "the broker forgets last wills",
        "checkpoint_power_cut",
        _always(BrokerConnection, "close", _without_will),
    ),
    (
        "deaf_to_sources",
        "values of sources are dropped",
        "",
        _always(Pipeline, "emitter", _giving(lambda _value: None)),
    ),
):
    MUTATIONS[_name] = Mutation(_name, _text, _scenario or TROUBLES_NAME, _apply)


@dataclass(frozen=True, slots=True)
class Played:
    """``broken``: each expectation and invariant that is not met, with its first detail."""

    name: str
    scenario: str
    verdict: str
    effects: int
    broken: tuple[tuple[str, str], ...]
    wall_s: float
    cpu_s: float

    @property
    def noticed(self) -> bool:
        """A fault that the mutation kept from its effect leaves the run incomplete: also red."""
        missed = [what for what, _ in self.broken if what not in ("incomplete", "run")]
        return self.verdict in ("failed", "incomplete") and bool(missed) and self.effects > 0


def play_mutated(name: str, folder: Path) -> Played:
    """Plays the scenario of a mutation, in this process."""
    mutation = MUTATIONS[name]
    patch = Patch()
    try:
        mutation.apply(patch)
        return _played(name, mutation.scenario, folder, patch)
    except Exception as error:  # the run ended: that is no verdict
        return Played(name, mutation.scenario, "ended", patch.effects, (("run", repr(error)),), 0.0, 0.0)
    finally:
        patch.close()


def _played(name: str, scenario: str, folder: Path, patch: Patch) -> Played:
    wall_s, cpu_s = time.monotonic(), time.process_time()
    verdict = _play(scenario, folder)
    broken = [(one.name, one.detail) for one in verdict.unmet()]
    broken += [("incomplete", line) for line in verdict.incomplete]
    return Played(
        name, scenario, verdict.verdict, patch.effects, tuple(broken),
        time.monotonic() - wall_s, time.process_time() - cpu_s,
    )  # fmt: skip


def _play(name: str, folder: Path) -> Verdict:
    if name == TROUBLES_NAME:
        return run_scenario(parse(TROUBLES, name=name, base=SCENARIOS), folder)[0]
    return run_scenario(check(find_scenario(name).model_copy(update={"clock": "virtual"})), folder)[0]


def _in_process(name: str) -> Played:
    """A mutation, or the scenario ``= NAME`` without one."""
    set_up_log("critical")
    with tempfile.TemporaryDirectory(prefix="ringpost-mutation-") as folder:
        if name.startswith("="):
            return _played("none", name[1:], Path(folder), Patch())
        return play_mutated(name, Path(folder))


def main() -> int:
    names = sys.argv[1:] or list(MUTATIONS)
    if unknown := [name for name in names if name not in MUTATIONS]:
        print(f"mutations: unknown mutation {unknown[0]!r}; known: {', '.join(MUTATIONS)}", file=sys.stderr)
        return 2
    scenarios = list(dict.fromkeys(MUTATIONS[name].scenario for name in names))
    began_s, failures, rows = time.monotonic(), 0, []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count() or 1, context) as pool:
        for one in pool.map(_in_process, [f"={scenario}" for scenario in scenarios] + names):
            good = one.verdict == "passed" if one.name == "none" else one.noticed
            failures += not good
            first, more = (one.broken[0], len(one.broken) - 1) if one.broken else (("-", ""), 0)
            print(
                f"{'ok ' if good else 'BAD'} {one.name:28} {one.scenario:32} {one.verdict:10}"
                f" {one.effects:5} effects {one.cpu_s:5.1f} s  {first[0]}: {first[1]}"[:230]
                + (f" (and {more} more)" if more else ""),
                flush=True,
            )
            rows.append({"mutation": one.name, "scenario": one.scenario, "verdict": one.verdict,
                         "effects": one.effects, "cpu_s": round(one.cpu_s, 2),
                         "broken": [what for what, _ in one.broken]})  # fmt: skip
    seconds = timedelta(seconds=round(time.monotonic() - began_s))
    print(f"{len(names)} mutations, {failures} not as they should be, in {seconds}")
    if target := os.environ.get("RINGPOST_MUTATIONS_JSON"):
        Path(target).write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
