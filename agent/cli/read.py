"""``ringpost read``: decodes a live line, a file of its raw bytes, or standard input."""

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

from agent.cli.read_plot import TERMINAL, Plot
from agent.cli.read_report import ReadReport
from agent.control.any_protocol import AnyProtocolLine, decoders_of, live_line
from agent.replay.recording import Recording
from agent.runtime.atomic_files import PICTURE_SUFFIXES
from agent.runtime.error_text import describe_error, error_reason
from agent.runtime.exit_codes import EX_USAGE
from agent.runtime.sanitize import raw_stream
from firmware_bridge.catalogue import kinds
from firmware_bridge.gnss.gpsd import Gpsd
from firmware_bridge.gnss.gpsd_decoder import GpsdDecoder
from firmware_bridge.serial.line_decoder import LineDecoder

CHUNK = 4096
GPSD = "gpsd"
"""Protocol name for a file of gpsd output (``gpspipe -w``); a live gpsd is gpsd://host."""
PROGRESS_FROM_BYTES = 2_000_000
"""Files of this size or larger get a progress bar."""


def read_command(source: str, protocol: str, baud: int | None, as_json: bool, plot: str | None = None) -> int:
    """Prints values until the line ends or is interrupted, then statistics, and draws ``plot``.

    1 where the source can't be read, has no valid packet, or nothing can be drawn; 2 for wrong options.
    """
    if plot is not None and plot != TERMINAL and Path(plot).suffix.lower() not in PICTURE_SUFFIXES:
        click.echo(f"read: --plot: write to a .png or .jpg file, or to -, not to {plot!r}", err=True)
        return EX_USAGE
    drawing = None if plot is None else Plot()
    code = _read_and_report(source, protocol, baud, as_json, drawing)
    if drawing is None or plot is None or code == EX_USAGE:
        return code
    try:
        text = drawing.save(plot)
    except (OSError, ValueError) as error:
        click.echo(f"read: --plot: {describe_error(error)}", err=True)
        return code or 1
    if text is not None:
        click.echo(text, err=as_json)
    return code


def _read_and_report(
    source: str, protocol: str, baud: int | None, as_json: bool, drawing: Plot | None
) -> int:
    known = kinds()
    if protocol not in ("auto", GPSD, *known):
        every = ", ".join(sorted((GPSD, *known)))
        click.echo(f"read: unknown protocol {protocol!r}; known: auto, {every}", err=True)
        return EX_USAGE
    names = tuple(sorted(known)) if protocol == "auto" else (protocol,)
    report = ReadReport(_source_name(source), as_json, drawing)
    if not source:
        click.echo("read: SOURCE is empty; give a device, tcp://HOST:PORT, a file, or -", err=True)
        return EX_USAGE
    try:
        if protocol == GPSD and "://" not in source:
            _read_gpsd(report, source)
        elif "://" in source or (source != "-" and Path(source).is_char_device()):
            asyncio.run(_read_live(report, live_line(source, names, baud)))
        else:
            _read_file(report, source, names)
    except KeyboardInterrupt:
        pass
    except ValidationError as error:
        click.echo(f"read: {error.errors()[0]['msg'].removeprefix('Value error, ')}", err=True)
        return EX_USAGE
    except BrokenPipeError:  # the reader of the pipe has closed it, as `| head` does
        raise
    except OSError as error:
        if report.has_data:
            report.print_statistics()
        text = f"{source}: {error.strerror}" if error.filename else error_reason(error)
        click.echo(f"read: {text}", err=True)
        return 1
    report.print_statistics()
    if (reason := report.failure(names)) is not None:
        if _is_recording(source):
            reason = "this is a recording; use ringpost replay"
        click.echo(f"read: {source}: {reason}", err=True)
        return 1
    return 0


def _is_recording(source: str) -> bool:
    """Whether ``source`` is a file made by ``ringpost record``, rather than raw bytes."""
    with suppress(OSError, ValueError):
        return Path(source).is_file() and Recording(Path(source)).header is not None
    return False


def _read_file(report: ReadReport, source: str, names: tuple[str, ...]) -> None:
    decoder = LineDecoder(decoders_of(names))
    with open(0, "rb", buffering=0) if source == "-" else Path(source).open("rb", buffering=0) as file:
        try:
            for data in _chunks(file):
                for value in decoder.feed(data):
                    report.emit(value)
            for value in decoder.pause():
                report.emit(value)
        finally:
            report.emit(decoder.state())
            report.closed()


def _read_gpsd(report: ReadReport, source: str) -> None:
    decoder = GpsdDecoder()
    with open(0, "rb", buffering=0) if source == "-" else Path(source).open("rb", buffering=0) as file:
        try:
            for data in _chunks(file):
                for value in decoder.feed(data):
                    report.emit(value)
            for value in decoder.feed(b"\n"):
                report.emit(value)
        finally:
            report.emit(Gpsd.state(decoder))
            report.closed()


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The file in chunks, with a progress bar for a large file while the terminal is otherwise idle."""
    size = os.fstat(file.fileno()).st_size
    chunks: Callable[[], bytes] = lambda: file.read(CHUNK)  # noqa: E731  named for iter
    if size < PROGRESS_FROM_BYTES or not sys.stderr.isatty() or sys.stdout.isatty():
        yield from iter(chunks, b"")
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=raw_stream(sys.stderr))) as progress:
        task = progress.add_task("reading", total=size)
        for data in iter(chunks, b""):
            yield data
            progress.advance(task, len(data))


async def _read_live(report: ReadReport, line: "Gpsd | AnyProtocolLine") -> None:
    """Reads until interrupted or the line fails (OSError). Silence is reported, then reading goes on."""
    task = asyncio.ensure_future(_read_repeatedly(report, line))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


async def _read_repeatedly(report: ReadReport, line: "Gpsd | AnyProtocolLine") -> None:
    last_error = ""
    while True:
        try:
            await line.run(report.emit)
        except TimeoutError as error:
            if last_error != (last_error := str(error)):
                click.echo(f"read: {error}", err=True)
        finally:
            report.closed()


def _source_name(source: str) -> str:
    """The name of the source in the output."""
    return "-" if source == "-" else source.partition("://")[2].strip("/") or Path(source).name
