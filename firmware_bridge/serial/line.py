"""A source on a serial line: its port, the protocols expected there, replies and requests."""

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
from firmware_bridge.source import Latest, OutputRequests, SourcePart, WantedOutputs

__all__ = ["PAUSE_S", "Decoder", "Emit", "LineDecoder", "Requester", "SerialLine", "decode"]

PAUSE_S = 0.25
"""After this silence, everything that belongs together has arrived."""
SHORT_PAUSE_S = 0.025
"""After this silence an epoch may have ended: a USB adapter delivers its bytes every 16 ms."""
STATE_EVERY_S = 5.0
CHECK_FROM_S, CHECK_EVERY_S = 0.8, 1.2
"""How often the path is checked: after the first time at the next tick, after the second in any case."""
LEAST_TICK_S, ROUNDING_S = 0.01, 0.001
PORT_KEYS = frozenset({"kind", "port", "baud"})
"""The keys under which a port is opened; the others are those of its decoders."""

Emit: TypeAlias = "Callable[[Value], asyncio.Future[None] | None]"
"""`firmware_bridge.source.EmitAny` for the values of serial lines."""


RAW_OBSERVERS: dict[str, Callable[[bytes], None]] = {}
"""By port: called with the bytes that its line receives, while somebody looks at them."""

_KINDS: "dict[str, type[SerialLine]]" = {}
"""Each kind of serial line by its name, for ``also``; `firmware_bridge.catalogue` imports all of them."""


class SerialLine(PortSource):
    """A serial device, such as ``/dev/serial/by-id/…``, or ``tcp://host:port`` of a serial server.

    The path is resolved at each open. Without ``baud`` the rate is detected; ``also`` names further kinds
    spoken on the same line.
    """

    pause_s: ClassVar[float] = PAUSE_S
    names_by_kind: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """By kind of value (reading, switch): regular expressions of the quantities or names that it can emit;
    a kind that is not listed may have any names."""
    receive_only: ClassVar[bool] = False

    baud: int | None = Field(default=None, ge=50, le=4_000_000)
    also: tuple[str, ...] = ()
    silent_after_s: float | None = Field(default=None, ge=1)
    """A line without a valid packet for this long is opened again. Default: five times its usual interval,
    5 s at least, and 15 s for the first packet."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.live_keys = frozenset(cls.model_fields) - PORT_KEYS
        if isinstance(kind := cls.model_fields["kind"].default, str):
            _KINDS[kind] = cls

    @field_validator("port")
    @classmethod
    def _port_can_be(cls, port: str) -> str:
        scheme, mark, rest = port.partition("://")
        if scheme == "tcp":
            tcp.split_address(port)
        elif scheme == "gpsd":
            raise ValueError(f"gpsd owns that receiver; write kind: gpsd, host: {rest.strip('/')}")
        elif mark:
            raise ValueError(f"{port!r} is neither a device path, such as /dev/ttyUSB0, nor tcp://host:port")
        return port

    @field_validator("also")
    @classmethod
    def _kinds_are_known(cls, also: tuple[str, ...]) -> tuple[str, ...]:
        for kind in also:
            if kind not in _KINDS:
                raise ValueError(f"unknown kind {kind!r}; known: {', '.join(sorted(_KINDS))}")
        return also

    @abstractmethod
    def decoder(self) -> Decoder:
        """A new decoder."""

    def decoders(self) -> tuple[Decoder, ...]:
        """New decoders of the protocols that this kind expects on its line."""
        return (self.decoder(),)

    def emitted_kinds(self) -> frozenset[str] | None:
        every = [self.value_kinds, *(_KINDS[kind].value_kinds for kind in self.also)]
        listed = [kinds for kinds in every if kinds is not None]
        return frozenset().union(*listed) if len(listed) == len(every) else None

    def value_names(self, kind: str) -> tuple[str, ...] | None:
        known: list[str] = []
        for kinds, names in [
            (self.value_kinds, self.names_by_kind),
            *((_KINDS[one].value_kinds, _KINDS[one].names_by_kind) for one in self.also),
        ]:
            if kinds is None or kind in kinds:
                if kind not in names:
                    return None
                known += names[kind]
        return tuple(known)

    def line_decoder(self) -> LineDecoder:
        """The decoder of this kind and of the kinds in ``also``."""
        others = [_KINDS[kind].model_construct(kind=kind, port=self.port) for kind in self.also]
        return LineDecoder([*self.decoders(), *(decoder for other in others for decoder in other.decoders())])

    async def run(self, emit: Emit, wanted: WantedOutputs = dict, latest: Latest | None = None) -> None:
        """Emits the device's values until the line is lost, or silent for too long (OSError)."""
        async with open_port(self.port, self.baud) as port:
            session = _LineSession(self, port, emit, wanted, latest or (lambda: self))
            port.listen(session.on_data)
            try:
                while True:
                    session.on_tick(await port.wait_lost(within_s=session.next_tick_s()))
            finally:
                session.close()


