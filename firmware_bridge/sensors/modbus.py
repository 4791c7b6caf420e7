"""Modbus RTU: off-the-shelf sensors and input modules on an RS-485 bus. We are the master, and only read.

    device(1) function(1) address(2) count(2) crc(2)       a request, after 3.5 characters of silence
    device(1) function(1) bytes(1) data crc(2)             its answer; function + 128 and a code: refused

pymodbus makes the requests, parses the answers, and knows the layout of numbers in registers. An answer does
not name its request: one request is open at a time. Source: Modbus over serial line 1.02, application 1.1b3.
"""

import re
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from firmware_bridge.readings import Value
from firmware_bridge.sensors.modbus_master import ANSWER_WITHIN_S, TRIES, Contact, ModbusMaster, Register
from firmware_bridge.serial import tcp
from firmware_bridge.serial.line import STATE_EVERY_S, Emit
from firmware_bridge.serial.port import open_port
from firmware_bridge.serial.port_source import PortSource
from firmware_bridge.serial.silence_timeout import FIRST_PACKET_S
from firmware_bridge.source import Latest, SourcePart, WantedOutputs

STEP_S = 0.03


class Modbus(PortSource):
    """Sensors and input modules on an RS-485 bus, or behind ``tcp://host:port`` of a serial server."""

    value_kinds: ClassVar[frozenset[str] | None] = frozenset({"reading", "switch"})
    device_wait_s: ClassVar[float] = 2.0

    live_keys: ClassVar[frozenset[str]] = SourcePart.live_keys | {
        "device", "every_s", "registers", "contacts",
    }  # fmt: skip

    kind: Literal["modbus"] = "modbus"
    baud: int = Field(default=9600, ge=50, le=4_000_000)
    parity: Literal["none", "even", "odd"] = "none"
    device: int = Field(default=1, ge=1, le=247)
    every_s: float = Field(default=5.0, ge=0.2, le=3600)
    """The interval between two requests for each entry."""
    registers: tuple[Register, ...] = Field(default=(), max_length=200)
    contacts: tuple[Contact, ...] = Field(default=(), max_length=200)

    @field_validator("port")
    @classmethod
    def _port_can_be(cls, port: str) -> str:
        if port.startswith("tcp://"):
            tcp.split_address(port)
        elif "://" in port:
            raise ValueError(f"{port!r} is neither a device path, such as /dev/ttyUSB0, nor tcp://host:port")
        return port

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.registers and not self.contacts:
            raise ValueError("list the entries to read: registers, contacts, or both")
        return self

    def value_names(self, kind: str) -> tuple[str, ...] | None:
        registers = tuple(re.escape(one.quantity) for one in self.registers)
        return registers if kind == "reading" else tuple(re.escape(one.name) for one in self.contacts)

    def _master(self) -> ModbusMaster:
        return ModbusMaster((*self.registers, *self.contacts), self.device, self.every_s)

    def _patience_s(self) -> float:
        """How long no device may answer."""
        entries = len(self.registers) + len(self.contacts)
        return 2 * self.every_s + FIRST_PACKET_S + entries * TRIES * ANSWER_WITHIN_S

    async def run(self, emit: Emit, _wanted: WantedOutputs = dict, latest: Latest | None = None) -> None:
        """Polls in rounds until the line is lost, or no device has answered for too long (OSError)."""
        bus, master = self, self._master()
        async with open_port(self.port, self.baud, self.parity) as port:

            def emit_all(values: list[Value]) -> None:
                for value in values:
                    emit(value)

            def adopt() -> bool:
                """Takes over changed settings with a new master; the port stays open."""
                nonlocal bus, master
                changed = latest() if latest else bus
                if changed is bus or not isinstance(changed, Modbus):
                    return False
                bus, master = changed, changed._master()
                return True

            def on_data(data: bytes) -> None:
                adopt()
                emit_all(master.feed(data))

            port.listen(on_data)
            state_s = good_s = port.last_byte_s
            good = 0
            try:
                while True:
                    now_s = await port.wait_lost(within_s=STEP_S)
                    if adopt() or master.good < good:
                        good, good_s = 0, now_s
                    if request := master.next_request(now_s):
                        port.write(request)
                    emit_all(master.pause())
                    if master.good > good:
                        good, good_s = master.good, now_s
                    if now_s - good_s > (patience_s := bus._patience_s()):
                        raise TimeoutError(f"{self.port}: no device has answered for {patience_s:.0f} s")
                    if now_s - state_s >= STATE_EVERY_S:
                        state_s = now_s
                        emit(master.state(self.baud))
            finally:
                emit(master.state(self.baud))
