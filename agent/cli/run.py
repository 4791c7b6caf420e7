"""``ringpost run``: the agent, until SIGTERM."""

from pathlib import Path

import click

from agent.domain.message import ROOT
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG


def run_command(config: Path, data: Path | None, log_level: str, root: str = ROOT) -> int:
    """Runs the agent, whose topics begin with ``root``.

    0 after SIGTERM, 1 for an OSError, 75 to be restarted, 78 for a bad configuration.
    """
    import asyncio

    from agent.app import run as run_agent
    from agent.domain.yaml_loader import BadConfig
    from agent.runtime.logging_setup import set_up_log
    from agent.runtime.native_calls import ENDS_WITHIN_S, end_within

    async def run_and_end() -> int:
        code = await run_agent(config, data, root)
        end_within(ENDS_WITHIN_S, code)
        return code

    set_up_log(log_level)
    try:
        config.open("rb").close()
    except OSError as error:
        _print_error(error)
        return EX_CONFIG
    try:
        return asyncio.run(run_and_end())
    except BadConfig as error:
        click.echo(str(error), err=True)
        return EX_CONFIG
    except OSError as error:
        _print_error(error)
        return 1


def _print_error(error: OSError) -> None:
    click.echo(f"ringpost run: {describe_error(error)}", err=True)
