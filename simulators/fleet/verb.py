"""The command ``fleet``."""

import asyncio
import json
import signal
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_INTERRUPTED, EX_UNAVAILABLE

TRIAL_MINUTES = 0.5


@click.command()
@click.option("--agents", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Real agents.")
@click.option("--thin", type=click.IntRange(0, 100_000), default=0, help="Clients that send as devices do.")
@click.option(
    "--minutes",
    type=click.FloatRange(0.05, 24 * 60),
    default=2.0,
    show_default=True,
    help="How long it runs.",
)
@click.option("--storm", is_flag=True, help="Stop the broker for 3 s in the middle.")
@click.option("--press-every", type=click.FloatRange(2.0), default=20.0, show_default=True, help="Seconds.")
@click.option(
    "--per-process", type=click.IntRange(1, 500), default=50, show_default=True, help="Agents in one process."
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of the presses.")
@click.option("--search", "search_minutes", type=click.FloatRange(0.1), metavar="MINUTES",
              help="Find the number of agents at which p99 passes 1 s, in so many minutes.")  # fmt: skip
@click.option("--report", type=click.Path(path_type=Path, file_okay=False), help="A folder for fleet.json.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def fleet(
    agents: int, thin: int, minutes: float, storm: bool, press_every: float, per_process: int, seed: int,
    search_minutes: float | None, report: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Run real agents and thin clients against one mosquitto and one centre, on this machine.

    Each agent has a simulated sensor board, whose panic button is pressed at random. Afterwards each press is
    looked for: at the centre, or on the agent's disk. Exit codes: 0 nothing was lost; 1 something was, or an
    agent died; 69 the machine is too small, or a part could not be started; 130 interrupted.
    """
    from simulators.fleet.fleet_run import FleetPlan

    plan = FleetPlan(
        agents=agents, thin=thin, minutes=minutes, storm=storm, press_every_s=press_every,
        per_process=per_process, seed=seed,
    )  # fmt: skip
    try:
        found = asyncio.run(_run(plan, search_minutes))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise SystemExit(EX_INTERRUPTED) from None
    except OSError as error:
        click.echo(f"fleet: {describe_error(error)}", err=True)
        raise SystemExit(EX_UNAVAILABLE) from None
    if report is not None:
        report.mkdir(parents=True, exist_ok=True)
        (report / "fleet.json").write_text(json.dumps(found, indent=2) + "\n")
    click.echo(json.dumps(found) if as_json else "\n".join(lines(found)))
    raise SystemExit(1 if found.get("lost") or found.get("died") or found.get("told_twice") else 0)


async def _run(plan: Any, search_minutes: float | None) -> dict[str, Any]:
    from simulators.fleet.fleet_run import run_fleet
    from simulators.fleet.search import search

    this = asyncio.current_task()
    assert this is not None  # noqa: S101  asyncio.run made it
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)

    async def trial(agents: int) -> dict[str, Any]:
        say(f"{agents} agents")
        with tempfile.TemporaryDirectory(prefix="ringpost-fleet-") as folder:
            minutes = plan.minutes if search_minutes is None else TRIAL_MINUTES
            return await run_fleet(replace(plan, agents=agents, minutes=minutes), Path(folder), say)

    def say(text: str) -> None:
        click.echo(text, err=True)

    if search_minutes is None:
        return await trial(plan.agents)
    return await search(plan.agents, 60 * search_minutes, trial)


def lines(found: dict[str, Any]) -> list[str]:
    """The result in words."""
    if "trials" in found:
        tried = [
            f"{one['agents']} agents: {one.get('error') or 'p99 {} ms'.format(one['p99_ms'])}"
            for one in found["trials"]
        ]
        holds, fails = found["holds"] or "none", found["fails"] or "not reached"
        return [*tried, f"p99 within 1 s: {holds} agents; above: {fails}"]
    delays, share = found["finding_to_commit_ms"], found["per_agent"]
    said = [
        f"{found['agents']} agents in {found['processes']} processes",
        f"{found['presses']} presses, {found['committed']} at the centre, {found['on_disk']} on a disk",
        f"lost {found['lost']}, told twice {found['told_twice']}, sent again {found['repeats']}",
        "finding to commit: " + ", ".join(f"{name} {ms:g} ms" for name, ms in delays.items()),
        f"each agent: {share['cpu_ms_per_s']} ms of CPU a second, {share['more_mb']} MB beside its process",
    ]
    if thin := found.get("thin"):
        said.append(f"{thin['clients']} thin clients: {thin['messages_per_s']} messages a second")
    if storm := found.get("storm"):
        back = ", ".join(f"{name} {seconds:g} s" for name, seconds in storm["back_after_s"].items())
        said.append(f"storm: {storm['links_back']} of {storm['links_lost']} links back: {back}")
    return said + [f"ended by itself: {name}" for name in found["died"]]
