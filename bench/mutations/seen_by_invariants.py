"""Mutations that only the invariants of the checker see, in `TROUBLES`, or that they see first."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.domain.message import new_id
from agent.mqtt.envelope import Envelope
from agent.outbox.alert_storage import AlertStorage
from agent.pipeline import Pipeline
from agent.positioning.device_position import DevicePosition
from agent.reporting.reporter import Reporter
from bench.mutations.mutation import MUTATIONS, Mutation, Original, Patch, on_alerts, without_phase
from bench.mutations.troubles import TROUBLES_NAME
from simulators.virtual.broker_connection import BrokerConnection


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
    on_alerts(
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
        lambda patch: without_phase(patch, "new"),
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
