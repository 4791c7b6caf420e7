"""The faults that `bench.chaos` injects, one function each."""

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil

from agent.domain.message import RANKS, ROOT, Message, encode, new_id
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.outbox.outbox import Outbox
from bench.chaos_world import DEVICE, FAKETIME, SWITCHES, World
from simulators.broker import mosquitto_path

Fault = Callable[[World, random.Random], Awaitable[None]]


async def agent_killed(world: World, rng: random.Random) -> None:
    await world.restart("agent", rng)


async def centre_killed(world: World, rng: random.Random) -> None:
    await world.restart("centre", rng)


async def broker_killed(world: World, rng: random.Random) -> None:
    """All messages and sessions of the broker are lost with it."""
    await asyncio.to_thread(world.broker.stop, signal.SIGKILL)
    await asyncio.sleep(rng.uniform(0, 1.5))
    await asyncio.to_thread(world.broker.start)


async def broker_stopped(world: World, rng: random.Random) -> None:
    await asyncio.to_thread(world.broker.stop)
    await asyncio.sleep(rng.uniform(0, 1.5))
    await asyncio.to_thread(world.broker.start)


async def all_killed(world: World, rng: random.Random) -> None:
    order = rng.sample(("agent", "centre", "broker"), 3)
    for name in order:
        if name == "broker":
            await asyncio.to_thread(world.broker.stop, signal.SIGKILL)
        else:
            await world.kill(name)
        await asyncio.sleep(rng.uniform(0, 0.3))
    for name in rng.sample(order, 3):
        if name == "broker":
            await asyncio.to_thread(world.broker.start)
        else:
            world.start(name)


async def link_cut(world: World, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 3)):
        world.hop.cut()
        await asyncio.sleep(rng.uniform(0, 0.5))
        world.hop.heal()
        await asyncio.sleep(rng.uniform(0, 1.0))


async def link_swallows(world: World, rng: random.Random) -> None:
    world.hop.hole()
    await asyncio.sleep(rng.uniform(0.2, 3.0))
    world.hop.heal()


async def link_slow(world: World, rng: random.Random) -> None:
    world.hop.slow(rng.choice((500.0, 2000.0, 8000.0)))
    await asyncio.sleep(rng.uniform(1.0, 3.0))
    world.hop.heal()


async def disk_full(world: World, rng: random.Random) -> None:
    """No file of the agent can grow (RLIMIT_FSIZE); messages held in memory are sent nevertheless."""
    agent = psutil.Process(world.agent.pid)
    before = agent.rlimit(psutil.RLIMIT_FSIZE)
    agent.rlimit(psutil.RLIMIT_FSIZE, (rng.choice((0, 4096, 65536)), before[1]))
    await world.press(rng, 2)
    await world.delivered()
    agent.rlimit(psutil.RLIMIT_FSIZE, before)


async def write_fails(world: World, rng: random.Random) -> None:
    """The n-th write, or fsync, of the running agent fails: n = 1, 2, 3 …"""
    world.writes += 1
    call, error = rng.choice((("pwrite64", "EIO"), ("pwrite64", "ENOSPC"), ("fdatasync", "EIO")))
    async with injected(world, f"{call}:error={error}:when={world.writes}"):
        await world.press(rng, 2)
        await world.delivered()


async def killed_at_write(world: World, rng: random.Random) -> None:
    """kill -9 during the n-th write, or fsync."""
    world.writes += 1
    call = rng.choice(("pwrite64", "fdatasync"))
    async with injected(world, f"{call}:signal=SIGKILL:when={world.writes}"):
        pressing = asyncio.ensure_future(world.press(rng, 2))
        for _ in range(100):
            if world.agent.poll() is not None:
                break
            await asyncio.sleep(0.05)
        await world.restart("agent", rng)
    await pressing


