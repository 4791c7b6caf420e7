"""A source: a serial line, the protocols expected there, and what is said back."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar, TypeAlias

from pydantic import Field, field_validator

from firmware_bridge.readings import Value
from firmware_bridge.serial import tcp
from firmware_bridge.serial.line_decoder import Decoder, LineDecoder, Requester, decode
from firmware_bridge.serial.port import open_port
from firmware_bridge.serial.port_source import PortSource
from firmware_bridge.serial.rates import RateFinder
from firmware_bridge.serial.silence_timeout import SilenceTimeout
from firmware_bridge.serial.stream import Stream
from firmware_bridge.source import WantedOutputs

__all__ = ["PAUSE_S", "Requester", "Decoder", "Emit", "LineDecoder", "SerialLine", "decode"]

PAUSE_S = 0.25
"""A line that is quiet this long has said what belongs together."""
SHORT_PAUSE_S = 0.025
"""One that was quiet so long has perhaps: a USB adapter hands on what it has each 16 ms."""
STATE_EVERY_S = 5.0
CHECK_EVERY_S = 1.0

Emit: TypeAlias = "Callable[[Value], asyncio.Future[None] | None]"
"""`firmware_bridge.source.EmitAny` of what is spoken on lines."""


_KINDS: "dict[str, type[SerialLine]]" = {}
"""Each kind of serial line by its name, for ``also``; `firmware_bridge.catalogue` imports all of them."""


class SerialLine(PortSource):
    """A serial device, such as ``/dev/serial/by-id/…``, or ``tcp://host:port`` of a serial server.

    A path is resolved at each open. Without ``baud`` the speed is found out; ``also`` names further kinds
    that are spoken on the same line.
    """

    pause_s: ClassVar[float] = PAUSE_S
    names_by_kind: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """By kind of value (reading, switch): regular expressions of the quantities or names that it can tell; of
    what is not listed any may come."""
    receive_only: ClassVar[bool] = False

    baud: int | None = Field(default=None, ge=50, le=4_000_000)
    also: tuple[str, ...] = ()
    silent_after_s: float | None = Field(default=None, ge=1)
    """A line on which nothing valid came for this long is opened anew. Without: five times its usual
    interval, 5 s at least, and 15 s for the first word."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if isinstance(kind := cls.model_fields["kind"].default, str):
            _KINDS[kind] = cls

    @field_validator("port")
    @classmethod
    def _port_can_be(cls, port: str) -> str:
        scheme, mark, rest = port.partition("://")
        if scheme == "tcp":
            tcp.split_address(port)
        elif scheme == "gpsd":
            raise ValueError(f"gpsd owns that receiver: write kind: gpsd, host: {rest.strip('/')}")
        elif mark:
            raise ValueError(f"{port!r} is neither a device, such as /dev/ttyUSB0, nor tcp://host:port")
        return port

    @field_validator("also")
    @classmethod
    def _kinds_are_known(cls, also: tuple[str, ...]) -> tuple[str, ...]:
        for kind in also:
            if kind not in _KINDS:
                raise ValueError(f"no kind {kind!r}; known: {', '.join(sorted(_KINDS))}")
        return also

    @abstractmethod
    def decoder(self) -> Decoder:
        """A fresh decoder."""

    def decoders(self) -> tuple[Decoder, ...]:
        """Fresh decoders of what this kind expects on its line."""
        return (self.decoder(),)

    def emitted_kinds(self) -> frozenset[str] | None:
        spoken = [self.value_kinds, *(_KINDS[kind].value_kinds for kind in self.also)]
        listed = [gives for gives in spoken if gives is not None]
        return frozenset().union(*listed) if len(listed) == len(spoken) else None

    def value_names(self, kind: str) -> tuple[str, ...] | None:
        known: list[str] = []
        for gives, names in [
            (self.value_kinds, self.names_by_kind),
            *((_KINDS[one].value_kinds, _KINDS[one].names_by_kind) for one in self.also),
        ]:
            if gives is None or kind in gives:
                if kind not in names:
                    return None
                known += names[kind]
        return tuple(known)

    def line_decoder(self) -> LineDecoder:
        """Hears this kind, and those that are spoken on the line also."""
        others = [_KINDS[kind].model_construct(kind=kind, port=self.port) for kind in self.also]
        return LineDecoder([*self.decoders(), *(decoder for other in others for decoder in other.decoders())])

    async def run(self, emit: Emit, wanted: WantedOutputs = dict) -> None:
        """Emits what the device says until the line is gone, or was silent too long (OSError)."""
        async with open_port(self.port, self.baud) as port:
            session = _LineSession(self, port, emit, wanted)
            port.listen(session.on_data)
            try:
                while True:
                    session.on_tick(await port.wait_lost(within_s=session.next_tick_s()))
            finally:
                session.close()


