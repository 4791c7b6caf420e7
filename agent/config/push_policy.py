"""What a push may change, and what it may only tighten: one table over every field.

A push comes from the network, the local file from a person at the device. So a push may not weaken redaction,
the retention of evidence or the connection to the centre, whatever name it gives a camera. A field without a
row in the table can only be changed in the local file.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel

from agent.config.addresses import camera_address, is_this_machine, same_cameras, services
from agent.config.model import Config
from agent.mqtt.broker import Broker
from agent.vision.camera import Camera
from agent.vision.camera_url import source_kind
from models.labels import PEOPLE

Tighter: TypeAlias = Callable[[Any, Any], bool]
"""Whether the first value is as strict as the second, or stricter."""
FREE, LOCAL, PARTS = "push may change", "local only", "each part by itself"


def _not_removed(new: Any, old: Any) -> bool:
    return old is None or new is not None


def _at_least(new: Any, old: Any) -> bool:
    return bool(new >= old)


def _at_most(new: Any, old: Any) -> bool:
    return bool(new <= old)


def _encrypted(new: str, old: str) -> bool:
    return urlsplit(old).scheme != "mqtts" or urlsplit(new).scheme == "mqtts"


def _receipts(new: str, old: str) -> bool:
    return new == "receipt" or old != "receipt"


def _only_added(new: Sequence[Any], old: Sequence[Any]) -> bool:
    return all(item in new for item in old)


def _people_kept(new: tuple[str, ...] | None, old: tuple[str, ...] | None) -> bool:
    """None means all labels that the model knows."""
    if new is None:
        return True
    return old is not None and PEOPLE.intersection(old) <= set(new)


def _free(part: str, fields: str) -> dict[str, str | tuple[Tighter, str]]:
    return {f"{part}.{field}": FREE for field in fields.split()}


POLICY: dict[str, str | tuple[Tighter, str]] = {
    **_free("Config", "schema_version kind place duty holidays reporting positioning rules"),
    "Config.device": LOCAL,
    "Config.broker": PARTS,
    "Config.data": PARTS,
    "Data.directory": LOCAL,
    "Data.max_mb": LOCAL,
    "Data.video_folder": LOCAL,
    "Config.evidence": PARTS,
    "Config.privacy": LOCAL,
    "Config.sources": PARTS,
    "Config.drill": PARTS,
    **_free("DrillSettings", "every at within"),
    "DrillSettings.clip": LOCAL,
    # The connection to the centre: a change is proved by the centre's receipt, and never gives up TLS.
    **_free("Broker", "fallbacks keepalive resend_after backlog_per_s budget_kb_per_hour metered protocol"),
    "Broker.url": (_encrypted, "can't go from mqtts:// to mqtt:// by push"),
    "Broker.delivery": (_receipts, "can't give up receipts by push"),
    "Broker.ca": LOCAL,
    "Broker.cert": (_not_removed, "can't be left out by push"),
    "Broker.key": (_not_removed, "can't be left out by push"),
    "Broker.username": (_not_removed, "can't be left out by push"),
    "Broker.password": (_not_removed, "can't be left out by push"),
    "Broker.insecure": (_at_most, "can't be set by push"),
    # Retention of pictures: a push deletes nothing, and keeps nothing longer than the local file allows.
    **_free("Evidence", "picture_kb fps ring before after"),
    "Evidence.record": LOCAL,
    "Evidence.keep_least": (_at_least, "can only be lengthened by push"),
    "Evidence.keep_most": (_at_least, "can only be lengthened by push"),
    "Evidence.max_mb": (_at_least, "can only be raised by push"),
    "Evidence.least_free_mb": (_at_most, "can only be lowered by push"),
    # Redaction. Zones and detection settings are free; for url and password see `_camera_violations`.
    **_free("Camera", "kind url username password purpose fps motion zones coverage ground mount"),
    **_free("Camera", "loop every_frame open_timeout read_timeout width height pixel_format camera_fps"),
    "Camera.ca": LOCAL,
    "Camera.basic": (_at_most, "can't be set by push"),
    "Camera.rotate": LOCAL,
    "Camera.crop": LOCAL,
    "Camera.blackout": (_only_added, "can only be added to by push: leave each polygon as it is"),
    "Camera.detector": PARTS,
    **_free("DetectorSettings", "score tiles overlap providers"),
    "DetectorSettings.model": LOCAL,
    "DetectorSettings.labels": (_people_kept, "can't leave out people by push"),
}  # fmt: skip
EDIT = "edit the file at the device"


def policy_violations(pushed: Config, running: Config, local: Config) -> Iterator[tuple[str, str]]:
    """(path, error) of each field that is weaker in ``pushed`` than in force, or than in the local file."""
    for field in Config.model_fields:
        if field == "sources":
            yield from _camera_violations(pushed, running, local)
            yield from _address_violations(pushed, running, local)
        else:
            old, own = [getattr(running, field)], [getattr(local, field)]
            yield from _compare("Config", field, getattr(pushed, field), old, own, field)
    longest = max(local.evidence.keep_most, running.evidence.keep_most, timedelta(0))
    kept = {"keep_least": pushed.evidence.keep_least, "keep_most": pushed.evidence.keep_most}
    for key, kept_for in kept.items():
        if kept_for > longest:
            yield f"evidence.{key}", f"is longer than evidence.keep_most of the local file; {EDIT}"


def _compare(
    model: str, field: str, new: Any, running: Sequence[Any], local: Sequence[Any], path: str
) -> Iterator[tuple[str, str]]:
    """One field against its values in force, and its values in the local file."""
    rule = POLICY.get(f"{model}.{field}", LOCAL)
    if rule == FREE:
        return
    if rule == PARTS:
        for name in type(new).model_fields:
            old, own = [getattr(part, name) for part in running], [getattr(part, name) for part in local]
            yield from _compare(type(new).__name__, name, getattr(new, name), old, own, f"{path}.{name}")
    elif isinstance(rule, tuple):
        tighter, message = rule
        # Values of the local file count only where the configuration in force is not weaker already.
        kept = [own for own in local if all(tighter(old, own) for old in running)]
        if not all(tighter(new, old) for old in (*running, *kept)):
            yield path, f"{message}; {EDIT}"
    elif not any(values and all(new == value for value in values) for values in (running, local)):
        yield path, f"can't be changed by push; {EDIT}"


def _camera_violations(pushed: Config, running: Config, local: Config) -> Iterator[tuple[str, str]]:
    """Each camera against all known ones that may show the same view: same name, same url or same host.

    `agent.config.secret_policy` decides which files may be cameras.
    """
    known = [*running.cameras().values(), *local.cameras().values()]
    addresses = {camera_address(camera.url) for camera in known}
    masked = any(camera.blackout or camera.crop for camera in known)
    for name, camera in pushed.cameras().items():
        path = f"sources.{name}"
        if masked and source_kind(camera.url) != "file" and camera_address(camera.url) not in addresses:
            yield (
                f"{path}.url",
                f"a push can't bring a camera at a new address while others have a blackout or crop; {EDIT}",
            )
        before, own = same_cameras(name, camera, running), same_cameras(name, camera, local)
        if before or own:
            for field in Camera.model_fields:
                olds, owns = [getattr(old, field) for old in before], [getattr(old, field) for old in own]
                yield from _compare("Camera", field, getattr(camera, field), olds, owns, f"{path}.{field}")


def _address_violations(pushed: Config, running: Config, local: Config) -> Iterator[tuple[str, str]]:
    """New services on this machine itself: only the local file may name them."""
    known = {address for config in (running, local) for _, address in services(config)}
    for path, (host, port) in services(pushed):
        if (host, port) not in known and is_this_machine(host):
            yield path, f"a push can't name {host}, a service of this machine; {EDIT}"


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


def policy_rows(model: type[BaseModel]) -> Iterator[str]:
    """The rows of `POLICY` for a model."""
    yield from (f"{model.__name__}.{name}" for name in model.model_fields)
