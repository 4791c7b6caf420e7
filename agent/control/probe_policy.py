"""What may be probed: what a push may name, by the same functions, decided before anything is looked at.

So a probe is no scanner: what is not allowed gets the same answer whether something is there or not.
"""

import os.path
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.commands.requests import Probe
from agent.config.addresses import named_files, same_cameras, service
from agent.config.hosts import is_this_machine, normalized_host
from agent.config.model import Config
from agent.config.push_changes import changes
from agent.config.push_policy import policy_violations
from agent.config.secret_policy import secret_violations
from agent.control.probe_request import ProbeRequest
from agent.domain.yaml_loader import alternatives
from agent.mqtt.broker import Broker
from agent.trust.changes import Change
from agent.vision.camera import Camera
from agent.vision.detector import DetectorSettings
from firmware_bridge.catalogue import kinds
from firmware_bridge.source import SourcePart

NAME = "probed-now"
"""The name of the probed source in the configuration that the policy judges."""


@dataclass(frozen=True, slots=True)
class Target:
    """An allowed target. ``in_force``: the part of the running configuration that it is already.

    ``camera``: the name under which its picture is redacted. ``shows_new``: the picture may show what no
    camera in force shows, so it takes a privacy officer. ``changes``: those of a push of it, where the probe
    takes the same signatures: an HTTP request may switch something at the camera, with its login.
    """

    request: ProbeRequest
    in_force: str | None = None
    camera: str = NAME
    shows_new: bool = False
    changes: tuple[Change, ...] = ()


def find_target(wanted: Probe, running: Config, local: Config, base: Path) -> Target:
    """The target of a probe. ValueError: it is not allowed, or malformed. Blocking."""
    try:
        if wanted.camera_url is not None:
            return _camera(wanted.camera_url, wanted.credentials, running, local, base)
        if wanted.port is not None:
            return _port(wanted.port, running, local, base)
        if wanted.broker is not None:
            return _broker(wanted.broker, running, local, base)
        return _model(str(wanted.model), running, local, base)
    except ValidationError as error:
        raise ValueError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from None


def _refuse(pushed: Config, running: Config, local: Config, base: Path, part: str) -> None:
    """ValueError where the file at the device lets no push name this."""
    found = (*secret_violations(pushed, local, base), *policy_violations(pushed, running, local))
    for path, message in found:
        if path.startswith(part):
            raise ValueError(f"not allowed: {message}")


def _with_source(config: Config, source: SourcePart) -> Config:
    return config.model_copy(update={"sources": {**config.sources, NAME: source}})


def _context(base: Path, running: Config, local: Config) -> dict[str, Any]:
    return {"base": base, "only": frozenset((*named_files(running), *named_files(local)))}


def _camera(url: str, credentials: str | None, running: Config, local: Config, base: Path) -> Target:
    context = _context(base, running, local)
    bare = Camera.model_validate({"kind": "camera", "url": url, "purpose": "a probe"}, context=context)
    for name, camera in running.cameras().items():
        if camera.url == bare.url:
            return Target(ProbeRequest(camera=camera), in_force=name, camera=name)
    similar = [*same_cameras(NAME, bare, running), *same_cameras(NAME, bare, local)]
    camera = _masked(bare, similar)
    if credentials is not None:
        cameras = local.cameras()
        if credentials not in cameras:
            raise ValueError(f"no camera {credentials!r} in the file; {alternatives(credentials, cameras)}")
        owner = cameras[credentials]
        login = {"username": owner.username, "password": owner.password, "basic": owner.basic, "ca": owner.ca}
        camera = camera.model_copy(update=login)
    pushed = _with_source(running, camera)
    _refuse(pushed, running, local, base, f"sources.{NAME}")
    found = tuple(change for change in changes(pushed, running, local) if NAME in change.path)
    requests = camera.url.lower().startswith("http")
    return Target(
        ProbeRequest(camera=camera, this_machine=_may_be_here(camera, running, local)),
        camera=next((name for name, one in local.cameras().items() if one in similar), NAME),
        shows_new=any(change.guard == "picture" for change in found),
        changes=found if requests else (),
    )


def _masked(camera: Camera, similar: list[Camera]) -> Camera:
    """The camera with the masks, the orientation and, at the same address, the login of similar ones."""
    if not similar:
        return camera
    first = similar[0]
    blackout = [zone for one in similar for zone in one.blackout]
    kept: dict[str, Any] = {
        "rotate": first.rotate, "crop": first.crop, "detector": first.detector,
        "blackout": [zone for number, zone in enumerate(blackout) if zone not in blackout[:number]],
    }  # fmt: skip
    login = camera.model_copy(
        update={"username": first.username, "password": first.password, "basic": first.basic, "ca": first.ca}
    )
    if login.secret_origin() == first.secret_origin():
        camera = login
    return camera.model_copy(update=kept)


def _may_be_here(source: SourcePart, running: Config, local: Config) -> bool:
    """Whether the file at the device, or the configuration in force, names this service of this machine."""
    wanted = service(source)
    known = (service(other) for config in (running, local) for other in config.sources.values())
    return wanted is None or wanted in known


def _port(port: str, running: Config, local: Config, base: Path) -> Target:
    line = kinds()["nmea"].model_validate({"kind": "nmea", "port": port})
    for name, source in running.sources.items():
        address = source.serial_port()
        if address is not None and _same_port(address.address, port):
            return Target(ProbeRequest(port=port), in_force=name)
    _refuse(_with_source(running, line), running, local, base, f"sources.{NAME}")
    return Target(ProbeRequest(port=port, this_machine=_may_be_here(line, running, local)))


def _same_port(one: str, other: str) -> bool:
    if "://" in one or "://" in other:
        return one == other
    return os.path.realpath(one) == os.path.realpath(other)


def _broker(url: str, running: Config, local: Config, base: Path) -> Target:
    present = running.broker
    fields = present.model_dump(exclude_unset=True) | {"url": url, "fallbacks": ()}
    if Broker.model_validate({"url": url, "insecure": True}).encrypted != present.encrypted:
        fields |= {"ca": None, "cert": None, "key": None}
    broker = Broker.model_validate(fields)
    known = {normalized(one) for config in (running, local) for one in config.broker.in_order}
    secret = present.password is not None and broker.origin not in {
        one.origin for one in local.broker.in_order
    }
    if secret:  # its password is for the brokers of the file
        broker = broker.model_copy(update={"username": None, "password": None})
    here = normalized(broker) in known
    if is_this_machine(normalized(broker)[0]) and not here:
        raise ValueError(f"not allowed: {broker.address[0]} is this machine")
    pushed = running.model_copy(update={"broker": broker})
    found = (*secret_violations(pushed, local, base), *policy_violations(pushed, running, local))
    for path, message in found:
        if path.startswith("broker") and not (secret and path in ("broker.username", "broker.password")):
            raise ValueError(f"not allowed: {message}")
    in_force = normalized(broker) in {normalized(one) for one in present.in_order}
    return Target(
        ProbeRequest(
            broker=broker, device=running.device, this_machine=here, log_in=not in_force and not secret
        ),
        in_force="link" if in_force else None,
    )


def normalized(broker: Broker) -> tuple[str, int]:
    """The address of a broker, to be compared."""
    host, port = broker.address
    return normalized_host(host), port


def _model(name: str, running: Config, local: Config, base: Path) -> Target:
    settings = DetectorSettings.model_validate({"model": name}, context=_context(base, running, local))
    return Target(ProbeRequest(model=settings))
