"""The command ``simulate``: what it prints, what it refuses before it plays, and its exit codes."""

import contextlib
import io
import json
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.domain.yaml_loader import BadConfig
from simulators.scenario.model import Scenario
from simulators.scenario.scenario_text import scenario_text
from simulators.scenario.screen import OutputClosed, Screen
from simulators.scenario.search import SeedResult, play_seed
from simulators.simulate_verb import simulate
from tests.scenario_rig import POST, scenario_of

WORLD = "world: {at: 2022-11-28T19:40:00+08:00}\n"
CUT = "timeline: [{at: 5s, fault: link.down, for: 35s}]\n"


@pytest.fixture
def post(tmp_path: Path) -> Path:
    path = tmp_path / "post.yaml"
    path.write_text(POST.format(clock="virtual") + WORLD + CUT)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(simulate, [str(one) for one in arguments])


def test_each_line_has_the_time_of_the_run(post: Path) -> None:
    """Also that of a last will, which has no time of its own and which a timer of the broker sends."""
    post.write_text(post.read_text().replace("60s", "2m").replace("35s", "80s"))
    lines = [line for line in run(post).stdout.splitlines() if "(simulated)" in line]
    assert any(line.endswith("offline") for line in lines)
    assert {line[:15] for line in lines} == {"2022-11-28T11:4"}


class ClosedPipe(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("as_json", [False, True])
def test_a_closed_pipe_ends_the_run(as_json: bool, post: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No loop swallows it: a callback of the simulated broker prints."""
    from simulators.scenario.simulate import RunRequest, simulate_command

    with contextlib.redirect_stdout(ClosedPipe()):
        with pytest.raises(OutputClosed):
            Screen(as_json).show("post-1", "status", {})
        with pytest.raises(BrokenPipeError):
            simulate_command(RunRequest(str(post), {}, as_json=as_json))


@pytest.mark.parametrize(
    ("option", "name"),
    [("--report", "file/report"), ("--compare", "absent"), ("--compare", "."), ("--report", "/proc/none")],
)
@pytest.mark.parametrize("more", [(), ("--seeds", 2)])
def test_a_folder_that_is_of_no_use_is_refused_before_the_run(
    option: str, name: str, more: tuple[object, ...], post: Path
) -> None:
    (post.parent / "file").touch()
    result = run(post, option, post.parent / name, *more)
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_report_that_fails_keeps_the_verdict(post: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "index.html")

    monkeypatch.setattr("simulators.report.write", full)
    result = run(post, "--report", post.parent / "out", "--json")
    assert result.exit_code == 69
    assert json.loads(result.stdout.splitlines()[-1])["verdict"]["verdict"] == "passed"


def test_the_path_of_a_scenario_needs_no_ending(post: Path) -> None:
    plain = post.rename(post.with_suffix(""))
    assert run(plain).exit_code == 0


def test_a_similar_name_is_proposed() -> None:
    result = run("watch_point_panik")
    assert result.exit_code == 2
    assert "did you mean 'watch_point_panic'?" in result.stderr


def test_a_configuration_is_no_scenario() -> None:
    path = Path(__file__).parents[1] / "configs/watch_point.yaml"
    result = run(path)
    assert result.exit_code == 1
    assert result.stderr == (
        f"simulate: {path}:1: a configuration, which ringpost check reads;"
        " a scenario names it below devices, as config\n"
    )


def test_a_track_without_its_file_is_refused() -> None:
    with pytest.raises(BadConfig, match=r"no track file 'none.geojson'"):
        scenario_of("world: {tracks: {way: {file: none.geojson, speed_mps: 2}}}")


@pytest.mark.parametrize("late", [False, True])
def test_seeds_print_json_only(late: bool, post: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def play_here(scenario: Scenario, seeds: Sequence[int], base: Path) -> Generator[SeedResult, None, None]:
        yield from (play_seed(scenario_text(scenario), base, seed) for seed in seeds)

    monkeypatch.setattr("simulators.scenario.simulate.play_seeds", play_here)
    expected = "expect: [{topic: status, having: {state: never}, within: 5s}]\n" if late else ""
    post.write_text(POST.format(clock="virtual").replace("60s", "10s") + expected)
    result = run(post, "--seeds", 1, "--json", "--report", post.parent / "out")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == int(late)
    assert [line["verdict"] for line in lines] == (["failed"] * 2 if late else ["passed"])
