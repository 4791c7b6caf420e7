"""What a technician writes wrong, and what he is told: file, line, path, and what would be right."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import models
from agent.config.loader import json_schema, parse, read
from agent.config.notes import config_notes
from agent.domain.durations import format_duration, parse_duration
from agent.domain.yaml_loader import BadConfig
from agent.rules import Rule
from agent.vision.camera import Camera

ROOT = Path(__file__).resolve().parents[1]
KINDS = sorted(kind.model_fields["kind"].default for kind in get_args(get_args(Rule)[0]))
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))

COCO = ", ".join(sorted(models.find("default").labels))
GOOD = """\
schema_version: 1
device: bridge-07
kind: checkpoint_camera
place: {ring: perimeter, domain: ground, site: bridge, post: north, lat: 32.1, lon: 118.7}
broker: {url: "mqtt://127.0.0.1:1883"}
sources:
  gnss: {kind: nmea, port: /dev/ttyUSB0}
  cam1:
    kind: camera
    url: clips/a.mp4
    purpose: bridge rescue
    detector: {labels: [person]}
    zones:
      rail: [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]
rules:
  dwell: {kind: zone_dwell, camera: cam1, zone: rail, dwell: 20s}
  quiet: {kind: silence, source: gnss}
"""


def told(text: str) -> list[str]:
    with pytest.raises(BadConfig) as caught:
        parse(text, name="c.yaml", base=Path("/etc/ringpost"))
    return caught.value.lines()


def swap(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


WRONG = [
    ("unknown key", swap("purpose:", "purpos:"), [
        "c.yaml:8: sources.cam1.purpose: is required",
        f"c.yaml:11: sources.cam1.purpos: unknown key; did you mean 'purpose'? known: {', '.join(sorted(Camera.model_fields))}",
    ]),
    ("unknown kind", swap("kind: zone_dwell", "kind: zone_dwel"), [
        f"c.yaml:16: rules.dwell.kind: unknown kind 'zone_dwel'; did you mean 'zone_dwell'? known: {', '.join(KINDS)}",
    ]),
    ("one port twice", swap("  cam1:", "  ais: {kind: ais, port: /dev/ttyUSB0}\n  cam1:"), [
        "c.yaml:8: sources.ais.port: gnss reads /dev/ttyUSB0; list further protocols of that port there: also: [ais]",
    ]),
    ("no kind", swap("kind: nmea, ", ""), ["c.yaml:7: sources.gnss: kind is required"]),
    ("no such zone", swap("zone: rail", "zone: rial"), ["c.yaml:16: rules.dwell.zone: no zone 'rial' on cam1; did you mean 'rail'? known: rail"]),
    ("no such source", swap("source: gnss", "source: gns"), ["c.yaml:17: rules.quiet.source: no source 'gns'; did you mean 'gnss'? known: cam1, gnss"]),
    ("label not watched", swap("dwell: 20s", "dwell: 20s, labels: [boat]"), ["c.yaml:16: rules.dwell.labels: cam1 does not detect 'boat'; known: person"]),
    ("a rule's label that no model has", swap("[person]}", "[person, persn]}").replace("dwell: 20s", "dwell: 20s, labels: [persn]"), [
        f"c.yaml:12: sources.cam1.detector.labels: the model nanodet-g has no label 'persn'; did you mean 'person'? known: {COCO}",
        f"c.yaml:16: rules.dwell.labels: the model nanodet-g has no label 'persn'; did you mean 'person'? known: {COCO}",
    ]),
    ("a label where the camera watches for all", swap("    detector: {labels: [person]}\n", "").replace("dwell: 20s", "dwell: 20s, labels: [Boat]"), [
        f"c.yaml:15: rules.dwell.labels: the model nanodet-g has no label 'Boat'; did you mean 'boat'? known: {COCO}",
    ]),
    ("a vessel that no model has", swap("    detector: {labels: [person]}\n", "").replace("kind: zone_dwell, camera: cam1, zone: rail, dwell: 20s", "kind: person_in_water, camera: cam1, zone: rail, vessels: [boatt]"), [
        f"c.yaml:15: rules.dwell.vessels: the model nanodet-g has no label 'boatt'; did you mean 'boat'? known: {COCO}",
    ]),
    ("no such model", swap("labels: [person]", "model: yolo11n"), ["c.yaml:12: sources.cam1.detector.model: no model 'yolo11n'; known: d-fine-n, d-fine-s, default, dfine-n, dfine-s, nanodet-g, nanodet-g-416, nanodet-g-white-hot, nanodet-g-wide, nanodet-plus, nanodet-plus-m, wide, yolox-nano, yolox-tiny, or the path of a card.yaml"]),
    ("a model mistyped", swap("labels: [person]", "model: wied"), ["c.yaml:12: sources.cam1.detector.model: no model 'wied'; did you mean 'wide'? known: d-fine-n, d-fine-s, default, dfine-n, dfine-s, nanodet-g, nanodet-g-416, nanodet-g-white-hot, nanodet-g-wide, nanodet-plus, nanodet-plus-m, wide, yolox-nano, yolox-tiny, or the path of a card.yaml"]),
    ("a card that is not there", swap("labels: [person]", "model: cards/mine.yaml"), ["c.yaml:12: sources.cam1.detector.model: /etc/ringpost/cards/mine.yaml: No such file or directory"]),
    ("no duration", swap("20s", "20 sec"), ["c.yaml:16: rules.dwell.dwell: '20 sec' is not a duration; write a number and ms, s, m, h or d, such as 20s or 1.5m"]),
    ("crossing zone", swap("[[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]", "[[0, 0], [1, 1], [1, 0], [0, 1]]"), ["c.yaml:14: sources.cam1.zones.rail: the outline crosses itself; give its corners in order"]),
    ("corner outside", swap("[0.9, 0.9]", "[0.9, 1.9]"), ["c.yaml:14: sources.cam1.zones.rail.2.1: input should be less than or equal to 1"]),
    ("latitude", swap("lat: 32.1", "lat: 132.1"), ["c.yaml:4: place.lat: input should be less than or equal to 90"]),
    ("half a position", swap(", lon: 118.7", ""), ["c.yaml:4: place: needs both lat and lon"]),
    ("plain broker", swap("127.0.0.1", "broker.example"), ["c.yaml:5: broker: mqtt:// to broker.example is not encrypted; use mqtts://, or set insecure: true explicitly (RINGPOST_INSECURE=1 on the command line)"]),
    ("inline secret", swap('"mqtt://127.0.0.1:1883"', '"mqtts://h", cert: a.pem, key: geheim'), ["c.yaml:5: broker.key: a secret is never written in the configuration; write {file: …}, {credential: …} or {env: …}"]),
    ("device name", swap("bridge-07", "Bridge 07"), ["c.yaml:2: device: 'Bridge 07' does not fit; write small letters, digits and -, 32 at most, such as bridge-07"]),
    ("version", swap("schema_version: 1", "schema_version: 2"), ["c.yaml:1: schema_version: is 2, but this software reads up to 1: update the software first"]),
    ("duplicate key", GOOD + "rules: {}\n", ['c.yaml:18: found duplicate key "rules"']),
    ("tab", swap("  gnss:", "\tgnss:"), ["c.yaml:7: found character '\\t' that cannot start any token"]),
    ("open bracket", swap("[person]", "[person"), ["c.yaml:12: expected ',' or ']', but got '}'"]),
    ("alias", swap("device: bridge-07", "device: &x bridge-07") + "x: *x\n", ["c.yaml:18: anchors and aliases (& and *) are not supported; write it out"]),
    ("a list", "- 1\n", ["c.yaml:1: a configuration is a mapping (key: value); see configs/ for examples"]),
    ("empty", "", ["c.yaml:1: a configuration is a mapping (key: value); see configs/ for examples"]),
    ("deep", "a: " + "[" * 200 + "]" * 200, ["c.yaml:1: nested deeper than 32"]),
    ("half a line", swap("kind: zone_dwell, camera: cam1, zone: rail, dwell: 20s", "kind: line_cross, camera: cam1, line: [[0.1, 0.2]]"), ["c.yaml:16: rules.dwell.line: a line has two ends: [[from the left, from the top], [from the left, from the top]]"]),
    ("vessels not watched", swap("kind: zone_dwell, camera: cam1, zone: rail, dwell: 20s", "kind: person_in_water, camera: cam1, zone: rail"), ["c.yaml:16: rules.dwell.vessels: cam1 does not detect 'boat'; known: person"]),
    ("wrong kind of source", swap("kind: silence, source: gnss", "kind: switch, name: panic, source: cam1"), ["c.yaml:17: rules.quiet.source: cam1 is a camera source and gives no switch; there is none"]),
    ("hours", swap("source: gnss", "source: gnss, schedule: Mo-Fr 8-18"), ["c.yaml:17: rules.quiet.schedule: '8-18' is not a time span; write days and hours such as 'Mo-Fr 22:00-06:00; Sa,Su 00:00-24:00', with day, night, PH, off or 24/7"]),
    ("zone of time", swap("lat: 32.1", "timezone: Asia/Shangai, lat: 32.1"), ["c.yaml:4: place.timezone: no time zone 'Asia/Shangai'; did you mean 'Asia/Shanghai'? Use an IANA name such as Asia/Shanghai"]),
    ("night nowhere", swap(", lat: 32.1, lon: 118.7", "").replace("source: gnss", "source: gnss, schedule: night"), ["c.yaml:17: rules.quiet: 'night' needs to know where the sun rises: set place.lat and place.lon, or write hours such as 18:00-06:00"]),
    ("large", "a: " + "x" * 300_000, ["c.yaml:1: larger than 256 KiB"]),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("text", "lines"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_each_mistake_is_named_with_its_line(text: str, lines: list[str]) -> None:
    assert told(text) == lines


def test_all_mistakes_are_told_at_once() -> None:
    text = swap("lat: 32.1", "lat: 132.1").replace("20s", "soon").replace("kind: nmea", "kind: nema")
    assert [line.split(":")[1] for line in told(text)] == ["4", "7", "16"]


def test_the_secret_is_not_repeated() -> None:
    assert "geheim" not in "\n".join(
        told(swap('"mqtt://127.0.0.1:1883"', '"mqtts://h", cert: a.pem, key: geheim'))
    )
    assert "geheim" not in "\n".join(told(swap("mqtt://127", "mqtt://u:geheim@127")))


def test_relative_paths_are_relative_to_the_file() -> None:
    config = parse(GOOD, name="c.yaml", base=Path("/etc/ringpost"))
    assert config.sources["cam1"].url == "/etc/ringpost/clips/a.mp4"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_shipped_configurations_are_good(path: Path) -> None:
    config = read(path)
    assert config.kind == path.stem
    assert config.rules


def test_there_is_one_for_each_post() -> None:
    kinds = {path.stem for path in CONFIGS}
    assert kinds == {"checkpoint_camera", "patrol_boat", "drone_ground_station", "metro_post", "watch_point"}


@pytest.mark.slow
def test_the_schema_is_one_and_takes_the_shipped_configurations() -> None:
    from ruamel.yaml import YAML

    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for path in CONFIGS:
        assert list(validator.iter_errors(YAML(typ="safe").load(path.read_text()))) == []
    assert list(validator.iter_errors({"schema_version": 1, "device": "x", "kund": "y"}))


def test_hours_that_are_read_in_utc_for_want_of_a_zone_are_said_aloud() -> None:
    hours = swap("source: gnss", 'source: gnss, schedule: "Mo-Fr 22:00-06:00"')
    noted = list(config_notes(parse(hours, name="c.yaml", base=Path())))
    assert noted == ["the hours of quiet are read in UTC; set place.timezone, such as Asia/Shanghai"]
    for text in (
        GOOD,
        hours.replace("lat: 32.1", "timezone: UTC, lat: 32.1"),
        swap("gnss}", "gnss, schedule: 24/7}"),
    ):
        assert list(config_notes(parse(text, name="c.yaml", base=Path()))) == []


def test_what_a_camera_costs_and_what_its_movement_hides_is_said_aloud() -> None:
    moving = swap(
        "detector: {labels: [person]}",
        "detector: {labels: [person], tiles: 3x2}\n    motion: {camera_moves: true}",
    )
    assert list(config_notes(parse(moving, name="c.yaml", base=Path()))) == [
        "dwell: it is suspended while its camera moves, unless camera_may_move is true",
        "sources.cam1.detector: tiles 3x2 cost 7 inferences per frame (see detect_ms in health)",
    ]
    may = moving.replace("dwell: 20s", "dwell: 20s, camera_may_move: true")
    assert len(list(config_notes(parse(may, name="c.yaml", base=Path())))) == 1


def test_a_score_below_the_detectors_own_is_said_aloud() -> None:
    text = swap("dwell: 20s", "dwell: 20s, min_score: 0.2")
    noted = list(config_notes(parse(text, name="c.yaml", base=Path())))
    assert noted == ["dwell: min_score 0.2 has no effect: its camera reports nothing below 0.4"]


def test_a_rule_knows_the_zone_and_the_holidays_of_its_schedule() -> None:
    text = (
        swap("source: gnss", 'source: gnss, schedule: "Mo-Su 08:00-18:00; PH off"')
        + "holidays: [2026-10-01]\n"
    )
    rule = parse(
        text.replace("lat: 32.1", "timezone: Asia/Shanghai, lat: 32.1"), name="c.yaml", base=Path()
    ).rules["quiet"]
    assert rule.schedule is not None
    at = [datetime(2026, 10, day, 0, 30, tzinfo=UTC) for day in (1, 2)]  # 08:30 in China
    assert [rule.schedule.open(one) for one in at] == [False, True]


CARD = """\
name: boats
format: e2e
weights: boats.onnx
sha256: {sha256}
origin: made in a test
licence: none
input: {{width: 64, height: 32, resize: stretch}}
labels: [{labels}]
""".format


RAIL, LINE = "zone: rail", "[[0.1, 0.1], [0.9, 0.9]]"
LOOKING = {
    **dict.fromkeys(("zone_enter", "person_in_water"), RAIL),
    "zone_dwell": f"{RAIL}, dwell: 20s",
    "stationary": f"{RAIL}, labels: [person]",
    "count": f"{RAIL}, more_than: 3",
    "beyond_railing": f"line: {LINE}, beyond: left",
    "line_cross": f"line: {LINE}",
    "wrong_way": f"{RAIL}, flow: {LINE}",
}


def test_what_a_rule_looks_for_unless_told_otherwise_must_be_a_label_of_the_model(tmp_path: Path) -> None:
    """Each kind of rule on a camera whose model knows boats only, with its own defaults; the card stands beside
    the configuration, which names it by a relative path."""
    (tmp_path / "boats.yaml").write_text(CARD(sha256="a" * 64, labels="boat, ship"))
    looking = {kind.model_fields["kind"].default for kind in get_args(get_args(Rule)[0])
               if {"labels", "vessels"} & set(kind.model_fields)}  # fmt: skip
    assert looking == set(LOOKING)
    for kind, more in LOOKING.items():
        rule = f"  dwell: {{kind: {kind}, camera: cam1, {more}}}"
        text = swap("labels: [person]", "model: boats.yaml").replace(
            "  dwell: {kind: zone_dwell, camera: cam1, zone: rail, dwell: 20s}", rule
        )
        with pytest.raises(BadConfig) as caught:
            parse(text, name="c.yaml", base=tmp_path)
        assert caught.value.lines() == [
            "c.yaml:16: rules.dwell.labels: the model boats has no label 'person'; known: boat, ship"
        ]


def test_the_model_of_the_second_look_knows_what_the_rule_seeks(tmp_path: Path) -> None:
    (tmp_path / "boats.yaml").write_text(CARD(sha256="a" * 64, labels="boat, ship"))
    text = swap("labels: [person]", "labels: [person], verify_model: boats.yaml")
    parse(text, name="c.yaml", base=tmp_path)  # no critical rule: no second look
    with pytest.raises(BadConfig) as caught:
        parse(text.replace("dwell: 20s}", "dwell: 20s, severity: critical}"), name="c.yaml", base=tmp_path)
    (line,) = caught.value.lines()
    assert line.startswith("c.yaml:12: sources.cam1.detector.verify_model: ")
    assert line.endswith("the model boats has none of the labels of the rule dwell")
    with pytest.raises(BadConfig, match="verify_within"):
        parse(swap("dwell: 20s", "dwell: 20s, verify_within: 6s"), name="c.yaml", base=tmp_path)


def test_a_card_that_cannot_be_read_is_said_once_and_at_the_model(tmp_path: Path) -> None:
    for text, said in (
        ("[" * 9999, "nested deeper"),
        (CARD(sha256="a" * 64, labels="uyghur"), "not on the list"),
    ):
        (tmp_path / "mine.yaml").write_text(text)
        with pytest.raises(BadConfig) as caught:
            parse(swap("labels: [person]", "model: mine.yaml"), name="c.yaml", base=tmp_path)
        (line,) = caught.value.lines()
        assert line.startswith(f"c.yaml:12: sources.cam1.detector.model: {tmp_path}/mine.yaml: ")
        assert said in line


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_refused_in_words(text: str) -> None:
    with pytest.raises(BadConfig):
        parse(text, name="c.yaml", base=Path())


@pytest.mark.slow
@settings(deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, len(GOOD)), st.text(max_size=5))
def test_any_edit_is_taken_or_refused_in_words(start: int, end: int, put: str) -> None:
    text = GOOD[:start] + put + GOOD[max(start, end) :]
    with suppress(BadConfig):
        parse(text, name="c.yaml", base=Path())
        return
    lines = told(text)
    assert lines
    assert all(line.startswith("c.yaml:") for line in lines)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20s", 20), ("500ms", 0.5), ("1.5m", 90), ("2h", 7200), ("7d", 604800), (3, 3), (0.5, 0.5)],
)
def test_durations(text: object, seconds: float) -> None:
    duration = parse_duration(text)
    assert duration.total_seconds() == seconds
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1 fortnight", "1e99s", None, True, [], "9" * 30 + "s", -1, float("nan")]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


BOARD = """\
schema_version: 1
device: post-3
kind: watch_point
place: {ring: inner_city, domain: ground, site: gate, post: one}
broker: {url: "mqtt://127.0.0.1:1883"}
sources:
  gnss: {kind: nmea, port: /dev/ttyUSB0}
  board: {kind: sensor_board, port: /dev/ttyACM0, outputs: [siren, light]}
