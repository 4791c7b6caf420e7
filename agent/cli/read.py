"""``ringpost read``: what does this line say? A live line, a file of what one said, or standard input."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import click
from pydantic import ValidationError

from agent.cli.any_protocol import Anything, decoders, live_line
from agent.cli.read_report import Reading
from agent.replay.recording import Recording
from agent.runtime.error_text import error_reason
from agent.runtime.sanitize import terminal
from firmware_bridge.catalogue import kinds
from firmware_bridge.gnss.gpsd import Gpsd
from firmware_bridge.gnss.gpsd_decoder import GpsdDecoder
from firmware_bridge.serial.line_decoder import LineDecoder

CHUNK = 4096
GPSD = "gpsd"
"""What gpsd said, kept in a file, such as by ``gpspipe -w``; a live one is gpsd://host."""
LARGE = 2_000_000
"""Bytes of a file from which on it is worth showing how far one is."""


def read_command(source: str, protocol: str, baud: int | None, as_json: bool) -> int:
    """Prints what is said until the line ends or it is interrupted, then a line of statistics. 1 where it
    can't be read, or nothing was understood."""
    known = kinds()
    if protocol not in ("auto", GPSD, *known):
        every = ", ".join(sorted((GPSD, *known)))
        click.echo(f"read: no protocol {protocol!r}; known: auto, {every}", err=True)
        return 2
    names = tuple(sorted(known)) if protocol == "auto" else (protocol,)
    reading = Reading(_name(source), as_json)
    if not source:
        click.echo("read: no line is named: a device, tcp://HOST:PORT, a file, or -", err=True)
        return 2
    try:
        if protocol == GPSD and "://" not in source:
            _read_gpsd(reading, source)
        elif "://" in source or (source != "-" and Path(source).is_char_device()):
            asyncio.run(_read_live(reading, live_line(source, names, baud)))
        else:
            _read_file(reading, source, names)
    except KeyboardInterrupt:
        pass
    except ValidationError as error:
        click.echo(f"read: {error.errors()[0]['msg'].removeprefix('Value error, ')}", err=True)
        return 2
    except BrokenPipeError:  # whoever listened has gone, as `| head` does
        raise
    except OSError as error:
        if reading.heard:
            reading.say_statistics()
        text = f"{source}: {error.strerror}" if error.filename else error_reason(error)
        click.echo(f"read: {text}", err=True)
        return 1
    reading.say_statistics()
    if (doubt := reading.doubt(names)) is not None:
        what = "a recording: ringpost replay plays it" if _is_recording(source) else doubt
        click.echo(f"read: {source}: {what}", err=True)
        return 1
    return 0


def _is_recording(source: str) -> bool:
    """Whether it was made by ``ringpost record``, and is not what a line said."""
    with suppress(OSError, ValueError):
        return Path(source).is_file() and Recording(Path(source)).header is not None
    return False


def _read_file(reading: Reading, source: str, names: tuple[str, ...]) -> None:
    ear = LineDecoder(decoders(names))
    with open(0, "rb", buffering=0) if source == "-" else Path(source).open("rb", buffering=0) as file:
        try:
            for data in _pieces(file):
                for value in ear.hear(data):
                    reading.emit(value)
            for value in ear.pause():
                reading.emit(value)
        finally:
            reading.emit(ear.state())
            reading.closed()


def _read_gpsd(reading: Reading, source: str) -> None:
    decoder = GpsdDecoder()
    with open(0, "rb", buffering=0) if source == "-" else Path(source).open("rb", buffering=0) as file:
        try:
            for data in _pieces(file):
                for value in decoder.feed(data):
                    reading.emit(value)
            for value in decoder.feed(b"\n"):
                reading.emit(value)
        finally:
            reading.emit(Gpsd.state(decoder))
            reading.closed()


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The file, with a bar where that takes a while and nothing else is on the screen."""
    size = os.fstat(file.fileno()).st_size
    pieces: Callable[[], bytes] = lambda: file.read(CHUNK)  # noqa: E731  named for iter
    if size < LARGE or not sys.stderr.isatty() or sys.stdout.isatty():
        yield from iter(pieces, b"")
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=terminal(sys.stderr))) as progress:
        task = progress.add_task("reading", total=size)
        for data in iter(pieces, b""):
            yield data
            progress.advance(task, len(data))


async def _read_live(reading: Reading, line: "Gpsd | Anything") -> None:
    """Reads until the line is gone (OSError) or we are interrupted; one that is silent is said, and kept."""
    task = asyncio.ensure_future(_keep_reading(reading, line))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


async def _keep_reading(reading: Reading, line: "Gpsd | Anything") -> None:
    said = ""
    while True:
        try:
            await line.run(reading.emit)
        except TimeoutError as error:
            if said != (said := str(error)):
                click.echo(f"read: {error}", err=True)
        finally:
            reading.closed()


def _name(source: str) -> str:
    """What the source is called in observations."""
    return "-" if source == "-" else source.partition("://")[2].strip("/") or Path(source).name
