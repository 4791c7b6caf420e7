"""The pushes of `bench.pushes`, and the agent that a SIGKILL ends at a given step of one."""

import datetime
import ipaddress
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DEVICE = "fatal-1"
CONFIG = """\
schema_version: 1
device: fatal-1
kind: watch_point
roles: roles.json
place: {{ring: perimeter, domain: ground, site: bench, post: north}}
broker: {{url: "{broker}", resend_after: 2s}}
reporting: {{health_every: 5s}}
sources:
  board: {{kind: sensor_board, port: "{folder}/board"}}
rules:
  panic: {{kind: switch, source: board, name: panic_button, severity: critical}}
"""
CAMERA = "  cam1: {{kind: camera, url: rtsp://192.0.2.1/1, purpose: a test, open_timeout: 1s{more}}}\n"

# Counts the steps of a push from its arrival on, and ends the process at the one that KILL_AT names.
AGENT = """
import os, signal
from agent import app
from agent.config import deployment, kept_configuration, ledger
from agent.control.trial_proof import TrialProof
from agent.push_trial import PushTrials

kill_at, armed, steps = int(os.environ.get("KILL_AT", "-1")), False, 0

def step():
    global steps
    if armed:
        if steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        steps += 1

def around(function):
    async def both(*given, **named):
        step()
        result = await function(*given, **named)
        step()
        return result
    return both

write = ledger.write_durably

def stored(path, data):
    step()
    write(path, data)
    step()

handle = deployment.Deployment.handle

async def arm(*given, **named):
    global armed
    armed = True
    step()
    await handle(*given, **named)
    step()

ledger.write_durably = stored
deployment.Deployment.handle = arm
app.Agent.apply = around(app.Agent.apply)
TrialProof.prove, TrialProof.probe = around(TrialProof.prove), around(TrialProof.probe)
PushTrials.report = around(PushTrials.report)
from agent.__main__ import main
main()
"""
STEPS = 20
"""A trial that is rolled back has about so many steps."""


@dataclass(frozen=True)
class Surroundings:
    """What the pushes of one world refer to."""

    folder: Path
    broker: str
    elsewhere: str
    """A broker without a centre."""
    encrypted: str
    """A broker with TLS, under a CA that wrong-ca.pem is not."""


Change = Callable[[str, Surroundings], str]


def _broker(url: str, more: str = "") -> Change:
    def change(text: str, around: Surroundings) -> str:
        to = url.format(elsewhere=around.elsewhere, encrypted=around.encrypted)
        return re.sub(r'broker: \{url: "[^"]*"', f'broker: {{url: "{to}"{more}', text)

    return change


def _source(line: str) -> Change:
    return lambda text, _: text.replace("rules:\n", f"{line}rules:\n")


def _rule(line: str) -> Change:
    camera = CAMERA.format(more=", zones: {rail: [[0, 0], [1, 0], [1, 1]]}")
    return lambda text, _: text.replace("rules:\n", f"{camera}rules:\n{line}")


FATAL: dict[str, tuple[Change, str]] = {
    "wrong broker": (_broker("mqtt://127.0.0.1:9"), "the broker was not reached"),
    "broker without a centre": (_broker("{elsewhere}"), "no receipt of the centre"),
    "wrong CA": (_broker("{encrypted}", ", ca: wrong-ca.pem"), "the broker was not reached"),
    "missing required port": (_source("  gps: {kind: nmea, port: /dev/ttyUSB97, required: true}\n"), "gps: "),
    "dead camera": (_source(CAMERA.format(more="")), "cam1: "),
    "model that does not load": (
        _source(CAMERA.format(more=", required: false, detector: {model: broken.yaml}")),
        "broken|sha256|model",
    ),
    "zone that no camera has": (
        _rule("  z: {kind: zone_enter, camera: cam1, zone: bridge}\n"),
        "no zone 'bridge'",
    ),
    "zone outside the picture": (
        _source(CAMERA.format(more=", zones: {far: [[0, 0], [7, 0], [1, 1]]}")),
        "zones",
    ),
    "unknown label": (
        _rule("  z: {kind: zone_enter, camera: cam1, zone: rail, labels: [persn]}\n"),
        "did you mean 'person'",
    ),
    "wrong broker, clock wrong": (_broker("mqtt://127.0.0.1:9"), "the broker was not reached"),
}  # fmt: skip
"""By name: the change of the configuration, and a pattern of the reason that the device gives."""
SECOND_START = "the device restarted before the new configuration was proved"


def write_surroundings(folder: Path) -> None:
    """A card whose weights are no network, a CA that signed nothing, a server's certificate of another CA."""
    cards = Path(__file__).resolve().parents[1] / "models" / "cards"
    card = (cards / "nanodet-g.yaml").read_text()
    card = re.sub(r"^name: .*$", "name: broken", card, flags=re.MULTILINE)
    card = re.sub(r"^(aliases|proof|sha256): .*\n", "", card, flags=re.MULTILINE)
    card = re.sub(r"^weights: .*$", "weights: broken.onnx", card, flags=re.MULTILINE)
    (folder / "broken.yaml").write_text(card)
    (folder / "broken.onnx").write_bytes(b"no network" * 99)
    for name in ("wrong-ca", "server"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(key, hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.key").write_bytes(pem)
    ssl.create_default_context(cafile=str(folder / "wrong-ca.pem"))
