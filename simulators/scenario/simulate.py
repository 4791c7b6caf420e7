"""What ``ringpost simulate`` does: one run, or a search over seeds."""

import errno
import json
import os
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from agent.domain.durations import format_duration
from agent.domain.yaml_loader import BadConfig
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_INTERRUPTED, EX_UNAVAILABLE, EX_USAGE
from agent.runtime.logging_setup import set_up_log
from simulators.run_record import RunRecord
from simulators.scenario.hashes import note_hash
from simulators.scenario.loader import SCENARIOS, check, find_scenario, json_schema, read, scenario_names
from simulators.scenario.model import Scenario
from simulators.scenario.scenario_text import scenario_text
from simulators.scenario.screen import OutputClosed, Screen
from simulators.scenario.search import SeedResult, play_seeds, shorten
from simulators.scenario.session import RunOptions, run_scenario
from simulators.scenario.verdict import Verdict, write_report

NOT_PASSED = 1
"""The exit code of a scenario that is refused, that failed, or that is incomplete."""
SHORTEST = "shortest.yaml"
MIN_WIDTH, MAX_WIDTH = 40, 110


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The command line. ``changes``: fields of the scenario."""

    name: str
    changes: Mapping[str, Any]
    broker: str | None = None
    speed: float | None = None
    report: Path | None = None
    compare: Path | None = None
    update: bool = False
    as_json: bool = False


def list_scenarios() -> int:
    """Prints the scenarios that come with the simulators."""
    width = max(MIN_WIDTH, min(MAX_WIDTH, shutil.get_terminal_size().columns)) - 4
    for name in scenario_names():
        scenario = read(SCENARIOS / f"{name}.yaml")
        click.echo(f"{name}  ({scenario.clock} clock, {format_duration(scenario.duration)})")
        click.echo(textwrap.indent(textwrap.fill(scenario.about, width), "    "))
    return 0


def print_schema() -> None:
    """Prints the JSON Schema of scenario files."""
    click.echo(json.dumps(json_schema(), indent=2))


def simulate_command(request: RunRequest) -> int:
    """Plays a scenario once, prints what happens, and returns the exit code."""
    set_up_log("error")
    scenario = _load(request)
    if isinstance(scenario, int):
        return scenario
    virtual = scenario.clock == "virtual"
    if wrong := [
        f"{option} needs the {needed} clock"
        for option, given, needed in (
            ("--speed", request.speed is not None, "virtual"),
            ("--update", request.update, "virtual"),
            ("--broker", request.broker is not None, "real"),
        )
        if given and (needed == "virtual") != virtual
    ]:
        click.echo(f"simulate: {wrong[0]}; {scenario.name} has clock: {scenario.clock}", err=True)
        return EX_USAGE
    if not _folders_are_usable(request):
        return EX_USAGE
    screen = Screen(request.as_json)
    options = RunOptions(request.broker, request.speed, screen.show, screen.announce)
    with tempfile.TemporaryDirectory(prefix="ringpost-") as folder:
        try:
            verdict, record = run_scenario(scenario, Path(folder), options)
        except OutputClosed as closed:
            raise closed.error from None
        except (OSError, ValueError) as error:
            click.echo(f"simulate: {describe_error(error)}", err=True)
            return EX_UNAVAILABLE
        except KeyboardInterrupt:
            return EX_INTERRUPTED
        try:
            code = _finish(request, scenario, verdict, record, Path(folder))
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:  # the verdict is told all the same
            click.echo(f"simulate: {describe_error(error)}", err=True)
            code = EX_UNAVAILABLE
    screen.conclude(verdict)
    return code if verdict.verdict == "passed" else NOT_PASSED


def _folders_are_usable(request: RunRequest) -> bool:
    """Makes the folder of the report, and reads the run to compare with: a long run is not played in vain."""
    from simulators.report.run_files import RunFiles

    try:
        if request.compare is not None:
            _ = RunFiles(request.compare).verdict
        if request.report is not None:
            request.report.mkdir(parents=True, exist_ok=True)
            if not os.access(request.report, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(request.report))
    except (OSError, ValueError) as error:
        click.echo(f"simulate: {describe_error(error)}", err=True)
        return False
    return True


def _finish(
    request: RunRequest, scenario: Scenario, verdict: Verdict, record: RunRecord, scratch: Path
) -> int:
    """Writes the report, compares it, and notes the hash. OSError, ValueError."""
    from simulators import report

    if request.report is None and request.compare is None and not request.update:
        return 0
    folder = request.report or scratch / "report"
    write_report(folder, verdict, record, scenario)
    if request.report is not None:
        report.write(folder)
        click.echo(f"report: {folder / report.PAGE}", err=True)
    if request.update:
        note_hash(scenario.name, scenario.seed, verdict.sha256)
    if request.compare is None:
        return 0
    comparison = report.compare(request.compare, folder)
    for text in comparison.lines():
        click.echo(text, err=request.as_json)
    if request.report is not None:
        click.echo(f"comparison: {comparison.write(folder)}", err=True)
    return 0 if comparison.same else NOT_PASSED


def search_command(request: RunRequest, seeds: int) -> int:
    """Plays the seeds from 0 on until one fails, and shortens that one's timeline."""
    set_up_log("error")
    scenario = _load(request)
    if isinstance(scenario, int):
        return scenario
    if not _folders_are_usable(request):
        return EX_USAGE
    base = scenario.folder or SCENARIOS
    try:
        failed = None
        results = play_seeds(scenario, range(seeds), base)
        for result in results:
            _progress(f"seed {result.seed} of {seeds}: {result.verdict}")
            if request.as_json:
                click.echo(
                    json.dumps({"seed": result.seed, "verdict": result.verdict, "sha256": result.sha256})
                )
            if result.verdict != "passed":
                failed = result
                break
        results.close()
        _progress("")
        if failed is None:
            click.echo(f"{scenario.name}: all {seeds} seeds passed", err=request.as_json)
            return 0
        _tell_failed(request, scenario, failed, base)
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    return NOT_PASSED


