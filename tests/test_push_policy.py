"""What no push can do, whatever its signatures."""

import pytest

from agent.config.model import Config, Data, Place
from agent.config.policy_table import POLICY, rows_of
from agent.config.push_policy import broker_changed, policy_violations
from agent.domain.drill_settings import DrillSettings
from agent.evidence.settings import Evidence
from agent.mqtt.broker import Broker
from agent.vision.camera import Camera
from agent.vision.detector import DetectorSettings
from tests.pushed_configurations import LOCAL_FILE, config, swap

SECTIONS = (Config, Place, Broker, Data, DrillSettings, Evidence, Camera, DetectorSettings)


def found(text: str, now: str = LOCAL_FILE) -> list[str]:
    return [path for path, _ in policy_violations(config(text), config(now), config(LOCAL_FILE))]


NEVER = [
    ("mqtt", swap(("mqtts://broker.example\", ca: ca.pem, cert: cert.pem, key: {file: own.key}", "mqtt://127.0.0.1\"")), ["broker.url", "broker.ca", "broker.cert", "broker.key"]),
    ("insecure", swap(("{url:", "{insecure: true, url:")), ["broker.insecure"]),
    ("no receipts", swap(("{url:", "{delivery: puback, url:")), ["broker.delivery"]),
    ("no ca", swap(("ca: ca.pem, ", "")), ["broker.ca"]),
    ("no certificate", swap((", cert: cert.pem, key: {file: own.key}", "")), ["broker.cert", "broker.key"]),
    ("no login", swap((", username: u, password: {file: pw}", "")), ["broker.username", "broker.password"]),
    ("videos", swap(("max_mb: 512", "max_mb: 512, video_folder: /etc")), ["data.video_folder"]),
    ("password in clear text", swap(('20/stream1"', '20/stream1", basic: true')), ["sources.cam2.basic"]),
    ("data", swap(("max_mb: 512", "max_mb: 32")), ["data.max_mb"]),
    ("directory", swap(("/var/lib", "/tmp")), ["data.directory"]),
    ("rescue", swap(("file: rescue", "file: mine")), ["privacy"]),
    ("no rescue", swap(("privacy: {rescue_key: {file: rescue}}\n", "")), ["privacy"]),
    ("kept too long", swap(("keep_most: 72h", "keep_most: 73h")), ["evidence.keep_most"]),
    ("port scan", swap(("127.0.0.1:10110", "127.0.0.1:22")), ["sources.gnss.port"]),
    ("port scan 2", swap(("127.0.0.1:10110", "0x7f.1:22")), ["sources.gnss.port"]),
    ("port scan 3", swap(("127.0.0.1:10110", "localhost:22")), ["sources.gnss.port"]),
    ("port scan 4", swap(("127.0.0.1:10110", "\u24dbocalhost:22")), ["sources.gnss.port"]),
    ("port scan 5", swap(("127.0.0.1:10110", "\uff11\uff12\uff17\u30020\u30020\u30021:22")), ["sources.gnss.port"]),
    ("this machine", swap(("127.0.0.1:10110", "0.0.0.0:22")), ["sources.gnss.port"]),
    ("metadata", swap(("127.0.0.1:10110", "169.254.169.254:80")), ["sources.gnss.port"]),
    ("gpsd", swap(('{kind: nmea, port: "tcp://127.0.0.1:10110"}', "{kind: gpsd, port: 22}")), ["sources.gnss.port"]),
    ("no tls to the camera", swap(("rtsps://192.0.2.40", "http://192.0.2.40")), ["sources.cam4.url"]),
    ("larger stream of another server", swap(('20/stream1"', '20/stream1", evidence_url: "rtsp://192.0.2.99/main"')), ["sources.cam2.evidence_url"]),
    ("larger stream of this machine", swap(('20/stream1"', '20/stream1", evidence_url: "rtsp://127.0.0.1:8554/main"')), ["sources.cam2.evidence_url"]),
    ("what a push may name", swap(("rules:\n", "allow: {hosts: [\"*\"]}\nrules:\n")), ["allow"]),
    ("guarded rules", swap(("[panic]", "[]")), ["guarded_rules"]),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("text", "paths"), [case[1:] for case in NEVER], ids=[case[0] for case in NEVER])
def test_what_no_push_can_do(text: str, paths: list[str]) -> None:
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


def test_what_was_weaker_before_there_was_this_table_may_stay() -> None:
    was = swap(
        ("rotate: 180", "rotate: 90"),
        ("keep_least: 24h", "keep_least: 12h"),
        ("{url:", "{insecure: true, url:"),
    )
    assert found(was, now=was) == []
    assert found(LOCAL_FILE, now=was) == []  # and can be mended by push


@pytest.mark.parametrize("part", SECTIONS)
def test_each_field_has_a_row(part: type[Config]) -> None:
    """Whoever adds a field says here whether a push may change it; until then it can't."""
    assert [row for row in rows_of(part) if row not in POLICY] == []


def test_the_table_has_no_dead_rows() -> None:
    assert set(POLICY) <= {row for part in SECTIONS for row in rows_of(part)}


def test_another_broker_is_one_to_be_proved() -> None:
    here = Broker(url="mqtts://a")
    assert not broker_changed(here, here.model_copy(update={"backlog_per_s": 7.0, "metered": True}))
    assert broker_changed(here, Broker(url="mqtts://a:8884"))
    assert broker_changed(here, Broker(url="mqtts://a", protocol="3.1.1"))
    assert broker_changed(here, Broker(url="mqtts://a", fallbacks=("mqtts://b",)))
    for change in ({"insecure": True}, {"delivery": "puback"}):
        assert broker_changed(here, here.model_copy(update=change))
