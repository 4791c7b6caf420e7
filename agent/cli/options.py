"""Options, argument types and the exit of every command."""

import re
import sys
from typing import Any

import click

providers_option = click.option(
    "--providers", default="", help="Where to run, in order of preference: openvino,cpu."
)
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
broker_option = click.option(
    "--broker",
    required=True,
    envvar="RINGPOST_BROKER",
    help="mqtt://HOST:PORT or mqtts://…; RINGPOST_BROKER. For mqtts:// also RINGPOST_CA, RINGPOST_CERT and"
    " RINGPOST_KEY (files); RINGPOST_INSECURE=1 allows mqtt:// beyond this machine, RINGPOST_PROTOCOL=5 or"
    " 3.1.1 fixes the version of MQTT.",
)
root_option = click.option(
    "--root",
    default="ringpost/v1",
    show_default=True,
    type=click.Choice(["ringpost/v1", "ringpost-sim/v1"]),
    help="ringpost-sim/v1 for simulations.",
)


class Name(click.ParamType[str]):
    """A word of which a topic or a file's name can be made, and nothing else."""

    name = "name"

    def __init__(self, what: str, pattern: str) -> None:
        self._what, self._pattern = what, pattern

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if re.fullmatch(self._pattern, value) is None:
            self.fail(f"{value!r} is not {self._what}", param, ctx)
        return str(value)


DEVICE = Name("a device: small letters, digits and -, such as bridge-07", "[a-z0-9-]{1,32}")
ALERT = Name("an alert's id: letters, digits and -", "[A-Za-z0-9-]{1,64}")


def finish(code: int) -> None:
    """Ends with an exit code: 0 ok, 1 a check failed, 69 unreachable, 78 bad configuration."""
    hanging = sys.modules.get(
        "agent.runtime.native_calls"
    )  # where no verb has loaded it, nothing was left behind
    if hanging is not None:
        hanging.end_if_hung(code)
    raise SystemExit(code)
