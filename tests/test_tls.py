"""TLS against a real mosquitto with the configuration that we ship, certificates made by its script."""

import asyncio
import hashlib
import os
import pwd
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.__main__ import cli
from agent.cli.checks.environment import check_environment
from agent.config.loader import parse
from agent.control.certificate_checks import make_key, make_request
from agent.host.clock import NEVER_BEFORE
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.mqtt.dialing import is_reachable
from agent.mqtt.envelope import Envelope
from agent.mqtt.link import Link
from agent.mqtt.tls import alert_text, expiry, validity
from agent.outbox.outbox import Outbox
from centre.server import Centre
from centre.share_probe import share_problem
from simulators.broker import free_port, mosquitto_path
from tests.waiting import until, until_true

HERE = Path(__file__).resolve().parents[1] / "configs" / "mosquitto"
NOW = datetime.now(UTC)

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(mosquitto_path() is None, reason="needs mosquitto: apt-get install mosquitto"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl: apt-get install openssl"),
]


def certificate(certs: Path, kind: str, *names: str, days: int = 365) -> None:
    environment = {**os.environ, "CERTS": str(certs), "DAYS": str(days)}
    subprocess.run([HERE / "certificates.sh", kind, *names], env=environment, check=True, capture_output=True)


def of_tomorrow(certs: Path) -> None:
    """A broker's certificate that is not valid before tomorrow, and until the day after."""
    certificate(certs, "broker", "127.0.0.1")
    (certs / "index").touch()
    (certs / "serial").write_text("77")
    (certs / "ca.conf").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={certs}/index\nserial={certs}/serial\nnew_certs_dir={certs}\n"
        "default_md=sha256\npolicy=p\ncopy_extensions=copy\n[p]\ncommonName=supplied\n"
    )
    begin, end = (f"{NOW + timedelta(days=days):%Y%m%d%H%M%SZ}" for days in (1, 2))
    request = [
        "openssl",
        "req",
        "-new",
        "-key",
        certs / "broker.key",
        "-subj",
        "/CN=b",
        "-out",
        certs / "b.csr",
    ]
    subprocess.run([*request, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    sign = ["openssl", "ca", "-batch", "-notext", "-config", certs / "ca.conf", "-cert", certs / "ca.pem"]
    files = ["-keyfile", certs / "ca.key", "-in", certs / "b.csr", "-out", certs / "broker.pem"]
    dates = ["-startdate", begin, "-enddate", end]
    subprocess.run([*sign, *files, *dates], check=True, capture_output=True)


@contextmanager
def mosquitto(folder: Path, user: int | None = None) -> Iterator[tuple[int, int]]:
    """The broker that we ship, with the certificates in ``folder``/certs: its ports for devices and desks."""
    port, desk_port = free_port(), free_port()
    text = (HERE / "mosquitto.conf").read_text()
    for shipped, here in ((8883, port), (8884, desk_port)):
        assert f"listener {shipped}\n" in text
        text = text.replace(f"listener {shipped}\n", f"listener {here} 127.0.0.1\n")
    (folder / "mosquitto.conf").write_text(text)
    if not (folder / "acl").exists():
        shutil.copy(HERE / "acl", folder)
    for path in (*folder.parents[:3], folder):
        path.chmod(path.stat().st_mode | 0o055)  # mosquitto started by root gives up its rights
    process = subprocess.Popen(
        [mosquitto_path() or "", "-c", "mosquitto.conf"],
        cwd=folder,
        stderr=(folder / "log").open("wb"),
        user=user,
    )
    try:

        def listens() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until_true(listens)
        yield port, desk_port
    finally:
        until_true(lambda: ended(process))


def ended(process: "subprocess.Popen[bytes]") -> bool:
    """Told until it ends: mosquitto forgets a SIGTERM that comes between its handlers and its loop."""
    process.terminate()
    return process.poll() is not None


class World:
    """Brokers, each with something right or wrong about it, and devices' certificates."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.certs = folder / "right" / "certs"
        certificate(self.certs, "broker", "localhost", "127.0.0.1")
        for name in ("d1", "d2", "ringpost-centre"):
            certificate(self.certs, "device", name)
        shutil.copy(HERE / "acl", folder / "right")
        certificate(self.certs, "desk", "technician")
        certificate(self.certs, "desk", "anna")
        certificate(self.certs, "operator", "room-1")
        self.ports: dict[str, int] = {}
        self.ports["right"], self.ports["desk"] = stack.enter_context(mosquitto(folder / "right"))
        for kind, names, days in (("name", ["other.example"], 365), ("expired", ["127.0.0.1"], -1)):
            shutil.copytree(self.certs, folder / kind / "certs")
            certificate(folder / kind / "certs", "broker", *names, days=days)
            self.ports[kind], _ = stack.enter_context(mosquitto(folder / kind))
        shutil.copytree(self.certs, folder / "tomorrow" / "certs")
        certificate(folder / "tomorrow" / "certs", "broker", "127.0.0.1")  # its group is not copied
        of_tomorrow(folder / "tomorrow" / "certs")
        self.ports["tomorrow"], _ = stack.enter_context(mosquitto(folder / "tomorrow"))
        certificate(folder / "stranger", "device", "d1")
        shutil.copytree(self.certs, folder / "late")
        certificate(folder / "late", "device", "d1", days=-1)

    def broker(self, kind: str = "right", name: str | None = "d1", **fields: Any) -> Broker:
        of = fields.pop("of", self.certs)
        if name is not None:
            fields |= {"cert": of / f"{name}.pem", "key": {"file": of / f"{name}.key"}}
        return Broker(
            **{"url": f"mqtts://127.0.0.1:{self.ports[kind]}", "ca": self.certs / "ca.pem"} | fields
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("tls")
        for name in ("right", "name", "expired", "tomorrow", "stranger", "late"):
            if name in ("right", "stranger"):
                (folder / name).mkdir()
        yield World(folder, stack)


async def said(connection: Connection) -> str:
    """Why it does not come up; TLS 1.3 tells of our own certificate only after the handshake."""
    try:
        await connection.open()
    except OSError as error:
        return str(error)
    finally:
        connection.close()
    return "connected"


def outcome(broker: Broker, past: datetime = NEVER_BEFORE) -> str:
    async def scene() -> str:
        return await said(Connection(broker, "d1", None, past))

    return asyncio.run(asyncio.wait_for(scene(), 120))


@pytest.mark.slow
def test_a_device_with_its_certificate_connects(world: World) -> None:
    assert outcome(world.broker()) == "connected"
    assert outcome(world.broker(url=f"mqtts://localhost:{world.ports['right']}")) == "connected"
    assert outcome(world.broker(protocol="3.1.1")) == "connected"


def test_each_wrong_certificate_has_its_own_line(world: World) -> None:
    other = world.folder / "stranger" / "ca.pem"
    table = [
        (world.broker(ca=other), f"its certificate is not signed by {other}"),
        (world.broker(ca=None), "is not signed by an authority that this system trusts"),
        (world.broker("name"), "its certificate is for another name than 127.0.0.1"),
        (world.broker("expired"), "its certificate has expired, if this device's clock is right"),
        (world.broker("tomorrow"), "its certificate is not valid yet; this device's clock says 20"),
        (world.broker(name=None), "the broker wants a certificate of this device"),
        (world.broker(of=world.folder / "late"), "this device's certificate has expired"),
        (world.broker(of=world.folder / "stranger"), "does not know who signed this device's certificate"),
        (world.broker(name="d3"), "d3.pem: No such file or directory"),
        (world.broker(ca=world.certs / "d1.key"), "d1.key: no usable certificate or key"),
        (
            world.broker(key={"file": world.certs / "d2.key"}, name=None, cert=world.certs / "d1.pem"),
            "d1.pem",
        ),
    ]
    lines = []
    for broker, expected in table:
        line = outcome(broker)
        assert expected in line
        assert "\n" not in line
        lines.append(line)
    assert len(set(lines)) == len(lines)


def test_a_port_without_tls_is_named(world: World) -> None:
    async def scene() -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        broker = world.broker(url=f"mqtts://127.0.0.1:{port}")
        line = await said(Connection(broker, "d1", None))
        assert not await is_reachable(broker, NEVER_BEFORE)
        server.close()
        return line

    assert "no TLS is spoken there" in asyncio.run(asyncio.wait_for(scene(), 120))


def test_a_clock_that_stands_in_the_past_locks_nobody_out(world: World) -> None:
    """This device's clock is behind what it remembers: the broker's certificate of tomorrow is good enough."""
    remembered = NOW + timedelta(days=1, hours=12)
    assert outcome(world.broker("tomorrow"), remembered) == "connected"
    assert outcome(world.broker(), remembered) == "connected"
    assert "its certificate has expired, on" in outcome(world.broker("tomorrow"), NOW + timedelta(days=3))
    assert "its certificate has expired, on" in outcome(world.broker("expired"), NOW + timedelta(hours=6))
    assert "for another name" in outcome(world.broker("name"), remembered)


def test_a_clock_that_was_once_far_ahead_locks_nobody_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was remembered is outweighed by a synchronised clock and a certificate that is valid by it."""
    far = datetime(2045, 1, 1, tzinfo=UTC)
    for synchronised, said in ((False, "its certificate has expired, on"), (True, "connected")):
        monkeypatch.setattr("agent.mqtt.connect_errors.kernel_clock", lambda now=synchronised: (now, 1.0))
        assert said in outcome(world.broker(), far)
    assert "its certificate has expired, on" in outcome(world.broker("expired"), far)
    assert "its certificate has expired, on" in outcome(world.broker("tomorrow"), far)


class Client:
    """A connection and what came of what it did."""

    def __init__(self, world: World, name: str, client_id: str | None = None, kind: str = "right") -> None:
        self.connection = Connection(world.broker(kind, name=name), client_id or name, None)
        self.messages: list[tuple[str, bytes]] = []

    async def publish(self, topic: str, body: bytes = b"{}") -> int:
        """The reason code of its acknowledgement."""
        number = self.connection.publish(topic, body, 1, False)
        while True:
            event = await self.next()
            assert event is None or event[0] != "lost", event
            if event is not None and event[:2] == ("published", number):
                return int(event[2].value)

    async def next(self, within_s: float = 60.0) -> tuple[Any, ...] | None:
        event = await self.connection.event(within_s)
        if event is not None and event[0] == "message":
            self.messages.append((event[1].topic, event[1].payload))
            self.connection.acknowledge(event[1])
        return event


REFUSED = 0x87


OWN = ("status", "birth", "health", "position", "telemetry/gnss", "alert", "alerts/active", "gap", "audit",
       "media/0199/1", "config/reported", "command/result")  # fmt: skip
"""What a device writes; below, what is addressed to it."""
ORDERS = ("receipt", "alert/ack", "config/desired", "roles/desired", "command/ping", "command/what_if")
OTHERS = (
    "host/status",
    "host/probe/x",
    "groups/all/config/desired",
    "groups/all/roles/desired",
    "groups/all/command/ping",
)


def of_both(*topics: str) -> set[str]:
    return {f"{device}/{topic}" for device in ("d1", "d2") for topic in topics}


CONFIGURES = of_both(*ORDERS[1:]) | {"groups/all/config/desired"}
MAY_WRITE = {
    "d1": {f"d1/{one}" for one in OWN},
    "ringpost-centre": of_both("receipt", "alert/ack", "command/ping", "command/what_if")
    | {"host/status", "host/probe/x"},
    "technician": CONFIGURES,
    "ringpost-desk-anna": CONFIGURES,
    "ringpost-operator-room-1": of_both("alert/ack", "command/ping"),
}
"""By user; all other topics are refused."""
D1_READS = {f"d1/{one}" for one in ORDERS} | {"host/status", "groups/all/config/desired"}


def test_the_whole_table_of_rights(world: World) -> None:
    """Each user writes each topic. Mosquitto grants each subscription; what counts is what is delivered."""
    root = "ringpost/v1/"
    topics = [f"{one}/{topic}" for one in ("d1", "d2") for topic in (*OWN, *ORDERS)] + [*OTHERS, "x/y/z"]
    shown = ssl.PEM_cert_to_DER_cert((world.certs / "broker.pem").read_text())

    async def scene() -> None:
        users = {name: Client(world, name, kind="right" if name in ("d1", "ringpost-centre") else "desk")
                 for name in MAY_WRITE}  # fmt: skip
        for user in users.values():
            await user.connection.open()
            user.connection.subscribe(["#", "$SYS/#", f"{root}d2/config/desired", f"{root}+/alert/ack"])
            while (event := await user.next()) is None or event[0] != "subscribed":
                assert event is None or event[0] != "lost", event
        assert users["d1"].connection.peer["certificate"] == hashlib.sha256(shown).hexdigest()
        for name, user in users.items():
            codes = {topic: await user.publish(root + topic) for topic in topics}
            assert {topic for topic, code in codes.items() if code != REFUSED} == MAY_WRITE[name], name
            assert await user.publish("elsewhere") == REFUSED
        assert await users["ringpost-centre"].publish(f"{root}host/status", b"end") != REFUSED
        assert await users["technician"].publish(f"{root}d1/alert/ack", b"end") != REFUSED
        for name, user in users.items():
            while b"end" not in dict(user.messages).values():
                event = await user.next()
                assert event is None or event[0] != "lost", (name, event)
            heard = {topic.removeprefix(root) for topic, _ in user.messages}
            of_others = set[str]().union(*(topics for other, topics in MAY_WRITE.items() if other != name))
            assert heard == (D1_READS if name == "d1" else of_others), name
            user.connection.close(session_expiry_s=0)  # else the broker keeps messages for later tests

    asyncio.run(asyncio.wait_for(scene(), 120))


def test_workers_under_one_certificate_name_that_is_the_client_id_are_found_out(world: World) -> None:
    """The registrar's session and that of a worker would end each other, for ever."""
    found = asyncio.run(share_problem(world.broker("right", name="ringpost-centre"), "ringpost/v1"))
    assert found is not None
    assert "takes the certificate name as client id" in found


def test_what_is_revoked_cannot_connect(world: World, tmp_path: Path) -> None:
    """A stolen device, also with a certificate of an earlier year, and a person who left; the others stay."""
    shutil.copytree(world.certs, tmp_path / "certs")
    certs = tmp_path / "certs"
    shutil.copy(world.folder / "right" / "acl", tmp_path)
    certificate(certs, "broker", "127.0.0.1")
    shutil.copytree(certs, tmp_path / "earlier")
    certificate(certs, "device", "d1")
    for name in ("d1", "ringpost-desk-anna"):
        certificate(certs, "revoke", name)

    def lines(port: int, desk_port: int) -> list[str]:
        world.ports |= {"crl": port, "crl-desk": desk_port}
        users = [("crl", "d1", certs), ("crl", "d1", tmp_path / "earlier"), ("crl", "d2", certs),
                 ("crl-desk", "ringpost-desk-anna", certs), ("crl-desk", "technician", certs)]  # fmt: skip
        return [outcome(world.broker(kind, name, of=of, ca=certs / "ca.pem")) for kind, name, of in users]

    with mosquitto(tmp_path) as ports:
        revoked = "this device's certificate was revoked"
        assert [line if line == "connected" else revoked in line for line in lines(*ports)] == [
            True, True, "connected", True, "connected",
        ]  # fmt: skip
    certificate(certs, "device", "d1")  # the name gets another device
    with mosquitto(tmp_path) as ports:
        assert lines(*ports)[:2] == ["connected", lines(*ports)[1]]
        assert revoked in lines(*ports)[1]


def test_the_rights_name_each_command_of_the_code() -> None:
    known = set(re.findall(r'^ +"([a-z_]+)": \((?:[A-Z]\w+), ', "".join(
        (HERE.parents[1] / "agent" / name).read_text()
        for name in ("inbound.py", "control/control.py", "commands/commands.py")
    ), re.MULTILINE))  # fmt: skip
    assert {"ping", "output", "rebirth", "fetch", "drill"} <= known
    for user in ("ringpost-centre", "technician"):
        block = (HERE / "acl").read_text().partition(f"\nuser {user}\n")[2].partition("\n\n")[0]
        assert set(re.findall(r"/command/(.*)", block)) == known, user


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("device", "host"), "no device can be named 'host'"),
        (("device", "groups"), "no device can be named 'groups'"),
        (("device", "technician"), "no device can be named 'technician'"),
        (("device", "ringpost-desk-anna"), "no device can be named 'ringpost-desk-anna'"),
        (("device", "d1-elsewhere"), "no device can be named"),
        (("device", "+"), "no device can be named '+'"),
        (("device", "../d1"), "no device can be named '../d1'"),
        (("desk", "a b"), "no desk can be named"),
        (("desk", "x/#"), "no desk can be named"),
        (("operator", "x\nuser d1"), "no operator can be named"),
        (("device", "ca"), "no device can be named 'ca'"),
        (("revoke", "nobody"), "no certificate of 'nobody'"),
        (("sign", "d1", "none.csr"), "no request in none.csr"),
        (("bake", "d1"), "'bake' is none of broker, device, desk, operator, sign, revoke"),
    ],
)
def test_names_that_are_users_levels_or_files_are_refused(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    environment = {**os.environ, "CERTS": str(tmp_path / "certs")}
    done = subprocess.run([HERE / "certificates.sh", *words], env=environment, capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_a_request_of_a_device_is_signed_for_that_device_only(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.certs, tmp_path / "certs")
    key = make_key()
    (tmp_path / "d1.csr").write_text(make_request(key, "d1"))
    certificate(tmp_path / "certs", "sign", "d1", str(tmp_path / "d1.csr"))
    (tmp_path / "certs" / "d1.key").write_bytes(key)
    assert outcome(world.broker(of=tmp_path / "certs")) == "connected"
    before = (tmp_path / "certs" / "d2.pem").read_bytes()
    with pytest.raises(subprocess.CalledProcessError) as refused:
        certificate(tmp_path / "certs", "sign", "d2", str(tmp_path / "d1.csr"))
    assert b"the request is for CN=d1" in refused.value.stderr
    assert (tmp_path / "certs" / "d2.pem").read_bytes() == before


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: /etc/mosquitto")
def test_the_recipe_works_as_the_service_of_debian(tmp_path: Path) -> None:
    """The lines of mosquitto.conf's comment, run as they stand there; the service runs as the user mosquitto."""
    if not Path("/etc/mosquitto/conf.d").is_dir():
        pytest.skip("needs Debian's package mosquitto")
    lines = [line.removeprefix("#").strip() for line in (HERE / "mosquitto.conf").read_text().splitlines()]
    begin = next(number for number, line in enumerate(lines) if line.startswith("mkdir -p /etc/mosquitto"))
    script = "\n".join(lines[begin : lines.index("systemctl restart mosquitto")])
    etc = tmp_path / "etc"
    shutil.copytree("/etc/mosquitto", etc / "mosquitto")
    script = script.replace("/etc/mosquitto", f"{etc}/mosquitto")
    script = f"umask 022; cd {HERE}\n" + script.replace("broker.example", "127.0.0.1")
    subprocess.run(["sh", "-eu", "-c", script], check=True)
    conf = etc / "mosquitto" / "conf.d" / "ringpost.conf"
    port = free_port()
    conf.write_text(conf.read_text().replace("listener 8883", f"listener {port}").replace("listener 8884", f"listener {free_port()}"))  # fmt: skip
    main = (etc / "mosquitto" / "mosquitto.conf").read_text().replace("/etc/mosquitto", f"{etc}/mosquitto")
    main = main.replace("/var/lib/mosquitto", str(tmp_path)).replace("/run/mosquitto", str(tmp_path))
    (etc / "mosquitto" / "mosquitto.conf").write_text(main.replace("/var/log/mosquitto", str(tmp_path)))
    for path in (*tmp_path.parents[:3], tmp_path):
        path.chmod(path.stat().st_mode | 0o055)
    tmp_path.chmod(0o777)
    owner = pwd.getpwnam("mosquitto")
    for user in (None, owner.pw_uid):
        with (tmp_path / "out").open("wb") as out:
            process = subprocess.Popen(
                [mosquitto_path() or "", "-c", etc / "mosquitto" / "mosquitto.conf"], stderr=out, stdout=out,
                user=user, group=None if user is None else owner.pw_gid, extra_groups=None if user is None else [],
            )  # fmt: skip
        try:

            def listens(process: subprocess.Popen[bytes] = process) -> bool:
                logged = [*tmp_path.glob("*.log"), tmp_path / "out"]
                assert process.poll() is None, [path.read_text() for path in logged]
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) == 0

            until_true(listens)
            certs = etc / "mosquitto" / "ringpost" / "certs"
            certificate(certs, "device", "d1")
            broker = Broker(url=f"mqtts://127.0.0.1:{port}", ca=certs / "ca.pem", cert=certs / "d1.pem",
                            key={"file": certs / "d1.key"})  # type: ignore[arg-type]  # fmt: skip
            assert outcome(broker) == "connected"
        finally:
            process.terminate()
            process.wait(60)


def test_a_device_cannot_take_anothers_connection(world: World) -> None:
    async def scene() -> None:
        victim, thief = Client(world, "d2"), Client(world, "d1", client_id="d2")
        await victim.connection.open()
        await thief.connection.open()
        assert await thief.publish("ringpost/v1/d2/alert") == REFUSED
        assert await victim.publish("ringpost/v1/d2/alert") != REFUSED
        victim.connection.close()
        thief.connection.close()

    asyncio.run(asyncio.wait_for(scene(), 120))


def test_verbs_of_one_desk_work_side_by_side_and_no_device_gets_in_there(world: World) -> None:
    """With the certificate's name as client id, `config get` ended a running `watch`."""

    async def scene() -> None:
        desks = [Client(world, "technician", client_id=f"ringpost-desk-{n}", kind="desk") for n in range(2)]
        for desk in desks:
            await desk.connection.open()
        for desk in desks:
            for topic in ("config/desired", "command/ping", "alert/ack"):
                assert await desk.publish(f"ringpost/v1/d2/{topic}") != REFUSED, topic
            for topic in ("receipt", "alert", "status"):
                assert await desk.publish(f"ringpost/v1/d2/{topic}") == REFUSED, topic
            desk.connection.close()
        thief = Connection(world.broker("desk", name="d1"), "ringpost-desk-0", None)
        assert "does not know who signed this device's certificate" in await said(thief)
        assert "does not know" in await said(Connection(world.broker(name="technician"), "d2", None))

    asyncio.run(asyncio.wait_for(scene(), 120))


@pytest.mark.parametrize("root", [True, False])
def test_the_recipe_works_for_root_and_for_a_user(root: bool, tmp_path: Path) -> None:
    """The broker's key was for root only, and mosquitto gives up root's rights before it reads it."""
    if root and os.getuid() != 0:
        pytest.skip("needs root: the recipe of a root user")
    before = os.umask(0o077)
    try:
        (tmp_path / "certs").mkdir()
        certificate(tmp_path / "certs", "broker", "127.0.0.1")
    finally:
        os.umask(before)
    assert all(path.stat().st_mode & 0o007 == 0 for path in (tmp_path / "certs").glob("*.key"))
    if not root and os.getuid() == 0:
        for path in (tmp_path / "certs", *(tmp_path / "certs").iterdir()):
            os.chown(path, 65534, 65534)
    with mosquitto(tmp_path, user=None if root or os.getuid() != 0 else 65534) as ports:
        assert all(ports)


def test_an_alert_reaches_the_centre_and_its_receipt_comes_back(world: World, tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []

    async def nothing(_topic: str, _payload: bytes, _answer_to: str | None) -> None:
        pass

    async def scene() -> None:
        centre = Centre(
            tmp_path / "centre.db",
            world.broker(name="ringpost-centre"),
            on_stored=lambda device, topic, _: heard.append((device, topic)),
        )
        outbox = Outbox.open(tmp_path / "data", 32_000_000)
        link = Link(Envelope(device="d2"), outbox, lambda _: [], nothing)
        tasks = [asyncio.ensure_future(centre.run())]
        await centre.ready.wait()
        tasks.append(asyncio.ensure_future(link.run(world.broker(name="d2"))))
        fields = {"alert": {"text": "a press"}}
        speaker = Envelope(device="d2")
        await outbox.put(
            speaker.message(
                "alert/1", fields, lane="alert", topic="alert", session=1, clock={"source": "ntp"}, at=NOW
            )
        )

        async def delivered() -> bool:
            return not (await outbox.depth())["alert"]

        await until(delivered)
        assert heard == [("d2", "alert")]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        centre.close()
        outbox.close()

    asyncio.run(asyncio.wait_for(scene(), 120))


DEVICE = """\
schema_version: 1
device: d1
kind: watch_point
place: {{ring: inner_city, domain: ground, site: s, post: p}}
data: {{directory: {folder}/none, max_mb: 32}}
broker: {{url: "{url}", ca: {ca}, cert: {cert}, key: {{file: {key}}}}}
"""


def looked(world: World, folder: Path, **files: Any) -> tuple[list[str], list[str]]:
    """What `check --env` finds wrong for device d1, and what it finds well."""
    right = {
        "url": f"mqtts://127.0.0.1:{world.ports[files.pop('kind', 'right')]}",
        "ca": world.certs / "ca.pem",
        "cert": world.certs / "d1.pem",
        "key": world.certs / "d1.key",
    }
    found = check_environment(
        parse(DEVICE.format(folder=folder, **right | files), name="a.yaml", base=folder)
    )
    wrong = [one for one in found if one.state == "failed" or "expires in" in one.text]
    return [one.line for one in wrong], [one.line for one in found if one not in wrong]


def test_check_says_what_is_wrong_with_certificates_and_brokers(world: World, tmp_path: Path) -> None:
    """It said "ok" to each of these but the last."""
    shutil.copytree(world.certs, tmp_path / "soon")
    certificate(tmp_path / "soon", "device", "d1", days=7)
    table: list[tuple[dict[str, Any], str]] = [
        ({"ca": tmp_path / "no.pem"}, f"broker: {tmp_path}/no.pem: No such file or directory"),
        ({"cert": tmp_path / "no.pem"}, f"broker: {tmp_path}/no.pem: No such file or directory"),
        ({"key": tmp_path / "no.key"}, "No such file or directory"),
        ({"key": world.certs / "d2.key"}, "d1.pem and the key do not match"),
        ({"ca": world.certs / "d1.key"}, "d1.key: no usable certificate or key"),
        (
            {"cert": world.folder / "late" / "d1.pem", "key": world.folder / "late" / "d1.key"},
            "expired on 20",
        ),
        (
            {"cert": tmp_path / "soon" / "d1.pem", "key": tmp_path / "soon" / "d1.key"},
            "expires in 6 days, on 20",
        ),
        ({"kind": "name"}, "its certificate is for another name than 127.0.0.1"),
        ({"kind": "expired"}, "its certificate has expired"),
        ({"ca": world.folder / "stranger" / "ca.pem"}, "its certificate is not signed by"),
        ({"kind": "desk"}, "does not know who signed this device's certificate"),
        ({"url": "mqtts://127.0.0.1:9"}, "127.0.0.1:9 refused: no broker listens there"),
    ]
    for files, words in table:
        wrong, _ = looked(world, tmp_path, **files)
        assert len(wrong) == 1, wrong
        assert words in wrong[0]
        assert wrong[0].startswith("broker")
    wrong, facts = looked(world, tmp_path)
    assert wrong == []
    assert any(text.startswith("broker.cert: valid for 36") for text in facts)
    assert any(text.startswith("broker.url: connected; centre: ") for text in facts)


def test_check_leaves_the_running_agents_session_as_it_was(world: World, tmp_path: Path) -> None:
    """The recipe makes the certificate's name the client id: a clean start would drop what waits there."""

    async def scene() -> None:
        agent = Client(world, "d1")
        await agent.connection.open()
        agent.connection.subscribe(["ringpost/v1/d1/command/+"])
        await agent.next(0.5)
        wrong, facts = await asyncio.to_thread(looked, world, tmp_path)
        assert wrong == []
        assert (
            "broker.url: the certificate name is the client id: the agent's session is left as it was"
            in facts
        )
        agent.connection.close()
        desk = Client(world, "technician", kind="desk")
        await desk.connection.open()
        await desk.publish("ringpost/v1/d1/command/ping", b"waits")
        desk.connection.close()
        again = Client(world, "d1")
        await again.connection.open()
        assert again.connection.resumed
        while ("ringpost/v1/d1/command/ping", b"waits") not in again.messages:
            await again.next(1.0)
        again.connection.close()

    asyncio.run(asyncio.wait_for(scene(), 120))


@pytest.mark.slow
def test_the_end_of_a_certificate_is_read_as_openssl_reads_it(world: World) -> None:
    found = (*world.certs.glob("*.pem"), *(world.folder / "tomorrow" / "certs").glob("*.pem"))
    for path in (one for one in found if not one.name.endswith(".crl.pem")):
        shown = subprocess.run(
            ["openssl", "x509", "-noout", "-dates", "-in", path], capture_output=True, text=True, check=True
        ).stdout
        dates = [
            datetime.fromtimestamp(ssl.cert_time_to_seconds(line.split("=")[1]), UTC)
            for line in shown.splitlines()
        ]
        der = ssl.PEM_cert_to_DER_cert(path.read_text()[path.read_text().index("-----BEGIN") :])
        assert list(validity(der)) == dates
        assert expiry(path) == dates[1]
        for size in range(0, len(der) // 2, 7):
            with pytest.raises(ValueError, match=r"certificate|time data|decode"):
                validity(der[:size])


def test_alerts_of_tls_in_words() -> None:
    assert (
        alert_text("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required") is not None
    )
    assert alert_text("connection reset by peer") is None


def test_doctor_and_check_tell_local_from_central(world: World, tmp_path: Path) -> None:
    """Beside the broker of the recipe; 78: mend it here, 69: call the control room."""
    file = tmp_path / "a.yaml"

    def run(verb: str, *options: str, **files: Any) -> tuple[int, str]:
        right = {"ca": world.certs / "ca.pem", "cert": world.certs / "d1.pem", "key": world.certs / "d1.key"}
        url = f"mqtts://127.0.0.1:{world.ports[files.pop('kind', 'right')]}"
        file.write_text(DEVICE.format(folder=tmp_path, **{"url": url} | right | files))
        done = CliRunner().invoke(cli, [verb, str(file), *options])
        return done.exit_code, " ".join(done.output.split())

    table: list[tuple[dict[str, Any], int, str]] = [
        ({}, 0, "connected; centre: "),
        ({"key": world.certs / "d2.key"}, 78, "d1.pem and the key do not match"),
        ({"ca": tmp_path / "no.pem"}, 78, "no.pem: No such file or directory"),
        ({"kind": "expired"}, 69, "its certificate has expired"),
        ({"kind": "desk"}, 69, "does not know who signed this device's certificate"),
        ({"url": "mqtts://127.0.0.1:9"}, 69, "127.0.0.1:9 refused"),
        ({"kind": "expired", "key": world.certs / "d2.key"}, 78, "do not match"),
    ]
    for files, expected, words in table:
        code, said = run("check", "--env", **files)
        assert (code, words in said) == (expected, True), said
    code, said = run("doctor", "--json")
    assert code == 0, said
    for words in ("TLSv1.3, the broker's certificate is valid for 36", "logged in with MQTT 5",
                  "a message to ringpost/v1/d1/telemetry/doctor acknowledged in"):  # fmt: skip
        assert words in said
    code, said = run("doctor", "--json", cert=world.certs / "d2.pem", key=world.certs / "d2.key")
    assert code == 1
    assert "the certificate is for d2, this device is d1" in said
    assert "not allowed to publish to ringpost/v1/d1/telemetry/doctor" in said


def test_doctor_leaves_the_session_of_a_running_agent_alone(world: World, tmp_path: Path) -> None:
    """A login under the same certificate would end the agent's connection."""
    url = f"mqtts://127.0.0.1:{world.ports['right']}"
    files = {"ca": world.certs / "ca.pem", "cert": world.certs / "d2.pem", "key": world.certs / "d2.key"}
    file = tmp_path / "a.yaml"
    file.write_text(DEVICE.format(folder=tmp_path, url=url, **files).replace("device: d1", "device: d2"))

    async def scene() -> str:
        agent = Client(world, "d2")
        await agent.connection.open()
        outbox = Outbox.open(tmp_path / "none")
        try:
            done = await asyncio.to_thread(CliRunner().invoke, cli, ["doctor", str(file), "--json"])
            assert await agent.publish("ringpost/v1/d2/gap") != REFUSED  # still connected
        finally:
            outbox.close()
            agent.connection.close()
        return done.output

    said = asyncio.run(asyncio.wait_for(scene(), 120))
    assert "TLSv1.3" in said
    assert "no login: it would take the session of the running agent" in said