async def disk_damaged(world: World, rng: random.Random) -> None:
    """The agent is killed after all is delivered, and parts of its store are overwritten before it restarts.

    Data that is only on a destroyed disk is lost, so no switch is pressed meanwhile.
    """
    await world.rest()
    await world.kill("agent")
    for name in ("alerts.db", "alerts.db-wal"):
        path = world.folder / "data" / name
        if path.exists() and path.stat().st_size:
            with path.open("r+b") as file:
                for _ in range(rng.randint(1, 4)):
                    file.seek(rng.choice((0, rng.randrange(path.stat().st_size))))
                    file.write(rng.randbytes(rng.choice((1, 100, 4096))))
    world.start("agent")
    world.resume()


async def disk_read_only(world: World, rng: random.Random) -> None:
    """The data directory is read-only when the agent starts, and writable again after the next start."""
    await world.rest()
    await world.kill("agent")
    data = str(world.folder / "data")
    for command in (["--bind", data, data], ["-o", "remount,bind,ro", data]):
        await asyncio.to_thread(subprocess.run, ["mount", *command], check=True)
    try:
        world.start("agent")
        world.resume()
        await world.press(rng, 2)
        await world.rest()
        await world.kill("agent")
    finally:
        await world.kill("agent")
        await asyncio.to_thread(subprocess.run, ["umount", data], check=True)
    world.start("agent")
    world.resume()


async def clock_jumps(world: World, rng: random.Random) -> None:
    """The wall clock of the running agent is a day ahead, then a day behind, then correct."""
    for offset in rng.sample(("+1d", "-1d"), 2):
        world.set_clock(offset)
        await world.press(rng, 2)
        await asyncio.sleep(rng.uniform(0, 1.5))
    world.set_clock("+0d")


async def image_restored(world: World, rng: random.Random) -> None:
    """The card is restored from an image; receipts of later messages wait in the broker's session.

    Messages stored after that have no receipt yet, and the centre is stopped.
    """
    await world.rest()
    await world.kill("agent")
    image = world.folder / "image"
    shutil.rmtree(image, ignore_errors=True)
    shutil.copytree(world.folder / "data", image, ignore=SOCKETS)
    world.start("agent")
    world.resume()
    await world.press(rng, 3)
    await world.rest()
    await world.kill("agent")
    shutil.rmtree(world.folder / "data")
    shutil.copytree(image, world.folder / "data")
    await world.kill("centre")
    await receipts(world, [{"ids": world.ids()[-500:]}, *OLD_RECEIPTS])
    world.start("agent")
    world.resume()
    await world.press(rng, 3)
    await asyncio.sleep(rng.uniform(0.5, 2))
    await broker_killed(world, rng)
    world.start("centre")


SOCKETS = shutil.ignore_patterns("*.sock")
OLD_RECEIPTS = [{"epoch": "0" * 16, "lane": lane, "received": [[1, 2**62]]} for lane in ("alert", "result")]


async def receipts(world: World, bodies: list[dict[str, object]]) -> None:
    """Puts receipts into the device's session at the broker."""
    connection = Connection(Broker(url=world.broker.url), "chaos-receipts", None)
    await connection.open()
    for body in bodies:
        connection.publish(f"{ROOT}/{DEVICE}/receipt", encode(body), 1, False)
    left = len(bodies)
    while left:
        event = await connection.event(1.0)
        left -= event is not None and event[0] == "published"
    connection.close()


async def card_cloned(world: World, rng: random.Random) -> None:
    """A second device with a copy of the card runs under the same name for a while."""
    await world.rest()
    await world.kill("agent")
    clone = world.folder / "clone-data"
    shutil.rmtree(clone, ignore_errors=True)
    shutil.copytree(world.folder / "data", clone, ignore=SOCKETS)
    world.configure(name="clone")
    world.start("agent")
    world.start("clone")
    world.resume()
    await world.press(rng, 4)
    await asyncio.sleep(rng.uniform(3, 6))
    await world.press(rng, 2)
    await world.kill("clone")


