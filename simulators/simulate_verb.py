"""The command ``simulate``."""

from pathlib import Path

import click

from centre.cli import refuse_bad_broker

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("scenario", required=False)
@click.option("--list", "as_list", is_flag=True, help="List the scenarios that come with the simulators.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Another seed than that of the file.")
@click.option(
    "--seeds",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="Play the seeds 0 to N-1; of the first that fails, print the shortest timeline that still does.",
)
@click.option("--clock", type=click.Choice(["virtual", "real"]), help="Another clock than that of the file.")
@click.option(
    "--speed",
    type=click.FloatRange(0, 1_000_000, min_open=True),
    help="Virtual clock: at most so many seconds in one, to watch. Default: as fast as it goes.",
)
@click.option("--report", type=FOLDER, help="Write the report to this folder.")
@click.option(
    "--compare", type=FOLDER, help="Compare with the report in this folder; exit code 1 if it differs."
)
@click.option("--update", is_flag=True, help="Virtual clock: note the hash of the run as the expected one.")
@click.option("--broker", help="Real clock: URL of a running broker. Default: start one.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print every message that reaches the broker, and the verdict, one JSON object per line.",
)
@click.option(
    "--schema", is_flag=True, hidden=True, help="Print the JSON Schema: ringpost schema --scenario."
)
def simulate(
    scenario: str | None,
    as_list: bool,
    seed: int | None,
    seeds: int | None,
    clock: str | None,
    speed: float | None,
    report: Path | None,
    compare: Path | None,
    update: bool,
    broker: str | None,
    as_json: bool,
    schema: bool,
) -> None:
    """Run a scenario and check its expectations.

    SCENARIO is a name (see --list) or the path of a file. Exit codes: 0 passed; 1 failed, incomplete, or
    refused before anything ran; 2 wrong use; 69 no broker; 130 interrupted.
    """
    from simulators.scenario.simulate import (
        RunRequest,
        list_scenarios,
        print_schema,
        search_command,
        simulate_command,
    )

    if schema:
        print_schema()
        return
    if as_list:
        raise SystemExit(list_scenarios())
    if scenario is None:
        raise click.UsageError("Missing argument 'SCENARIO'; --list names those there are.")
    if broker:
        refuse_bad_broker(broker)
    changes = {key: value for key, value in (("seed", seed), ("clock", clock)) if value is not None}
    request = RunRequest(scenario, changes, broker, speed, report, compare, update, as_json)
    if seeds is None:
        raise SystemExit(simulate_command(request))
    if seed is not None or speed or compare or update or broker:
        raise click.UsageError("--seeds goes with --clock, --report and --json only")
    raise SystemExit(search_command(request, seeds))
