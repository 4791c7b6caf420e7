"""The command line as a new user types it, with wrong input too: one clear line, the right exit code."""

import errno
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import jsonschema
import pytest
from click.testing import CliRunner

from agent.__main__ import cli
from agent.config.loader import json_schema
from agent.domain.message import ROOT
from tests.scenario_rig import POST
from tests.test_architecture import ROOT as HERE

CONFIGS = sorted((HERE / "configs").glob("*.yaml"))
NOWHERE = "mqtt://127.0.0.1:9"
VERBS = [
    [], ["run"], ["check"], ["schema"], ["read"], ["devices"], ["detect"], ["models"], ["models", "list"], ["models", "verify"],
    ["models", "bench"], ["config"], ["config", "get"], ["config", "push"], ["config", "diff"], ["config", "confirm"], ["config", "rollback"], ["config", "history"], ["config", "drift"], ["command"], ["command", "ping"], ["command", "output"], ["close"], ["reject"], ["watch"], ["record"], ["replay"], ["ground"], ["models", "pull"], ["ack"], ["fetch"], ["rescue"], ["centre"], ["demo"], ["simulate"], ["fleet"],
]  # fmt: skip
HEAVY = ("cv2", "numpy", "onnxruntime", "paho", "serial", "pynmeagps", "pydantic")