def _tell_failed(request: RunRequest, scenario: Scenario, failed: SeedResult, base: Path) -> None:
    """Prints what failed, the shortest timeline that still does, and the commands that play both again."""
    for text in failed.complaints:
        click.echo(text, err=True)
    clock = f" --clock {scenario.clock}" if "clock" in request.changes else ""
    again = f"ringpost simulate {request.name} --seed {failed.seed}{clock}"
    click.echo(f"seed {failed.seed} fails: {again}", err=request.as_json)
    tries = 0

    def still_fails(shorter: Scenario) -> bool:
        nonlocal tries
        tries += 1
        _progress(f"shortening: try {tries}, {len(shorter.timeline)} entries, {len(shorter.devices)} devices")
        (result,) = play_seeds(shorter, [failed.seed], base)
        return bool(set(result.broken) & set(failed.broken))

    shortest = shorten(scenario.model_copy(update={"seed": failed.seed}), still_fails)
    _progress("")
    folder = request.report or Path(tempfile.mkdtemp(prefix="ringpost-shortest-"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SHORTEST
    text = scenario_text(shortest)
    path.write_text(text)
    if request.as_json:
        click.echo(json.dumps({"seed": failed.seed, "verdict": failed.verdict, "shortest": str(path)}))
        return
    click.echo(f"the shortest timeline that still fails, of {tries} tries:\n\n{text}")
    click.echo(f"ringpost simulate {path}")


def _load(request: RunRequest) -> Scenario | int:
    """The scenario with the changes, checked; or the exit code, after the complaint."""
    try:
        found = find_scenario(request.name)
        changes = dict(request.changes)
        if "duration" in changes:  # the run is cut short: what would come later is not expected
            until_s = changes["duration"].total_seconds()
            timeline = tuple(step for step in found.timeline if step.end_s <= until_s)
            changes |= {"timeline": timeline, "expect": (), "sometimes": ()}
        if not changes:
            return found
        return check(found.model_copy(update=changes), name=request.name)
    except BadConfig as error:
        for text in error.lines():
            click.echo(f"simulate: {text}", err=True)
        return NOT_PASSED
    except (OSError, ValueError) as error:
        click.echo(f"simulate: {error}", err=True)
        return EX_USAGE


def _progress(text: str) -> None:
    """One line on a terminal, which the next one replaces; nothing where nobody watches."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{text}", nl=False, err=True)
