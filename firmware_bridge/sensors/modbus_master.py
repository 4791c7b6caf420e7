"""The Modbus master: one request at a time, its answer, and the entries that fail. Pure."""

import math
from collections import deque
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from firmware_bridge.readings import BoardState, LineState, Reading, Switch, Value

ANSWER_WITHIN_S = 0.5


TRIES = 2


GAP_S = 0.02
"""Silence before a request, so that slow devices detect its beginning."""


LONGEST = 512


FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


REFUSALS = {
    1: "unsupported table",
    2: "unknown address",
    3: "too many registers in one request",
    4: "device failure",
    6: "device busy",
    10: "no gateway path",
    11: "no answer to the gateway",
}
"""Texts of the exception codes."""


class Register(BaseModel):
    """A number in one or two registers; ``address`` counts from 0 (40001 of a manual is holding 0)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quantity: str = Field(min_length=1, max_length=64)
    unit: str = Field(max_length=16)
    address: int = Field(ge=0, le=65_535)
    device: int | None = Field(default=None, ge=1, le=247)
    """Where several devices share the bus; default: the source's."""
    table: Literal["holding", "input"] = "holding"
    type: Literal["int16", "uint16", "int32", "uint32", "float32"] = "int16"
    words: Literal["big", "little"] = "big"
    """Which of two registers comes first; within a register the high byte is first."""
    scale: float = Field(default=1.0, allow_inf_nan=False)
    offset: float = Field(default=0.0, allow_inf_nan=False)
    absent: int | None = None
    """The raw number for a missing value, such as 32767."""
    least: float | None = None
    most: float | None = None

    @property
    def name(self) -> str:
        return self.quantity

    @property
    def count(self) -> int:
        return 2 if self.type.endswith("32") else 1

    def read(self, answer: Any) -> Value | str:
        """The reading in the registers, or the reason why there is none."""
        from pymodbus.client.mixin import ModbusClientMixin

        kind = ModbusClientMixin.DATATYPE[self.type.upper()]
        raw: Any = ModbusClientMixin.convert_from_registers(answer.registers, kind, self.words)
        value = raw * self.scale + self.offset
        if raw == self.absent:
            return "no value available"
        if not math.isfinite(value):
            return "the value is not a number"
        value = round(value, 6)
        least = -math.inf if self.least is None else self.least
        most = math.inf if self.most is None else self.most
        if not least <= value <= most:
            return f"{value:g} {self.unit} is out of range"
        return Reading(quantity=self.quantity, value=value, unit=self.unit)


