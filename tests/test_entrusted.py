"""A push can name neither another secret of the device, nor another place to send it to."""

from pathlib import Path
from typing import Any

import pytest

from agent.config.loader import parse
from agent.config.model import Config
from agent.config.secret_policy import secret_notes, secret_violations

LOCAL = """\
schema_version: 1
device: bridge-07
kind: watch_point
place: {ring: perimeter, domain: ground, site: bridge, post: north}
broker:
  url: mqtts://broker.example
  fallbacks: ["mqtts://second.example:9883"]
  ca: certs/ca.pem
  cert: certs/device.pem
  key: {file: certs/device.key}
  username: bridge-07
  password: {file: secrets/broker}
sources:
  radio: {kind: mavlink, port: /dev/ttyUSB0, key: {file: secrets/radio}}
  cam1: {kind: camera, url: "rtsp://192.0.2.10/stream1", username: viewer, password: {file: secrets/cam1}, purpose: rescue}
"""
BASE = Path("/etc/ringpost")
ELSEWHERE = "the file at the device does not; edit it there"


def config(text: str) -> Config:
    return parse(text, name="", base=BASE)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("schema_version", "schema_version"),
        ("mqtts://broker.example", "mqtts://broker.example:8883"),
        ('fallbacks: ["mqtts://second.example:9883"]', ""),
        ("url: mqtts://broker.example", "url: mqtts://second.example:9883"),
        ("certs/device.key", "certs/2027/device.key"),
        ("{file: certs/device.key}", "{credential: mqtt-key}"),
        ("certs/device.pem", "certs/2027.pem"),
        ("stream1", "stream2?channel=1"),
        ("username: viewer", "username: guest"),
        ("cam1:", "another-name:"),
        (", key: {file: secrets/radio}", ""),
    ],
)
def test_what_a_technician_pushes_goes_on(was: str, now: str) -> None:
    assert list(secret_violations(config(LOCAL.replace(was, now)), config(LOCAL), BASE)) == []


@pytest.mark.parametrize(
    ("was", "now", "path", "said"),
    [
        (
            "mqtts://broker.example",
            "mqtts://thief.example",
            "broker.password",
            "to mqtts://thief.example:8883 under",
        ),
        ("mqtts://broker.example", "mqtts://broker.example:1883", "broker.password", "broker.example:1883"),
        ("mqtts://second.example:9883", "mqtts://thief.example", "broker.password", "thief.example"),
        ("  ca: certs/ca.pem\n", "", "broker.password", "to mqtts://broker.example:8883: the file"),
        ("{file: secrets/broker}", "{file: secrets/cam1}", "broker.password", ELSEWHERE),
        ("{file: secrets/broker}", "{env: HOME}", "broker.password", ELSEWHERE),
        ("{file: secrets/broker}", "{credential: rescue}", "broker.password", ELSEWHERE),
        ("192.0.2.10", "192.0.2.66", "sources.cam1.password", "to rtsp://192.0.2.66"),
        ("rtsp://", "http://", "sources.cam1.password", "to http://192.0.2.10"),
        ("rtsp://", "rtsps://", "sources.cam1.password", "to rtsps://192.0.2.10"),
        ("192.0.2.10/", "192.0.2.10\\\\.thief/", "sources.cam1.password", ELSEWHERE),
        ("{file: secrets/cam1}", "{file: /etc/shadow}", "sources.cam1.password", ELSEWHERE),
        ("{file: secrets/radio}", "{file: /etc/os-release}", "sources.radio.key", "secret: the file"),
        ("certs/device.key", "/dev/zero", "broker.key", "in the folder of the file at the device"),
        (
            "certs/device.key",
            "certs/../../other.key",
            "broker.key",
            "in the folder of the file at the device",
        ),
    ],
)
def test_a_secret_goes_nowhere_else(was: str, now: str, path: str, said: str) -> None:
    found = list(secret_violations(config(LOCAL.replace(was, now, 1)), config(LOCAL), BASE))
    assert {one for one, _ in found} == {path}
    assert any(said in message for _, message in found)


def test_what_is_bound_is_said_in_one_line() -> None:
    (note,) = secret_notes(config(LOCAL))
    assert note.startswith(
        "broker.password, sources.radio.key, sources.cam1.password: a push can't name another"
    )
    bare = LOCAL.partition("sources:")[0].replace(
        "  username: bridge-07\n  password: {file: secrets/broker}\n", ""
    )
    assert list(secret_notes(config(bare))) == []


def secrets_in(node: Any, path: str = "") -> set[str]:
    """Where a secret may stand, by the JSON Schema."""
    if isinstance(node, dict):
        if node.get("$ref", "").endswith("/Secret"):
            return {path}
        return set().union(*(secrets_in(value, f"{path}/{name}") for name, value in node.items()), set())
    if isinstance(node, list):
        return set().union(*(secrets_in(value, path) for value in node), set())
    return set()


def test_no_secret_is_forgotten() -> None:
    """Who adds one says in `agent.config.secret_policy` where it is sent."""
    found = secrets_in(Config.model_json_schema())
    assert {path.removeprefix("/$defs/").removesuffix("/anyOf").replace("/properties/", ".") for path in found} == {
        "Broker.key", "Broker.password", "Camera.password", "Mavlink.key", "Privacy.rescue_key",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["../../etc/shadow", "/etc/shadow", "..", "."])
def test_a_credential_is_a_name_and_no_path(name: str) -> None:
    from agent.domain.yaml_loader import BadConfig

    with pytest.raises(BadConfig, match="does not fit"):
        config(LOCAL.replace("{file: secrets/broker}", f'{{credential: "{name}"}}'))


@pytest.mark.parametrize("name", ["mqtt-key", ".key", "key of north", "schlüssel+1"])
def test_a_credential_has_whatever_name_systemd_takes(name: str) -> None:
    """What the unit gives today must not end the device after an update."""
    bound = config(LOCAL.replace("{file: secrets/broker}", f'{{credential: "{name}"}}'))
    assert bound.broker.password is not None
    assert bound.broker.password.credential == name
