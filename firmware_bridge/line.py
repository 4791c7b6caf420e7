"""A source: a serial port, the framings expected there, and the decoder of one protocol."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from firmware_bridge.epoch import Once
from firmware_bridge.port import open_port
from firmware_bridge.readings import LineState, Value
from firmware_bridge.sniff import Packet, Sniffer

PAUSE_S = 0.25
"""A line that is quiet this long has said what belongs together."""
STATE_EVERY_S = 5.0

Emit: TypeAlias = "Callable[[Value], asyncio.Future[None] | None]"
"""Takes a value; may give a future that is done once what the value led to is safely kept."""

Wanted: TypeAlias = Callable[[], Mapping[str, float]]
"""The outputs that are to be on now, each with the seconds that it is to be on yet."""


class Decoder(Protocol):
    """Checked packets of one protocol in, values out. Pure."""

    @property
    def framings(self) -> tuple[str, ...]:
        """The framings in which it is spoken."""

    @property
    def bad(self) -> int:
        """Packets with a good checksum whose content cannot be."""

    def feed(self, packet: bytes) -> list[Value]: ...
    def pause(self) -> list[Value]:
        """What was held back to see whether more belongs to it."""

    def replies(self) -> bytes:
        """What is to be sent back once the values given so far are kept; empty for who only listens."""


@runtime_checkable
class Asker(Protocol):
    """A decoder that also asks: it switches outputs, and looks whether it is heard."""

    def ask(self, now_s: float, wanted: Mapping[str, float]) -> bytes:
        """What is to be sent now; called after each read. ``wanted`` as in `Wanted`."""


class Ear:
    """Hears several protocols on one line: bytes in, values out."""

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self.decoders = tuple(decoders)
        self.sniffer = Sniffer(sorted({framing for one in decoders for framing in one.framings}))
        self._once = Once()

    def hear(self, data: bytes) -> list[Value]:
        """What the packets that are complete now say; each goes to those who know its framing."""
        return [
            value
            for packet in self.sniffer.feed(data)
            for decoder in self.decoders
            if packet.protocol in decoder.framings
            for value in decoder.feed(packet.data)
            if self._once.passes(decoder, value)
        ]

    def pause(self) -> list[Value]:
        """The line is quiet: what was held back."""
        return [
            value
            for decoder in self.decoders
            for value in decoder.pause()
            if self._once.passes(decoder, value)
        ]

    def replies(self) -> bytes:
        """What is to be sent back once the values given so far are kept."""
        return b"".join(decoder.replies() for decoder in self.decoders)

    def ask(self, now_s: float, wanted: Mapping[str, float]) -> bytes:
        """What is to be sent unasked."""
        return b"".join(one.ask(now_s, wanted) for one in self.decoders if isinstance(one, Asker))

    def state(self, baud: int | None = None) -> LineState:
        """The counts so far."""
        content = sum(decoder.bad for decoder in self.decoders)
        return LineState(
            good=dict(self.sniffer.good),
            bad=dict(self.sniffer.bad) | ({"content": content} if content else {}),
            lost=sum(getattr(decoder, "lost", 0) for decoder in self.decoders),
            skipped_bytes=self.sniffer.skipped_bytes,
            baud=baud,
        )


class SerialLine(BaseModel):
    """A serial device. ``port`` may be a symlink such as ``/dev/serial/by-id/…``, resolved at each open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pause_s: ClassVar[float] = PAUSE_S
    gives: ClassVar[frozenset[str] | None] = None
    """The kinds of value that it can say, so that a rule on another kind is refused; None: not told."""
    longest_wait_s: ClassVar[float] = 2.0
    """Looking whether a port is back is cheap: the supervisor waits no longer than this."""

    port: str = Field(min_length=1)
    baud: int = Field(default=115200, ge=50, le=4_000_000)
    silent_after_s: float = Field(default=15, ge=1)
    """A line on which nothing valid came for this long is opened anew."""

    @abstractmethod
    def decoder(self) -> Decoder:
        """A fresh decoder."""

    def decoders(self) -> tuple[Decoder, ...]:
        """Fresh decoders of all that is expected on the line."""
        return (self.decoder(),)

    async def run(self, emit: Emit, wanted: Wanted = dict) -> None:
        """Emits what the device says until the line is gone, or was silent too long (OSError).

        Where the device has outputs, those that are ``wanted`` are switched on, all others off.
        """
        loop = asyncio.get_running_loop()
        ear = Ear(self.decoders())
        answers: set[asyncio.Task[None]] = set()
        unkept: list[asyncio.Future[None]] = []

        def tell(values: list[Value]) -> None:
            for value in values:
                kept = emit(value)
                if kept is not None:
                    unkept.append(kept)

        with open_port(self.port, self.baud) as port:
            valid_s = state_s = loop.time()
            try:
                while True:
                    data = await port.read(self.pause_s)
                    if data is None:
                        tell(ear.pause())
                    else:
                        before = ear.sniffer.good.total()
                        tell(ear.hear(data))
                        if ear.sniffer.good.total() > before:
                            valid_s = loop.time()
                    if replies := ear.replies():
                        task = asyncio.ensure_future(_answer(port.write, replies, list(unkept)))
                        answers.add(task)
                        task.add_done_callback(answers.discard)
                    if asked := ear.ask(loop.time(), wanted()):
                        with suppress(OSError):  # a line that is gone is told by reading it
                            port.write(asked)
                    unkept = [kept for kept in unkept if not kept.done()]
                    if loop.time() - state_s >= STATE_EVERY_S:
                        state_s = loop.time()
                        emit(ear.state(self.baud))
                    if loop.time() - valid_s > self.silent_after_s:
                        skipped, known = ear.sniffer.skipped_bytes, " or ".join(ear.sniffer.framings)
                        raise TimeoutError(
                            f"{self.port}: nothing valid for {self.silent_after_s:g} s"
                            f" ({skipped} bytes that are no {known})"
                        )
            finally:
                tell(ear.pause())
                emit(ear.state(self.baud))
                for task in answers:
                    task.cancel()


async def _answer(write: Callable[[bytes], None], reply: bytes, unkept: "list[asyncio.Future[None]]") -> None:
    """Answers once what was said is kept: a press that was answered is never lost."""
    if unkept:
        await asyncio.wait(unkept)
    with suppress(OSError):  # a line that is gone is told by reading it; the board asks again
        write(reply)


def decode(decoder: Decoder, sniffer: Sniffer, data: bytes) -> list[Value]:
    """The values in ``data``: for files and tests, where nothing is answered."""
    packets: list[Packet] = sniffer.feed(data)
    return [value for packet in packets for value in decoder.feed(packet.data)]
