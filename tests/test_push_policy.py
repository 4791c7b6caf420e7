"""A push weakens nothing that keeps people covered, evidence kept or the centre reached, by whatever name."""

from pathlib import Path

import pytest

from agent.config.loader import parse
from agent.config.model import Config, Data
from agent.config.push_policy import (
    FREE,
    LOCAL,
    PARTS,
    POLICY,
    broker_changed,
    policy_rows,
    policy_violations,
)
from agent.domain.drill_settings import DrillSettings
from agent.evidence.settings import Evidence
from agent.mqtt.broker import Broker
from agent.vision.camera import Camera
from agent.vision.detector import DetectorSettings

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
  cam1: {kind: camera, url: "rtsp://192.0.2.10/stream1", purpose: rescue, rotate: 180, crop: [0, 0, 1, 0.8], blackout: [[[0, 0], [0.3, 0], [0.3, 1]]], detector: {labels: [person, boat]}}
  cam2: {kind: camera, url: "rtsp://192.0.2.20/stream1", purpose: rescue}
  disk: {kind: camera, url: clips/a.mp4, purpose: rescue}
  usb: {kind: camera, url: 0, purpose: rescue}
rules:
  quiet: {kind: silence, source: gnss}
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


def found(text: str, now: str = LOCAL_FILE) -> list[str]:
    return [path for path, _ in policy_violations(config(text), config(now), config(LOCAL_FILE))]


def add(camera: str) -> str:
    return swap(("rules:\n", f"  new: {camera}\nrules:\n"))