async def centre_restored(world: World, rng: random.Random) -> None:
    """The centre is restored from an older database: messages with a later receipt are missing there."""
    await world.rest()
    await world.kill("centre")
    database = world.folder / "centre.db"
    for path in world.folder.glob("centre.db*"):
        shutil.copy(path, world.folder / f"backup-{path.name}")
    world.start("centre")
    world.resume()
    await world.press(rng, 4)
    await world.rest()
    await world.kill("centre")
    for path in world.folder.glob("centre.db*"):
        path.unlink()
    for path in world.folder.glob("backup-centre.db*"):
        path.rename(world.folder / path.name.removeprefix("backup-"))
    if not database.exists():
        raise FileNotFoundError(database)
    world.start("centre")
    world.resume()


async def deaf_acl(world: World, rng: random.Random) -> None:
    """The ACL of the broker lets the device publish everything and read nothing; a SUBACK does not show it.

    The centre has all rights: mosquitto ends the connection of one whose receipts it denies.
    """
    acl = world.folder / "acl"
    if not acl.exists():
        down = ("receipt", "alert/ack", "config/desired", "command/#")
        denied = (*(f"{DEVICE}/{topic}" for topic in down), "host/status")
        rules = [f"topic deny {ROOT}/{topic}" for topic in denied]
        acl.write_text("\n".join(["topic readwrite #", "user device", *rules, "topic readwrite #", ""]))
        acl.chmod(0o644)
        world.folder.chmod(0o755)
        world.configure({"username": "device"})
        await world.restart("agent", rng)
    world.broker.more = f"user root\nacl_file {acl}\n"
    await broker_stopped(world, rng)
    await world.press(rng, 3)
    await world.expect("deaf", lambda: any("link" in reason for reason in world.reasons()))
    world.broker.more = ""
    await broker_stopped(world, rng)


async def disk_hangs(world: World, rng: random.Random) -> None:
    """An fsync of the running agent takes 20 s: new messages are sent all the same, with a report."""
    async with injected(world, "fdatasync:delay_enter=20000000:when=1"):
        await world.expect_press(rng, 10)
        await world.expect("the disk hangs", lambda: any("disk" in one for one in world.reasons()), 15)
        await world.pressed()


async def suspended(world: World, rng: random.Random) -> None:
    """The whole agent is suspended and resumed: for 10 minutes in the first trial."""
    long = world.writes == 1 and not (world.folder / "slept").exists()
    (world.folder / "slept").touch()
    world.agent.send_signal(signal.SIGSTOP)
    await asyncio.sleep(float(os.environ.get("SUSPEND_S", "600")) if long else rng.uniform(5, 60))
    world.agent.send_signal(signal.SIGCONT)
    await world.press(rng, 2)


async def clock_at_1970(world: World, rng: random.Random) -> None:
    """A device without a clock battery: 1970 at its start, and correct some seconds later."""
    await world.kill("agent")
    world.set_clock(f"-{time.time() - 60:.0f}")
    world.start("agent")
    await world.press(rng, 2)
    await asyncio.sleep(rng.uniform(0, 2))
    world.set_clock("+0d")


async def certificate_expired(world: World, rng: random.Random) -> None:
    """The certificate of the broker or of the device expires, then both are renewed; with mutual TLS."""
    certs = world.folder / "certs"
    if not certs.exists():
        certs.mkdir(mode=0o755)
        await asyncio.to_thread(certificates, certs, "now")
        files = f"cafile {certs}/ca.pem\ncertfile {certs}/broker.pem\nkeyfile {certs}/broker.key\n"
        listener = f"listener {world.tls.far} 127.0.0.1\n{files}require_certificate true\n"
        world.broker.more = f"user root\n{listener}"
        await asyncio.to_thread(world.broker.stop)
        await asyncio.to_thread(world.broker.start)
        await world.kill("agent")
        paths = {
            "ca": f"{certs}/ca.pem",
            "cert": f"{certs}/device.pem",
            "key": {"file": f"{certs}/device.key"},
        }
        world.configure({"url": world.tls.url.replace("mqtt:", "mqtts:"), **paths})
        world.start("agent")
        await world.press(rng, 1)
        await world.delivered()
    who = rng.choice(("broker", "device"))
    await asyncio.to_thread(certificate, certs, who, "2020-01-01")
    seen = world.log_of("agent").count("expired")
    await broker_stopped(world, rng)
    await world.press(rng, 2)
    await world.expect("expired", lambda: world.log_of("agent").count("expired") > seen, 30)
    await asyncio.to_thread(certificate, certs, who, "now")
    await broker_stopped(world, rng)


