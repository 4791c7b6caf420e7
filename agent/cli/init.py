"""``ringpost init``: writes a commented configuration from what is plugged in."""

import asyncio
import os
import re
import socket
import sys
from pathlib import Path

import click

from agent.cli.devices import devices, listen
from agent.cli.init_hardware import FoundSource, guess_kind, sources_of
from agent.cli.init_text import Answers, configuration_text
from agent.config.loader import parse
from agent.domain.yaml_loader import BadConfig
from agent.runtime.error_text import error_reason
from agent.runtime.exit_codes import EX_USAGE


def init_command(kind: str | None, device: str | None, output: Path, force: bool, listen_s: float) -> int:
    """Writes ``output``. 2 where it exists and not ``force``; 1 where it can't be written."""
    if output.exists() and not force:
        click.echo(f"init: {output} exists already; give another -o FILE, or --force", err=True)
        return EX_USAGE
    click.echo(f"listening on serial ports for {listen_s:g} s …", err=True)
    found = sources_of(asyncio.run(listen(list(devices()), listen_s)))
    for source in found:
        click.echo(f"found: {source.name}: {source.description}", err=True)
    kind = kind or guess_kind(found)
    answers = _ask(Answers(device=device or usual_name(kind), kind=kind), named=device is not None)
    text = configuration_text(answers, found)
    try:
        parse(text, name=str(output), base=output.resolve().parent)
    except BadConfig as error:  # a device name from the command line; the rest is ours
        for line in error.lines():
            click.echo(line, err=True)
        return EX_USAGE
    try:
        _write(output, text)
    except OSError as error:
        click.echo(f"init: {output}: {error_reason(error)}", err=True)
        return 1
    _print_next_steps(output, text, found)
    return 0


def _write(path: Path, text: str) -> None:
    """Atomically, so that no half of a configuration stands there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o640)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)


def usual_name(kind: str) -> str:
    """The host's name where it may be a device's name, else one after the kind."""
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().partition(".")[0].lower()).strip("-")[:32]
    prefix = kind.partition("_")[0]
    usual = name in ("", "localhost", "raspberrypi", "debian", "ubuntu", "host", "technician", "centre")
    return f"{prefix}-01" if usual or name.startswith("ringpost") or name.endswith("-elsewhere") else name


def _ask(answers: Answers, *, named: bool) -> Answers:
    """Asks for what can't be found out; nothing where nobody sits at a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return answers
    device = answers.device if named else click.prompt("Name of the device", answers.device, err=True)
    return Answers(
        device=device,
        kind=answers.kind,
        site=click.prompt("Site (bridge, station, reach of a river)", answers.site, err=True),
        post=click.prompt("Post at the site", answers.post, err=True),
        broker=click.prompt("Host name of the broker", answers.broker, err=True),
    )


def _print_next_steps(output: Path, text: str, found: list[FoundSource]) -> None:
    cameras = sum(source.kind == "camera" for source in found)
    lines = f"{len(found) - cameras} serial sources, {cameras} cameras"
    print(f"{output}: written; {lines} found; edit the {text.count('# CHANGE')} lines with CHANGE. Then:")
    print(f"  copy roles.json to {output.parent}; of a new fleet: ringpost keys init, at your desk, not here")
    print(f"  ringpost check --env {output}")
    print(f"  ringpost run {output}")
    print(f"  ringpost console {output}: its page, to add cameras and draw zones")