WEAKER = [
    ("mqtt", swap(("mqtts://broker.example\", ca: ca.pem, cert: cert.pem, key: {file: own.key}", "mqtt://127.0.0.1\"")), ["broker.url", "broker.ca", "broker.cert", "broker.key"]),
    ("insecure", swap(("{url:", "{insecure: true, url:")), ["broker.insecure"]),
    ("other ca", swap(("ca: ca.pem", "ca: other.pem")), ["broker.ca"]),
    ("no ca", swap(("ca: ca.pem, ", "")), ["broker.ca"]),
    ("puback", swap(("{url:", "{delivery: puback, url:")), ["broker.delivery"]),
    ("no certificate", swap((", cert: cert.pem, key: {file: own.key}", "")), ["broker.cert", "broker.key"]),
    ("no login", swap((", username: u, password: {file: pw}", "")), ["broker.username", "broker.password"]),
    ("videos", swap(("max_mb: 512", "max_mb: 512, video_folder: /etc")), ["data.video_folder"]),
    ("camera's ca", swap(("rtsp://192.0.2.20/stream1\"", "rtsps://192.0.2.20/stream1\", ca: other.pem")), ["sources.cam2.ca"]),
    ("password in clear text", swap(('20/stream1"', '20/stream1", basic: true')), ["sources.cam2.basic"]),
    ("data", swap(("max_mb: 512", "max_mb: 32")), ["data.max_mb"]),
    ("directory", swap(("/var/lib", "/tmp")), ["data.directory"]),
    ("rescue", swap(("file: rescue", "file: mine")), ["privacy"]),
    ("no rescue", swap(("privacy: {rescue_key: {file: rescue}}\n", "")), ["privacy"]),
    ("wiped", swap(("keep_least: 24h, keep_most: 72h", "keep_least: 0s, keep_most: 0s")), ["evidence.keep_least", "evidence.keep_most"]),
    ("kept too long", swap(("keep_most: 72h", "keep_most: 73h")), ["evidence.keep_most"]),
    ("small ring", swap(("max_mb: 200", "max_mb: 100")), ["evidence.max_mb"]),
    ("full disk", swap(("least_free_mb: 500", "least_free_mb: 5000")), ["evidence.least_free_mb"]),
    ("not recorded", swap(("evidence: {", "evidence: {record: false, ")), ["evidence.record"]),
    ("turned", swap(("rotate: 180", "rotate: 90")), ["sources.cam1.rotate"]),
    ("crop", swap(("1, 0.8]", "1, 1]")), ["sources.cam1.crop"]),
    ("no blackout", swap(("blackout: [[[0, 0], [0.3, 0], [0.3, 1]]], ", "")), ["sources.cam1.blackout"]),
    ("shifted blackout", swap(("[0.3, 1]", "[0.3, 0.5]")), ["sources.cam1.blackout"]),
    ("other model", swap(("{labels: [person, boat]}", "{labels: [person, boat], model: wide}")), ["sources.cam1.detector.model"]),
    ("no people", swap(("[person, boat]", "[boat]")), ["sources.cam1.detector.labels"]),
    ("no people of all", swap(('20/stream1", purpose: rescue', '20/stream1", purpose: rescue, detector: {labels: [boat]}')), ["sources.cam2.detector.labels"]),
    ("renamed", swap(("cam1:", "other:"), (MASKS, "fps: 5")), ["sources.other.rotate", "sources.other.crop", "sources.other.blackout"]),
    ("names swapped", swap(("192.0.2.10", "192.0.2.99"), ("192.0.2.20", "192.0.2.10")), ["sources.cam1.url", "sources.cam2.rotate", "sources.cam2.crop", "sources.cam2.blackout"]),
    ("beside it", add(NEW + 'rtsp://192.0.2.10/stream1"}'), ["sources.new.rotate", "sources.new.crop", "sources.new.blackout"]),
    ("other stream", add(NEW + 'http://192.0.2.10:80/mjpeg?x=1"}'), ["sources.new.rotate", "sources.new.crop", "sources.new.blackout"]),
    ("mapped address", add(NEW + 'rtsp://[::ffff:192.0.2.10]/stream1"}'), ["sources.new.rotate", "sources.new.crop", "sources.new.blackout"]),
    ("hexadecimal address", add(NEW + 'rtsp://0xc0.0.2.10/stream1"}'), ["sources.new.rotate", "sources.new.crop", "sources.new.blackout"]),
    ("one number", add(NEW + 'rtsp://3221225994/stream1"}'), ["sources.new.rotate", "sources.new.crop", "sources.new.blackout"]),
    ("by another name", add(NEW + 'rtsp://cam1.local/stream1"}'), ["sources.new.url"]),
    ("through another", swap(("192.0.2.20", "cam1.local")), ["sources.cam2.url"]),
    ("another device", add(NEW + '/dev/video2"}'), ["sources.new.url"]),
    ("port scan", swap(("127.0.0.1:10110", "127.0.0.1:22")), ["sources.gnss.port"]),
    ("port scan 2", swap(("127.0.0.1:10110", "0x7f.1:22")), ["sources.gnss.port"]),
    ("port scan 3", swap(("127.0.0.1:10110", "localhost:22")), ["sources.gnss.port"]),
    ("port scan 4", swap(("127.0.0.1:10110", "\u24dbocalhost:22")), ["sources.gnss.port"]),
    ("port scan 5", swap(("127.0.0.1:10110", "\uff11\uff12\uff17\u30020\u30020\u30021:22")), ["sources.gnss.port"]),
    ("this machine", swap(("127.0.0.1:10110", "0.0.0.0:22")), ["sources.gnss.port"]),
    ("metadata", swap(("127.0.0.1:10110", "169.254.169.254:80")), ["sources.gnss.port"]),
    ("gpsd", swap(('{kind: nmea, port: "tcp://127.0.0.1:10110"}', "{kind: gpsd, port: 22}")), ["sources.gnss.port"]),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("text", "paths"), [case[1:] for case in WEAKER], ids=[case[0] for case in WEAKER])
def test_what_a_push_can_not_weaken(text: str, paths: list[str]) -> None:
    assert found(text) == paths