def certificates(folder: Path, when: str) -> None:
    """Makes an authority, and certificates for ``broker`` and ``device``."""
    authority = ["-x509", "-days", "3650", "-subj", "/CN=chaos", "-keyout", "ca.key", "-out", "ca.pem"]
    _openssl(folder, "2020-01-01", "req", "-newkey", "rsa:2048", "-nodes", *authority)
    for name in ("broker", "device"):
        certificate(folder, name, when)


def certificate(folder: Path, name: str, when: str) -> None:
    """A certificate of 300 days from ``when``."""
    subject = f"/CN={DEVICE if name == 'device' else 'localhost'}"
    request = ["-newkey", "rsa:2048", "-nodes", "-subj", subject, "-keyout", f"{name}.key", "-out", "new.csr"]
    _openssl(folder, "now", "req", *request)
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "300", "-extfile", "san"]
    _openssl(folder, when, "x509", "-req", "-in", "new.csr", "-out", f"{name}.pem", *signed)
    for path in folder.iterdir():
        path.chmod(0o644)


def _openssl(folder: Path, when: str, *words: str) -> None:
    prefix = [] if when == "now" else ["faketime", when]
    subprocess.run([*prefix, "openssl", *words], cwd=folder, check=True, capture_output=True)


async def link_half_open(world: World, rng: random.Random) -> None:
    """Data in one direction is dropped silently, data in the other direction arrives."""
    world.hop.hole(rng.choice(("up", "down")))
    await asyncio.sleep(rng.uniform(1, 25))
    world.hop.heal()


async def dns_hangs(world: World, rng: random.Random) -> None:
    """The look-up of the first broker's name never ends: the second broker gets the alerts in time."""
    if "agent" not in world.ways:
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server = f"127.77.{rng.randrange(256)}.{rng.randrange(1, 255)}"
        silent.bind((server, 53))  # takes each question and never answers
        resolver = world.folder / "resolv.conf"
        resolver.write_text(f"nameserver {server}\noptions timeout:10 attempts:3\n")
        world.keep.append(silent)
        world.ways["agent"] = [
            "unshare", "-m", "sh", "-c", f'mount --bind {resolver} /etc/resolv.conf && exec "$@"', "sh",
        ]  # fmt: skip
        await world.kill("agent")
        world.configure(
            {"url": "mqtt://broker.chaos.test:1883", "insecure": True, "fallbacks": [world.hop.url]}
        )
        world.start("agent")
    else:
        await world.restart("agent", rng)
    await world.expect_press(rng, 40)
    await world.expect_press(rng, 5)
    await world.pressed()


async def broker_forgets(world: World, rng: random.Random) -> None:
    """A broker without persistence is killed repeatedly while many messages are in flight."""
    for _ in range(rng.randint(2, 4)):
        pressing = asyncio.ensure_future(world.press(rng, 3))
        await asyncio.sleep(rng.uniform(0, 0.4))
        await broker_killed(world, rng)
        await pressing


async def burst(world: World, rng: random.Random) -> None:
    """2,000 alert messages as fast as a board can send them."""
    await asyncio.gather(*(world.press_one(name, 250, rng) for name in SWITCHES))


