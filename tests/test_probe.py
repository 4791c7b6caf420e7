"""``probe``: cameras, ports, brokers and models as they are; what is not allowed is told alike, and not tried."""

import asyncio
import base64
import shutil
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from agent.commands.requests import Probe
from agent.config.loader import parse
from agent.config.model import Config
from agent.control import probe as module
from agent.control.probe import Probes
from agent.control.probe_policy import NAME, Target, find_target
from agent.control.probe_port import probe_port
from agent.control.probe_request import ProbeRequest
from agent.control.turn_limit import TurnLimit
from agent.evidence.jpeg import decode_jpeg
from agent.mqtt.broker import Broker
from agent.runtime.child_process import run_child
from agent.trust.changes import Change
from agent.trust.refusal import OrderRefused
from agent.vision.camera import Camera
from agent.vision.detector import DetectorSettings
from firmware_bridge.serial.port import use_ports
from simulators.broker import LocalBroker, mosquitto_path
from simulators.devices import Receiver
from simulators.scene import Scene, stream
from simulators.virtual.loop import VirtualLoop
from simulators.virtual.ports import VirtualLine, VirtualPorts
from simulators.wire import Wire
from tests.end_to_end.rig import BROKER
from tests.test_camera_sources import free_port
from tests.test_evidence import Desk
from tests.test_tls import certificate, mosquitto

slow = pytest.mark.slow  # each starts an interpreter
PROCESS = "agent.control.probe_process"
FILE = """\
schema_version: 1
device: d1
kind: checkpoint_camera
place: {{ring: perimeter, domain: ground, site: rig, post: north}}
broker: {{url: "{broker}", insecure: true}}
{more}
sources:
  cam1: {{kind: camera, url: "rtsp://10.0.0.8/1", purpose: a test, blackout: [[[0, 0], [0.5, 0], [0.5, 0.5]]],
    username: viewer, password: {{env: CAMERA_PASSWORD}}, basic: true}}
  gnss: {{kind: nmea, port: /dev/ttyGNSS}}
{sources}
"""


def config(
    broker: str = "mqtt://10.0.0.1", more: str = "", sources: str = "", base: Path = Path("/etc/r")
) -> Config:
    return parse(FILE.format(broker=broker, more=more, sources=sources), name="test", base=base)


def found(fields: Mapping[str, Any], running: Config, local: Config | None = None) -> Target:
    return find_target(Probe(id="p-1", **fields), running, local or running, Path("/etc/r"))