@pytest.mark.slow
@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("mqtts://broker.example", "mqtts://new.example")],
        [("cert.pem", "2027.pem"), ("own.key", "2027.key")],
        [("keep_least: 24h", "keep_least: 48h"), ("max_mb: 200", "max_mb: 400"), ("free_mb: 500", "free_mb: 400")],
        [("[0.3, 1]]]", "[0.3, 1]], [[0.5, 0], [0.9, 0], [0.9, 1]]]")],
        [("purpose: rescue, rotate", "purpose: rescue, fps: 2, zones: {a: [[0, 0], [1, 0], [1, 1]]}, rotate")],
        [("[person, boat]", "[person]")],
        [("detector: {labels: [person, boat]}", "detector: {score: 0.3}")],
        [("  cam2:", "  # cam2:")],
        [("cam1:", "other:")],
        [("192.0.2.20/stream1", "192.0.2.20/stream2")],
        [("tcp://127.0.0.1:10110", "/dev/ttyUSB1")],
        [("tcp://127.0.0.1:10110", "tcp://192.0.2.30:10110")],
        [('{kind: nmea, port: "tcp://127.0.0.1:10110"}', "{kind: gpsd}")],
        [("  quiet: {kind: silence, source: gnss}", "  quiet: {kind: silence, source: gnss, severity: critical}")],
    ],
)  # fmt: skip
def test_what_a_technician_pushes_goes_on(pairs: list[tuple[str, str]]) -> None:
    assert found(swap(*pairs)) == []


def test_what_a_push_has_tightened_no_push_loosens() -> None:
    """Neither in one step, nor by taking the camera out in one push and bringing it back in the next."""
    more = swap(("[0.3, 1]]]", "[0.3, 1]], [[0.5, 0], [0.9, 0], [0.9, 1]]]"))
    assert found(LOCAL_FILE, now=more) == ["sources.cam1.blackout"]
    without = "\n".join(line for line in LOCAL_FILE.splitlines() if "cam1" not in line)
    bare = LOCAL_FILE.replace(MASKS, "fps: 5")
    assert found(bare, now=without) == ["sources.cam1.rotate", "sources.cam1.crop", "sources.cam1.blackout"]


def test_what_was_weaker_before_there_was_this_table_may_stay() -> None:
    was = swap(
        ("rotate: 180", "rotate: 90"),
        ("keep_least: 24h", "keep_least: 12h"),
        ("{url:", "{insecure: true, url:"),
    )
    assert found(was, now=was) == []
    assert found(LOCAL_FILE, now=was) == []  # and can be mended by push


def test_without_masks_a_camera_at_a_new_address_may_be_pushed() -> None:
    plain = LOCAL_FILE.replace(MASKS, "fps: 5")
    pushed = plain.replace("rules:\n", "  new: " + NEW + 'rtsp://192.0.2.50/1"}\nrules:\n')
    assert list(policy_violations(config(pushed), config(plain), config(plain))) == []


@pytest.mark.parametrize("part", [Config, Broker, Data, DrillSettings, Evidence, Camera, DetectorSettings])
def test_each_field_has_a_row(part: type[Config]) -> None:
    """Whoever adds a field says here whether a push may change it; until then it can't."""
    assert [row for row in policy_rows(part) if row not in POLICY] == []


def test_the_table_has_no_dead_rows() -> None:
    rows = {
        row
        for part in (Config, Broker, Data, DrillSettings, Evidence, Camera, DetectorSettings)
        for row in policy_rows(part)
    }
    assert set(POLICY) <= rows
    assert {rule for rule in POLICY.values() if isinstance(rule, str)} == {FREE, LOCAL, PARTS}


def test_another_broker_is_one_to_be_proved() -> None:
    here = Broker(url="mqtts://a")
    assert not broker_changed(here, here.model_copy(update={"backlog_per_s": 7.0, "metered": True}))
    assert broker_changed(here, Broker(url="mqtts://a:8884"))
    assert broker_changed(here, Broker(url="mqtts://a", protocol="3.1.1"))
    assert broker_changed(here, Broker(url="mqtts://a", fallbacks=("mqtts://b",)))
    for change in ({"insecure": True}, {"delivery": "puback"}):
        assert broker_changed(here, here.model_copy(update=change))
