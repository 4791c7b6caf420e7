"""Modbus RTU: the master against slaves that answer, refuse, fall silent, stutter; time is injected."""

import asyncio
import random
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pymodbus import FramerType
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ExceptionResponse, bit_message, register_message
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from firmware_bridge.readings import BoardState, LineState, Reading, Switch, Value
from firmware_bridge.sensors.modbus import Modbus
from firmware_bridge.sensors.modbus_master import ANSWER_WITHIN_S, TRIES, Contact, ModbusMaster, Register
from simulators.wire import Wire
from tests.waiting import until

TEMPERATURE = Register(quantity="temperature", unit="degC", address=0, scale=0.1)
LEVEL = Register(quantity="level", unit="m", address=4, table="input", type="float32", device=7)
DOOR = Contact(name="door", address=3)


class Bus:
    """Slaves on a bus, by pymodbus's own server side, joined to our master; 10 ms a step."""

    def __init__(self, *entries: Register | Contact, every_s: float = 5.0) -> None:
        self.master = ModbusMaster(entries, device=1, every_s=every_s)
        self.now_s = 100.0
        self.framer = FramerRTU(DecodePDU(is_server=True))
        self.registers: dict[tuple[int, int], int] = {}
        self.bits: dict[tuple[int, int], bool] = {}
        self.silent: set[int] = set()
        self.refuse = 0
        self.spoil: Callable[[bytes], bytes] = bytes
        self.requests: list[tuple[float, bytes]] = []
        self.said: list[Value] = []

    def answer(self, request: bytes) -> bytes:
        _, pdu = self.framer.handleFrame(request, 0, 0)
        assert pdu is not None
        if pdu.dev_id in self.silent:
            return b""
        made: Any
        places = [(pdu.dev_id, pdu.address + number) for number in range(pdu.count)]
        if self.refuse:
            made = ExceptionResponse(pdu.function_code, self.refuse, device_id=pdu.dev_id)
        elif pdu.function_code in (3, 4):
            kind = {
                3: register_message.ReadHoldingRegistersResponse,
                4: register_message.ReadInputRegistersResponse,
            }
            made = kind[pdu.function_code](
                dev_id=pdu.dev_id, registers=[self.registers.get(one, 0) for one in places]
            )
        else:
            kinds = {1: bit_message.ReadCoilsResponse, 2: bit_message.ReadDiscreteInputsResponse}
            made = kinds[pdu.function_code](
                dev_id=pdu.dev_id, bits=[self.bits.get(one, False) for one in places]
            )
        return self.framer.buildFrame(made)

    def run(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += 0.01
            asked = self.master.next_request(self.now_s)
            if asked:
                self.requests.append((self.now_s, asked))
                for byte in self.spoil(self.answer(asked)):
                    self.said += self.master.feed(bytes((byte,)))
            self.said += self.master.pause()

    def failed(self) -> tuple[str, ...]:
        states = [value for value in self.said if isinstance(value, BoardState)]
        return states[-1].failed if states else ()

    def readings(self) -> list[Value]:
        return [value for value in self.said if not isinstance(value, BoardState)]


def test_a_request_is_what_the_manual_shows() -> None:
    """Read holding register 0 of device 1: the frame that every data sheet of a sensor prints."""
    assert ModbusMaster((TEMPERATURE,), 1, 5).next_request(0) == bytes.fromhex("01 03 00 00 00 01 84 0a")


NUMBERS = [
    ("int16", "big", {0: 235}, 23.5),
    ("int16", "big", {0: 0x10000 - 105}, -10.5),
    ("uint16", "big", {0: 65_535}, 6553.5),
    ("int32", "big", {0: 0xFFFF, 1: 0xFFFF}, -0.1),
    ("uint32", "big", {0: 1, 1: 2}, 6553.8),
    ("uint32", "little", {0: 2, 1: 1}, 6553.8),
    ("float32", "big", dict(enumerate(struct.unpack(">2H", struct.pack(">f", 12.5)))), 1.25),
    ("float32", "little", dict(enumerate(struct.unpack(">2H", struct.pack(">f", 12.5))[::-1])), 1.25),
]


@pytest.mark.parametrize(("kind", "words", "registers", "value"), NUMBERS)
def test_numbers(kind: Any, words: Any, registers: dict[int, int], value: float) -> None:
    bus = Bus(TEMPERATURE.model_copy(update={"type": kind, "words": words}))
    bus.registers = {(1, address): number for address, number in registers.items()}
    bus.run(1)
    assert bus.readings() == [Reading(quantity="temperature", value=value, unit="degC")]
    assert bus.failed() == ()


def test_several_devices_are_asked_one_after_the_other_each_round() -> None:
    bus = Bus(TEMPERATURE, LEVEL, DOOR)
    bus.registers = {(1, 0): 200, (7, 4): 0x4048, (7, 5): 0xF5C3}
    bus.bits = {(1, 3): True}
    bus.run(11)
    one = [
        Reading(quantity="temperature", value=20.0, unit="degC"),
        Reading(quantity="level", value=3.14, unit="m"),
        Switch(name="door", on=True),
    ]
    assert bus.readings() == one * 3
    rounds = [second for second, request in bus.requests if request[1] == 3]
    assert [round(later - former, 1) for former, later in pairwise(rounds)] == [5.0, 5.0]
    gaps = [later - former for (former, _), (later, _) in pairwise(bus.requests)]
    assert min(gaps) >= 0.02


def test_a_contact_may_be_inverted() -> None:
    bus = Bus(DOOR.model_copy(update={"inverted": True, "table": "coil"}))
    bus.run(1)
    assert bus.readings() == [Switch(name="door", on=True)]


def test_a_device_that_does_not_answer_holds_up_no_other_and_is_named() -> None:
    bus = Bus(LEVEL, TEMPERATURE)
    bus.silent = {7}
    bus.run(4)
    assert bus.readings() == [Reading(quantity="temperature", value=0.0, unit="degC")]
    assert bus.failed() == ("level (device 7, input 4): no answer",)
    assert bus.master.state().bad == {"unanswered": TRIES}
    asked = [second for second, request in bus.requests if request[0] == 7]
    assert asked[1] - asked[0] == pytest.approx(ANSWER_WITHIN_S, abs=0.02)
    bus.silent = set()
    bus.run(5)
    assert bus.failed() == ()


@pytest.mark.parametrize(
    ("code", "text"), [(2, "unknown address"), (4, "device failure"), (99, "refused with code 99")]
)
def test_a_refusal_is_said_in_words(code: int, text: str) -> None:
    bus = Bus(TEMPERATURE)
    bus.refuse = code
    bus.run(1)
    assert bus.failed() == (f"temperature (device 1, holding 0): {text}",)
    assert len(bus.requests) == 1  # it did answer
    assert bus.master.state().good == {"modbus": 1}


@pytest.mark.parametrize(
    ("entry", "number", "text"),
    [
        (TEMPERATURE.model_copy(update={"absent": 32_767}), 32_767, "no value available"),
        (TEMPERATURE.model_copy(update={"most": 60}), 700, "70 degC is out of range"),
        (TEMPERATURE.model_copy(update={"type": "float32"}), 0x7FC0, "the value is not a number"),
    ],
)  # fmt: skip
def test_what_is_no_reading_is_none_and_said(entry: Register, number: int, text: str) -> None:
    bus = Bus(entry)
    bus.registers = {(1, 0): number}
    bus.run(1)
    assert bus.readings() == []
    assert bus.failed() == (f"temperature (device 1, holding 0): {text}",)


def test_an_echo_and_noise_before_an_answer_are_passed_over() -> None:
    bus = Bus(TEMPERATURE)
    bus.registers = {(1, 0): 235}
    echo = bytes.fromhex("01 03 00 00 00 01 84 0a")
    bus.spoil = lambda answer: echo + b"\xff\x01\x03\x02\x00" + answer
    bus.run(1)
    assert bus.readings() == [Reading(quantity="temperature", value=23.5, unit="degC")]


def test_a_late_answer_is_nobody_elses() -> None:
    """Device 7 answers when device 1 was asked: addresses tell them apart; what is nobody's is skipped."""
    bus = Bus(TEMPERATURE)
    bus.silent = {1}
    late = bus.framer.buildFrame(register_message.ReadHoldingRegistersResponse(dev_id=7, registers=[9]))
    bus.run(0.1)
    assert bus.master.feed(late) == []
    bus.run(2)
    assert bus.master.feed(late) == []
    assert bus.readings() == []
    assert bus.failed() == ("temperature (device 1, holding 0): no answer",)
    assert bus.master.state().bad == {"damaged": 1, "unanswered": 1}


def test_a_damaged_answer_is_asked_for_again_and_never_believed() -> None:
    chance = random.Random(5)
    bus = Bus(TEMPERATURE, every_s=0.1)
    bus.registers = {(1, 0): 235}

    def spoil(answer: bytes) -> bytes:
        hurt = bytearray(answer)
        if chance.random() < 0.5:
            hurt[chance.randrange(len(hurt))] ^= 1 << chance.randrange(8)
        elif chance.random() < 0.5:
            del hurt[chance.randrange(len(hurt))]
        return bytes(hurt)

    bus.spoil = spoil
    bus.run(300)
    assert set(bus.readings()) == {Reading(quantity="temperature", value=23.5, unit="degC")}
    assert bus.master.state().bad["damaged"] > 100


SOURCE: dict[str, Any] = {
    "every_s": 0.3,
    "registers": [{"quantity": "temperature", "unit": "degC", "address": 0, "scale": 0.1}],
    "contacts": [{"name": "door", "address": 3}],
}


async def hear(port: str, enough: Callable[[list[Value]], bool], **more: Any) -> list[Value]:
    """What the source says, until it is enough."""
    said: list[Value] = []
    source = Modbus(port=port, **SOURCE | more)
    task = asyncio.ensure_future(source.run(said.append))  # type: ignore[arg-type]
    try:
        await until(lambda: enough(said) or task.done())
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return said


def test_a_bus_behind_a_serial_server_against_the_server_of_pymodbus() -> None:
    async def scene() -> list[Value]:
        registers = SimData(0, values=[235, 0, 0], datatype=DataType.REGISTERS)
        bits = SimData(0, values=[False, False, False, True], datatype=DataType.BITS)
        device = SimDevice(1, simdata=([bits], [bits], [registers], [registers]))
        server = ModbusTcpServer(device, framer=FramerType.RTU, address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        try:
            number = server.transport.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            return await hear(f"tcp://127.0.0.1:{number}", lambda said: len(said) >= 4)
        finally:
            await server.shutdown()

    said = asyncio.run(scene())
    assert (
        said[:4]
        == [Reading(quantity="temperature", value=23.5, unit="degC"), Switch(name="door", on=True)] * 2
    )


def test_a_bus_on_a_serial_line_that_is_unplugged(tmp_path: Path) -> None:
    async def scene() -> None:
        bus = Bus(TEMPERATURE)
        bus.registers, bus.bits = {(1, 0): 215}, {(1, 3): True}
        with Wire(tmp_path / "bus") as wire:

            async def slave() -> None:
                heard = bytearray()

                def answer() -> None:
                    heard.extend(wire.read())
                    if len(heard) >= 8:
                        wire.write(bus.answer(bytes(heard[:8])))
                        del heard[:8]

                await until(lambda: False, doing=answer, every_s=0.005)

            task = asyncio.ensure_future(slave())
            said = await hear(str(wire.path), lambda said: len(said) >= 4)
            assert said[:2] == [
                Reading(quantity="temperature", value=21.5, unit="degC"),
                Switch(name="door", on=True),
            ]
            assert isinstance(said[-1], LineState)
            assert said[-1].good["modbus"] >= 4
            wire.unplug()
            with pytest.raises(OSError, match="not found: unplugged"):
                await hear(str(wire.path), lambda said: False)
            task.cancel()

    asyncio.run(scene())


def test_a_bus_on_which_nobody_answers_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware_bridge.sensors.modbus.FIRST_PACKET_S", 0.2)

    async def scene() -> None:
        silence = pytest.raises(TimeoutError, match=r"no device has answered for \d+ s")
        with Wire(tmp_path / "bus") as wire, silence:
            await hear(str(wire.path), lambda said: False, contacts=[])

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"registers": [], "contacts": []}, "list the entries to read: registers, contacts, or both"),
        ({"port": "udp://x"}, "is neither a device"),
        ({"port": "tcp://x"}, "is not a host and port"),
        ({"registers": [{"quantity": "x", "unit": "m", "address": 70_000}]}, "less than or equal to 65535"),
        ({"registers": [{"quantity": "x", "unit": "m", "address": 1, "type": "int8"}]}, "int16"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Modbus.model_validate({"port": "/dev/ttyUSB0", **SOURCE, **fields})


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_any_bytes_raise_nothing(pieces: list[bytes]) -> None:
    master = ModbusMaster((TEMPERATURE, DOOR), 1, 1)
    for number, piece in enumerate(pieces):
        master.next_request(float(number))
        master.feed(piece)
        master.pause()