def ringpost(*arguments: str, given: bytes = b"") -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a call within this process."""
    done = CliRunner().invoke(cli, list(arguments), input=io.BytesIO(given))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_explains_itself(verb: list[str]) -> None:
    code, said, _ = ringpost(*verb, "--help")
    assert code == 0
    assert said.startswith("Usage: ")


def test_every_command_and_option_has_a_help_text() -> None:
    def commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
        yield context.command_path, command
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                yield from commands(child, click.Context(child, parent=context, info_name=name))

    for path, command in commands(cli, click.Context(cli, info_name="ringpost")):
        assert command.help, path
        summary = command.help.partition("\n\n")[0]
        assert summary.endswith("."), path
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{path} {option.name}"
                assert option.help.endswith("."), f"{path} {option.name}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--help"], HEAVY),
        (["check", str(CONFIGS[0])], ("cv2", "numpy", "onnxruntime", "paho", "pyais", "pymavlink")),
    ],
)
def test_what_answers_at_once_loads_nothing_heavy(arguments: list[str], unwanted: tuple[str, ...]) -> None:
    program = (
        "import sys; from agent.__main__ import cli\n"
        "try: cli(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"print('LOADED', sorted(set(sys.modules) & set({unwanted!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True, cwd=HERE
    )
    assert done.stdout.splitlines()[-1] == "LOADED []"


MAN = str(HERE / "models" / "pictures" / "man.jpg")
WRONG: dict[str, tuple[list[str], int, str]] = {
    "an unknown verb": (["runn"], 2, "Did you mean 'run'?"),
    "no configuration": (["run", "nope.yaml"], 78, "nope.yaml: No such file"),
    "a folder as configuration": (["run", "."], 78, "Is a directory"),
    "no YAML": (["run", "bad.yaml"], 78, "bad.yaml:2: expected"),
    "no YAML to check": (["check", "bad.yaml"], 78, "bad.yaml:2: expected"),
    "nothing to check": (["check"], 2, "Missing argument"),
    "no place for data": (["run", "good.yaml", "--data", "/dev/null"], 1, "/dev/null"),
    "no such line": (["read", "nope"], 1, "read: nope: No such file"),
    "a folder as line": (["read", "."], 1, "Is a directory"),
    "a device of another kind": (["read", "/dev/null"], 1, "read: /dev/null is not a serial device"),
    "a line of nothing": (["read", "empty"], 1, "read: empty: no data"),
    "a line of garbage": (["read", "garbage", "--json"], 1, "garbage: no valid packets; 4000 unrecognised bytes (tried ais"),
    "a replay by no configuration": (["replay", "garbage", "--config", "nope.yaml"], 78, "nope.yaml: No such file"),
    "a recording by no configuration": (["record", "nope.yaml"], 78, "nope.yaml: No such file"),
    "a model of no card": (["models", "verify", "good.yaml"], 1, "good.yaml: no model's card: it has no format"),
    "a model that is a folder": (["detect", "empty", "--model", "folder.yaml"], 1, "folder.yaml: Is a directory"),
    "a recording of nothing": (["replay", "empty", "--config", "good.yaml"], 1, "replay: empty: the file is empty"),
    "a recording to nowhere": (["record", "good.yaml", "--to", "nope/r.jsonl"], 1, "record: nope/r.jsonl: No such file"),
    "a line without a name": (["read", ""], 2, "SOURCE is empty"),
    "a card of bytes": (["models", "verify", "bytes.yaml"], 1, "bytes.yaml: no model's card: not UTF-8"),
    "points of bytes": (["ground", MAN, "--points", "garbage"], 1, "ground: garbage: not UTF-8 text"),
    "points in one endless field": (["ground", MAN, "--points", "long.csv"], 1, "ground: long.csv:2: not valid CSV: field larger"),
    "a key of bytes": (["rescue", "d", "--role", "r", "--reason", "x", "--key", "garbage", "--broker", NOWHERE], 2, "rescue: garbage: not UTF-8"),
    "a key that is a folder": (["rescue", "d", "--role", "r", "--reason", "x", "--key", ".", "--broker", NOWHERE], 2, "rescue: .: Is a directory"),
    "a push of a folder": (["config", "push", "d", ".", "--broker", NOWHERE], 2, "config: .: Is a directory"),
    "a scenario of nothing": (["simulate", "empty.yaml"], 1, "simulate: empty.yaml:1: a configuration is a mapping"),
    "a scenario with typos": (["simulate", "typos.yaml"], 1, "simulate: typos.yaml:17: timeline.0.press: no button 'panik_button'; did you mean 'panic_button'?"),
    "a virtual run at a broker": (["simulate", "bad_lines", "--broker", NOWHERE], 2, "--broker needs the real clock"),
    "a real run in a hurry": (["simulate", "bridge_post", "--speed", "5"], 2, "--speed needs the virtual clock"),
    "a search with a report to compare": (["simulate", "bad_lines", "--seeds", "2", "--update"], 2, "--seeds goes with"),
    "a scenario of bytes": (["simulate", "bytes.yaml"], 1, "simulate: bytes.yaml:1: not UTF-8 text"),
    "a recording as a line": (["read", "made.jsonl", "--json"], 1, "read: made.jsonl: this is a recording; use ringpost replay"),
    "no serial device": (["read", "/dev/zero"], 1, "read: /dev/zero is not a serial device"),
    "no port of a broker": (["watch", "--broker", "mqtt://127.0.0.1:0"], 2, "the port is a number from 1 to 65535"),
    "an unknown protocol": (["read", "bad.yaml", "--protocol", "nmae"], 2, "known: auto, "),
    "a speed that can't be": (["read", "bad.yaml", "--baud", "1"], 2, "--baud"),
    "no such picture": (["detect", "nope.jpg"], 1, "nope.jpg: not found"),
    "a folder without pictures": (["detect", "."], 1, "contains no pictures or videos"),
    "COCO without annotations": (["detect", "bad.yaml", "--coco", "out.json"], 2, "go together"),
    "an unknown model": (["detect", "bad.yaml", "--model", "nanodet"], 1, "did you mean 'nanodet-g'?"),
    "a picture of no bytes": (["detect", "empty"], 1, "empty: not a picture that OpenCV can decode"),
    "annotations of nothing": (["detect", ".", "--coco", "o.json", "--annotations", "empty"], 1, "empty is not JSON"),
    "no COCO file": (["detect", ".", "--coco", "o.json", "--annotations", "no-coco.json"], 1, "no-coco.json is not a COCO file"),
    "results to nowhere": (["detect", ".", "--coco", "nope/o.json", "--annotations", "coco.json"], 1, "--coco: directory nope not found"),
    "results to a device": (["detect", ".", "--coco", "/dev/full", "--annotations", "coco.json"], 1, "/dev/full is not a file"),
    "a file without rights": (["check", "locked.yaml"], 78, "locked.yaml: Permission denied"),
    "no rights to run": (["run", "locked.yaml"], 78, "locked.yaml: Permission denied"),
    "every device's configuration": (["config", "get", "+", "--broker", NOWHERE], 2, "'+' is not a device id"),
    "a push to a wildcard": (["config", "push", "#", "good.yaml", "--broker", NOWHERE], 2, "'#' is not a device"),
    "a watch of a wildcard": (["watch", "a/#/b", "--broker", NOWHERE], 2, "'a/#/b' is not a device"),
    "another root": (["watch", "--root", "#", "--broker", NOWHERE], 2, "'ringpost/v1'"),
    "a fetch of a path": (["fetch", "d", "../a", "--broker", NOWHERE], 2, "is not an alert id"),
    "a push too short on trial": (
        ["config", "push", "d", "good.yaml", "--confirm-within", "1s", "--broker", NOWHERE], 2, "not between 2s and 1h"
    ),
    "a push too long on trial": (
        ["config", "push", "d", "good.yaml", "--confirm-within", "2h", "--broker", NOWHERE], 2, "not between 2s and 1h"
    ),
    "a recording's duration": (["record", "good.yaml", "--for", "x"], 2, "--for: 'x' is not a duration"),
    "an unknown label": (["detect", "bad.yaml", "--labels", "cow,ufo"], 1, "unknown labels: ufo; the model has: person"),
    "an unknown model to verify": (["models", "verify", "x"], 1, "no model 'x'"),
    "an unknown model to measure": (["models", "bench", "x"], 1, "no model 'x'"),
    "no broker there": (["config", "get", "d", "--broker", NOWHERE], 69, "127.0.0.1:9 refused"),
    "no broker to watch": (["watch", "--broker", NOWHERE], 69, "127.0.0.1:9 refused"),
    "no broker's address": (["config", "get", "d", "--broker", "here"], 2, "'here' is not a valid broker URL"),
    "no broker named": (["watch"], 2, "Missing option '--broker'"),
    "a push of no YAML": (["config", "push", "d", "bad.yaml", "--broker", NOWHERE], 78, "bad.yaml:2:"),
    "a push of nothing": (["config", "push", "d", "nope.yaml", "--broker", NOWHERE], 2, "nope.yaml"),
    "no duration": (["watch", "--for", "soon", "--broker", NOWHERE], 2, "'soon' is not a duration"),
    "a push within no duration": (
        ["config", "push", "d", "good.yaml", "--confirm-within", "x", "--broker", NOWHERE], 2, "not a duration"
    ),
    "a centre's broker": (["centre", "--db", "c.db", "--broker", "here"], 2, "not a valid broker URL"),
    "a centre's database": (["centre", "--db", "/dev/null/c.db", "--broker", NOWHERE], 1, "/dev/null"),
    "a demo's broker": (["demo", "--broker", "here"], 2, "not a valid broker URL"),
    "a demo's duration": (["demo", "--headless", "--duration", "long"], 2, "'long' is not a duration"),
    "an unknown scenario": (["simulate", "nope"], 2, "bridge_post"),
}  # fmt: skip


def refuse(path: Path, *_: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a good file and a bad one."""
    monkeypatch.chdir(tmp_path)
    for name in ("RINGPOST_BROKER", "RINGPOST_CA", "RINGPOST_CERT", "RINGPOST_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bad.yaml").write_text("a: [\n")
    (tmp_path / "good.yaml").write_text(
        "schema_version: 1\ndevice: d\nkind: watch_point\n"
        "place: {ring: inner_city, domain: ground, site: s, post: p}\nbroker: {url: 'mqtt://127.0.0.1:9'}\n"
    )
    (tmp_path / "empty").touch()
    (tmp_path / "empty.yaml").touch()
    (tmp_path / "typos.yaml").write_text(
        POST.format(clock="virtual") + "timeline: [{at: 1s, press: board.panik_button, for: 2s}]\n"
    )
    (tmp_path / "made.jsonl").write_text(
        '{"recording":1,"device":"d","config":"c.yaml","at":"2026-11-28T06:00:00Z"}\n'
    )
    (tmp_path / "long.csv").write_text("x,y,lat,lon\n" + "1" * 200_000)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xad" * 2000)
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "garbage").write_bytes(b"\xff" * 4000)
    (tmp_path / "no-coco.json").write_text('{"images": [{"id": 1}]}')
    (tmp_path / "coco.json").write_text('{"images": [], "categories": []}')
    shutil.copy(tmp_path / "good.yaml", tmp_path / "locked.yaml")
    (tmp_path / "locked.yaml").chmod(0)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_gets_one_clear_line(case: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, code, words = WRONG[case]
    if "locked.yaml" in arguments:
        monkeypatch.setattr("pathlib.Path.open", refuse)  # root may open all
        monkeypatch.setattr("os.access", lambda *_, **__: False)
    ended, said, complained = ringpost(*arguments)
    assert words in complained
    assert ended == code
    assert "Traceback" not in complained + said
    if code != 2:
        assert len(complained.strip().splitlines()) == 1 + ("--json" in arguments)


def test_a_video_of_bytes_is_named_once(desk: Path) -> None:
    pytest.importorskip("cv2", reason="needs the extra vision: pip install -e .[vision]")
    (desk / "bytes.mp4").write_bytes(b"\xff\xad" * 2000)
    assert ringpost("detect", "bytes.mp4")[::2] == (1, "detect: bytes.mp4: not a readable video\n")


def test_check_says_what_is_well_and_what_is_not_in_one_call(desk: Path) -> None:
    code, said, complained = ringpost("check", "good.yaml", "bad.yaml")
    assert code == 78
    assert said == "good.yaml: ok: d (watch_point), 0 sources, 0 rules\n"
    assert complained.startswith("bad.yaml:2: ")
    code, said, _ = ringpost("check", "good.yaml", "bad.yaml", "--json")
    first, second = map(json.loads, said.splitlines())
    assert (code, first["ok"], second["ok"], second["errors"][0]["line"]) == (78, True, False, 2)


def test_check_can_look_at_the_environment(desk: Path) -> None:
    text = (
        (desk / "good.yaml").read_text()
        + "sources: {g: {kind: nmea, port: /dev/nope}, t: {kind: ais, port: 'tcp://127.0.0.1:9'}, d: {kind: gpsd, port: 9}}\n"
    )
    (desk / "env.yaml").write_text(text + f"data: {{directory: '{desk}', max_mb: 32}}\n")
    assert ringpost("check", "env.yaml")[0] == 0
    code, _, complained = ringpost("check", "env.yaml", "--env")
    assert code == 78
    assert "sources.g.port: /dev/nope not found" in complained
    for place in ("broker.url", "sources.t", "sources.d"):
        assert f"{place}: " in complained
    assert complained.count(":9 does not answer") == 2
    assert "broker.url: 127.0.0.1:9 refused: no broker listens there" in complained


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_schema_takes_our_configurations(path: Path) -> None:
    from ruamel.yaml import YAML

    schema = json.loads(ringpost("schema")[1])
    assert schema == json_schema()
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    content = YAML(typ="safe").load(path.read_text())
    assert list(validator.iter_errors(content)) == []
    content["devise"] = "x"
    assert list(validator.iter_errors(content)) != []


def test_the_mqtt_schema_names_every_topic_of_the_contract() -> None:
    document = json.loads(ringpost("schema", "--mqtt")[1])
    assert document["asyncapi"].startswith("3.")
    addresses = {channel["address"] for channel in document["channels"].values()}
    for topic in (
        "status",
        "birth",
        "health",
        "position",
        "alert",
        "alerts/active",
        "gap",
        "receipt",
        "config/desired",
    ):
        assert f"{ROOT}/{{device}}/{topic}" in addresses, topic


FIX = (
    b"$GNRMC,080000.00,A,3206.9720,N,11844.4280,E,0.004,77.5,231126,,,A*7A\r\n"
    b"$GNGGA,080000.00,3206.9720,N,11844.4280,E,1,12,0.9,12.1,M,0.0,M,,*7E\r\n"
)


def sentence(body: bytes) -> bytes:
    checksum = 0
    for byte in body:
        checksum ^= byte
    return b"$%b*%02X\r\n" % (body, checksum)


FIXES = b"".join(sentence(line[1 : line.index(b"*")]) for line in FIX.splitlines())


@pytest.mark.slow
def test_read_hears_standard_input_and_files_and_ends_with_statistics(desk: Path) -> None:
    (desk / "log.nmea").write_bytes(b"noise\xff\x00" + FIXES)
    code, said, complained = ringpost("read", "log.nmea", "--json")
    (fix,) = map(json.loads, said.splitlines())
    assert code == 0
    assert (fix["source"], fix["value"]["kind"], fix["value"]["mode"]) == ("log.nmea", "fix", "3d")
    assert (round(fix["value"]["lat"], 4), round(fix["value"]["lon"], 4)) == (32.1162, 118.7405)
    assert complained.startswith("read: valid: 2 nmea; invalid: ")
    done = subprocess.run(
        [sys.executable, "-m", "agent", "read", "-"], input=FIXES, capture_output=True, check=True, cwd=HERE
    )
    assert b"fix" in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[-1] == b"read: valid: 2 nmea; invalid: none; 0 unrecognised bytes"


@pytest.mark.slow
def test_a_reader_that_goes_away_gets_no_traceback(desk: Path) -> None:
    (desk / "long.nmea").write_bytes(FIXES * 2000)
    with subprocess.Popen(
        [sys.executable, "-m", "agent", "read", str(desk / "long.nmea")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=HERE,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stderr is not None
        assert b"fix" in reader.stdout.readline()
        reader.stdout.close()
        assert reader.stderr.read() == b""


@pytest.mark.slow
def test_detect_goes_on_after_a_picture_that_it_can_not_read(desk: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="needs the extra vision: pip install -e .[vision]")
    from simulators.scene import Scene

    cv2.imwrite(str(desk / "man.png"), Scene(comes_s=0).picture(8.0))
    (desk / "broken.jpg").write_bytes(b"no picture")
    code, said, complained = ringpost("detect", ".", "--labels", "person", "--json", "--annotate", "out")
    (line,) = map(json.loads, said.splitlines())
    assert code == 1
    assert complained == "detect: broken.jpg: not a picture that OpenCV can decode\n"
    assert [thing["label"] for thing in line["objects"]] == ["person"]
    left, top, right, bottom = line["objects"][0]["box"]
    drawn = cv2.imread(str(desk / "out" / "man.jpg"))
    rows, columns = drawn.shape[:2]
    inside = drawn[
        int(top * rows) + 24 : int(bottom * rows) - 6, int(left * columns) + 6 : int(right * columns) - 6
    ]
    assert inside.size > 0
    assert inside.std() < 4, "a person in a picture that leaves is covered"


def test_models_are_listed_and_verified() -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra vision: pip install -e .[vision]")
    assert "default" in ringpost("models", "list")[1]
    code, said, _ = ringpost("models", "verify", "default", "--json")
    well = {"model": "nanodet-g", "ok": True, "error": None, "runs_on": "cpu", "note": ""}
    well["input"] = "area 416x416 by aspect, letterbox, pad 114 (4:3 480x352, 16:9 544x320)"
    assert (code, json.loads(said)) == (0, well)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full: run on Linux")
@pytest.mark.parametrize(
    "arguments", [["schema"], ["models", "list"], ["check", str(CONFIGS[0])]], ids=" ".join
)
def test_a_full_disk_below_standard_output_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "agent", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=HERE,
            check=False,
        )
    complaint = done.stderr.decode().splitlines()
    notes = [line for line in complaint if ": note: " in line]
    assert (done.returncode, complaint[len(notes) :]) == (
        1,
        ["ringpost: standard output: No space left on device"],
    )


def test_a_demo_without_a_broker_says_which_one_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2", reason="needs the extra vision: pip install -e .[vision]")
    monkeypatch.setattr("simulators.scenario.real_stage.READY_WITHIN_S", 0.1)
    code, _, complained = ringpost("simulate", "bridge_post", "--broker", NOWHERE)
    assert (code, complained) == (69, f"simulate: {NOWHERE} does not answer\n")


def test_an_interruption_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("agent.cli.config_diff.diff_command", interrupt)
    done = CliRunner().invoke(cli, ["config", "diff", "d", "--patch", "{}", "--broker", "mqtt://127.0.0.1:9"])
    assert (done.exit_code, done.stderr) == (130, "interrupted\n")
