"""Recordings: what was observed, to a file and back, and through today's rules."""

import asyncio
import json
import os
import pty
import signal
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent.__main__ import cli
from agent.alerts.rule_engine import RuleEngine
from agent.config.loader import parse, read
from agent.config.model import Config
from agent.domain.observations import CameraState, Observation, SeenObject, Sighting, Tick, observed
from agent.replay.record import record
from agent.replay.recording import LONGEST_GAP_S, Recording, RecordingHeader, line_of
from agent.replay.recording_writer import RotatedRecording
from agent.replay.replay import replay
from firmware_bridge.readings import Fix, LineState, Reading, Switch
from tests.full_disk import room_for

START = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
CONFIG = """\
schema_version: 1
device: bridge-07
kind: checkpoint_camera
place: {ring: perimeter, domain: ground, site: bridge, post: north}
broker: {url: "mqtt://127.0.0.1:1883"}
sources:
  gnss: {kind: nmea, port: PORT}
  cam1: {kind: camera, url: a.mp4, purpose: a test, zones: {rail: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}}
rules:
  rail: {kind: zone_dwell, camera: cam1, zone: rail, dwell: 5s, cool_down: 0s}
  quiet: {kind: silence, source: gnss, after: 10s}
"""


def at(second: float, source: str, value: Any) -> Observation:
    return Observation(source, START + timedelta(seconds=second), 5000 + second, value)


def seen(second: float, x: float = 0.3) -> Observation:
    box = (x - 0.05, 0.2, x + 0.05, 0.8)
    thing = SeenObject(track=1, label="person", score=0.8, box=box, zones=("rail",) if x < 0.5 else ())
    return at(second, "cam1", Sighting(frame=round(second * 2), objects=(thing,), delay_s=0.04))


def a_day() -> list[Observation]:
    """Somebody stays for 20 s; the receiver falls silent at 10 s and comes back at 30 s."""
    said = []
    for half in range(100):
        second = half / 2
        if half % 2 == 0:
            said.append(at(second, "clock", Tick()))
            if not 10 <= second < 30:
                said.append(at(second, "gnss", Fix(mode="3d", lat=32.0, lon=118.0, time=START)))
        said.append(seen(second) if half < 40 else at(second, "cam1", Sighting(frame=half, objects=())))
    return said


VALUES = [
    Fix(mode="3d", lat=32.1, lon=118.7, time=START, error_m=2.5),
    Reading(quantity="depth", value=4.2, unit="m"),
    Switch(name="panic_button", on=True),
    LineState(good={"nmea": 3}),
    CameraState(frames=3, skipped=1, width=640, height=480),
    Tick(),
    seen(0).value,
    Sighting(frame=1, objects=(), camera_moves=True, frame_with_people="a picture"),
]


def write(path: Path, observations: Iterable[Observation], config: Path | None = None) -> Path:
    lines = [line_of(one) for one in observations]
    if config is not None:
        lines.insert(
            0, RecordingHeader(device="bridge-07", config=config, at=START).model_dump_json().encode()
        )
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "its.yaml"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.kind)
def test_a_line_is_read_back_as_it_was(value: Any, tmp_path: Path) -> None:
    recording = Recording(write(tmp_path / "r.jsonl", [at(1.25, "it", value)], tmp_path))
    assert list(recording.observations()) == [at(1.25, "it", value)]


def test_a_picture_is_never_in_it() -> None:
    assert b"picture" not in line_of(at(0, "cam1", VALUES[-1]))
    assert b"look" not in line_of(at(0, "cam1", VALUES[-1]))


def judged(config: Config, observations: Iterable[Observation]) -> list[Any]:
    judges = RuleEngine(lambda: "")
    judges.apply(config.rules, START, 0)
    return [
        (alert.phase, alert.policy.rule, alert.at, alert.finding.text, alert.finding.since)
        for one in observations
        for alert in judges.on_observation(one, one.at, one.mono_s)
    ]


def test_a_replay_gives_the_alerts_that_there_were(config: Path, tmp_path: Path) -> None:
    its = read(config)
    recording = Recording(write(tmp_path / "r.jsonl", a_day(), config))
    again = [
        (alert.phase, alert.policy.rule, alert.at, alert.finding.text, alert.finding.since)
        for alert, _ in replay(its, recording.observations())
    ]
    assert again == judged(its, a_day())
    assert [(one[0], one[1]) for one in again if one[0] != "update"] == [
        ("new", "rail"), ("new", "quiet"), ("end", "rail"), ("end", "quiet"),
    ]  # fmt: skip


