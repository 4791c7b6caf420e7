"""The text of a first configuration: valid, and every line explained. Pure but for the time zone."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.cli.init_hardware import FoundSource

COLUMN = 46
"""Where comments begin; a longer line has its comment above."""
DOMAINS = {"patrol_boat": "water", "drone_ground_station": "air", "metro_post": "underground"}
LOCALTIME, ZONES = Path("/etc/localtime"), "zoneinfo/"


@dataclass(frozen=True)
class Answers:
    """What a technician has to say."""

    device: str
    kind: str
    site: str = "site-1"
    post: str = "post-1"
    broker: str = "broker.example"


def configuration_text(answers: Answers, found: Sequence[FoundSource]) -> str:
    """The configuration. Lines that only a technician can fill say CHANGE."""
    lines = [
        *_device(answers),
        *_broker(answers),
        *_sources(found),
        *_positioning(found),
        *_rules(found),
    ]
    return "\n".join(lines) + "\n"


def _line(text: str, comment: str) -> Iterator[str]:
    if len(text) <= COLUMN - 2:
        yield f"{text:{COLUMN}}# {comment}"
    else:
        yield f"{' ' * (len(text) - len(text.lstrip()))}# {comment}"
        yield text


def _open(value: str, usual: str) -> str:
    """Marks a line that nobody has answered."""
    return "CHANGE: " if value == usual else ""


def _device(answers: Answers) -> Iterator[str]:
    yield "# Made by ringpost init from what was plugged in. CHANGE marks what only you know."
    yield "# After each edit: ringpost check FILE. All keys: ringpost schema, and configs/ of the package."
    yield from _line("schema_version: 1", "the form of this file")
    yield from _line(
        f"device: {_scalar(answers.device)}", "CHANGE: its name in topics and at the centre; unique"
    )
    yield from _line(f"kind: {answers.kind}", "what it is; also patrol_boat, metro_post, …")
    yield "place:"
    yield from _line("  ring: inner_city", "CHANGE: perimeter, ring_road or inner_city")
    domain = DOMAINS.get(answers.kind, "ground")
    yield from _line(f"  domain: {domain}", "ground, underground, air, water or between")
    yield from _line(
        f"  site: {_scalar(answers.site)}",
        _open(answers.site, Answers.site) + "the bridge, station or reach of the river",
    )
    yield from _line(
        f"  post: {_scalar(answers.post)}", _open(answers.post, Answers.post) + "the place at the site"
    )
    yield from _line(f"  timezone: {_scalar(_timezone())}", "the zone of all schedules in this file")
    yield from _line("  # lat: 32.0222", "for a fixed post: its surveyed latitude, WGS-84 …")
    yield from _line("  # lon: 118.7869", "… and longitude; set both or none")
    yield ""


def _broker(answers: Answers) -> Iterator[str]:
    yield "broker:"
    yield from _line(
        f"  url: {_scalar(f'mqtts://{answers.broker}:8883')}",
        _open(answers.broker, Answers.broker) + "the broker, always with TLS",
    )
    yield from _line("  ca: certs/ca.pem", "who signed the broker's certificate")
    yield from _line("  cert: certs/device.pem", "this device's certificate: certificates.sh device NAME")
    yield from _line("  key: {file: certs/device.key}", "its key, readable for the agent's user only")
    yield from _line("roles: roles.json", "who may reconfigure it: made at a desk by ringpost keys init")
    yield "data:"
    yield from _line("  directory: /var/lib/ringpost", "where unsent alerts are kept; one agent each")
    yield from _line("  max_mb: 512", "the most that it takes of the disk, in MB")
    yield ""


def _sources(found: Sequence[FoundSource]) -> Iterator[str]:
    if not any(source.kind for source in found):
        yield from _line("sources: {}", "nothing that speaks was plugged in; for example:")
        yield from _example(SOURCE_EXAMPLE)
    else:
        yield "sources:"
    for source in found:
        yield from _source(source)
    yield ""


def _source(source: FoundSource) -> Iterator[str]:
    off = "" if source.kind else "# "
    yield f"  # {_plain(source.description)}"
    if source.kind is None:
        yield "  # Nothing was recognised on it; give its kind, or leave it out: ringpost read PORT"
    yield from _line(f"  {off}{source.name}:", "a name of your own for alerts and health")
    yield from _line(f"  {off}  kind: {source.kind or 'nmea'}", "what it speaks")
    if source.kind == "camera":
        yield from _line(f"    url: {_scalar(source.port)}", "the camera, by a name that survives replugging")
        yield from _line("    purpose: public safety", "CHANGE: what this camera is for; required")
        yield from _line("    fps: 5", "inferences per second, at most")
        yield from _line(
            "    # zones: {door: [[0, 0], [1, 0], [1, 1], [0, 1]]}", "corners as parts of the picture"
        )
        return
    yield from _line(f"  {off}  port: {_scalar(source.port)}", "the port, by a name that survives replugging")
    if source.baud is not None:
        yield from _line(f"  {off}  baud: {source.baud}", "bit/s, as heard; without it, it is detected")
    if source.kind == "sensor_board":
        yield from _line("    outputs: [siren, light]", "what rules and the centre may switch")


def _positioning(found: Sequence[FoundSource]) -> Iterator[str]:
    receivers = [source.name for source in found if source.has_fixes]
    if receivers:
        yield "positioning:"
        yield from _line(f"  receivers: [{', '.join(receivers)}]", "GNSS receivers, the best first")
        yield from _line("  max_error_m: 25", "a fix with a larger error is not taken")
        yield ""


SOURCE_EXAMPLE = (
    ("  board:", "a name of your own"),
    ("    kind: sensor_board", "a panic button, siren and sensors on USB"),
    ("    port: /dev/serial/by-id/usb-BOARD", "ringpost devices lists the ports"),
    ("  cam1:", "a camera in the network"),
    ("    kind: camera", "needs pip install 'ringpost[vision]'"),
    ('    url: "rtsp://192.0.2.10/stream1"', "also http://, udp://, /dev/video0"),
    ("    purpose: public safety", "what it is for; required"),
)
RULE_EXAMPLE = (
    ("  panic:", "a name of your own"),
    ("    kind: switch", "a contact closes"),
    ("    source: board", "the source above"),
    ("    name: panic_button", "the contact at the board"),
    ("    severity: critical", "critical, warning or info"),
    ("    need_ack: true", "repeated until somebody acknowledges it"),
)


def _example(lines: Sequence[tuple[str, str]]) -> Iterator[str]:
    for text, comment in lines:
        yield from _line(f"# {text}", comment)


def _rules(found: Sequence[FoundSource]) -> Iterator[str]:
    rules = [rule for source in found if source.kind for rule in _rules_of(source)]
    if not rules:
        yield from _line("rules: {}", "what raises alerts; all kinds: docs/rules.md; for example:")
        yield from _example(RULE_EXAMPLE)
        return
    yield "rules:"
    for name, lines in rules:
        yield f"  {name}:"
        for text, comment in lines:
            yield from _line(f"    {text}", comment)


def _rules_of(source: FoundSource) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A rule that tells when the source is silent, and what its kind is usually there for."""
    silence = [
        ("kind: silence", "nothing came from the source …"),
        (f"source: {source.name}", "… this one …"),
        ("after: 30s", "… for so long"),
        ("severity: warning", "critical, warning or info"),
    ]
    if source.kind == "camera":
        yield (
            f"{source.name}-cannot-see",
            [
                ("kind: blind", "dark, fog, dirty, covered, turned, frozen"),
                (f"camera: {source.name}", "the camera above"),
                ("after: 30s", "for so long"),
                ("severity: warning", "critical, warning or info"),
            ],
        )
    yield f"{source.name}-silent", silence
    if source.kind == "sensor_board":
        yield (
            f"{source.name}-panic",
            [
                ("kind: switch", "a contact closes"),
                (f"source: {source.name}", "at this board"),
                ("name: panic_button", "the panic button"),
                ("severity: critical", "sent before everything else"),
                ("need_ack: true", "repeated until somebody acknowledges it"),
            ],
        )
    if source.has_fixes:
        yield (
            f"{source.name}-jammed",
            [
                ("kind: interference", "the receiver is jammed or spoofed"),
                (f"source: {source.name}", "this receiver"),
                ("severity: warning", "critical, warning or info"),
            ],
        )


def _timezone() -> str:
    """The zone of this machine; UTC where it is not known."""
    try:
        name = str(LOCALTIME.resolve()).partition(ZONES)[2]
        return ZoneInfo(name).key
    except (OSError, RuntimeError, KeyError, ValueError):
        return "UTC"


def _scalar(value: str) -> str:
    """As a scalar of YAML, in quotes where it needs them."""
    plain = re.fullmatch(r"[A-Za-z/][A-Za-z0-9_./-]*", value)
    if plain and value.lower() not in ("true", "false", "yes", "no", "on", "off", "null"):
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08X}" for letter in quoted)


def _plain(text: str) -> str:
    """A description of a device in one line: its maker wrote it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:90]
