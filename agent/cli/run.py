"""``ringpost run``: the agent, until SIGTERM."""

from pathlib import Path

import click

from agent.cli.options import finish
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG


def run_command(config: Path, data: Path | None, log_level: str) -> None:
    """Runs the agent and ends with its exit code."""
    import asyncio

    from agent.app import run as run_agent
    from agent.domain.yaml_loader import BadConfig
    from agent.runtime.logging_setup import set_up_log
    from agent.runtime.native_calls import ENDS_WITHIN_S, end_within

    async def run_and_end() -> int:
        code = await run_agent(config, data)
        end_within(ENDS_WITHIN_S, code)
        return code

    set_up_log(log_level)
    try:
        config.open("rb").close()
    except OSError as error:
        _say_os_error(error)
        finish(EX_CONFIG)
    try:
        code = asyncio.run(run_and_end())
    except BadConfig as error:
        click.echo(str(error), err=True)
        finish(EX_CONFIG)
    except OSError as error:
        _say_os_error(error)
        finish(1)
    else:
        finish(code)


def _say_os_error(error: OSError) -> None:
    text = describe_error(error)
    click.echo(f"ringpost run: {text}", err=True)
