"""A field report becomes a test case: ``ringpost replay --keep-as``."""

import asyncio
import json
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent.__main__ import cli
from agent.domain.observations import Observation, SeenObject, Sighting, Tick
from agent.replay.history_recorder import HistoryRecorder
from agent.replay.recording import Recording, RecordingHeader, line_of
from firmware_bridge.readings import Fix

START = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
CONFIG = """\
schema_version: 1
device: bridge-07  # the password of the camera was hunter2
kind: checkpoint_camera
place: {ring: perimeter, domain: ground, site: yangtze, post: north, lat: 32.1162, lon: 118.7404}
broker: {url: "mqtts://broker.city.example", username: bridge-07, password: {file: secret}}
groups: [secret-group]
sources:
  gnss: {kind: nmea, port: "tcp://10.20.30.40:2947"}
  cam1:
    kind: camera
    url: rtsp://10.20.30.41/stream
    username: admin
    password: {file: secret}
    purpose: bridge rescue
    zones: {rail: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}
rules:
  rail: {kind: zone_dwell, camera: cam1, zone: rail, dwell: 5s, cool_down: 0s}
"""
FENCE = "  fence: {kind: geofence, source: gnss, circle: {lat: 32.0, lon: 118.0, radius_m: 100}, hold: 3s}\n"


def report(folder: Path, config: str = CONFIG, *, north: float = 0.0) -> Path:
    """A recording of half a minute, and its configuration; somebody stays at the rail for 20 s."""
    (folder / "its.yaml").write_text(config)
    (folder / "secret").write_text("hunter2")
    (folder / "secret").chmod(0o600)
    header = RecordingHeader(device="bridge-07", config=folder / "its.yaml", at=START)
    lines = [header.model_dump_json().encode(), *map(line_of, observations(north))]
    (folder / "r.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    return folder / "r.jsonl"


def observations(north: float) -> Iterable[Observation]:
    for half in range(60):
        second = half / 2
        at, now_s = START + timedelta(seconds=second), 500 + second
        if half % 2 == 0:
            yield Observation("clock", at, now_s, Tick())
            yield Observation(
                "gnss", at, now_s, Fix(mode="3d", lat=32.0 + north * second, lon=118.0, time=at)
            )
        person = SeenObject(track=1, label="person", score=0.8, box=(0.2, 0.2, 0.3, 0.8), zones=("rail",))
        yield Observation("cam1", at, now_s, Sighting(frame=half, objects=(person,) if half < 40 else ()))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def everything(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.iterdir()))


def test_a_case_has_no_secret_address_name_or_position_that_no_alert_needs(tmp_path: Path) -> None:
    case = tmp_path / "case"
    said = run("replay", report(tmp_path), "--keep-as", case)
    assert (said.exit_code, said.stderr) == (0, "")
    text = everything(case)
    for secret in ("hunter2", "10.20.30", "city.example", "bridge-07", "yangtze", "118.", "secret", "admin"):
        assert secret not in text
    assert "positions of receivers" in said.stdout.splitlines()[1]
    assert "40 boxes of person" in said.stdout.splitlines()[2]
    assert (case / "expected.txt").read_text().splitlines() == [
        "2026-11-28T06:00:05.000Z new    warning  rail: person at rail for 5 s",
        "2026-11-28T06:00:23.000Z end    warning  rail: person at rail for 19 s",
    ]


def test_the_case_passes_as_those_of_the_project_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tests" / "replay").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert run("replay", report(tmp_path), "--keep-as", "somebody_at_the_rail").exit_code == 0
    case = tmp_path / "tests" / "replay" / "somebody_at_the_rail"
    replayed = run("replay", case / "observations.jsonl").stdout
    assert [line for line in replayed.splitlines() if " update " not in line] == (
        case / "expected.txt"
    ).read_text().splitlines()
    about = [line for line in (case / "config.yaml").read_text().splitlines() if line.startswith("#")]
    assert len(about) >= 3
    assert about[0].startswith("# Recorded with `ringpost record`")
    assert any("Must" in line for line in about)


