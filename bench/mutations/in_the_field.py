"""Mutations that would hurt most in the field: of the outbox, of restarts, clocks, pushes and receipts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.alerts.alert_book import AlertBook
from agent.config.deployment import Deployment
from agent.domain.message import new_id
from agent.host.clock import read_clocks
from agent.mqtt.connection import Connection
from agent.mqtt.receipts import Receipts
from agent.mqtt.sender import ConnectionSender
from agent.outbox.alert_queue import AlertQueue
from agent.outbox.outbox import Outbox
from agent.pipeline import Pipeline
from agent.positioning.device_position import DevicePosition
from agent.reporting.clock_quality import ClockWatch
from agent.vision.visibility_state import VisibilityState
from bench.mutations.mutation import Original, Patch, mutation
from centre.message_store import MessageStore


@mutation("broker_lies", "the broker's acknowledgement is taken for the centre's receipt")
def acknowledgement_for_receipt(patch: Patch) -> None:
    def acknowledged(original: Original, sender: ConnectionSender, packet_id: int, code: int) -> None:
        sent = sender.in_flight._sent.get(packet_id)
        original(sender, packet_id, code)
        if sent is not None and sent.row.lane == "alert" and code == 0:
            patch.hit()
            sender._receipts.forget([sent.row.id])
            sender._outbox.mark_delivered([sent.row])

    patch.wrap(ConnectionSender, "_on_acknowledgement", acknowledged)


@mutation("checkpoint_power_cut", "the outbox is emptied at each start")
def outbox_dropped_on_restart(patch: Patch) -> None:
    def open_empty(original: Original, folder: Path, *args: Any) -> Any:
        for path in folder.glob("alerts.db*"):
            patch.hit()
            path.unlink()
        return original(folder, *args)

    patch.wrap(Outbox, "open", open_empty)


@mutation("position_stale", "a stale position is told as a fresh one")
def stale_told_as_fresh(patch: Patch) -> None:
    def position(original: Original, *args: Any) -> Any:
        fields = original(*args)
        if fields and (fields.get("age_s", 0.0) > 2 or fields.get("mode") == "none"):
            patch.hit()
            fields |= {"age_s": 0.0, "trust": "good", "mode": "3d"}
            fields.pop("why", None)
        return fields

    patch.wrap(DevicePosition, "position", position)


@mutation("camera_blinded", "a blind camera is told as one that sees")
def blind_camera_sees(patch: Patch) -> None:
    def blind(original: Original, *args: Any) -> dict[str, Any]:
        if original(*args):
            patch.hit()
        return {}

    patch.wrap(VisibilityState, "blind", blind)


@mutation("slow_disk", "the queue is reordered: critical alerts wait behind all others")
def critical_waits(patch: Patch) -> None:
    def due(original: Original, queue: Any, stores: Any, limit: int, most_rank: int, failed: Any) -> Any:
        rows = original(queue, stores, limit, most_rank, failed)
        turned = sorted(rows, key=lambda row: -row.rank)
        if turned != rows:
            patch.hit()
        return turned

    patch.wrap(AlertQueue, "due", due)


@mutation("clock_wrong_at_boot", "after a step of the clock the last alert is told again")
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


@mutation("checkpoint_power_cut", "active alerts are forgotten at a restart")
def alerts_forgotten_on_restart(patch: Patch) -> None:
    def restore(_: Original, _book: AlertBook, data: bytes, *_args: Any) -> list[Any]:
        if b'"alert_id"' in data:
            patch.hit()
        return []

    patch.wrap(AlertBook, "restore", restore)


@mutation("slow_disk", "messages without receipt are sent again every 0.2 s")
def resend_storm(patch: Patch) -> None:
    def wait_s(_: Original, *_args: Any) -> float:
        patch.hit()
        return 0.2

    patch.wrap(Receipts, "_wait_s", wait_s)


@mutation("config_push_that_would_lock_out", "a pushed configuration is kept without proof")
def push_without_proof(patch: Patch) -> None:
    async def prove(_: Original, _deployment: Any, config: Any, _within_s: float, steps: Any) -> Any:
        patch.hit()
        await steps.apply(config)
        return None, []

    patch.wrap(Deployment, "_prove_trial", prove)


@mutation("boat_gps_jammed_link_down", "no last will is set")
def no_last_will(patch: Patch) -> None:
    def init(original: Original, *args: Any, **kwargs: Any) -> None:
        patch.hit()
        original(*args[:3], None, *args[4:], **kwargs)

    patch.wrap(Connection, "__init__", init)


@mutation("watch_point_panic", "the centre gives a receipt for an alert that it did not store")
def receipt_without_commit(patch: Patch) -> None:
    def keep(original: Original, store: MessageStore, messages: Sequence[Any], *args: Any) -> Any:
        kept = [one for one in messages if one.topic != "alert"]
        patch.effects += len(messages) - len(kept)
        outcomes = iter(original(store, kept, *args))
        return ["new" if one.topic == "alert" else next(outcomes) for one in messages]

    patch.wrap(MessageStore, "keep", keep)


@mutation("clock_wrong_at_boot", "each clock claims to be synchronised")
def clock_always_good(patch: Patch) -> None:
    def state(original: Original, *args: Any) -> dict[str, Any]:
        found = original(*args)
        if found.get("source") != "ntp":
            patch.hit()
        return {"source": "ntp", "error_ms": 20}

    patch.wrap(ClockWatch, "state", state)
