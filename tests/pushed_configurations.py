"""A configuration file with masked cameras, and edits of it, for tests of what a push may do."""

from collections.abc import Sequence
from pathlib import Path

from agent.config.loader import parse
from agent.config.model import Config
from agent.trust.changes import Change

LOCAL_FILE = """\
schema_version: 1
device: bridge-07
kind: watch_point
place: {ring: perimeter, domain: ground, site: bridge, post: north}
broker: {url: "mqtts://broker.example", ca: ca.pem, cert: cert.pem, key: {file: own.key}, username: u, password: {file: pw}}
data: {directory: /var/lib/ringpost, max_mb: 512}
evidence: {keep_least: 24h, keep_most: 72h, max_mb: 200, least_free_mb: 500}
privacy: {rescue_key: {file: rescue}}
sources:
  gnss: {kind: nmea, port: "tcp://127.0.0.1:10110"}
  board: {kind: sensor_board, port: /dev/ttyACM0, outputs: [siren]}
  cam1: {kind: camera, url: "rtsp://192.0.2.10/stream1", purpose: rescue, rotate: 180, crop: [0, 0, 1, 0.8], blackout: [[[0, 0], [0.3, 0], [0.3, 1]]], detector: {labels: [person, boat]}}
  cam2: {kind: camera, url: "rtsp://192.0.2.20/stream1", purpose: rescue}
  disk: {kind: camera, url: clips/a.mp4, purpose: rescue}
  usb: {kind: camera, url: 0, purpose: rescue}
  cam4: {kind: camera, url: "rtsps://192.0.2.40/stream1", purpose: rescue}
rules:
  quiet: {kind: silence, source: gnss}
  panic: {kind: switch, source: board, name: panic_button, need_ack: true, escalate: {output: {source: board, name: siren}}}
guarded_rules: [panic]
"""
BASE = Path("/etc/ringpost")
MASKS = "rotate: 180, crop: [0, 0, 1, 0.8], blackout: [[[0, 0], [0.3, 0], [0.3, 1]]], detector: {labels: [person, boat]}"
NEW = '{kind: camera, purpose: rescue, url: "'


def config(text: str) -> Config:
    return parse(text, name="", base=BASE)


def swap(*pairs: tuple[str, str]) -> str:
    text = LOCAL_FILE
    for was, now in pairs:
        assert was in text
        text = text.replace(was, now, 1)
    return text


def add(camera: str) -> str:
    return swap(("rules:\n", f"  new: {camera}\nrules:\n"))


def anyone(_changes: Sequence[Change]) -> None:
    """Allows every change, as if enough keys had signed."""
