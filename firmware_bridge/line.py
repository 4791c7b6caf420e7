"""A source: a serial port, the framings expected there, and the decoder of one protocol."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from firmware_bridge.port import open_port
from firmware_bridge.readings import LineState, Value
from firmware_bridge.sniff import Packet, Sniffer

PAUSE_S = 0.25
"""A line that is quiet this long has said what belongs together."""
STATE_EVERY_S = 5.0

Emit: TypeAlias = "Callable[[Value], asyncio.Future[None] | None]"
"""Takes a value; may give a future that is done once what the value led to is safely kept."""


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


class SerialLine(BaseModel):
    """A serial device. ``port`` may be a symlink such as ``/dev/serial/by-id/…``, resolved at each open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    longest_wait_s: ClassVar[float] = 2.0
    """Looking whether a port is back is cheap: the supervisor waits no longer than this."""

    port: str = Field(min_length=1)
    baud: int = Field(default=115200, ge=50, le=4_000_000)
    silent_after_s: float = Field(default=15, ge=1)
    """A line on which nothing valid came for this long is opened anew."""

    @abstractmethod
    def decoder(self) -> Decoder:
        """A fresh decoder."""

    async def run(self, emit: Emit) -> None:
        """Emits what the device says until the line is gone, or was silent too long (OSError)."""
        loop = asyncio.get_running_loop()
        decoder = self.decoder()
        sniffer = Sniffer(decoder.framings)
        answers: set[asyncio.Task[None]] = set()
        unkept: list[asyncio.Future[None]] = []

        def tell(values: list[Value]) -> None:
            for value in values:
                kept = emit(value)
                if kept is not None:
                    unkept.append(kept)

        def state() -> LineState:
            bad = dict(sniffer.bad)
            if decoder.bad:
                bad["content"] = decoder.bad
            return LineState(
                good=dict(sniffer.good), bad=bad, skipped_bytes=sniffer.skipped_bytes, baud=self.baud
            )

        with open_port(self.port, self.baud) as port:
            valid_s = state_s = loop.time()
            try:
                while True:
                    data = await port.read(PAUSE_S)
                    if data is None:
                        tell(decoder.pause())
                    else:
                        packets = sniffer.feed(data)
                        for packet in packets:
                            tell(decoder.feed(packet.data))
                        if packets:
                            valid_s = loop.time()
                    if replies := decoder.replies():
                        task = asyncio.ensure_future(_answer(port.write, replies, list(unkept)))
                        answers.add(task)
                        task.add_done_callback(answers.discard)
                    unkept = [kept for kept in unkept if not kept.done()]
                    if loop.time() - state_s >= STATE_EVERY_S:
                        state_s = loop.time()
                        emit(state())
                    if loop.time() - valid_s > self.silent_after_s:
                        raise TimeoutError(
                            f"{self.port}: nothing valid for {self.silent_after_s:g} s"
                            f" ({sniffer.skipped_bytes} bytes that are no {' or '.join(decoder.framings)})"
                        )
            finally:
                tell(decoder.pause())
                emit(state())
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
