"""What a process sets before anything else: private files, standard descriptors, clean output."""

import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.runtime.process import make_private
from agent.runtime.sanitize import PlainText, escaped, raw_stream
from tests.test_architecture import ROOT as HERE

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eabc\r\x08"


def ringpost(*words: str, cwd: Path, shell_redirect: str = "") -> "subprocess.CompletedProcess[str]":
    command = f'umask 022; exec "$@" {shell_redirect}'
    return subprocess.run(
        ["sh", "-c", command, "sh", sys.executable, "-m", "agent", *words],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(HERE)}, capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_standard_descriptor_ends_nothing(tmp_path: Path, closed: str) -> None:
    (tmp_path / "right.yaml").write_text((HERE / "configs" / "watch_point.yaml").read_text())
    done = ringpost("check", "right.yaml", cwd=tmp_path, shell_redirect=closed)
    assert done.returncode == 0, done.stderr
    (tmp_path / "wrong.yaml").write_text("device: 5")
    assert ringpost("check", "wrong.yaml", cwd=tmp_path, shell_redirect=closed).returncode == 78
    assert ringpost("run", "wrong.yaml", cwd=tmp_path, shell_redirect=closed).returncode == 78


def recording(folder: Path) -> list[str]:
    lines = [
        {"schema": "recording/1", "device": "d", "config": "c.yaml", "at": "2026-11-28T00:00:00Z"},
        {"source": ESCAPES, "at": ESCAPES, "mono_s": 0, "value": {"kind": ESCAPES}},
    ]
    (folder / "day.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    (folder / "c.yaml").write_text((HERE / "configs" / "watch_point.yaml").read_text())
    return ["replay", "day.jsonl", "--config", "c.yaml"]


def bad_config(folder: Path) -> list[str]:
    text = (HERE / "configs" / "watch_point.yaml").read_text()
    (folder / "bad.yaml").write_text(
        text + f"\nrules: {{{json.dumps(ESCAPES)}: {{kind: {json.dumps(ESCAPES)}}}}}\n"
    )
    return ["check", "bad.yaml"]


def odd_sentence(folder: Path) -> list[str]:
    (folder / "line.nmea").write_bytes(
        b"$SDDBT,\x1b[2J,f,1.0,M,0.5,F*00\r\n$GPTXT,01,01,02,\x1b]0;x\x07*00\r\n"
    )
    return ["read", "line.nmea"]


def odd_card(folder: Path) -> list[str]:
    (folder / "card.yaml").write_text(f"name: {json.dumps(ESCAPES)}\nformat: {json.dumps(ESCAPES)}\n")
    return ["models", "verify", "card.yaml"]


def odd_points(folder: Path) -> list[str]:
    (folder / "p.csv").write_text(f"x,y,lat,lon\n{ESCAPES},1,2,3\n")
    return ["ground", "p.jpg", "--points", "p.csv"]


def odd_name(folder: Path) -> list[str]:
    return ["detect", f"{ESCAPES}.jpg"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [recording, bad_config, odd_sentence, odd_card, odd_points, odd_name],
    ids=lambda one: one.__name__,
)
def test_no_verb_prints_what_steers_a_terminal(tmp_path: Path, make: "object") -> None:
    done = ringpost(*make(tmp_path), cwd=tmp_path)  # type: ignore[operator]
    said = done.stdout + done.stderr
    assert said
    assert "Traceback" not in said
    assert escaped(said) == said


@given(st.text() | st.just(ESCAPES))
def test_escaped_text_is_the_same_string_of_json(text: str) -> None:
    line = json.dumps({"text": text}, ensure_ascii=False)
    assert json.loads(escaped(line)) == json.loads(line)
    assert not set(ESCAPES) - set("abcJm;[]0123owned") & set(escaped(line))


def test_plain_words_stay_and_a_terminal_can_still_be_drawn_on() -> None:
    raw = io.StringIO()
    stream = PlainText(raw)
    assert stream.write("person at 东\u3000railing\t3 °\n\x1b[1mx") == 29
    assert raw.getvalue() == "person at 东\u3000railing\t3 °\n\\u001b[1mx"
    assert (raw_stream(stream), raw_stream(raw)) == (raw, raw)


def modes(folder: Path) -> dict[str, int]:
    found = {path.relative_to(folder).as_posix(): path.stat().st_mode for path in folder.rglob("*")}
    return {name: stat.S_IMODE(mode) & 0o077 for name, mode in found.items()}


def test_what_an_agent_wrote_before_is_made_private(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in (
        "alerts.db",
        "alerts.db-wal",
        "media-00000001.db",
        "config/config.json",
        "evidence/cam1/ring/a.jpg",
        "egress.1.jsonl",
    ):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(b"x")
        (data / name).chmod(0o644)
    data.chmod(0o755)
    make_private(data)
    assert set(modes(tmp_path).values()) == {0}


def test_what_is_not_the_agents_keeps_its_rights(tmp_path: Path) -> None:
    (tmp_path / "alerts.db").write_bytes(b"x")
    (tmp_path / "passwd").write_bytes(b"x")
    (tmp_path / "telemetry-1.db").symlink_to(tmp_path / "passwd")
    for path in (tmp_path / "alerts.db", tmp_path / "passwd", tmp_path):
        path.chmod(0o755)
    make_private(tmp_path)
    assert modes(tmp_path) == {"alerts.db": 0, "passwd": 0o055, "telemetry-1.db": 0o055}
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.slow
def test_what_a_verb_writes_is_private_whatever_the_umask(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text((HERE / "configs" / "watch_point.yaml").read_text())
    done = ringpost("record", "c.yaml", "--to", "new/day.jsonl", "--for", "1s", cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr
    assert modes(tmp_path).pop("c.yaml", 0) == 0o044
    done = ringpost(
        "models", "pull", (HERE / "configs" / "watch_point.yaml").as_uri(), "--sha256", "0" * 64, cwd=tmp_path
    )
    assert {name: mode for name, mode in modes(tmp_path).items() if name != "c.yaml" and mode} == {}