def test_what_read_prints_is_a_recording_too_and_time_passes_in_it(config: Path, tmp_path: Path) -> None:
    """No header, no monotonic time, no ticks: `ringpost read --json`."""
    lines = [json.loads(line_of(one)) for one in a_day() if not isinstance(one.value, Tick)]
    path = tmp_path / "r.jsonl"
    path.write_text(
        "".join(json.dumps({k: v for k, v in one.items() if k != "mono_s"}) + "\n" for one in lines)
    )
    told = [
        (alert.phase, alert.policy.rule) for alert, _ in replay(read(config), Recording(path).observations())
    ]
    assert [one for one in told if one[0] != "update"] == [
        ("new", "rail"), ("new", "quiet"), ("end", "rail"), ("end", "quiet"),
    ]  # fmt: skip


def test_a_gap_of_years_is_no_hour_of_waiting(tmp_path: Path) -> None:
    first = Observation("gnss", datetime(1970, 1, 1, tzinfo=UTC), 0.0, Tick())
    path = write(tmp_path / "r.jsonl", [first, at(0, "gnss", Tick())])
    path.write_bytes(path.read_bytes().replace(b',"mono_s":0.0', b"").replace(b',"mono_s":5000.0', b""))
    assert len(list(Recording(path).observations())) == LONGEST_GAP_S + 2


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def test_replay_prints_alerts(config: Path, tmp_path: Path) -> None:
    recording = write(tmp_path / "r.jsonl", a_day(), config)
    text = run("replay", recording)
    assert text.exit_code == 0
    assert "2026-11-28T06:00:05.000Z new    warning  rail: person at rail for 5 s" in text.stdout
    lines = [json.loads(line) for line in run("replay", recording, "--json").stdout.splitlines()]
    assert lines[0]["alert"]["phase"] == "new"
    assert lines[0]["alert"]["box"] == [0.25, 0.2, 0.35, 0.8]


PLACES = """\
schema_version: 1
device: boat-03
kind: patrol_boat
place: {ring: inner_city, domain: water, site: reach, post: boat}
broker: {url: "mqtt://127.0.0.1:1883"}
sources:
  gnss: {kind: nmea, port: /dev/a}
  board: {kind: sensor_board, port: /dev/b}
  cam1: {kind: camera, url: a.mp4, purpose: a test, zones: {rail: [[0, 0], [1, 0], [1, 1], [0, 1]]}, mount: {fov_deg: 60, height_m: 5, pitch_deg: -20, heading_deg: 0}}
rules:
  rail: {kind: zone_enter, camera: cam1, zone: rail, frames: 1}
  panic: {kind: switch, source: board, name: panic_button}
  fence: {kind: geofence, source: gnss, circle: {lat: 32.0, lon: 118.0, radius_m: 100}, hold: 3s}
"""


def test_a_replay_says_where_it_was_as_the_agent_did(tmp_path: Path) -> None:
    """By the camera's mount, by the device's own position, and by no fix that the agent did not believe."""
    (tmp_path / "boat.yaml").write_text(PLACES)
    said = [at(0, "cam1", CameraState(frames=1, skipped=0, width=1280, height=720))]
    for second in range(1, 11):
        north = 0.0 if second < 6 else 0.5 * (second - 5)
        fix = Fix(mode="3d", lat=32.0 + north, lon=118.0, error_m=2.0)
        said += [at(second, "gnss", fix), at(second, "clock", Tick()), seen(second)]
    said.append(at(11, "board", Switch(name="panic_button", on=True)))
    recording = write(tmp_path / "r.jsonl", said, tmp_path / "boat.yaml")
    told = [json.loads(line)["alert"] for line in run("replay", recording, "--json").stdout.splitlines()]
    points = {one["rule"]: one["point"] for one in told if one["phase"] == "new"}
    assert set(points) == {"rail", "panic"}
    assert points["rail"]["how"] == "ground_ray"
    assert points["rail"]["lat"] == pytest.approx(32.0, abs=1e-3)
    assert points["panic"] == {"lat": 32.0, "lon": 118.0, "error_m": 2.0, "how": "gnss"}


def test_zones_are_those_of_today(config: Path, tmp_path: Path) -> None:
    recording = write(tmp_path / "r.jsonl", a_day(), config)
    config.write_text(CONFIG.replace("[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]", "[[0.5, 0], [1, 0], [1, 1]]"))
    assert "rail" not in run("replay", recording).stdout