class _LineSession:
    """The state of a line from its opening to its end."""

    def __init__(
        self, line: SerialLine, port: Stream, emit: Emit, wanted: WantedOutputs, latest: Latest
    ) -> None:
        self._line, self._port, self._emit, self._wanted = line, port, emit, wanted
        self._latest = latest
        self._now = asyncio.get_running_loop().time
        self._decoder = line.line_decoder()
        self._finder = RateFinder(line.port, port.speed) if port.speed and line.baud is None else None
        self._unconfirmed: list[Value] = []  # decoded before the rate was confirmed
        self._unstored: list[asyncio.Future[None]] = []
        self._answers: set[asyncio.Task[None]] = set()
        self._opened_s = self._state_s = self._look_s = port.last_byte_s
        self._paused_s = port.last_byte_s
        """When the decoders were last told of a silence."""
        self._silence = SilenceTimeout(port.last_byte_s, line.silent_after_s)
        self._told = isinstance(wanted, OutputRequests)
        """Whether this line is told of outputs that are wanted; else it asks."""
        if isinstance(wanted, OutputRequests):
            wanted.on_change = lambda: port.wake_at(self._now())

    def on_data(self, data: bytes) -> None:
        """Decodes received bytes, emits the values, and sends replies."""
        if observe := RAW_OBSERVERS.get(self._line.port):
            observe(data)
        try:
            self._adopt(self._latest())
        except OSError:
            return  # `on_tick` raises it
        now_s, before = self._port.last_byte_s, self._decoder.good
        self._port.wake_at(now_s + self._line.pause_s)
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
        """The values that may be emitted: none until the rate is confirmed."""
        self._unconfirmed += values
        finder.on_data(now_s, self._decoder.good, size)
        if not finder.found:
            if finder.rate != self._port.speed:
                self._port.set_speed(finder.rate)
            return []
        values, self._unconfirmed, self._finder = self._unconfirmed, [], None
        return values

    def next_tick_s(self) -> float:
        """How long nothing is due: then `on_tick` is called."""
        now_s, heard_s, pause_s = self._now(), self._port.last_byte_s, self._line.pause_s
        silences_s = (self._silence.expires_s(), self._decoder.silent_at_s)
        due_s = [
            self._look_s + CHECK_EVERY_S,
            *(one if one > now_s else now_s + pause_s for one in silences_s),
        ]
        if self._paused_s < heard_s:
            due_s.append(heard_s + pause_s)
        if self._decoder.has_requests:
            due_s.append(self._decoder.request_due_s(now_s, self._wanted()))
            if not self._told:
                due_s.append(now_s + pause_s)
        return max(min(due_s) - now_s, LEAST_TICK_S)

    def _adopt(self, line: SourcePart) -> None:
        """Takes over changed settings with new decoders, once the rate is found; the port stays open.

        OSError where a setting names what can't be read, such as a key.
        """
        if line is self._line or self._finder is not None or not isinstance(line, SerialLine):
            return
        if self._line.model_copy(update={"silent_after_s": line.silent_after_s}) != line:
            decoder = line.line_decoder()
            self._emit_values(self._decoder.pause())
            self._decoder = decoder
        self._line, self._silence.configured_s = line, line.silent_after_s

    def on_tick(self, now_s: float) -> None:
        """Time has passed. TimeoutError when the line was silent for too long."""
        self._adopt(self._latest())
        self._send_replies()
        if self._finder is None and now_s - self._port.last_byte_s >= self._line.pause_s - ROUNDING_S:
            self._paused_s = now_s
            self._emit_values(self._decoder.pause())
        if now_s - self._look_s >= CHECK_FROM_S:
            self._look_s = now_s
            self._port.check_identity()
        self._check_silence(now_s)  # first, so that the final state covers everything received
        if now_s - self._state_s >= STATE_EVERY_S - CHECK_EVERY_S / 2:
            self._state_s = now_s
            self._emit_state()

    def _check_silence(self, now_s: float) -> None:
        finder, heard = self._finder, self._port.last_byte_s > self._opened_s
        if finder is not None and heard:
            if finder.tried < len(finder.rates):
                return
            rates = f"from {min(finder.rates)} to {max(finder.rates)} baud"
            raise TimeoutError(
                f"{self._line.port}: no valid packets at any speed {rates}{self._unrecognised()}"
            )
        if limit_s := self._silence.expired_s(now_s):
            speed = f" at {self._port.speed} baud" if self._port.speed and heard else ""
            unrecognised = self._unrecognised() if self._port.last_byte_s > self._silence.since_s else ""
            raise TimeoutError(
                f"{self._line.port}: no valid packets for {limit_s:.0f} s{speed}{unrecognised}"
            )

    def _unrecognised(self) -> str:
        return f"; received bytes are not {' or '.join(self._decoder.sniffer.framings)}"

    def _emit_values(self, values: list[Value]) -> None:
        for value in values:
            stored = self._emit(value)
            if stored is not None:
                self._unstored.append(stored)

    def _emit_state(self) -> None:
        self._emit(self._decoder.state(None if self._finder else self._port.speed))

    def _send_replies(self) -> None:
        """Sends replies once the values are stored, so that no crash loses an acknowledged press.

        On a disk that refuses writes, stored means held in memory: the agent reports that trouble.
        """
        if self._line.receive_only:
            return
        self._unstored = [stored for stored in self._unstored if not stored.done()]
        if replies := self._decoder.replies():
            if self._unstored:
                task = asyncio.ensure_future(self._answer(replies, list(self._unstored)))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)
            else:
                self._write(replies)
        if self._decoder.has_requests and (
            request := self._decoder.next_request(self._now(), self._wanted())
        ):
            self._write(request)

    async def _answer(self, replies: bytes, unstored: "list[asyncio.Future[None]]") -> None:
        await asyncio.wait(unstored)
        self._write(replies)

    def _write(self, data: bytes) -> None:
        with suppress(OSError):  # reading detects a lost line; a device without a reply repeats
            self._port.write(data)

    def close(self) -> None:
        """Emits the rest when the line is closed."""
        if self._finder is None:
            self._emit_values(self._decoder.pause())
        self._emit_state()
        for task in self._answers:
            task.cancel()
