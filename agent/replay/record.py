"""``ringpost record``: writes the observations of the sources to a file. No pictures, rules or broker."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import click

from agent.config.loader import read
from agent.config.model import Config
from agent.domain.durations import parse_duration
from agent.domain.observations import SelfReport, Tick, Value, observed
from agent.domain.yaml_loader import BadConfig
from agent.host.clock import monotonic_s, utc_now
from agent.replay.recording import TICK_S, RecordingHeader, line_of
from agent.replay.recording_writer import RotatedRecording
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG, EX_USAGE
from agent.runtime.supervisor import LONGEST_WAIT_S, supervise

MAX_MB, KEEP = 64, 16
"""By default at most a gigabyte: two weeks of a bridge post."""
SYNC_TICKS = 10
"""Lines of so many seconds may be lost in a power cut."""


def record_command(
    config: Path, to: Path | None, lasts: str | None, max_mb: int = MAX_MB, keep: int = KEEP
) -> int:
    """Runs the sources of a configuration and writes their observations. An exit code."""
    try:
        limit_s = parse_duration(lasts).total_seconds() if lasts else None
    except ValueError as error:
        click.echo(f"record: --for: {error}", err=True)
        return EX_USAGE
    try:
        settings = read(config)
        path = to or Path(f"{settings.device}-{utc_now():%Y%m%dT%H%M%SZ}.jsonl")
        header = RecordingHeader(device=settings.device, config=config.resolve(), at=utc_now())
        line = header.model_dump_json().encode()
        with RotatedRecording(path, line, max_bytes=max_mb * 1_000_000, keep=keep) as lines:
            tally = asyncio.run(record(settings, lines.write, limit_s, lines.sync))
    except BadConfig as error:
        click.echo(str(error), err=True)
        return EX_CONFIG
    except FileExistsError as error:
        unfinished = str(error.filename).endswith(".new")
        why = " (unfinished, `ringpost replay` reads it)" if unfinished else ""
        click.echo(f"record: {error.filename} already exists{why}; give another name with --to", err=True)
        return 1
    except (OSError, ValueError) as error:
        click.echo(f"record: {describe_error(error)}", err=True)
        return 1
    counts = ", ".join(f"{number} of {name}" for name, number in sorted(tally.items())) or "nothing"
    files = lines.paths or [path]
    where = f"{files[0]}" if len(files) == 1 else f"{len(files)} files, {files[0]} to {files[-1]}"
    click.echo(f"record: {counts} written to {where}; ringpost replay {files[-1]} plays it", err=True)
    if lines.deleted:
        click.echo(f"record: the {lines.deleted} oldest files were deleted (--keep {keep})", err=True)
    silent = [name for name in settings.sources if not tally[name]]
    if silent:
        click.echo(f"record: nothing received from {', '.join(silent)}", err=True)
    return 1 if silent else 0


async def record(
    config: Config,
    write: Callable[[bytes], object],
    limit_s: float | None,
    sync: Callable[[], object] = lambda: None,
) -> Counter[str]:
    """Writes each observation as a line until interrupted; the number of values by source.

    OSError where a line cannot be written.
    """
    tally: Counter[str] = Counter()
    failed: list[OSError] = []
    done = asyncio.Event()

    def emitter(name: str) -> Callable[[Value], None]:
        def emit(value: Value) -> None:
            if failed:
                return
            try:
                write(line_of(observed(name, value, utc_now(), monotonic_s())))
            except OSError as error:  # a failure of the disk, not of the source
                failed.append(error)
                done.set()
                return
            tally[name] += not isinstance(value, SelfReport)

        return emit

    async def emit_ticks() -> None:
        tick = emitter("clock")
        for number in count(1):
            tick(Tick())
            await asyncio.sleep(TICK_S)
            if number % SYNC_TICKS == 0:
                with suppress(OSError, ValueError):  # the next line says so, or another file has begun
                    await asyncio.to_thread(sync)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    tasks = [asyncio.ensure_future(emit_ticks())]
    for name, source in config.sources.items():
        run = partial(source.run, emitter(name))
        wait_s = source.longest_wait_s or LONGEST_WAIT_S
        tasks.append(asyncio.ensure_future(supervise(name, run, lambda _: None, longest_wait_s=wait_s)))
    with suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), limit_s)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if failed:
        raise failed[0]
    del tally["clock"]
    return tally
