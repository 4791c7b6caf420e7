"""The signatures that each change of a push needs: one, several, or a privacy officer's among them."""

import pytest

from agent.config.notes import config_notes
from agent.config.push_changes import changes
from tests.pushed_configurations import LOCAL_FILE, MASKS, NEW, add, config, swap


def found(text: str, now: str = LOCAL_FILE) -> dict[str, str]:
    return {change.path: change.guard for change in changes(config(text), config(now), config(LOCAL_FILE))}


GUARDED = [
    ("other ca", swap(("ca: ca.pem", "ca: other.pem")), {"broker.ca": "guarded"}),
    ("puback", swap(("{url:", "{delivery: puback, url:")), {"broker.delivery": "guarded"}),
    ("camera's ca", swap(("rtsp://192.0.2.20/stream1\"", "rtsps://192.0.2.20/stream1\", ca: other.pem")), {"sources.cam2.url": "guarded", "sources.cam2.ca": "guarded"}),
    ("wiped", swap(("keep_least: 24h, keep_most: 72h", "keep_least: 0s, keep_most: 0s")), {"evidence.keep_least": "picture", "evidence.keep_most": "picture"}),
    ("small ring", swap(("max_mb: 200", "max_mb: 100")), {"evidence.max_mb": "picture"}),
    ("full disk", swap(("least_free_mb: 500", "least_free_mb: 5000")), {"evidence.least_free_mb": "picture"}),
    ("not recorded", swap(("evidence: {", "evidence: {record: false, ")), {"evidence.record": "picture"}),
    ("turned", swap(("rotate: 180", "rotate: 90")), {"sources.cam1.rotate": "picture"}),
    ("crop", swap(("1, 0.8]", "1, 1]")), {"sources.cam1.crop": "picture"}),
    ("no blackout", swap(("blackout: [[[0, 0], [0.3, 0], [0.3, 1]]], ", "")), {"sources.cam1.blackout": "picture"}),
    ("shifted blackout", swap(("[0.3, 1]", "[0.3, 0.5]")), {"sources.cam1.blackout": "picture"}),
    ("other model", swap(("{labels: [person, boat]}", "{labels: [person, boat], model: wide}")), {"sources.cam1.detector.model": "picture"}),
    ("no people", swap(("[person, boat]", "[boat]")), {"sources.cam1.detector.labels": "picture"}),
    ("no people of all", swap(('20/stream1", purpose: rescue', '20/stream1", purpose: rescue, detector: {labels: [boat]}')), {"sources.cam2.detector.labels": "picture"}),
    ("renamed", swap(("cam1:", "other:"), (MASKS, "fps: 5")), {"sources.cam1": "guarded", "sources.other": "picture"}),
    ("names swapped", swap(("192.0.2.10", "192.0.2.99"), ("192.0.2.20", "192.0.2.10")), {"sources.cam1.url": "picture", "sources.cam2.url": "picture"}),
    ("beside it", add(NEW + 'rtsp://192.0.2.10/stream1"}'), {"sources.new": "picture"}),
    ("other stream", add(NEW + 'http://192.0.2.10:80/mjpeg?x=1"}'), {"sources.new": "picture"}),
    ("other channel", swap(("192.0.2.20/stream1", "192.0.2.20/stream2")), {"sources.cam2.url": "picture"}),
    ("larger stream", swap(('20/stream1"', '20/stream1", evidence_url: "rtsp://192.0.2.20/main"')), {"sources.cam2.evidence_url": "picture"}),
    ("other query", swap(("192.0.2.20/stream1", "192.0.2.20/stream1?channel=2")), {"sources.cam2.url": "picture"}),
    ("other port", swap(("192.0.2.20/stream1", "192.0.2.20:8554/stream1")), {"sources.cam2.url": "picture"}),
    ("a request that switches", add(NEW + 'http://192.0.2.20/reboot.cgi?yes=1"}'), {"sources.new": "picture"}),
    ("other channel, same masks", add("{kind: camera, url: rtsp://192.0.2.10/2, purpose: rescue, " + MASKS + "}"), {"sources.new": "picture"}),
    ("mode of a camera", swap(("url: 0,", "url: 0, width: 1280, height: 720, pixel_format: MJPG, camera_fps: 60,")), {f"sources.usb.{key}": "picture" for key in ("width", "height", "pixel_format", "camera_fps")}),
    ("clips of nothing", swap(("evidence: {", "evidence: {fps: 0.001, ring: 5s, before: 0s, after: 0s, ")), {f"evidence.{key}": "picture" for key in ("fps", "ring", "before", "after")}),
    ("mapped address", add(NEW + 'rtsp://[::ffff:192.0.2.10]/stream1"}'), {"sources.new": "picture"}),
    ("hexadecimal address", add(NEW + 'rtsp://0xc0.0.2.10/stream1"}'), {"sources.new": "picture"}),
    ("one number", add(NEW + 'rtsp://3221225994/stream1"}'), {"sources.new": "picture"}),
    ("by another name", add(NEW + 'rtsp://cam1.local/stream1"}'), {"sources.new": "picture"}),
    ("through another", swap(("192.0.2.20", "cam1.local")), {"sources.cam2.url": "picture"}),
    ("another device", add(NEW + '/dev/video2"}'), {"sources.new": "picture"}),
    ("broker", swap(("mqtts://broker.example", "mqtts://new.example")), {"broker.url": "guarded"}),
    ("fallback", swap(("{url:", "{fallbacks: ['mqtts://new.example'], url:")), {"broker.fallbacks": "guarded"}),
    ("renewed", swap(("cert.pem", "2027.pem"), ("own.key", "2027.key")), {"broker.cert": "guarded", "broker.key": "guarded"}),
    ("another group", swap(("kind: watch_point", "kind: patrol_boat"), ("ring: perimeter", "ring: inner_city")), {"kind": "guarded", "place.ring": "guarded"}),
    ("camera left out", swap(("  cam2:", "  # cam2:")), {"sources.cam2": "guarded"}),
    ("rule left out", swap(("  quiet:", "  # quiet:")), {"rules.quiet": "guarded"}),
    ("guarded rule", swap(("name: panic_button", "name: other")), {"rules.panic.name": "guarded"}),
    ("its source", swap(("ttyACM0", "ttyACM1")), {"sources.board.port": "guarded"}),
    ("its siren", swap(("name: siren}", "name: siren, ttl: 1s}")), {"rules.panic.escalate.output.ttl": "guarded"}),
    ("its hours", swap(("post: north", "post: north, timezone: Asia/Tokyo")), {"place.timezone": "guarded"}),
    ("its fixes", swap(("rules:\n", "positioning: {top_speed_mps: 1}\nrules:\n")), {"positioning.top_speed_mps": "guarded"}),
    ("no answer", swap(("need_ack: true, escalate: {output: {source: board, name: siren}}", "severity: info")), {"rules.panic.severity": "guarded", "rules.panic.need_ack": "guarded", "rules.panic.escalate": "guarded"}),
    ("a siren", swap(("source: gnss}", "source: gnss, need_ack: true, escalate: {output: {source: board, name: siren}}}")), {"rules.quiet.need_ack": "guarded", "rules.quiet.escalate": "guarded"}),
    ("a new siren", swap(("rules:\n", "rules:\n  loud: {kind: silence, source: gnss, need_ack: true, escalate: {output: {source: board, name: siren}}}\n")), {"rules.loud": "guarded"}),
    ("rules renamed", swap(("  quiet:", "  hushed:")), {"rules.quiet": "guarded", "rules.hushed": "free"}),
    ("another service", swap(("tcp://127.0.0.1:10110", "tcp://192.0.2.30:10110")), {"sources.gnss.port": "guarded"}),
    ("gpsd elsewhere", swap(('{kind: nmea, port: "tcp://127.0.0.1:10110"}', "{kind: gpsd, host: 192.0.2.30}")), {"sources.gnss": "guarded"}),
    ("a new service", add("{kind: nmea, port: 'tcp://192.0.2.30:10110'}"), {"sources.new": "guarded"}),
    ("more outputs", swap(("[siren]", "[siren, relay]")), {"sources.board.outputs": "guarded"}),
    ("key of drones", add("{kind: mavlink, port: /dev/ttyUSB9, key: {file: k}}"), {"sources.new": "free"}),
    ("no camera any more", swap(('{kind: camera, url: "rtsp://192.0.2.20/stream1", purpose: rescue}', "{kind: nmea, port: /dev/ttyUSB1}")), {"sources.cam2": "guarded"}),
    ("a camera now", swap(('{kind: nmea, port: "tcp://127.0.0.1:10110"}', NEW + 'rtsp://192.0.2.20/stream1"}')), {"sources.gnss": "guarded"}),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "guards"), [case[1:] for case in GUARDED], ids=[case[0] for case in GUARDED]
)
def test_the_guard_on_a_change(text: str, guards: dict[str, str]) -> None:
    assert found(text) == guards


