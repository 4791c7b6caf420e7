"""The command line: ``ringpost``. Thin: each verb calls one function, imported when it is called."""

import sys

import click

from agent.cli.agent_commands import check, record, replay, run, schema
from agent.cli.command_group import Verbs
from agent.cli.hardware_commands import detect, devices, ground, read
from agent.cli.model_commands import models
from agent.cli.remote_commands import ack, config, fetch, rescue, watch
from agent.runtime.error_text import error_reason


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="ringpost", prog_name="ringpost")
def cli() -> None:
    """The edge agent for public-safety hardware: reads, detects, and never loses an alert.

    Exit codes: 0 ok, 1 a check failed, 2 usage, 69 agent or broker unreachable, 78 bad configuration.
    """


AGENT = (run, check, schema, record, replay)
HARDWARE = (devices, read, detect, ground, models)
REMOTE = (config, watch, ack, fetch, rescue)
for command in (*AGENT, *HARDWARE, *REMOTE):
    cli.add_command(command)


def main() -> None:
    """The entry point: no traceback for what a user did, or for a closed pipe."""
    from agent.runtime.process import prepare_process

    prepare_process()
    try:
        cli()
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as error:  # such as a full disk below standard output
        click.echo(f"ringpost: {error.filename or 'standard output'}: {error_reason(error)}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