@pytest.mark.parametrize(
    ("fields", "more", "error"),
    [
        ({"camera_url": "concat:file:///etc/shadow"}, "", "'concat' is not a supported camera URL"),
        ({"camera_url": "subfile,,start,0,end,9,,:/etc/passwd"}, "", "is not a supported camera URL"),
        ({"camera_url": "ftp://10.0.0.9/x"}, "", "'ftp' is not a supported camera URL"),
        ({"camera_url": "/etc/passwd"}, "", "not allowed: a push can name a file as camera only"),
        ({"camera_url": "http://127.0.0.1:22/"}, "", "not allowed: .* this machine"),
        ({"camera_url": "http://0x7f.1:80/"}, "", "not allowed: .* this machine"),
        ({"camera_url": "http://169.254.169.254/latest"}, "", "not allowed: .* this machine"),
        ({"camera_url": "rtsp://u:p@10.0.0.8/2"}, "", "url carries a user or password"),
        ({"camera_url": "rtsp://10.9.9.9/1"}, "allow: {hosts: [10.0.0.0/24]}", "not in allow.hosts"),
        (
            {"camera_url": "rtsp://10.0.0.9:22/"},
            "allow: {network_ports: [554]}",
            "not in allow.network_ports",
        ),
        (
            {"camera_url": "rtsp://10.0.0.9/1", "credentials": "cam1"},
            "",
            "can't give this secret to rtsp://10.0.0.9",
        ),
        ({"camera_url": "rtsp://10.0.0.9/1", "credentials": "gnss"}, "", "no camera 'gnss' in the file"),
        ({"port": "/etc/passwd"}, "", "not allowed: a push can name serial ports below /dev only"),
        ({"port": "/dev/../etc/passwd"}, "", "not allowed: a push can name serial ports below /dev only"),
        ({"port": "/dev/ptmx"}, "", "not allowed: .*/dev/ptmx is not a serial port"),
        ({"port": "/dev/null"}, "", "not allowed: .*/dev/null is not a serial port"),
        ({"port": "/dev/ttyUSB7"}, "allow: {serial_ports: [/dev/ttyS*]}", "not in allow.serial_ports"),
        ({"port": "tcp://127.0.0.1:22"}, "", "not allowed: .* this machine"),
        ({"port": "tcp://10.9.9.9:22"}, "allow: {hosts: [10.0.0.0/24]}", "not in allow.hosts"),
        ({"port": "ssh://10.9.9.9:22"}, "", "neither a device path"),
        ({"broker": "mqtt://127.0.0.1:22"}, "", "not allowed: 127.0.0.1 is this machine"),
        ({"broker": "http://10.0.0.1"}, "", "is not a valid broker URL"),
        ({"broker": "mqtt://10.9.9.9"}, "allow: {hosts: [10.0.0.0/24]}", "not in allow.hosts"),
        ({"model": "/etc/passwd.yaml"}, "", "."),
    ],
)
def test_what_is_not_allowed(fields: dict[str, str], more: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        found(fields, config(more=more))


def test_an_open_and_a_closed_port_are_refused_alike() -> None:
    """The refusal comes before any look: it is the same text but for the number."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        opened = server.getsockname()[1]
        closed = opened + 1 if opened < 65535 else opened - 1
        for form in ("http://127.0.0.1:{}/", "tcp://127.0.0.1:{}", "mqtt://127.0.0.1:{}"):
            key = {"http": "camera_url", "tcp": "port", "mqtt": "broker"}[form.partition(":")[0]]
            said = []
            for number in (opened, closed):
                with pytest.raises(ValueError, match="not allowed") as refused:
                    found({key: form.format(number)}, config())
                said.append(str(refused.value).replace(str(number), "N"))
            assert said[0] == said[1]
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    ("fields", "in_force"),
    [
        ({"camera_url": "rtsp://10.0.0.8/1"}, "cam1"),
        ({"port": "/dev/ttyGNSS"}, "gnss"),
        ({"broker": "mqtt://10.0.0.1:1883"}, "link"),
        ({"broker": "mqtt://10.0.0.2"}, None),
        ({"port": "/dev/ttyUSB9"}, None),
        ({"port": "tcp://10.0.0.5:4001"}, None),
        ({"model": "default"}, None),
    ],
)
def test_what_is_in_force_already_is_recognised(fields: dict[str, str], in_force: str | None) -> None:
    target = found(fields, config())
    assert target.in_force == in_force
    if target.request.broker is not None:
        assert target.request.log_in == (in_force is None)


def test_another_stream_of_a_known_camera_keeps_its_masks_and_its_login() -> None:
    target = found({"camera_url": "rtsp://10.0.0.8/2"}, config())
    camera = target.request.camera
    assert camera is not None
    assert (camera.blackout, camera.username) == ([[(0, 0), (0.5, 0), (0.5, 0.5)]], "viewer")
    assert (target.camera, target.shows_new) == ("cam1", True)  # it may be a channel of a recorder
    other = found({"camera_url": "http://10.0.0.8:8080/2"}, config()).request.camera
    assert other is not None
    assert (other.blackout, other.username) == (camera.blackout, None)


def test_a_camera_at_a_new_address_shows_what_none_in_force_shows() -> None:
    target = found({"camera_url": "rtsp://10.0.0.77/1"}, config())
    assert (target.camera, target.shows_new) == (NAME, True)


def test_the_login_of_a_broker_stays_with_the_brokers_of_the_file() -> None:
    running = config().model_copy(
        update={"broker": Broker.model_validate(
            {"url": "mqtt://10.0.0.1", "insecure": True, "username": "d1", "password": {"env": "BROKER"}}
        )}
    )  # fmt: skip
    target = found({"broker": "mqtt://10.0.0.2"}, running)
    assert target.request.broker is not None
    assert (target.request.broker.password, target.request.log_in) == (None, False)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"port": "/dev/x", "model": "default"},
        {"port": "/dev/x", "credentials": "cam1"},
        {"id": "a/b", "port": "x"},
    ],
)
def test_a_malformed_command_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Probe.model_validate({"id": "1"} | fields)


def test_a_request_survives_its_way_to_the_process(tmp_path: Path) -> None:
    camera = found({"camera_url": "rtsp://10.0.0.8/2"}, config()).request.camera
    request = ProbeRequest(camera=camera, broker=config().broker, model=DetectorSettings(), device="d1")
    assert ProbeRequest.model_validate_json(request.dump()) == request


async def looked(request: ProbeRequest, within_s: float = 300) -> tuple[dict[str, Any], str | None]:
    """What the process answers, and why it failed; in more time than on a device: the machine is busy."""
    request = request.model_copy(update={"within_s": 300.0})
    return await run_child(PROCESS, request.dump(), within_s)


def probed(request: ProbeRequest, within_s: float = 300) -> dict[str, Any]:
    fields, failure = asyncio.run(looked(request, within_s))
    return fields | ({"failure": failure} if failure else {})


def camera_at(url: str, **fields: Any) -> Camera:
    return Camera.model_validate({"kind": "camera", "url": url, "purpose": "a test"} | fields)


@slow
def test_a_camera_is_measured_and_gives_a_masked_frame() -> None:
    async def scene() -> dict[str, Any]:
        async with stream(Scene(comes_s=0.0), fps=10) as server:
            camera = camera_at(server.url, blackout=[[[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]])
            fields, failure = await looked(ProbeRequest(camera=camera, this_machine=True))
            assert failure is None
            return fields

    fields = asyncio.run(scene())
    assert "error" not in fields
    assert (fields["width"], fields["height"], fields["codec"]) == (640, 360, "MJPG")
    assert 3 < fields["fps"] < 30  # of 10; a busy machine gets several at once
    assert fields["brightness"] > 20
    frame = decode_jpeg(base64.b64decode(fields["jpeg"]))
    assert frame[:170, :310].max() < 12
    assert frame[200:, 400:].max() > 100


@slow
@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (
            ProbeRequest(camera=camera_at("http://127.0.0.1:1/x"), this_machine=True),
            "nothing listens on port 1",
        ),
        (ProbeRequest(camera=camera_at("http://localhost:1/x")), "not allowed: localhost is this machine"),
        (
            ProbeRequest(camera=camera_at("http://no-such-name.invalid/x")),
            "no-such-name.invalid is not found",
        ),
        (ProbeRequest(camera=camera_at("/dev/video99")), "/dev/video99 not found"),
        (ProbeRequest(port="/dev/ttyNone"), "/dev/ttyNone not found: unplugged or renamed"),
        (ProbeRequest(port="/dev/null"), "/dev/null is not a serial device"),
        (ProbeRequest(port="tcp://127.0.0.1:1", this_machine=True), "nothing listens there"),
        (ProbeRequest(port="tcp://localhost:1"), "not allowed: localhost is this machine"),
        (ProbeRequest(broker=Broker(url="mqtt://127.0.0.1:1"), this_machine=True), "no broker listens there"),
        (ProbeRequest(broker=Broker(url="mqtt://localhost:1")), "not allowed: localhost is this machine"),
        (ProbeRequest(model=DetectorSettings(model="defualt")), "did you mean 'default'"),
    ],
)
def test_what_does_not_work_says_why(request_: ProbeRequest, error: str) -> None:
    assert error in probed(request_).get("error", "")


def heard(port: Path, baud: int | None, look: Callable[[], Awaitable[Any]]) -> Any:
    """What ``look`` answers while a receiver sends on ``port``."""

    async def scene() -> Any:
        with Wire(port, baud=baud) as wire:
            sending = asyncio.ensure_future(Receiver(wire, lat=32.1, lon=118.7, hz=5).run())
            try:
                return await look()
            finally:
                sending.cancel()

    return asyncio.run(scene())


@slow
def test_a_port_tells_its_protocol_and_its_rate(tmp_path: Path) -> None:
    port = tmp_path / "gnss"
    fields, failure = heard(port, None, lambda: looked(ProbeRequest(port=str(port))))
    assert failure is None
    assert "error" not in fields
    assert (fields["exists"], fields["serial_device"]) == (True, True)
    assert fields["values"]["fix"] > 0
    assert fields["packets_per_s"]["nmea"] > 1


def test_a_port_tells_its_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on hardware: a pty whose speed has a meaning, at a speed that is not the first to be tried."""
    answers: dict[str, Any] = {}
    monkeypatch.setattr("firmware_bridge.serial.port.is_pty", lambda _: False)
    monkeypatch.setattr("agent.control.probe_port.held_by", lambda _: [])
    monkeypatch.setattr("firmware_bridge.serial.port.held_by", lambda _: [])
    monkeypatch.setattr("agent.control.probe_port.answer", answers.update)
    port = tmp_path / "gnss"
    heard(port, 4800, lambda: probe_port(str(port)))
    assert answers["baud"] == 4800
    assert answers["packets_per_s"]["nmea"] > 0


def test_a_silent_port_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """In virtual time, without the process, which `test_a_process_that_takes_too_long…` has on a silent pty."""
    fields: dict[str, Any] = {}
    monkeypatch.setattr("agent.control.probe_port.answer", fields.update)

    async def scene() -> None:
        line = VirtualLine(asyncio.get_running_loop(), "tcp://127.0.0.1:4001")
        use_ports(VirtualPorts(lambda: [line]))
        with pytest.raises(TimeoutError, match=r"silent, no byte in 22 s$"):
            await probe_port(line.path)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scene())
    assert fields["bytes"] == 0


