"""Options and argument types that several commands share, and the exit of every command."""

import re
import sys
from pathlib import Path
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
providers_option = click.option(
    "--providers",
    default="",
    metavar="LIST",
    help="Inference providers in order of preference, such as openvino,cpu. Default: from the model card.",
)
BROKER_HELP = (
    "Broker URL: mqtt://HOST:PORT or mqtts://HOST:PORT. Default: RINGPOST_BROKER. For mqtts://, set the"
    " files RINGPOST_CA, RINGPOST_CERT and RINGPOST_KEY. RINGPOST_INSECURE=1 allows mqtt:// to other"
    " machines; RINGPOST_PROTOCOL=5 or 3.1.1 pins the MQTT version."
)
broker_option = click.option(
    "--broker",
    required=True,
    envvar="RINGPOST_BROKER",
    metavar="URL",
    help=BROKER_HELP,
)
root_option = click.option(
    "--root",
    default="ringpost/v1",
    show_default=True,
    type=click.Choice(["ringpost/v1", "ringpost-sim/v1"]),
    help="Root of the topics; ringpost-sim/v1 for simulations.",
)
key_option = click.option(
    "--key",
    "--signing-key",
    "keys",
    multiple=True,
    envvar="RINGPOST_SIGNING_KEY",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Key that signs the order, made with 'ringpost keys init' or 'keys new'; repeat it for several"
    " signatures. Default: RINGPOST_SIGNING_KEY, else ~/.config/ringpost/key.pem.",
)
group_option = click.option(
    "--group",
    metavar="GROUP",
    help="All devices of a group: kind.KIND, ring.RING, domain.DOMAIN or group.NAME, such as"
    " kind.patrol_boat.",
)
all_option = click.option("--all", "everything", is_flag=True, help="All devices that report to the broker.")


class IdentifierType(click.ParamType[str]):
    """An identifier that is safe as one level of a topic and as a file name."""

    name = "identifier"

    def __init__(self, description: str, pattern: str) -> None:
        self._description, self._pattern = description, pattern

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if re.fullmatch(self._pattern, value) is None:
            self.fail(f"{value!r} is not {self._description}", param, ctx)
        return str(value)


DEVICE = IdentifierType(
    "a device id: up to 32 lower-case letters, digits and hyphens, such as bridge-07", "[a-z0-9-]{1,32}"
)
ALERT = IdentifierType("an alert id: up to 64 letters, digits and hyphens", "[A-Za-z0-9-]{1,64}")


def finish(code: int) -> None:
    """Exits with ``code``, even while a native call hangs in a thread."""
    # Only a command that loaded this module can have left a native call behind.
    native_calls = sys.modules.get("agent.runtime.native_calls")
    if native_calls is not None:
        native_calls.end_if_hung(code)
    raise SystemExit(code)