class Contact(BaseModel):
    """One bit: a discrete input, or a coil."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=64)
    address: int = Field(ge=0, le=65_535)
    device: int | None = Field(default=None, ge=1, le=247)
    table: Literal["discrete", "coil"] = "discrete"
    inverted: bool = False
    """Whether 0 means on: a contact that opens on an event."""

    count: ClassVar[int] = 1

    def read(self, answer: Any) -> Value | str:
        return Switch(name=self.name, on=bool(answer.bits[0]) != self.inverted)


class _Poll:
    """One entry, and its request as bytes."""

    def __init__(self, entry: Register | Contact, device: int) -> None:
        self.entry = entry
        self.device = entry.device or device
        self.function = FUNCTIONS[entry.table]
        request, framer = _requests()[self.function], _framer()
        request_pdu = request(address=entry.address, count=entry.count, dev_id=self.device)
        self.request: bytes = framer.buildFrame(request_pdu)
        self.data_bytes = 2 * entry.count if self.function >= 3 else 1
        self.where = f"device {self.device}, {entry.table} {entry.address}"

    def find(self, received: bytes) -> Any:
        """The answer in the received bytes, or None; an echo of the request and noise are skipped."""
        for at in range(len(received) - 4):
            if received[at] != self.device or received[at + 1] & 0x7F != self.function:
                continue
            refused = bool(received[at + 1] & 0x80)
            if not refused and received[at + 2] != self.data_bytes:
                continue
            end = at + (5 if refused else 5 + self.data_bytes)
            frame = received[at:end]
            if end <= len(received) and _framer().check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big")):
                return _framer().decoder.decode(frame[1:-2])
        return None


class ModbusMaster:
    """Requests one entry after another, in rounds ``every_s`` apart. Pure: time is an argument of each
    call.

    `BoardState` names the entries that fail, and the reason.
    """

    def __init__(self, entries: tuple[Register | Contact, ...], device: int, every_s: float) -> None:
        self._polls = [_Poll(entry, device) for entry in entries]
        self._every_s = every_s
        self._due: deque[_Poll] = deque()
        self._round_s = -math.inf
        self._open: _Poll | None = None
        self._sent_s = self._now_s = self._received_s = -math.inf
        self._tries = 0
        self._received = bytearray()
        self._failed: dict[str, str] = {}
        self._reported = BoardState()
        self.good = 0
        self.bad: dict[str, int] = {}
        self.skipped_bytes = 0

    def feed(self, data: bytes) -> list[Value]:
        """The values of the answer, once it is complete."""
        self._received_s = self._now_s
        if self._open is None:
            self.skipped_bytes += len(data)
            return self._changes()
        self._received += data
        found = self._open.find(bytes(self._received))
        if found is None:
            del self._received[:-LONGEST]
            return self._changes()
        entry = self._open.entry
        self.good += 1
        result: Value | str
        if found.isError():
            result = REFUSALS.get(found.exception_code, f"refused with code {found.exception_code}")
        else:
            result = entry.read(found)
        self._close(result if isinstance(result, str) else None)
        return [*([] if isinstance(result, str) else [result]), *self._changes()]

    def next_request(self, now_s: float) -> bytes:
        """The next request, when it is due."""
        self._now_s = now_s
        if self._open is not None:
            if now_s - self._sent_s < ANSWER_WITHIN_S:
                return b""
            self._count("damaged" if self._received else "unanswered")
            if self._tries < TRIES:
                return self._send(self._open, self._tries + 1)
            self._close("damaged answer" if self._received else "no answer")
        if not self._due and now_s - self._round_s >= self._every_s:
            self._round_s = now_s
            self._due.extend(self._polls)
        if not self._due or now_s - self._received_s < GAP_S:
            return b""
        return self._send(self._due.popleft(), 1)

    def pause(self) -> list[Value]:
        """Changes without new data: a device that does not answer."""
        return self._changes()

    def state(self, baud: int | None = None) -> LineState:
        """The counts so far."""
        good = {"modbus": self.good} if self.good else {}
        return LineState(good=good, bad=dict(self.bad), skipped_bytes=self.skipped_bytes, baud=baud)

    def _send(self, poll: _Poll, tries: int) -> bytes:
        self._open, self._sent_s, self._tries = poll, self._now_s, tries
        self._received.clear()
        return poll.request

    def _close(self, trouble: str | None) -> None:
        assert self._open is not None  # noqa: S101  called while a request is open
        poll, self._open = self._open, None
        name = f"{poll.entry.name} ({poll.where})"
        self._failed.pop(name, None)
        if trouble is not None:
            self._failed[name] = trouble

    def _count(self, fault: str) -> None:
        self.bad[fault] = self.bad.get(fault, 0) + 1

    def _changes(self) -> list[Value]:
        failed = tuple(sorted(f"{name}: {trouble}" for name, trouble in self._failed.items()))
        state = BoardState(failed=failed)
        if state == self._reported:
            return []
        self._reported = state
        return [state]


@cache
def _framer() -> Any:
    from pymodbus.framer import FramerRTU
    from pymodbus.pdu import DecodePDU

    return FramerRTU(DecodePDU(is_server=False))


@cache
def _requests() -> dict[int, Any]:
    from pymodbus.pdu import bit_message, register_message

    return {
        1: bit_message.ReadCoilsRequest,
        2: bit_message.ReadDiscreteInputsRequest,
        3: register_message.ReadHoldingRegistersRequest,
        4: register_message.ReadInputRegistersRequest,
    }