@slow
def test_a_broker_is_reached_step_by_step() -> None:
    with LocalBroker(BROKER) as broker:
        request = ProbeRequest(broker=Broker(url=broker.url), device="d1", this_machine=True)
        fields = probed(request)
        without = probed(request.model_copy(update={"log_in": False}))
    assert (fields["login"], fields["mqtt"], fields["encrypted"]) == ("accepted", "5", False)
    assert fields["tcp_ms"] >= 0
    assert "login" not in without


@slow
def test_a_model_tells_its_card_and_its_time() -> None:
    fields = probed(ProbeRequest(model=DetectorSettings()))
    assert "error" not in fields
    assert "person" in fields["labels"]
    assert fields["redacts_people"] is True
    assert fields["inference_ms"] > 0
    assert "x" in fields["input"]


@slow
def test_a_process_that_takes_too_long_is_ended_and_what_it_said_counts(tmp_path: Path) -> None:
    with Wire(tmp_path / "silent") as wire:
        fields = probed(ProbeRequest(port=str(wire.path)), within_s=8)
    assert fields["failure"] == "no answer within 8 s"
    assert fields["exists"] is True


class Asked:
    """The command with a real recorder, and what it answered."""

    def __init__(self, folder: Path, running: Config, roles: frozenset[str] = frozenset()) -> None:
        self.desk = Desk(folder)
        self.results: list[dict[str, Any]] = []
        self.tasks: list[asyncio.Task[None]] = []
        parts = [{"part": "gnss", "running": "running", "good": 12}]
        pipeline: Any = SimpleNamespace(
            recorder=self.desk.recorder,
            health=SimpleNamespace(parts=lambda _: parts),
            deployment=SimpleNamespace(local_file_config=lambda: running, base=folder),
        )
        link: Any = SimpleNamespace(is_healthy=True)

        def authorize(changes: Sequence[Change]) -> None:
            if "privacy_officer" not in roles:
                raise OrderRefused(changes[0].path, "needs the signature of a privacy officer")

        gate: Any = SimpleNamespace(
            trust=SimpleNamespace(roles_of_keys=lambda _: roles), present_signers=lambda: (authorize, ("k",))
        )
        self.probes = Probes(
            pipeline, link, lambda: running, self.send,
            lambda work: self.tasks.append(asyncio.ensure_future(work)), gate,
        )  # fmt: skip

    async def send(self, result: Mapping[str, Any]) -> None:
        self.results.append(dict(result))

    async def ask(self, **fields: str) -> dict[str, Any]:
        command = Probe.model_validate({"id": "p-1", **fields})
        assert await self.probes.carry_out(command, {"command_id": "p-1", "keys": ["k"]}) == "accepted"
        await asyncio.gather(*self.tasks)
        await self.desk.work()
        return self.results[-1]