FREE = [
    ("nothing", LOCAL_FILE, {}),
    ("longer clips", swap(("evidence: {", "evidence: {fps: 4, ring: 5m, before: 1m, after: 1m, ")), {"evidence.fps", "evidence.ring", "evidence.before", "evidence.after"}),
    ("kept longer", swap(("keep_least: 24h", "keep_least: 48h"), ("max_mb: 200", "max_mb: 400"), ("free_mb: 500", "free_mb: 400")), {"evidence.keep_least", "evidence.max_mb", "evidence.least_free_mb"}),
    ("more masked", swap(("[0.3, 1]]]", "[0.3, 1]], [[0.5, 0], [0.9, 0], [0.9, 1]]]")), {"sources.cam1.blackout"}),
    ("zones", swap(("purpose: rescue, rotate", "purpose: rescue, fps: 2, zones: {a: [[0, 0], [1, 0], [1, 1]]}, rotate")), {"sources.cam1.zones", "sources.cam1.fps"}),
    ("labels", swap(("[person, boat]", "[person]")), {"sources.cam1.detector.labels"}),
    ("score", swap(("detector: {labels: [person, boat]}", "detector: {labels: [person, boat], score: 0.3}")), {"sources.cam1.detector.score"}),
    ("with TLS", swap(('rtsp://192.0.2.20/stream1"', 'rtsps://192.0.2.20/stream1"')), {"sources.cam2.url"}),
    ("usual port", swap(("192.0.2.20/stream1", "192.0.2.20:554/stream1")), {"sources.cam2.url"}),
    ("line", swap(("tcp://127.0.0.1:10110", "/dev/ttyUSB1")), {"sources.gnss.port"}),
    ("gpsd here", add("{kind: gpsd}"), {"sources.new"}),
    ("same masks", add("{kind: camera, url: rtsp://192.0.2.10/stream1, purpose: rescue, " + MASKS + "}"), {"sources.new"}),
    ("a rule", swap(("rules:\n", "rules:\n  more: {kind: silence, source: gnss}\n")), {"rules.more"}),
    ("a threshold", swap(("source: gnss}", "source: gnss, after: 9s, severity: critical}")), {"rules.quiet.after", "rules.quiet.severity"}),
    ("rate", swap(("{url:", "{keepalive: 60s, metered: true, url:")), {"broker.keepalive", "broker.metered"}),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("text", "paths"), [case[1:] for case in FREE], ids=[case[0] for case in FREE])
