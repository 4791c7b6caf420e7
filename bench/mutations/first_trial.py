"""The mutations of the first trial: positions, points, alerts, health and receipts that are wrong."""

from dataclasses import replace
from typing import Any

from agent.domain.message import new_id
from agent.mqtt.envelope import Envelope
from agent.mqtt.receipts import Receipts
from agent.pipeline import Pipeline
from agent.positioning.device_position import DevicePosition
from agent.positioning.locator import Locator
from agent.reporting.messages import MessageFactory
from agent.reporting.reporter import Reporter
from agent.rules.switch import SwitchRule
from bench.mutations.mutation import Original, Patch, mutation, on_alerts, without_phase
from simulators.virtual.host import virtual_loop


@mutation("boat_gps_jammed_link_down", "positions are 5.5 km off")
def position_off(patch: Patch) -> None:
    def position(original: Original, *args: Any) -> Any:
        fields = original(*args)
        if fields and fields.get("lat") is not None:
            patch.hit()
            fields["lat"] += 0.05
        return fields

    patch.wrap(DevicePosition, "position", position)


@mutation("bridge_rescue", "the point of an alert is 55 km off")
def alert_point_off(patch: Patch) -> None:
    def fields(original: Original, *args: Any) -> Any:
        found = original(*args)
        if found.get("point"):
            patch.hit()
            found["point"] = {**found["point"], "lat": found["point"]["lat"] + 0.5}
        return found

    patch.wrap(Locator, "fields", fields)


@mutation("watch_point_panic", "each alert message is sent twice, under two ids")
def alert_twice(patch: Patch) -> None:
    on_alerts(patch, lambda alert: [alert, alert])


@mutation("camera_blinded", "health says that all is well")
def health_lies(patch: Patch) -> None:
    def health_fields(original: Original, *args: Any) -> Any:
        fields = original(*args)
        if fields["reasons"]:
            patch.hit()
        return {**fields, "reasons": []}

    patch.wrap(Reporter, "health_fields", health_fields)


@mutation("disk_full", "status and health say that all is well")
def status_lies(patch: Patch) -> None:
    def reasons(original: Original, *args: Any) -> list[str]:
        if original(*args):
            patch.hit()
        return []

    patch.wrap(Reporter, "reasons", reasons)


@mutation("watch_point_panic", "messages are not marked as simulated")
def simulated_left_out(patch: Patch) -> None:
    def message(original: Original, *args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        body = made.body.replace(b'"simulated":true,', b"").replace(b',"simulated":true', b"")
        if body != made.body:
            patch.hit()
        return replace(made, body=body)

    patch.wrap(Envelope, "message", message)


@mutation("broker_lies", "the device ignores receipts")
def receipts_ignored(patch: Patch) -> None:
    def handed_out(_: Original, _receipts: Receipts, ids: Any, _in_flight: Any) -> list[str]:
        if list(ids):
            patch.hit()
        return []

    patch.wrap(Receipts, "handed_out", handed_out)


@mutation("slow_disk", "the board gets its acknowledgement before the press is on disk")
def acknowledged_before_stored(patch: Patch) -> None:
    def emitter(original: Original, *args: Any) -> Any:
        emit = original(*args)

        def emit_and_forget(value: Any) -> None:
            if emit(value) is not None:
                patch.hit()

        return emit_and_forget

    patch.wrap(Pipeline, "emitter", emitter)


@mutation("metro_post_underground", "each alert is 3 s late")
def alert_late(patch: Patch) -> None:
    def raise_alerts(original: Original, pipeline: Pipeline, alerts: Any, now_s: float) -> None:
        if raised := list(alerts):
            patch.hit()
            virtual_loop().call_later(3.0, original, pipeline, raised, now_s)

    patch.wrap(Pipeline, "raise_alerts", raise_alerts)


@mutation("metro_post_underground", "updates of alerts are dropped")
def update_dropped(patch: Patch) -> None:
    without_phase(patch, "update")


@mutation("drone_link_lost", "ends of alerts are dropped")
def end_dropped(patch: Patch) -> None:
    without_phase(patch, "end")


@mutation("watch_point_panic", "beginnings of alerts are dropped")
def new_dropped(patch: Patch) -> None:
    without_phase(patch, "new")


@mutation("watch_point_panic", "presses raise no alert")
def panic_suppressed(patch: Patch) -> None:
    def start(original: Original, *args: Any) -> Any:
        evaluate = original(*args)

        def suppress(observation: Any) -> list[Any]:
            if list(evaluate(observation)):
                patch.hit()
            return []

        return suppress

    patch.wrap(SwitchRule, "start", start)


@mutation("position_stale", "the trust of a position is always good")
def trust_always_good(patch: Patch) -> None:
    def position(original: Original, *args: Any) -> Any:
        fields = original(*args)
        if fields and fields.get("trust") not in (None, "good"):
            patch.hit()
            fields["trust"] = "good"
        return fields

    patch.wrap(DevicePosition, "position", position)


@mutation("watch_point_panic", "an alert ends at once and begins again")
def flap(patch: Patch) -> None:
    def again(alert: Any) -> list[Any]:
        if alert.phase != "new":
            return [alert]
        return [
            replace(alert, alert_id=new_id()),
            replace(alert, alert_id=new_id(), phase="end"),
            alert,
        ]

    on_alerts(patch, again)


@mutation("boat_gps_jammed_link_down", "positions are swallowed")
def position_swallowed(patch: Patch) -> None:
    def messages(original: Original, *args: Any) -> list[Any]:
        if original(*args):
            patch.hit()
        return []

    patch.wrap(Reporter, "_position_messages", messages)


@mutation("position_stale", "silence raises no alert")
def silence_suppressed(patch: Patch) -> None:
    on_alerts(patch, lambda alert: [] if alert.policy.kind == "silence" else [alert])


@mutation("watch_point_panic", "each alert says that it is of no severity")
def severity_info(patch: Patch) -> None:
    def make(original: Original, factory: Any, schema: str, fields: Any, *args: Any, **more: Any) -> Any:
        if "alert" in fields and fields["alert"].get("severity") != "info":
            patch.hit()
            fields = {**fields, "alert": {**fields["alert"], "severity": "info"}}
        return original(factory, schema, fields, *args, **more)

    patch.wrap(MessageFactory, "make", make)
