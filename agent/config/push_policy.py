"""What a push may change, and what it may only tighten: one table over every field, closed to new ones.

A push comes from the network, the file at the device from somebody who stands before it. So a push may not
weaken what keeps people covered, evidence kept and the centre reached, whatever name it gives a camera. What
stands in no row of the table only the file at the device can change.
"""

import ipaddress
import os.path
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel

import models
from agent.config.model import Config
from agent.mqtt.broker import Broker
from agent.vision.camera import Camera
from agent.vision.camera_url import device_of, kind_of
from agent.vision.detector import DetectorSettings
from models.labels import PEOPLE

Tighter: TypeAlias = Callable[[Any, Any], bool]
"""Whether the first value is as strict as the second, or stricter."""
FREE, LOCAL, PARTS = "push may change", "local only", "each part by itself"


def _kept(new: Any, old: Any) -> bool:
    return old is None or new is not None


def _no_less(new: Any, old: Any) -> bool:
    return bool(new >= old)


def _no_more(new: Any, old: Any) -> bool:
    return bool(new <= old)


def _encrypted(new: str, old: str) -> bool:
    return urlsplit(old).scheme != "mqtts" or urlsplit(new).scheme == "mqtts"


def _receipts(new: str, old: str) -> bool:
    return new == "receipt" or old != "receipt"


def _grown(new: Sequence[Any], old: Sequence[Any]) -> bool:
    return all(one in new for one in old)


def _people_kept(new: tuple[str, ...] | None, old: tuple[str, ...] | None) -> bool:
    """None is all that the model knows."""
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
    # Where the centre is reached: a move is proved by the centre's receipt, and never gives up TLS.
    **_free("Broker", "fallbacks keepalive resend_after backlog_per_s budget_kb_per_hour metered protocol"),
    "Broker.url": (_encrypted, "can't go from mqtts:// to mqtt:// by push"),
    "Broker.delivery": (_receipts, "can't give up receipts by push"),
    "Broker.ca": LOCAL,
    "Broker.cert": (_kept, "can't be left out by push"),
    "Broker.key": (_kept, "can't be left out by push"),
    "Broker.username": (_kept, "can't be left out by push"),
    "Broker.password": (_kept, "can't be left out by push"),
    "Broker.insecure": (_no_more, "can't be set by push"),
    # How long pictures are kept: a push wipes nothing, and keeps nothing longer than the file allows.
    **_free("Evidence", "picture_kb fps ring before after"),
    "Evidence.record": LOCAL,
    "Evidence.keep_least": (_no_less, "can only be lengthened by push"),
    "Evidence.keep_most": (_no_less, "can only be lengthened by push"),
    "Evidence.max_mb": (_no_less, "can only be raised by push"),
    "Evidence.least_free_mb": (_no_more, "can only be lowered by push"),
    # What keeps people covered. Zones and all that judges are free; url and password see `_cameras`.
    **_free("Camera", "kind url username password purpose fps motion zones coverage ground mount"),
    **_free("Camera", "loop every_frame open_timeout read_timeout width height pixel_format camera_fps"),
    "Camera.ca": LOCAL,
    "Camera.basic": (_no_more, "can't be set by push"),
    "Camera.rotate": LOCAL,
    "Camera.crop": LOCAL,
    "Camera.blackout": (_grown, "can only be added to by push: leave each polygon as it is"),
    "Camera.detector": PARTS,
    **_free("DetectorSettings", "score tiles overlap providers"),
    "DetectorSettings.model": LOCAL,
    "DetectorSettings.labels": (_people_kept, "can't leave out people by push"),
}  # fmt: skip
EDIT = "edit the file at the device"


def weakened(pushed: Config, now: Config, local: Config) -> Iterator[tuple[str, str]]:
    """(path, what is wrong) of what ``pushed`` weakens of what is in force, or in the local file."""
    for field in Config.model_fields:
        if field == "sources":
            yield from _cameras(pushed, now, local)
            yield from _addresses(pushed, now, local)
        else:
            old, own = [getattr(now, field)], [getattr(local, field)]
            yield from _compare("Config", field, getattr(pushed, field), old, own, field)
    longest = max(local.evidence.keep_most, now.evidence.keep_most, timedelta(0))
    kept = {"keep_least": pushed.evidence.keep_least, "keep_most": pushed.evidence.keep_most}
    for key, kept_for in kept.items():
        if kept_for > longest:
            yield f"evidence.{key}", f"is longer than evidence.keep_most of the local file; {EDIT}"


