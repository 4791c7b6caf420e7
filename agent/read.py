"""``ringpost read``: what does this line say? A serial device, a file of what one said, or standard input."""

import asyncio
import signal
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import click

from agent.topics import encode, stamp
from firmware_bridge import kinds, protocols
from firmware_bridge.line import Decoder, Ear, SerialLine
from firmware_bridge.readings import LineState, Value

CHUNK = 4096
WARN_AFTER_S = 5.0


def read_command(source: str, protocol: str, baud: int | None, as_json: bool) -> int:
    """Prints what is said until the file ends or it is interrupted, then a line of statistics."""
    known = protocols()
    if protocol != "auto" and protocol not in known:
        click.echo(f"read: no protocol {protocol!r}; known: auto, {', '.join(sorted(known))}", err=True)
        return 2
    names = sorted(known) if protocol == "auto" else [protocol]
    statistics = LineState()
    try:
        if source != "-" and Path(source).is_char_device():
            statistics = asyncio.run(_read_device(source, names, baud, as_json))
        else:
            statistics = _read_file(source, names, as_json)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # whoever listened has gone, as `| head` does
        raise
    except OSError as error:
        text = f"{source}: {error.strerror}" if error.filename else str(error)
        click.echo(f"read: {text}", err=True)
        return 1
    _say_statistics(statistics, as_json)
    return 0


def _ear(names: list[str]) -> Ear:
    """All decoders of these protocols, each once."""
    known = protocols()
    decoders = [decoder for name in names for decoder in known[name]()]
    return Ear(list({type(decoder): decoder for decoder in decoders}.values()))


def _read_file(source: str, names: list[str], as_json: bool) -> LineState:
    ear = _ear(names)
    name = "-" if source == "-" else Path(source).name
    with open(0, "rb", buffering=0) if source == "-" else Path(source).open("rb") as file:
        while data := file.read(CHUNK):
            for value in ear.hear(data):
                _say(name, value, as_json)
        for value in ear.pause():
            _say(name, value, as_json)
    return ear.state()


class Anything(SerialLine):
    """A line on which any of ``names`` may be spoken; nothing is ever said to it."""

    names: tuple[str, ...]
    listens_only: ClassVar[bool] = True

    def decoder(self) -> Decoder:
        raise NotImplementedError

    def decoders(self) -> tuple[Decoder, ...]:
        return tuple(decoder for name in self.names for decoder in protocols()[name]())


def usual_baud(names: list[str]) -> int | None:
    """The speed of a protocol that has one, such as a radio's; None where it is to be found out."""
    baud = kinds()[names[0]].model_fields["baud"].default if len(names) == 1 else None
    return int(baud) if baud is not None else None


async def _read_device(source: str, names: list[str], baud: int | None, as_json: bool) -> LineState:
    """Reads a live line until it is gone (OSError) or interrupted."""
    line = Anything(
        port=source, baud=baud or usual_baud(names), names=tuple(names), silent_after_s=WARN_AFTER_S
    )
    state = LineState()

    def emit(value: Value) -> None:
        nonlocal state
        if isinstance(value, LineState):
            state = value
        else:
            _say(Path(source).name, value, as_json)

    task = asyncio.ensure_future(line.run(emit))
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
    return state


def _say(source: str, value: Value, as_json: bool) -> None:
    at = datetime.now(UTC)
    if as_json:
        fields = {key: one for key, one in asdict(value).items() if one is not None}
        with suppress(ValueError):
            print(encode({"source": source, "at": at, "value": fields}).decode(), flush=True)
        return
    fields = {key: one for key, one in asdict(value).items() if one is not None and key != "kind"}
    told = "  ".join(f"{key} {_plain(one)}" for key, one in fields.items())
    print(f"{stamp(at)[11:23]}  {value.kind:8} {told}", flush=True)


def _plain(value: Any) -> str:
    return stamp(value) if isinstance(value, datetime) else str(value)


def _say_statistics(state: LineState, as_json: bool) -> None:
    good = ", ".join(f"{count} {name}" for name, count in sorted(state.good.items())) or "nothing"
    bad = ", ".join(f"{count} {name}" for name, count in sorted(state.bad.items())) or "none"
    click.echo(f"read: good: {good}; bad: {bad}; {state.skipped_bytes} bytes of no packet", err=as_json)