def test_compare_says_what_another_configuration_makes_of_it(config: Path, tmp_path: Path) -> None:
    recording = write(tmp_path / "r.jsonl", a_day(), config)
    other = tmp_path / "other.yaml"
    other.write_text(CONFIG.replace("dwell: 5s", "dwell: 50s"))
    said = run("replay", recording, "--config", other, "--compare", config)
    assert said.exit_code == 1
    assert said.stdout.splitlines() == [
        "- 2026-11-28T06:00:05.000Z new    warning  rail: person at rail for 5 s",
        "- 2026-11-28T06:00:23.000Z end    warning  rail: person at rail for 19 s",
        "quiet: 1 alerts",
        "rail: 0 alerts instead of 1",
    ]
    assert run("replay", recording, "--config", config, "--compare", config).exit_code == 0


def test_compare_with_what_it_printed_before(config: Path, tmp_path: Path) -> None:
    recording = write(tmp_path / "r.jsonl", a_day(), config)
    before = tmp_path / "before.jsonl"
    before.write_text(run("replay", recording, "--json").stdout)
    assert run("replay", recording, "--compare", before).exit_code == 0
    before.write_text(before.read_text().replace("for 5 s", "for 6 s"))
    said = run("replay", recording, "--compare", before, "--json")
    assert said.exit_code == 1
    only = [json.loads(line) for line in said.stdout.splitlines()]
    assert [one.get("only") for one in only] == ["now", "before", None, None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{half", "r.jsonl:1: Invalid JSON"),
        ('{"source": "a", "at": "2026-11-28T06:00:00Z", "value": {"kind": "fx"}}', "r.jsonl:1: value: Input tag 'fx'"),
        ('{"source": "a", "at": "2026-11-28T06:00:00", "value": {"kind": "tick"}}', "r.jsonl:1: at: Input should have timezone info"),
        ('{"source": "a", "value": {"kind": "tick"}}', "r.jsonl:1: at: Field required"),
        ('{"recording": 2, "device": "x"}', "r.jsonl:1: not a recording header that this version can read"),
    ],
)  # fmt: skip
def test_what_is_no_recording_gets_one_line(text: str, said: str, config: Path, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(text)
    result = run("replay", tmp_path / "r.jsonl", "--config", config)
    assert result.exit_code == 1
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_which_configuration_must_be_known(config: Path, tmp_path: Path) -> None:
    headless = write(tmp_path / "r.jsonl", a_day())
    assert "give --config CONFIG" in run("replay", headless).stderr
    gone = write(tmp_path / "g.jsonl", a_day(), tmp_path / "gone.yaml")
    assert "gone.yaml, its configuration, does not exist" in run("replay", gone).stderr
    assert run("replay", tmp_path / "none.jsonl").exit_code == 1
    gone_config = run("replay", headless, "--config", tmp_path / "none.yaml")
    assert (gone_config.exit_code, gone_config.stderr) == (
        78,
        f"{tmp_path / 'none.yaml'}: No such file or directory\n",
    )
    compared = run("replay", headless, "--config", config, "--compare", tmp_path / "none.yaml")
    assert compared.exit_code == 78
    config.write_text(CONFIG.replace("zone_dwell", "zone_dwel"))
    assert run("replay", headless, "--config", config).exit_code == 78


def test_a_sighting_is_stamped_with_the_time_of_its_frame() -> None:
    one = observed("cam1", Sighting(frame=1, objects=(), delay_s=0.5), START, 10.0)
    assert (one.at, one.mono_s) == (START - timedelta(seconds=0.5), 9.5)


def test_record_writes_what_the_sources_say(tmp_path: Path) -> None:
    """A receiver on a pty says a position at each tick; the camera's file is not there, and it does not matter."""
    master, slave = pty.openpty()
    sentence = b"$GPRMC,060000.00,A,3206.0,N,11842.0,E,0.0,0.0,281126,,,A*"
    checksum = 0
    for byte in sentence[1:-1]:
        checksum ^= byte
    config = parse(CONFIG.replace("PORT", os.ttyname(slave)), name="c.yaml", base=tmp_path)
    lines: list[bytes] = []

    def write(line: bytes) -> None:
        lines.append(line)
        if b'"tick"' in line:
            os.write(master, sentence + b"%02X\r\n" % checksum)
        elif b'"fix"' in line:
            signal.raise_signal(signal.SIGTERM)

    tally = asyncio.run(record(config, write, 20))
    os.close(master)
    os.close(slave)
    assert tally["gnss"] == 1
    assert tally["cam1"] == 0
    values = [json.loads(line)["value"] for line in lines]
    assert {"fix", "tick"} <= {value["kind"] for value in values}
    assert next(value["lat"] for value in values if value["kind"] == "fix") == pytest.approx(32.1)


def test_record_overwrites_nothing_and_says_what_was_silent(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG.replace("PORT", str(tmp_path / "nowhere")))
    said = run("record", config, "--for", "100ms", "--to", tmp_path / "r.jsonl")
    assert said.exit_code == 1
    assert "record: nothing received from gnss, cam1" in said.stderr
    header = Recording(tmp_path / "r.jsonl").header
    assert header is not None
    assert header.config == config
    assert (tmp_path / "r.jsonl").stat().st_mode & 0o777 == 0o600
    again = run("record", config, "--for", "100ms", "--to", tmp_path / "r.jsonl")
    assert "already exists; give another name with --to" in again.stderr
    assert run("record", config, "--for", "soon").exit_code == 2
    assert run("record", tmp_path / "none.yaml").exit_code == 78
    assert list(tmp_path.glob("*.new")) == []


def test_a_full_disk_ends_a_recording_and_keeps_its_whole_lines(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with room_for(5):
        said = run("record", config, "--for", "5s", "--to", path)
    assert (said.exit_code, said.stderr) == (1, f"record: {path}: File too large\n")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["its.yaml"]
    with room_for(400):
        said = run("record", config, "--for", "5s", "--to", path)
    kept = len(list(Recording(path).observations()))
    assert kept >= 1
    assert said.exit_code == 1
    assert said.stderr.endswith(f"record: {path}: File too large; the {kept} before are kept\n")
    assert path.read_bytes().endswith(b"}\n")


LINE = line_of(at(0, "clock", Tick()))


def parts_of(folder: Path, **limits: int) -> RotatedRecording:
    return RotatedRecording(
        folder / "day.jsonl",
        b'{"recording":1,"device":"a","config":"c","at":"2026-11-28T06:00:00Z"}',
        **limits,
    )


def test_a_recording_is_rotated_and_the_oldest_file_goes(tmp_path: Path) -> None:
    with parts_of(tmp_path, max_bytes=70 + 10 * (len(LINE) + 1), keep=3) as lines:
        for second in range(48):
            lines.write(line_of(at(second, "clock", Tick())))
    assert [path.name for path in lines.paths] == ["day.3.jsonl", "day.4.jsonl", "day.5.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in lines.paths]
    assert lines.deleted == 2
    kept = [one for path in lines.paths for one in Recording(path).observations()]
    assert kept == [at(second, "clock", Tick()) for second in range(kept[0].mono_s.__trunc__() - 5000, 48)]
    assert all(path.stat().st_size <= 70 + 10 * (len(LINE) + 1) for path in lines.paths)


def test_rotation_overwrites_no_file_of_another_recording(tmp_path: Path) -> None:
    (tmp_path / "day.2.jsonl").write_text("another")
    (tmp_path / "day.3.jsonl.new").write_text("another, after a power cut")
    with parts_of(tmp_path, max_bytes=1, keep=9) as lines:
        lines.write(LINE)
        lines.write(LINE)
    assert [path.name for path in lines.paths] == ["day.jsonl", "day.4.jsonl"]
    assert (tmp_path / "day.2.jsonl").read_text() == "another"


def test_a_full_disk_in_a_later_file_keeps_the_earlier_ones(tmp_path: Path) -> None:
    with suppress(OSError), parts_of(tmp_path, max_bytes=300, keep=9) as lines:
        lines.write(LINE)
        lines.write(LINE)
        with room_for(10):
            lines.write(LINE)
            lines.write(LINE)
            pytest.fail("the disk took it")
    assert len(list(Recording(tmp_path / "day.jsonl").observations())) >= 2
    assert list(tmp_path.glob("*.new")) == []


@pytest.mark.parametrize("cut", [1, 20, len(LINE)])
def test_a_recording_that_a_power_cut_ends_is_readable(tmp_path: Path, config: Path, cut: int) -> None:
    """What is on disk then: the file under its working name, with a torn last line."""
    whole = write(tmp_path / "r.jsonl", a_day(), config).read_bytes()
    torn = tmp_path / "r.jsonl.new"
    torn.write_bytes(whole + LINE[:cut] if cut < len(LINE) else whole + b"\0" * 4096)
    assert list(Recording(torn).observations()) == list(Recording(tmp_path / "r.jsonl").observations())
    said = run("replay", torn, "--config", config)
    assert said.exit_code == 0
    assert "; a torn last line is left out" in said.stderr
    assert said.stdout == run("replay", tmp_path / "r.jsonl").stdout


def test_the_files_of_a_recording_are_replayed_as_one(tmp_path: Path, config: Path) -> None:
    day = a_day()
    whole = write(tmp_path / "r.jsonl", day, config)
    halves = [write(tmp_path / "a.jsonl", day[:70], config), write(tmp_path / "b.jsonl", day[70:], config)]
    assert run("replay", *halves).stdout == run("replay", whole).stdout
