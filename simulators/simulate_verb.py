"""The command ``simulate``."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.runtime.exit_codes import EX_INTERRUPTED, EX_UNAVAILABLE, EX_USAGE
from centre.cli import refuse_bad_broker

if TYPE_CHECKING:
    from simulators.scenario.model import Scenario
    from simulators.scenario.verdict import Verdict

REFUSED = 1
"""The exit code of a scenario that is refused, that failed, or that is incomplete."""


@click.command()
@click.argument("scenario", required=False)
@click.option("--list", "as_list", is_flag=True, help="List the scenarios that come with the simulators.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Another seed than that of the file.")
@click.option("--clock", type=click.Choice(["virtual", "real"]), help="Another clock than that of the file.")
@click.option(
    "--report", type=click.Path(path_type=Path, file_okay=False), help="Write the report to this folder."
)
@click.option("--broker", help="With the real clock: URL of a running broker. Default: start one.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print every message that reaches the broker, and the verdict, one JSON object per line.",
)
def simulate(
    scenario: str | None,
    as_list: bool,
    seed: int | None,
    clock: str | None,
    report: Path | None,
    broker: str | None,
    as_json: bool,
) -> None:
    """Run a scenario and check its expectations.

    SCENARIO is a name (see --list) or the path of a file. Exit codes: 0 passed; 1 failed, incomplete, or
    refused before anything ran; 2 wrong use; 69 no broker; 130 interrupted.
    """
    if as_list:
        raise SystemExit(_list())
    if scenario is None:
        raise click.UsageError("Missing argument 'SCENARIO'; --list names those there are.")
    if broker:
        refuse_bad_broker(broker)
    raise SystemExit(simulate_once(scenario, {"seed": seed, "clock": clock}, broker, report, as_json=as_json))


def _list() -> int:
    from agent.domain.durations import format_duration
    from simulators.scenario.loader import SCENARIOS, read, scenario_names

    for name in scenario_names():
        path = SCENARIOS / f"{name}.yaml"
        scenario = read(path)
        about = path.read_text().splitlines()[0].lstrip("# ")
        click.echo(f"{name:30} {scenario.clock:8} {format_duration(scenario.duration):>6}  {about}")
    return 0


def load(name: str, changes: Mapping[str, Any]) -> "Scenario | int":
    """The scenario with ``changes``, checked; or the exit code, after the complaint."""
    from agent.domain.yaml_loader import BadConfig
    from simulators.scenario.loader import check, find_scenario

    try:
        found = find_scenario(name)
        wanted = {key: value for key, value in changes.items() if value is not None}
        if "duration" in wanted:  # the run is cut short: what would come later is not expected
            until_s = wanted["duration"].total_seconds()
            timeline = tuple(step for step in found.timeline if step.end_s <= until_s)
            wanted |= {"timeline": timeline, "expect": (), "sometimes": ()}
        return check(found.model_copy(update=wanted), name=name) if wanted else found
    except BadConfig as error:
        for line in error.lines():
            click.echo(f"simulate: {line}", err=True)
        return REFUSED
    except (OSError, ValueError) as error:
        click.echo(f"simulate: {error}", err=True)
        return EX_USAGE


def simulate_once(
    name: str, changes: Mapping[str, Any], broker: str | None, report: Path | None, *, as_json: bool
) -> int:
    """Plays a scenario with ``changes``, prints what happens, and returns the exit code."""
    from agent.runtime.logging_setup import set_up_log
    from centre.message_line import line
    from simulators.scenario.session import RunOptions, run_scenario
    from simulators.scenario.verdict import write_report

    set_up_log("error")
    found = load(name, changes)
    if isinstance(found, int):
        return found
    shown: dict[str, int] = {}

    def show(device: str, topic: str, body: Mapping[str, Any]) -> None:
        if as_json:
            click.echo(json.dumps({"device": device, "topic": topic, "message": body}))
            return
        shown[topic] = shown.get(topic, 0) + 1
        often = {"alert": 1000, "status": 1000, "position": 2}
        if shown[topic] <= often.get(topic, 1 if topic in ("birth", "health") else 0):
            click.echo(line(device, topic, dict(body)))

    def announce(text: str) -> None:
        if not as_json:
            click.echo(f"-> {text}")

    with tempfile.TemporaryDirectory(prefix="ringpost-") as folder:
        try:
            verdict, record = run_scenario(found, Path(folder), RunOptions(broker, show, announce))
            if report is not None:
                write_report(report, verdict, record, found)
        except BrokenPipeError:  # the reader has closed the pipe, as `| head` does
            raise
        except (OSError, ValueError) as error:
            click.echo(f"simulate: {error}", err=True)
            return EX_UNAVAILABLE
        except KeyboardInterrupt:
            return EX_INTERRUPTED
    print_verdict(verdict, None if as_json else shown)
    return 0 if verdict.verdict == "passed" else REFUSED


def print_verdict(verdict: "Verdict", shown: Mapping[str, int] | None) -> None:
    """``shown`` counts the messages by topic; None: as JSON."""
    if shown is None:
        click.echo(json.dumps({"verdict": verdict.fields()}))
    else:
        counts = ", ".join(f"{count} {topic}" for topic, count in sorted(shown.items()))
        click.echo(f"\n{sum(shown.values())} messages came back: {counts}")
        click.echo(f"alert messages, counted on both disks: {verdict.counts}")
    for complaint in verdict.complaints():
        click.echo(complaint, err=True)
    if shown is not None and verdict.verdict == "passed":
        met = len(verdict.expectations) + len(verdict.never) + len(verdict.invariants)
        click.echo(f"{verdict.scenario}: passed: all {met} expectations and invariants were met")
