"""``ringpost command``: one verb for each command of a device, made from the models of the commands.

A model in `agent.commands.requests` whose docstring begins with ``command/<name>``, or an entry of its
``WITHOUT_FIELDS``, is a verb without further code; the fields are the options.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli.options import DEVICE, broker_option, finish, json_option, key_option, root_option

if TYPE_CHECKING:
    from agent.commands.requests import Command

NAMED = re.compile(r"``command/([a-z_]+)``: (.*)", re.DOTALL)
COMMON_FIELDS = ("id", "expires")
SHARED = frozenset({"to", "wait", "key", "broker", "root", "json"})
"""Options of every verb: the option of a field with such a name begins with the name of its command."""
FIELD = "field_"
"""Begins the parameter of a field, so that it is none of the shared ones."""
MAX_FILE_BYTES = 256 * 1024


annotate_option = click.option(
    "--annotate",
    type=click.Path(path_type=Path, readable=False),
    metavar="CONFIG",
    help="Save each picture once more, with the zones and rules of this configuration drawn.",
)


@cache
def command_models() -> Mapping[str, tuple[type["Command"], str]]:
    """By name of a command: its model and its help."""
    from agent.commands import requests

    found: dict[str, tuple[type[Command], str]] = {
        name: (requests.Command, text) for name, text in requests.WITHOUT_FIELDS.items()
    }
    for model in vars(requests).values():
        if not isinstance(model, type) or not issubclass(model, requests.Command):
            continue
        named = NAMED.match(model.__doc__ or "")
        if named:
            found[named[1]] = model, _sentences(named[2])
    return found


def _sentences(text: str) -> str:
    """A docstring as the help of a command."""
    text = re.sub(r"\s+", " ", text.replace("``", "")).strip()
    return text[0].upper() + text[1:]


class DeviceCommands(click.Group):
    """Loads the models only when a command of a device is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  as click has it
        return sorted(command_models())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        name = cmd_name.replace("-", "_")
        if name not in command_models():
            return None
        model, text = command_models()[name]
        return _verb(name, model, text)


def _verb(name: str, model: type["Command"], text: str) -> click.Command:
    """The verb of one command."""

    def run(
        device: str, folder: Path, wait: str, keys: tuple[Path, ...], broker: str, root: str, as_json: bool,
        annotate: Path | None = None, **fields: Any,
    ) -> None:  # fmt: skip
        from agent.cli.device_command import send_command

        given = {key.removeprefix(FIELD): value for key, value in fields.items() if value is not None}
        finish(send_command(device, name, model, given, folder, wait, keys, broker, root, as_json, annotate))

    verb: Callable[..., Any] = run
    schema = model.model_json_schema()
    options = [
        _option(name, field, schema["properties"][field], field in schema.get("required", ()))
        for field in model.model_fields
        if field not in COMMON_FIELDS
    ]
    shared = [
        click.argument("device", type=DEVICE),
        *options,
        click.option(
            "--to", "folder", default=".", show_default=True, metavar="DIRECTORY",
            type=click.Path(path_type=Path, readable=False), help="Directory for pictures.",
        ),
        click.option(
            "--wait", default="2m", show_default=True, metavar="DURATION",
            help="Wait for so long for the end of an accepted command.",
        ),
        *((annotate_option,) if name == "snapshot" else ()),
        key_option, broker_option, root_option, json_option,
    ]  # fmt: skip
    for decorate in reversed(shared):
        verb = decorate(verb)
    return click.command(name, help=text)(verb)


def _option(command_name: str, field: str, schema: Mapping[str, Any], required: bool) -> Callable[[Any], Any]:
    """The option of one field, from its JSON Schema."""
    flag = "--" + (f"{command_name}-{field}" if field in SHARED else field).replace("_", "-")
    field = FIELD + field
    kinds = [schema, *(part for part in schema.get("anyOf", ()) if part.get("type") != "null")]
    typed = (one for one in reversed(kinds) if one.keys() & {"type", "enum"})
    kind: Mapping[str, Any] = next(typed, {})
    text = _option_help(schema, kind)
    if kind.get("type") == "boolean":
        return click.option(f"{flag}/--no-{flag[2:]}", field, default=None, required=required, help=text)
    names = {"integer": (click.INT, "NUMBER"), "number": (click.FLOAT, "NUMBER")}
    if "enum" in kind:
        return click.option(flag, field, type=click.Choice(kind["enum"]), required=required, help=text)
    if kind.get("type") in names:
        number, metavar = names[kind["type"]]
        return click.option(flag, field, type=number, metavar=metavar, required=required, help=text)
    if kind.get("type") == "string":
        return click.option(flag, field, type=TEXT, metavar="TEXT|@FILE", required=required, help=text)
    return click.option(flag, field, type=JSON, metavar="JSON|@FILE", required=required, help=text)


def _option_help(schema: Mapping[str, Any], kind: Mapping[str, Any]) -> str:
    """What the model says of a field: description, default and limits."""
    parts = [str(schema["description"]).rstrip(".")] if "description" in schema else []
    low, high = kind.get("minimum"), kind.get("maximum")
    if low is not None and high is not None:
        parts.append(f"{low:g} to {high:g}")
    elif kind.get("maxLength"):
        parts.append(f"up to {kind['maxLength']} characters")
    if schema.get("default") is not None:
        parts.append(f"default {json.dumps(schema['default'])}")
    text = "; ".join(parts) or "See docs/centre.md"
    return f"{text[0].upper()}{text[1:]}."


class FromFile(click.ParamType[Any]):
    """A text, or the text of a file after ``@``."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or not value.startswith("@"):
            return value
        from agent.runtime.atomic_files import read_utf8
        from agent.runtime.error_text import describe_error

        try:
            return read_utf8(Path(value[1:]), MAX_FILE_BYTES)
        except (OSError, ValueError) as error:
            return self.fail(describe_error(error), param, ctx)


class JsonType(FromFile):
    """JSON or YAML, in the argument or in a file."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = super().convert(value, param, ctx)
        try:
            return json.loads(text)
        except ValueError:
            from agent.config.merge_patch import plain
            from agent.domain.yaml_loader import BadConfig, load_yaml

            try:
                return plain(load_yaml(text, "value"))
            except BadConfig as error:
                return self.fail(f"neither JSON nor YAML: {error.lines()[0]}", param, ctx)


TEXT, JSON = FromFile(), JsonType()


@click.group("command", cls=DeviceCommands)
def command() -> None:
    """Send a command to a device and print its results as they come."""