async def backlog_at_56k(world: World, rng: random.Random) -> None:
    """With a backlog of 50,000 minor alerts on a link of 56 kbit/s, the panic button is pressed."""
    if not (world.folder / "owed").exists():
        (world.folder / "owed").touch()
        await world.rest()
        await world.kill("agent")
        await asyncio.to_thread(asyncio.run, owe(world.folder / "data", 50_000))
        world.hop.slow(7000)
        world.start("agent")
        world.resume()
        await asyncio.sleep(10)
    world.hop.slow(7000)
    await world.expect_press(rng, 20)
    await world.pressed()
    world.hop.slow(500_000)


async def owe(folder: Path, count: int) -> None:
    """Alerts that a device raised in an outage."""
    outbox = Outbox.open(folder)
    for start in range(0, count, 1000):
        await outbox.put(*(old_alert(start + number) for number in range(min(1000, count - start))))
    await asyncio.to_thread(outbox.close)


def old_alert(number: int) -> Message:
    """An alert as the agent makes it."""
    identity = new_id()
    alert = {
        "alert_id": f"old-{number}", "phase": "new", "kind": "zone_enter", "rule": "old", "severity": "info",
        "text": "person in the yard", "since": "2026-11-28T06:00:00.000Z", "source": "cam1", "count": 1,
    }  # fmt: skip
    fields = {"schema": "alert/1", "id": identity, "device": DEVICE, "session": 1, "at": alert["since"]}
    body = encode(fields | {"clock": {"source": "system"}, "alert": alert, "latency_ms": {}})
    rank, group = RANKS["info"], str(alert["alert_id"])
    return Message(lane="alert", topic="alert", id=identity, body=body, rank=rank, group=group)


@asynccontextmanager
async def injected(world: World, fault: str) -> AsyncIterator[None]:
    """strace injects ``fault`` into the system calls of the agent."""
    command = ["strace", "-f", "-q", "-e", "trace=pwrite64,fdatasync", "-e", f"inject={fault}"]
    tracer = await asyncio.create_subprocess_exec(
        *command, "-p", str(world.agent.pid), "-o", "/dev/null", stderr=subprocess.DEVNULL
    )
    try:
        await asyncio.sleep(0.3)
        yield
    finally:
        with suppress(ProcessLookupError):
            tracer.send_signal(signal.SIGTERM)
        await tracer.wait()


FAULTS: dict[str, Fault] = {
    "agent killed": agent_killed,
    "broker killed": broker_killed,
    "centre killed": centre_killed,
    "all three killed": all_killed,
    "broker stopped": broker_stopped,
    "link cut": link_cut,
    "link swallows": link_swallows,
    "link slow": link_slow,
    "disk full": disk_full,
    "n-th write fails": write_fails,
    "killed at n-th write": killed_at_write,
    "disk damaged": disk_damaged,
    "disk read-only": disk_read_only,
    "clock jumps": clock_jumps,
    "image restored": image_restored,
    "card cloned": card_cloned,
    "centre restored": centre_restored,
    "deaf ACL": deaf_acl,
    "disk hangs": disk_hangs,
    "suspended": suspended,
    "clock at 1970": clock_at_1970,
    "certificate expired": certificate_expired,
    "link half open": link_half_open,
    "DNS hangs": dns_hangs,
    "broker forgets": broker_forgets,
    "burst of 2000": burst,
    "50000 at 56 kbit/s": backlog_at_56k,
}


TRACED = ("n-th write fails", "killed at n-th write", "disk hangs")
FAKED = ("clock jumps", "clock at 1970", "certificate expired")
MOUNTED = ("disk read-only", "DNS hangs")


def possible(fault: str) -> bool:
    """Whether this machine has the tools that the fault needs."""
    if fault in TRACED:
        return shutil.which("strace") is not None
    if fault in MOUNTED:
        return os.geteuid() == 0 and shutil.which("unshare") is not None
    if fault in ("deaf ACL", "certificate expired") and mosquitto_path() is None:
        return False
    return fault not in FAKED or FAKETIME is not None