def _compare(
    part: str, field: str, new: Any, now: Sequence[Any], local: Sequence[Any], path: str
) -> Iterator[tuple[str, str]]:
    """One field against those that are in force, and those of the local file."""
    rule = POLICY.get(f"{part}.{field}", LOCAL)
    if rule == FREE:
        return
    if rule == PARTS:
        for name in type(new).model_fields:
            old, own = [getattr(one, name) for one in now], [getattr(one, name) for one in local]
            yield from _compare(type(new).__name__, name, getattr(new, name), old, own, f"{path}.{name}")
    elif isinstance(rule, tuple):
        tighter, said = rule
        held = [one for one in local if all(tighter(old, one) for old in now)]  # not what is weaker already
        if not all(tighter(new, one) for one in (*now, *held)):
            yield path, f"{said}; {EDIT}"
    elif not any(some and all(new == one for one in some) for some in (now, local)):
        yield path, f"can't be changed by push; {EDIT}"


def _cameras(pushed: Config, now: Config, local: Config) -> Iterator[tuple[str, str]]:
    """Each camera against all that it may show the same of: by its name, its address, or its host.

    Which files may be cameras, `agent.config.secret_policy` says.
    """
    known = [*_of(now).values(), *_of(local).values()]
    places = {_place(camera.url) for camera in known}
    masked = any(camera.blackout or camera.crop for camera in known)
    for name, camera in _of(pushed).items():
        path = f"sources.{name}"
        if masked and kind_of(camera.url) != "file" and _place(camera.url) not in places:
            yield (
                f"{path}.url",
                f"a push can't bring a camera at a new address while others have a blackout or crop; {EDIT}",
            )
        before, own = _same(name, camera, now), _same(name, camera, local)
        if before or own:
            for field in Camera.model_fields:
                olds, owns = [getattr(one, field) for one in before], [getattr(one, field) for one in own]
                yield from _compare("Camera", field, getattr(camera, field), olds, owns, f"{path}.{field}")


def _same(name: str, camera: Camera, there: Config) -> list[Camera]:
    """The cameras of ``there`` that ``camera`` may be, under this or another name."""
    cameras = _of(there)
    own = cameras.get(name)
    if own is not None and own.url == camera.url:
        return [own]
    exact = [one for one in cameras.values() if one.url == camera.url]
    near = exact or [one for one in cameras.values() if _place(one.url) == _place(camera.url)]
    return near if own is None else [own, *near]


def _addresses(pushed: Config, now: Config, local: Config) -> Iterator[tuple[str, str]]:
    """Services of this very machine that only the file at the device may name: they listen for others."""
    known = {place for config in (now, local) for _, place in _services(config)}
    for path, place in _services(pushed):
        if place not in known and _is_near(place[0]):
            yield path, f"a push can't name {place[0]}, a service of this machine; {EDIT}"


def _services(config: Config) -> Iterator[tuple[str, tuple[str, int | None]]]:
    """(path, (host, port)) of what sources connect to, other than the gpsd that is usually here."""
    for name, source in config.sources.items():
        server = source.server()
        if server is not None and not server.usual:
            yield f"sources.{name}.{server.key}", (_host(server.host), server.port)


def _of(config: Config) -> dict[str, Camera]:
    return {name: source for name, source in config.sources.items() if isinstance(source, Camera)}


def _place(url: str) -> str:
    """Where a camera is: its host, written in one way, or its device."""
    kind = kind_of(url)
    if kind == "stream":
        parts = urlsplit(url)
        return _host(parts.hostname or parts.netloc)
    return os.path.realpath(device_of(url) if kind == "device" else url)


def _host(host: str) -> str:
    """A host's name or address, written in one way: 0x7f.1 is 127.0.0.1, and so is ::ffff:127.0.0.1.

    A name with other letters is looked up as IDNA writes it: ⓛocalhost is localhost.
    """
    if not host.isascii():
        with suppress(UnicodeError):
            host = host.encode("idna").decode()
    host = host.lower().rstrip(".")
    if re.fullmatch(r"[0-9a-fx.]+", host):
        with suppress(OSError):
            return socket.inet_ntoa(socket.inet_aton(host))
    with suppress(ValueError):
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return str(mapped or address)
    return host


def _is_near(host: str) -> bool:
    """Whether a host is this machine, or its metadata service."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local or address.is_unspecified


def named_files(config: BaseModel) -> Iterator[Path]:
    """The files that a configuration names."""
    for value in dict(config).values():
        yield from _files(value)


def _files(value: Any) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, DetectorSettings):
        if models.is_path(value.model):
            yield Path(value.model)
    elif isinstance(value, BaseModel):
        yield from named_files(value)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _files(one)


WAYS = {"url", "fallbacks", "ca", "cert", "key", "username", "password", "protocol", "insecure", "delivery"}


def broker_changed(before: Broker, after: Broker) -> bool:
    """Whether the device speaks to another centre, or proves itself in another way: to be proved anew."""
    return before.model_dump(include=WAYS) != after.model_dump(include=WAYS)


def fields(model: type[BaseModel]) -> Iterator[str]:
    """The rows that a model needs in `POLICY`."""
    yield from (f"{model.__name__}.{name}" for name in model.model_fields)