class _LineSession:
    """What is known while a line is open, from here on."""

    def __init__(self, line: SerialLine, port: Stream, emit: Emit, wanted: WantedOutputs) -> None:
        self._line, self._port, self._emit, self._wanted = line, port, emit, wanted
        self._now = asyncio.get_running_loop().time
        self._decoder = line.line_decoder()
        self._finder = RateFinder(line.port, port.speed) if port.speed and line.baud is None else None
        self._unconfirmed: list[Value] = []  # heard before the speed was sure
        self._unkept: list[asyncio.Future[None]] = []
        self._answers: set[asyncio.Task[None]] = set()
        self._opened_s = self._state_s = self._look_s = port.last_byte_s
        self._silence = SilenceTimeout(port.last_byte_s, line.silent_after_s)

    def on_data(self, data: bytes) -> None:
        """These bytes came."""
        now_s, before = self._port.last_byte_s, self._decoder.good
        if self._port.silent_s >= SHORT_PAUSE_S:
            self._decoder.on_short_pause()
        values = self._decoder.feed(data)
        if self._decoder.good > before:
            self._silence.on_valid(now_s)
        if self._finder is not None:
            values = self._find_rate(self._finder, now_s, len(data), values)
        self._emit_values(values)
        self._send_replies()

    def _find_rate(self, finder: RateFinder, now_s: float, size: int, values: list[Value]) -> list[Value]:
        """What may be told already: nothing while the speed is not sure."""
        self._unconfirmed += values
        finder.on_data(now_s, self._decoder.good, size)
        if not finder.found:
            if finder.rate != self._port.speed:
                self._port.set_speed(finder.rate)
            return []
        values, self._unconfirmed, self._finder = self._unconfirmed, [], None
        return values

    def next_tick_s(self) -> float:
        """How long to wait: until the line will have been quiet for a pause, if it is quiet from now on."""
        quiet_s = self._port.last_byte_s + self._line.pause_s - self._now()
        return quiet_s if quiet_s > 0 else self._line.pause_s

    def on_tick(self, now_s: float) -> None:
        """Time has passed. TimeoutError when the line was silent too long."""
        if self._finder is None and now_s - self._port.last_byte_s >= self._line.pause_s:
            self._emit_values(self._decoder.pause())
        self._send_replies()
        if now_s - self._look_s >= CHECK_EVERY_S:
            self._look_s = now_s
            self._port.check_identity()
        self._check_silence(now_s)  # first: the state that is told at the end covers all of what came since
        if now_s - self._state_s >= STATE_EVERY_S:
            self._state_s = now_s
            self._emit_state()

    def _check_silence(self, now_s: float) -> None:
        finder, heard = self._finder, self._port.last_byte_s > self._opened_s
        if finder is not None and heard:
            if finder.tried < len(finder.rates):
                return
            rates = f"from {min(finder.rates)} to {max(finder.rates)} baud"
            raise TimeoutError(f"{self._line.port}: nothing valid at any speed {rates}{self._unrecognised()}")
        if limit_s := self._silence.expired_s(now_s):
            speed = f" at {self._port.speed} baud" if self._port.speed and heard else ""
            what = self._unrecognised() if self._port.last_byte_s > self._silence.since_s else ""
            raise TimeoutError(f"{self._line.port}: nothing valid for {limit_s:.0f} s{speed}{what}")

    def _unrecognised(self) -> str:
        return f"; what comes is no {' or '.join(self._decoder.sniffer.framings)}"

    def _emit_values(self, values: list[Value]) -> None:
        for value in values:
            kept = self._emit(value)
            if kept is not None:
                self._unkept.append(kept)

    def _emit_state(self) -> None:
        self._emit(self._decoder.state(None if self._finder else self._port.speed))

    def _send_replies(self) -> None:
        """Answers once what was heard is kept: a press that was answered is never lost."""
        if self._line.receive_only:
            return
        self._unkept = [kept for kept in self._unkept if not kept.done()]
        if replies := self._decoder.replies():
            if self._unkept:
                task = asyncio.ensure_future(self._answer(replies, list(self._unkept)))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)
            else:
                self._write(replies)
        if self._decoder.has_requests and (asked := self._decoder.next_request(self._now(), self._wanted())):
            self._write(asked)

    async def _answer(self, replies: bytes, unkept: "list[asyncio.Future[None]]") -> None:
        await asyncio.wait(unkept)
        self._write(replies)

    def _write(self, data: bytes) -> None:
        with suppress(OSError):  # a line that is gone is told by reading it; who was not answered asks again
            self._port.write(data)

    def close(self) -> None:
        """The line is closed."""
        if self._finder is None:
            self._emit_values(self._decoder.pause())
        self._emit_state()
        for task in self._answers:
            task.cancel()
