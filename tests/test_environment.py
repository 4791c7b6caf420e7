"""`check --env`: whatever is missing, wrong or dead has one line with its place; what works is a fact."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.cli.checks.environment import check_environment
from agent.config.loader import parse
from agent.config.model import Config
from agent.outbox.outbox import Outbox
from tests.scripted_broker import CUT, ScriptedBroker
from tests.waiting import until, until_true

BASE = """\
schema_version: 1
device: d
kind: watch_point
place: {{ring: inner_city, domain: ground, site: s, post: p}}
data: {{directory: "{folder}/data", max_mb: 32}}
evidence: {{record: false}}
broker: {{url: "mqtt://127.0.0.1:{port}"}}
"""


def config(folder: Path, text: str = "", port: int = 9) -> Config:
    return parse(BASE.format(folder=folder, port=port) + text, name="a.yaml", base=folder)


def findings(one: Config) -> list[str]:
    return [found.line for found in check_environment(one) if found.state == "failed"]


@contextmanager
def scripted(broker: ScriptedBroker) -> Iterator[ScriptedBroker]:
    """A broker on a loop in a thread of its own: `check_environment` blocks."""
    up, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with broker:
            up.set()
            await until(done.is_set)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert up.wait(60)
    try:
        yield broker
    finally:
        done.set()
        thread.join()


def test_a_broker_of_3_1_1_alone_is_well_as_it_is_for_the_agent(tmp_path: Path) -> None:
    with scripted(ScriptedBroker(admit=lambda number: 0x84 if number % 2 else 0)) as broker:
        assert findings(config(tmp_path, port=broker.port)) == []
        assert [one.level for one in broker.connects] == [5, 4]


def test_where_all_is_well_there_are_facts_only(tmp_path: Path) -> None:
    with scripted(ScriptedBroker()) as broker:
        found = check_environment(config(tmp_path, port=broker.port))
        until_true(lambda: broker.session_expiries)
    assert [one.line for one in found if one.state == "failed"] == []
    assert "broker.url: connected; centre: never seen" in [one.line.partition("; start")[0] for one in found]
    (said,) = broker.connects
    assert said.will is None
    assert said.client_id != "d"
    assert not said.clean_start  # it may be the agent's session: nothing of it may be lost
    assert broker.session_expiries == [0]  # nothing is left of its own session
    assert broker.subscribed == [
        "ringpost/v1/d/receipt",
        "ringpost/v1/d/alert/ack",
        "ringpost/v1/d/config/desired",
        "ringpost/v1/d/roles/desired",
        "ringpost/v1/d/command/+",
        "ringpost/v1/host/status",
    ]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("broker", "words"),
    [
        (ScriptedBroker(admit=lambda _: 0x87), "refused: not authorized"),
        (ScriptedBroker(admit=lambda _: CUT), "closed"),
        (ScriptedBroker(admit=lambda number: 0x84 if number % 2 else 0x01), "does not support MQTT 5"),
        (ScriptedBroker(grant=lambda topic: 0x87 if "receipt" in topic else 1),
         "not allowed to subscribe to ringpost/v1/d/receipt"),
    ],
    ids=["refused", "hung up", "too old", "acl"],
)  # fmt: skip
def test_a_broker_that_does_not_let_it_in_is_named(
    tmp_path: Path, broker: ScriptedBroker, words: str
) -> None:
    with scripted(broker):
        (line,) = findings(config(tmp_path, port=broker.port))
    assert line.startswith("broker.url: ")
    assert words in line


def test_what_the_broker_says_it_does_not_do_is_named(tmp_path: Path) -> None:
    """No retained messages, no wildcards, no shared subscriptions, sessions of an hour."""
    with scripted(ScriptedBroker(limits={0x25: 0, 0x28: 0, 0x2A: 0, 0x11: 3600})) as broker:
        found = check_environment(config(tmp_path, port=broker.port))
    said = [(one.state, one.line.partition(";")[0]) for one in found if "the broker has no" in one.line]
    assert said == [
        ("failed", "broker.url: the broker has no retained messages"),
        ("warning", "broker.url: the broker has no subscriptions with wildcards"),
        ("warning", "broker.url: the broker has no sessions of more than 3600 s"),
    ]


def test_each_fallback_is_tried(tmp_path: Path) -> None:
    with scripted(ScriptedBroker()) as broker:
        text = BASE.format(folder=tmp_path, port=broker.port)
        text = text.replace(f'{broker.port}"}}', f'{broker.port}", fallbacks: ["mqtt://127.0.0.1:9"]}}')
        (line,) = findings(parse(text, name="a.yaml", base=tmp_path))
    assert line.startswith("broker.fallbacks[0]: 127.0.0.1:9 refused: no broker listens there; start")


PORT = "sources.g.port: "
WRONG: dict[str, tuple[str, str]] = {
    "no port": ("{kind: nmea, port: /dev/nope}", PORT + "/dev/nope not found: unplugged or renamed"),
    "a folder": ("{kind: nmea, port: /tmp}", PORT + "/tmp is not a serial port"),
    "a file": ("{kind: nmea, port: FOLDER/file}", PORT + "FOLDER/file is not a serial port"),
    "no end of zeros": ("{kind: nmea, port: /dev/zero}", PORT + "/dev/zero is not a serial port"),
    "a server": (
        "{kind: ais, port: 'tcp://127.0.0.1:9'}",
        "sources.g: 127.0.0.1:9 does not answer: Connection refused",
    ),
    "gpsd": ("{kind: gpsd, port: 9}", "sources.g: localhost:9 does not answer: Connection refused"),
    "a dead camera": (
        "{kind: camera, url: 'rtsp://127.0.0.1:9/x', purpose: a test}",
        "sources.g: rtsp://127.0.0.1:9/x: connection refused: nothing listens on port 9",
    ),
    "a camera's password": (
        "{kind: camera, url: 'rtsp://127.0.0.1:9/x', purpose: a test, username: u, password: {file: nope}}",
        "sources.g.password: FOLDER/nope: No such file or directory",
    ),
    "an empty password": (
        "{kind: camera, url: 'rtsp://127.0.0.1:9/x', purpose: a test, username: u, password: {file: file}}",
        "sources.g.password: is empty",
    ),
    "an environment variable": (
        "{kind: camera, url: 'rtsp://127.0.0.1:9/x', purpose: a test, username: u, password: {env: NOPE}}",
        "sources.g.password: environment variable 'NOPE' is not set",
    ),
    "no V4L2 camera": ("{kind: camera, url: 63, purpose: a test}", "sources.g: /dev/video63"),
    "no video": (
        "{kind: camera, url: file, purpose: a test}",
        "sources.g: FOLDER/file: not a readable video",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_missing_or_dead_is_named(case: str, tmp_path: Path) -> None:
    if "camera" in WRONG[case][0]:
        pytest.importorskip("cv2", reason="needs the extra vision: pip install -e .[vision]")
    (tmp_path / "file").touch()
    source, words = (text.replace("FOLDER", str(tmp_path)) for text in WRONG[case])
    with scripted(ScriptedBroker()) as broker:
        found = findings(config(tmp_path, f"sources: {{g: {source}}}\n", broker.port))
    assert any(line.startswith(words) for line in found), found
    assert all(len(line.splitlines()) == 1 for line in found)


def test_a_camera_is_opened_and_its_size_said(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs the extra vision: pip install -e .[vision]")
    video = Path(__file__).resolve().parents[1] / "bench" / "clip_1080p.mp4"
    source = f"{{kind: camera, url: '{video}', purpose: a test}}"
    with scripted(ScriptedBroker()) as broker:
        found = check_environment(config(tmp_path, f"sources: {{cam1: {source}}}\n", broker.port))
    assert [one.line for one in found if one.state == "failed"] == []
    assert any(one.line.startswith("sources.cam1: delivers frames of 1920x1080") for one in found)


def test_weights_that_are_not_those_of_the_card_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import models

    card = models.find("default")
    (tmp_path / "other.onnx").write_bytes(b"x")
    for weights, words in (
        (tmp_path / "other.onnx", "differs from that in its card"),
        (tmp_path / "nope.onnx", "No such file or directory"),
    ):
        changed = card.model_copy(update={"weights": weights})
        monkeypatch.setattr("agent.vision.detector.DetectorSettings.card", lambda _self, one=changed: one)
        source = "{kind: camera, url: 'rtsp://127.0.0.1:9/x', purpose: a test}"
        found = findings(config(tmp_path, f"sources: {{cam1: {source}}}\n"))
        assert any(line.startswith("sources.cam1.detector.model: ") and words in line for line in found)


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    expected = f"data.directory: can't write to {tmp_path}: Read-only file system; sudo mount -o remount,rw"
    assert any(line.startswith(expected) for line in findings(config(tmp_path)))


def test_the_rescue_key_is_read(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("short")
    found = findings(config(tmp_path, "privacy: {rescue_key: {file: key}}\n"))
    assert any(
        line.startswith("privacy.rescue_key: shorter than 32 characters, so it is ig") for line in found
    )


def test_a_listener_that_speaks_no_mqtt_is_named(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            taken, _ = server.accept()
            taken.recv(100)
            taken.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            taken.close()

        threading.Thread(target=serve, daemon=True).start()
        (line,) = findings(config(tmp_path, port=port))
    assert line.startswith(f"broker.url: 127.0.0.1:{port}")


def test_a_running_agent_is_noticed(tmp_path: Path) -> None:
    outbox = Outbox.open(tmp_path / "data")
    try:
        texts = [one.line for one in check_environment(config(tmp_path)) if one.is_fact]
    finally:
        outbox.close()
    assert any(text.startswith("the agent is running: ") and str(os.getpid()) in text for text in texts)
    assert not any("the agent is running" in one.line for one in check_environment(config(tmp_path)))
