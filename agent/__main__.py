"""The command line ``ringpost``. Each command imports its implementation when it is called, for speed."""

import sys

import click

from agent.cli.agent_commands import check, record, replay, run, schema
from agent.cli.audit_commands import audit
from agent.cli.command_group import CommandGroup
from agent.cli.config_commands import config
from agent.cli.device_commands import command
from agent.cli.hardware_commands import detect, devices, ground, read
from agent.cli.key_commands import keys
from agent.cli.local_commands import doctor, init
from agent.cli.model_commands import models
from agent.cli.remote_commands import ack, close, fetch, reject, rescue, watch
from agent.runtime.error_text import error_reason


@click.group(
    cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="ringpost", prog_name="ringpost")
def cli() -> None:
    """On-device (edge) agent for public-safety equipment: reads sensors, detects, reports over MQTT.

    Exit codes: 0 success, 1 failure or refused by the device, 2 usage error, 69 device or broker unreachable,
    75 temporary failure (restart requested), 77 signature or role does not suffice, 78 configuration error.
    """


AGENT = (init, run, check, doctor, schema, record, replay, audit)
HARDWARE = (devices, read, detect, ground, models)
REMOTE = (config, command, watch, ack, close, reject, fetch, rescue, keys)
for verb in (*AGENT, *HARDWARE, *REMOTE):
    cli.add_command(verb)


def main() -> None:
    """The entry point: no traceback for a closed pipe or a full disk."""
    from agent.runtime.process import prepare_process

    prepare_process()
    try:
        cli()
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as error:  # such as a full disk behind standard output
        click.echo(f"ringpost: {error.filename or 'standard output'}: {error_reason(error)}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
