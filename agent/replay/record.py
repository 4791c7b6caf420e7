"""``ringpost record``: what the sources say, to a file, for `replay`. No pictures, no rules, no broker."""

import asyncio
import errno
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Self

import click

from agent.config.loader import read
from agent.config.model import Config
from agent.domain.durations import parse_duration
from agent.domain.observations import SelfReport, Tick, Value, observed
from agent.domain.yaml_loader import BadConfig
from agent.replay.recording import TICK_S, RecordingHeader, line_of
from agent.runtime.error_text import describe_error
from agent.runtime.exit_codes import EX_CONFIG, EX_USAGE
from agent.runtime.supervisor import LONGEST_WAIT_S, supervise


def record_command(config: Path, to: Path | None, lasts: str | None) -> int:
    """Runs the sources of a configuration, without rules or broker, and writes what they say."""
    try:
        limit_s = parse_duration(lasts).total_seconds() if lasts else None
    except ValueError as error:
        click.echo(f"record: --for: {error}", err=True)
        return EX_USAGE
    try:
        its = read(config)
        path = to or Path(f"{its.device}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl")
        header = RecordingHeader(device=its.device, config=config.resolve(), at=datetime.now(UTC))
        with RecordingWriter(path, header.model_dump_json().encode()) as lines:
            tally = asyncio.run(record(its, lines.write, limit_s))
    except BadConfig as error:
        click.echo(str(error), err=True)
        return EX_CONFIG
    except FileExistsError as error:
        click.echo(f"record: {error.filename} is already there; name another with --to", err=True)
        return 1
    except (OSError, ValueError) as error:
        click.echo(f"record: {describe_error(error)}", err=True)
        return 1
    said = ", ".join(f"{number} of {name}" for name, number in sorted(tally.items())) or "nothing"
    click.echo(f"record: {said} written to {path}; ringpost replay {path} plays it", err=True)
    silent = [name for name in its.sources if not tally[name]]
    if silent:
        click.echo(f"record: nothing came of {', '.join(silent)}", err=True)
    return 1 if silent else 0


class RecordingWriter:
    """A file of whole lines that has its name only once all are in it. OSError where the disk takes no more:
    then it keeps those before, if there are any but the ``header``."""

    def __init__(self, path: Path, header: bytes) -> None:
        if path.exists():
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        self._path, self._beside, self._header = path, path.with_name(path.name + ".new"), header
        try:
            self._file = open(self._beside, "xb", buffering=0, opener=_private)  # noqa: SIM115  closed on exit
        except FileExistsError:
            raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        self._end = self._count = 0

    def __enter__(self) -> Self:
        try:
            self.write(self._header)
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._count > 1:
            self._beside.rename(self._path)
        else:
            self._beside.unlink()

    def write(self, line: bytes) -> None:
        """Adds ``line``, whole or not at all."""
        try:
            rest = line + b"\n"
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self._file.truncate(self._end)
            kept = f"; the {self._count - 1} before are kept" if self._count > 1 else ""
            raise OSError(error.errno, f"{error.strerror}{kept}", str(self._path)) from error
        self._end, self._count = self._file.tell(), self._count + 1


async def record(config: Config, write: Callable[[bytes], object], limit_s: float | None) -> Counter[str]:
    """Writes each observation as a line until it is interrupted; how many came of each source. OSError where
    one can't be written."""
    tally: Counter[str] = Counter()
    failed: list[OSError] = []
    done = asyncio.Event()

    def emitter(name: str) -> Callable[[Value], None]:
        def emit(value: Value) -> None:
            if failed:
                return
            try:
                write(line_of(observed(name, value, datetime.now(UTC), time.monotonic())))
            except OSError as error:  # it is not the source that failed
                failed.append(error)
                done.set()
                return
            tally[name] += not isinstance(value, SelfReport)

        return emit

    async def let_time_pass() -> None:
        tick = emitter("clock")
        while True:
            tick(Tick())
            await asyncio.sleep(TICK_S)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    tasks = [asyncio.ensure_future(let_time_pass())]
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


def _private(path: str, flags: int) -> int:
    """Where patrols are is not for everybody's eyes."""
    return os.open(path, flags, 0o600)