def test_what_one_configurer_may_change(text: str, paths: set[str]) -> None:
    assert found(text) == dict.fromkeys(paths, "free")


def test_what_a_push_has_tightened_no_single_signature_loosens() -> None:
    """Neither in one step, nor by taking the camera out in one push and bringing it back in the next."""
    more = swap(("[0.3, 1]]]", "[0.3, 1]], [[0.5, 0], [0.9, 0], [0.9, 1]]]"))
    assert found(LOCAL_FILE, now=more) == {"sources.cam1.blackout": "picture"}
    without = "\n".join(line for line in LOCAL_FILE.splitlines() if "cam1" not in line)
    assert found(LOCAL_FILE.replace(MASKS, "fps: 5"), now=without) == {"sources.cam1": "picture"}
    assert found(LOCAL_FILE, now=without) == {"sources.cam1": "picture"}  # it was taken out on purpose


def test_a_place_changes_the_rules_that_depend_on_it_without_being_named_for_each() -> None:
    unguarded = LOCAL_FILE.replace("[panic]", "[]").replace(
        "source: gnss}", "source: gnss, schedule: '08:00-18:00'}"
    )
    moved = unguarded.replace("post: north", "post: north, timezone: Asia/Tokyo")
    local = config(unguarded)
    assert [change.path for change in changes(config(moved), local, local)] == ["place.timezone"]


def test_a_guarded_rule_that_does_not_exist_is_noted() -> None:
    text = LOCAL_FILE.replace("[panic]", "[panik]")
    assert "guarded_rules: no rule 'panik'; did you mean 'panic'? known: panic, quiet" in [
        *config_notes(config(text))
    ]


def test_a_password_in_a_url_is_noted() -> None:
    for query, noted in (("?user=a&pwd=b", True), ("?channel=2&token=x", True), ("?monkey=1", False)):
        text = swap(("192.0.2.20/stream1", f"192.0.2.20/stream1{query}"))
        assert (
            any("sources.cam2.url: its query holds" in note for note in config_notes(config(text))) == noted
        )


def test_the_key_of_a_radio_is_guarded() -> None:
    """Without it every drone that is announced is believed."""
    radio = "  radio: {kind: mavlink, port: /dev/ttyUSB9, key: {file: k}, lost_after_s: 9}\nrules:\n"
    with_key = LOCAL_FILE.replace("rules:\n", radio, 1)
    assert found(with_key.replace(", key: {file: k}", ""), now=with_key) == {"sources.radio.key": "guarded"}
    assert found(with_key.replace("9}", "8}"), now=with_key) == {"sources.radio.lost_after_s": "free"}
