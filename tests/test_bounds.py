"""Each duration that a configuration may hold has bounds, so that no slip of the pen stops what it times."""

from datetime import timedelta
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from agent.config.loader import parse
from agent.config.model import Config, Reporting
from agent.domain.durations import parse_duration
from agent.mqtt.broker import Broker
from agent.vision.camera import Camera
from tests.pushed_configurations import BASE, LOCAL_FILE
from tests.test_regular import models_in

NOT_ZERO = [
    (Broker, "keepalive"), (Broker, "resend_after"), (Reporting, "telemetry_every"),
    (Reporting, "position_every"), (Reporting, "health_every"), (Reporting, "alert_budget"),
    (Camera, "open_timeout"), (Camera, "read_timeout"),
]  # fmt: skip


def takes_duration(kind: Any) -> bool:
    return kind is timedelta or any(map(takes_duration, get_args(kind)))


def durations() -> list[tuple[type[BaseModel], str]]:
    seen: set[type[BaseModel]] = set()
    models_in(Config, seen)
    return [
        (model, name)
        for model in sorted(seen, key=lambda one: one.__name__)
        for name, field in model.model_fields.items()
        if takes_duration(field.annotation)
    ]


def refused(model: type[BaseModel], name: str, value: str) -> list[str]:
    """What is said of the value at this field."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate({name: value})
    return [error["msg"] for error in caught.value.errors() if error["loc"][:1] == (name,)]


@pytest.mark.parametrize(("model", "name"), durations(), ids=lambda one: getattr(one, "__name__", one))
def test_none_is_longer_than_a_year(model: type[BaseModel], name: str) -> None:
    assert refused(model, name, "400d") != []


@pytest.mark.parametrize(("model", "name"), NOT_ZERO, ids=lambda one: getattr(one, "__name__", one))
def test_what_would_run_without_a_pause_is_not_zero(model: type[BaseModel], name: str) -> None:
    (said,) = refused(model, name, "0s")
    assert "greater than or equal to" in said


def test_what_sets_a_pace_is_among_them() -> None:
    named = {(model.__name__, name) for model, name in durations()}
    assert {(model.__name__, name) for model, name in NOT_ZERO} <= named
    paced = {(model, name) for model, name in named if name.endswith(("_every", "_timeout", "keepalive"))}
    assert paced - {(model.__name__, name) for model, name in NOT_ZERO} == {("Reporting", "readings_every")}


@pytest.mark.parametrize("keepalive", ["24h", "4s", "0s"])
def test_the_keep_alive_fits_into_its_packet(keepalive: str) -> None:
    assert refused(Broker, "keepalive", keepalive) != []


@pytest.mark.parametrize(
    "name", ["host", "groups", "technician", "centre", "ringpost-centre", "ringpost-desk", "bridge-elsewhere"]
)
def test_names_under_which_others_connect_are_no_device_names(name: str) -> None:
    with pytest.raises(ValueError, match="is reserved"):
        parse(LOCAL_FILE.replace("bridge-07", name), name="", base=BASE)


def test_a_year_is_the_most() -> None:
    assert parse_duration("366d") == timedelta(days=366)
    with pytest.raises(ValueError, match="is too long; the maximum is 366d"):
        parse_duration("367d")