def test_positions_stay_where_an_alert_needs_them_and_that_is_said(tmp_path: Path) -> None:
    said = run(
        "replay", report(tmp_path, CONFIG + FENCE, north=0.0002), "--keep-as", tmp_path / "case", "--json"
    )
    fields: dict[str, Any] = json.loads(said.stdout)
    assert fields["kept"] == ["positions of receivers and of other vessels"]
    assert fields["alerts"] == 2
    kept = list(Recording(tmp_path / "case" / "observations.jsonl").observations())
    assert sum(isinstance(one.value, Fix) for one in kept) == 30


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    recording = report(tmp_path)
    (tmp_path / "case").mkdir()
    said = run("replay", recording, "--keep-as", tmp_path / "case")
    assert (said.exit_code, said.stderr) == (
        1,
        f"replay: {tmp_path / 'case'} already exists; nothing was written\n",
    )
    assert list((tmp_path / "case").iterdir()) == []


def test_the_configuration_in_force_of_a_bundle_is_taken(tmp_path: Path) -> None:
    recording = report(tmp_path)
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as bundle:
        bundle.writestr("config.yaml", "no: configuration")
        bundle.writestr("config-in-force.yaml", CONFIG.replace("dwell: 5s", "dwell: 7s"))
    said = run("replay", recording, "--config", tmp_path / "bundle.zip", "--keep-as", tmp_path / "case")
    assert said.exit_code == 0
    assert "person at rail for 7 s" in (tmp_path / "case" / "expected.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--keep-as", "Bad Name"], "a name has 3 to 60 of a-z"),
        (["--keep-as", "good_name"], "no folder tests/replay here"),
        (["--keep-as", "./case", "--config", "secret.zip"], "not a readable zip file"),
        (["--keep-as", "./case", "--config", "other.zip"], "no bundle of `ringpost doctor`"),
        (["--keep-as", "./no/case"], "No such file or directory"),
    ],
)
def test_what_can_be_no_case_gets_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recording = report(tmp_path)
    (tmp_path / "secret.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("a.txt", "")
    result = run("replay", recording, *arguments)
    assert result.exit_code == 1
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "case").exists()


def history(folder: Path, *, runs: int = 1) -> Path:
    """The history that an agent keeps of the same half minute, in each run of it."""
    for run_number in range(runs):
        recorder = HistoryRecorder(folder / "history")
        recorder.configure(1.0, 10_000_000)
        for one in observations(0.0):
            later = timedelta(minutes=10 * run_number)
            recorder.on_observation(replace(one, at=one.at + later, mono_s=one.mono_s - 300 * run_number))
        asyncio.run(recorder.flush())
    return folder / "history"


def test_the_history_of_an_agent_becomes_a_case(tmp_path: Path) -> None:
    report(tmp_path)
    said = run("replay", history(tmp_path), "--config", tmp_path / "its.yaml", "--keep-as", tmp_path / "case")
    assert (said.exit_code, said.stderr) == (0, "")
    expected = (tmp_path / "case" / "expected.txt").read_text()
    assert "rail: person at rail for 5 s" in expected
    assert expected.count("\n") == 2


def test_of_several_runs_one_is_chosen_by_time(tmp_path: Path) -> None:
    report(tmp_path)
    arguments = ("replay", history(tmp_path, runs=2), "--config", tmp_path / "its.yaml")
    said = run(*arguments)
    assert said.exit_code == 1
    assert (
        "the agent was started anew between 2026-11-28T06:00:29.500Z and 2026-11-28T06:10:00.000Z"
        in said.stderr
    )
    first = run(*arguments, "--until", "2026-11-28T14:05:00+08:00")
    second = run(*arguments, "--since", "2026-11-28T14:05:00+08:00")
    assert [text.stdout.count(" new ") for text in (first, second)] == [1, 1]
    assert second.stdout.startswith("2026-11-28T06:10:05")
    assert "no instant with its time zone" in run(*arguments, "--since", "2026-11-28T14:05:00").stderr
    assert "no instant with its time zone" in run(*arguments, "--since", "noon").stderr
    assert "a folder without a history" in run("replay", tmp_path, "--config", tmp_path / "its.yaml").stderr