@slow
def test_the_picture_of_a_probe_is_redacted_and_logged(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stream(Scene(comes_s=0.0), fps=10) as server:
            known = f"{{kind: camera, url: '{server.url}?other', purpose: a test}}"
            asked = Asked(tmp_path, config(sources=f"  cam2: {known}"), frozenset({"privacy_officer"}))
            result = await asked.ask(camera_url=server.url)
        ((message, entry),) = asked.desk.sent
        assert (message.topic, entry["why"]) == ("media/p-1/1", "command probe")
        assert result.items() >= {
            "state": "succeeded", "command_id": "p-1", "kind": "camera", "width": 640, "height": 360,
            "media": "media/p-1/1",
        }.items()  # fmt: skip
        assert "jpeg" not in result

    asyncio.run(scene())


@pytest.mark.parametrize(("roles", "shown"), [(frozenset(), False), (frozenset({"privacy_officer"}), True)])
def test_a_view_that_is_new_takes_a_privacy_officer(
    roles: frozenset[str], shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(*_: Any) -> tuple[dict[str, Any], None]:
        import cv2
        import numpy as np

        _, jpeg = cv2.imencode(".jpg", np.full((90, 160, 3), 99, np.uint8))
        return {"kind": "camera", "width": 160, "jpeg": base64.b64encode(jpeg.tobytes()).decode()}, None

    monkeypatch.setattr(module, "run_child", answer)
    asked = Asked(tmp_path, config(), roles)
    result = asyncio.run(asked.ask(camera_url="rtsp://10.0.0.77/1"))
    assert len(asked.desk.sent) == shown
    assert ("picture" in result) != shown
    assert (result["state"], result["width"]) == ("succeeded", 160)


@pytest.mark.parametrize("url", ["http://10.0.0.8/reboot.cgi?yes=1", "https://10.0.0.77/relay/0?turn=on"])
def test_an_http_address_takes_the_signatures_of_a_push(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GET may switch something, and it carries the login of the camera."""

    async def answer(*_: Any) -> tuple[dict[str, Any], None]:
        return {"kind": "camera"}, None

    monkeypatch.setattr(module, "run_child", answer)
    with pytest.raises(ValueError, match="not in force needs the signature of a privacy officer"):
        asyncio.run(Asked(tmp_path / "1", config()).ask(camera_url=url))
    asked = Asked(tmp_path / "2", config(), frozenset({"privacy_officer"}))
    assert asyncio.run(asked.ask(camera_url=url))["state"] == "succeeded"


def test_what_runs_is_not_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "run_child", None)
    result = asyncio.run(Asked(tmp_path, config()).ask(port="/dev/ttyGNSS"))
    assert (result["in_force"], result["good"], result["state"]) == ("gnss", 12, "succeeded")


def test_one_at_a_time_and_not_too_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        asked = Asked(tmp_path, config())
        released = asyncio.Event()

        async def wait(*_: Any) -> tuple[dict[str, Any], str]:
            await released.wait()
            return {}, "crashed: signal 11"

        monkeypatch.setattr(module, "run_child", wait)
        command = Probe(id="p-1", model="default")
        await asked.probes.carry_out(command, {})
        with pytest.raises(ValueError, match="one at a time"):
            await asked.probes.carry_out(command, {})
        released.set()
        await asyncio.gather(*asked.tasks)
        assert asked.results == [{"state": "failed", "reason": "crashed: signal 11"}]
        with pytest.raises(ValueError, match="too many of probe: try again in"):
            await asked.probes.carry_out(command, {})

    asyncio.run(scene())


def test_turns_have_a_pause_and_a_limit_in_an_hour() -> None:
    turns, now_s = TurnLimit("probe", pause_s=3.0, per_hour=60), 0.0
    for _ in range(60):
        turns.begin(now_s)
        with pytest.raises(ValueError, match="another probe is running"):
            turns.begin(now_s)
        turns.end()
        now_s += 3.0
    with pytest.raises(ValueError, match="too many of probe: try again in 3420 s"):
        turns.begin(now_s)
    turns.begin(3600.0)
    turns.end()
    with pytest.raises(ValueError, match="try again in 2 s"):
        turns.begin(3601.0)


@slow
def test_a_camera_that_sends_to_this_machine_is_awaited() -> None:
    """An address of udp:// is bound here: no name is looked up."""
    camera = camera_at(f"udp://:{free_port()}", open_timeout="1s")
    assert "no data came in 1 s" in probed(ProbeRequest(camera=camera))["error"]


@slow
@pytest.mark.skipif(mosquitto_path() is None, reason="needs mosquitto: apt-get install mosquitto")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl: apt-get install openssl")
def test_a_broker_with_tls_shows_its_certificate(tmp_path: Path) -> None:
    """The recipe that we ship: what a login needs, and what is told where something is missing."""
    certs = tmp_path / "certs"
    certificate(certs, "broker", "127.0.0.1", days=40)
    certificate(certs, "device", "d1")
    certificate(tmp_path / "other", "broker", "127.0.0.1")
    with mosquitto(tmp_path) as (port, _):
        fields = {"url": f"mqtts://127.0.0.1:{port}", "ca": certs / "ca.pem"}
        own = fields | {"cert": certs / "d1.pem", "key": {"file": certs / "d1.key"}}
        found = [
            probed(ProbeRequest(broker=Broker.model_validate(one), device="d1", this_machine=True))
            for one in (own, fields, own | {"ca": tmp_path / "other" / "ca.pem"})
        ]
    good, nameless, foreign = found
    assert "error" not in good
    assert good["tls"]["version"] in ("TLSv1.2", "TLSv1.3")
    assert "CN=127.0.0.1" in good["tls"]["subject"]
    assert good["tls"]["days_left"] in (39, 40)
    assert good["login"] == "accepted"
    assert "the broker wants a certificate of this device" in nameless["error"]
    assert "not signed by" in foreign["error"]
    assert "tls" not in foreign