rules:
  panic:
    kind: switch
    source: board
    name: panic_button
    need_ack: true
    ack_within: 60s
    escalate: {repeat: 30s, output: {source: board, name: siren, ttl: 20s}}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("need_ack: true", "need_ack: false", "c.yaml:10: rules.panic: ack_within needs need_ack: true"),
        ("    need_ack: true\n    ack_within: 60s\n", "", "c.yaml:10: rules.panic: escalate needs need_ack: true"),
        ("ack_within: 60s", "ack_within: 0s", "c.yaml:10: rules.panic: ack_within is at least 1s"),
        ("repeat: 30s", "repeat: 0.1s", "c.yaml:16: rules.panic.escalate.repeat: repeat is at least 1s"),
        ("{source: board,", "{source: bord,", "c.yaml:16: rules.panic.escalate.output.source: no source 'bord'; did you mean 'board'? known: board"),
        ("{source: board,", "{source: gnss,", "c.yaml:16: rules.panic.escalate.output.source: gnss lists no outputs; add them there, such as outputs: [siren]"),
        ("name: siren", "name: sirene", "c.yaml:16: rules.panic.escalate.output.name: board lists no output 'sirene'; did you mean 'siren'? known: light, siren"),
        ("{repeat: 30s,", "{repeat: 30s, fallbacks: true,", "c.yaml:16: rules.panic.escalate.fallbacks: needs broker.fallbacks, the addresses of further brokers"),
        ("[siren, light]", "[siren, lamp]", "c.yaml:8: sources.board.outputs.1: input should be 'siren', 'light' or 'relay'"),
    ],
)  # fmt: skip
def test_an_escalation_that_cannot_be_is_refused(old: str, new: str, said: str) -> None:
    parse(BOARD, name="c.yaml", base=Path())
    assert old in BOARD
    assert told(BOARD.replace(old, new)) == [said]
