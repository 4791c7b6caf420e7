"""Sends one command to one device: prints its results, keeps its pictures."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from agent.cli.broker_session import run_at_broker
from agent.cli.command_request import (
    FINAL_STATES,
    NO_SIGNATURE,
    TOPICS,
    NoAnswerError,
    Picture,
    answers,
    describe,
    exit_code,
)
from agent.cli.device_selection import Selection
from agent.cli.fleet_link import fleet_link
from agent.cli.orders import OrderSigner, Unsigned, load_signer, local_exit_code
from agent.cli.zone_drawing import Drawn, read_camera, save_with_zones
from agent.commands.requests import Command
from agent.domain.durations import parse_duration
from agent.domain.message import new_id
from agent.runtime.atomic_files import write_beside
from agent.runtime.error_text import describe_error, error_reason
from agent.runtime.exit_codes import EX_UNAVAILABLE, EX_USAGE
from agent.runtime.sanitize import printable

ENVELOPE_FIELDS = frozenset({
    "schema", "id", "device", "session", "epoch", "seq", "at", "clock", "historical", "simulated",
    "command", "command_id", "answer_to", "keys", "state", "reason",
})  # fmt: skip
"""Fields of a result that say nothing of its own."""


def send_command(
    device: str,
    name: str,
    model: type[Command],
    fields: Mapping[str, Any],
    folder: Path,
    wait: str,
    keys: Sequence[Path],
    url: str,
    root: str,
    as_json: bool,
    annotate: Path | None = None,
) -> int:
    """0 once it succeeded; 1 where it failed, 2 for wrong fields, 69 without an answer, 77: not permitted."""
    try:
        wait_s = parse_duration(wait).total_seconds()
        request = model.model_validate({"id": new_id(), **fields})
        signer: OrderSigner = Unsigned() if name in NO_SIGNATURE else load_signer(keys)
        camera = str(fields.get("camera")) if "camera" in fields else None
        shapes = () if annotate is None else read_camera(annotate, camera)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        option = "--" + ".".join(map(str, detail["loc"])).replace("_", "-")
        message = detail["msg"].removeprefix("Value error, ")
        click.echo(f"{name}: {option if detail['loc'] else 'options'}: {message}", err=True)
        return EX_USAGE
    except (OSError, ValueError) as error:
        click.echo(f"{name}: {describe_error(error)}", err=True)
        return local_exit_code(error)
    body = {"id": request.id, **request.model_dump(mode="json", include=set(fields))}

    async def session() -> int:
        last: dict[str, Any] = {}
        async with fleet_link(url, root, Selection((device,)).filters(root, TOPICS)) as link:
            try:
                async for answer in answers(link, signer, device, name, body, then_s=wait_s):
                    if isinstance(answer, Picture):
                        if (code := _keep(answer, folder / device, request.id, name, as_json, shapes)) != 0:
                            return code
                    else:
                        last = answer
                        _print_result(device, name, answer, as_json)
            except NoAnswerError as error:
                click.echo(f"{name}: {error}", err=True)
                return EX_UNAVAILABLE
        if str(last.get("state")) in FINAL_STATES:
            return exit_code(last)
        so_far = f"only {printable(last['state'])!r} within {wait}" if last else "no answer"
        click.echo(f"{name}: {so_far} from {device}; check its name and its connection", err=True)
        return EX_UNAVAILABLE

    return run_at_broker(url, session)


def _print_result(device: str, name: str, result: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result))
        return
    bad = result.get("state") in ("failed", "rejected", "expired", "duplicate")
    click.echo(f"{name}: {device}: {describe(result)}", err=bad)
    for line in result_lines(result):
        click.echo(f"  {line}")


def result_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The fields of a result beyond state and reason; a list of objects one line for each."""
    for key, value in result.items():
        if key in ENVELOPE_FIELDS:
            continue
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{printable(key)}:"
            yield from (f"  {_short(item)}" for item in value)
        elif isinstance(value, dict) and any(isinstance(item, dict | list) for item in value.values()):
            yield f"{printable(key)}:"
            yield from (f"  {printable(name)}: {_short(item)}" for name, item in value.items())
        elif isinstance(value, str) and "\n" in value:  # such as a certificate request
            yield f"{printable(key)}:"
            yield from map(printable, value.splitlines())
        else:
            yield f"{printable(key)}: {_short(value)}"


def _short(value: Any) -> str:
    """A value in one line; a flat object as ``key value``."""
    if isinstance(value, dict):
        return ", ".join(f"{printable(key)} {_short(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_short, value)) or "none"
    return printable("yes" if value is True else "no" if value is False else value)


def _keep(
    picture: Picture, folder: Path, command_id: str, name: str, as_json: bool, shapes: Sequence[Drawn]
) -> int:
    """Saves a picture of the command, and once more with ``shapes``. 1 where the disk refuses it."""
    if not re.fullmatch("[0-9]{1,4}", picture.number):
        return 0
    path = folder / f"{name}-{command_id}-{picture.number}.jpg"
    try:
        saved = [write_beside(path, picture.data)]
        if shapes:
            saved.append(save_with_zones(picture.data, shapes, path.with_stem(f"{path.stem}-zones")))
    except (OSError, ValueError) as error:
        click.echo(f"{name}: {path}: {error_reason(error)}", err=True)
        return 1
    for one in saved:
        click.echo(json.dumps({"saved": str(one)}) if as_json else str(one))
    return 0
