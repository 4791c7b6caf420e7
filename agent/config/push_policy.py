"""What no push can do, whatever its signatures: the limits that the file at the device sets.

A push comes from the network, the local file from a person at the device. `agent.config.policy_table` has the
rows; `agent.config.push_changes` finds which signatures the other changes need.
"""

from collections.abc import Iterator
from datetime import timedelta

from agent.config.address_limits import EDIT, address_violations
from agent.config.addresses import same_cameras
from agent.config.model import Config
from agent.config.policy_table import Field, fields
from agent.mqtt.broker import Broker


def policy_violations(pushed: Config, running: Config, local: Config) -> Iterator[tuple[str, str]]:
    """(path, error) of each field beyond the limits: of ``local``, and of ``running``, which is in force."""
    for field in fields(pushed, [running], [local], ""):
        yield from _violations(field)
    for name, camera in pushed.cameras().items():
        before, own = same_cameras(name, camera, running), same_cameras(name, camera, local)
        if before or own:
            for field in fields(camera, before, own, f"sources.{name}"):
                yield from _violations(field)
    yield from address_violations(pushed, running, local)
    longest = max(local.evidence.keep_most, running.evidence.keep_most, timedelta(0))
    kept = {"keep_least": pushed.evidence.keep_least, "keep_most": pushed.evidence.keep_most}
    for key, kept_for in kept.items():
        if kept_for > longest:
            yield f"evidence.{key}", f"is longer than evidence.keep_most of the local file; {EDIT}"


def _violations(field: Field) -> Iterator[tuple[str, str]]:
    if field.row.limit is not None:
        if not field.is_tighter(field.row.limit):
            yield field.path, f"{field.row.message}; {EDIT}"
    elif field.row.guard == "local":
        known = (field.running, field.local)
        if not any(values and all(field.new == value for value in values) for values in known):
            yield field.path, f"can't be changed by push; {EDIT}"


CONNECTION_FIELDS = {
    "url",
    "fallbacks",
    "ca",
    "cert",
    "key",
    "username",
    "password",
    "protocol",
    "insecure",
    "delivery",
}


def broker_changed(before: Broker, after: Broker) -> bool:
    """Whether the device connects to another broker, or in another way: then a trial has to prove it."""
    return before.model_dump(include=CONNECTION_FIELDS) != after.model_dump(include=CONNECTION_FIELDS)
