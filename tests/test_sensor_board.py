"""The sensor board's wire: what is encoded is read back, and nothing damaged is ever believed."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.readings import Reading, Switch
from firmware_bridge.sensor_board import ACK, EVENT, HELLO, REPORT, SensorBoardDecoder, encode, parse
from firmware_bridge.sniff import Sniffer


def read(data: bytes, decoder: SensorBoardDecoder | None = None) -> list[object]:
    decoder = decoder or SensorBoardDecoder()
    return [value for packet in Sniffer(("cobs",)).feed(data) for value in decoder.feed(packet.data)]


REPORTS = [
    ("temperature", {0: 1850}, [Reading(quantity="temperature", value=18.5, unit="degC")]),
    ("below zero", {0: -1234}, [Reading(quantity="temperature", value=-12.34, unit="degC")]),
    ("humidity", {1: 655}, [Reading(quantity="relative_humidity", value=65.5, unit="percent")]),
    ("supply", {2: 12_345, 3: 250}, [Reading(quantity="supply_voltage", value=12.345, unit="V"), Reading(quantity="supply_current", value=0.25, unit="A")]),
    ("inputs", {4: 1, 7: 0}, [Switch(name="tamper", on=True), Switch(name="panic_button", on=False)]),
    ("a failed sensor is no reading", {0: None, 1: 500}, [Reading(quantity="relative_humidity", value=50.0, unit="percent")]),
    ("out of range", {0: 99_999}, []),
    ("an input of 2", {7: 2}, []),
    ("floats are not ours", {0: 18.5}, []),
    ("true is no integer", {7: True}, []),
    ("unknown keys are passed over", {99: 1, "x": 2, 0: 100}, [Reading(quantity="temperature", value=1.0, unit="degC")]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "expected"), [case[1:] for case in REPORTS], ids=[case[0] for case in REPORTS]
)
def test_report(content: dict[object, object], expected: list[object]) -> None:
    assert read(encode(REPORT, {"seq": 1, "up_ms": 5, "boot": 1} | content)) == expected


def test_what_cannot_be_is_counted() -> None:
    decoder = SensorBoardDecoder()
    read(encode(REPORT, {0: 99_999, 7: 2}) + encode(EVENT, {7: 1}), decoder)
    assert decoder.bad == 3


def test_an_event_is_told_once_and_answered_each_time() -> None:
    decoder = SensorBoardDecoder()
    press = encode(EVENT, {"id": 5, "boot": 3, 7: 1})
    assert read(press, decoder) == [Switch(name="panic_button", on=True, event=5)]
    first = decoder.replies()
    assert read(press + press, decoder) == []
    again = decoder.replies()
    assert again == first * 2
    (packet, *_) = Sniffer(("cobs",)).feed(first)
    assert parse(packet.data) == (2, ACK, {"id": 5, "boot": 3})
    assert decoder.replies() == b""


def test_the_same_number_after_a_reboot_is_another_event() -> None:
    decoder = SensorBoardDecoder()
    assert len(read(encode(EVENT, {"id": 1, "boot": 3, 7: 1}), decoder)) == 1
    assert len(read(encode(EVENT, {"id": 1, "boot": 4, 7: 1}), decoder)) == 1


def test_our_own_frames_and_hello_say_nothing() -> None:
    assert read(encode(ACK, {"id": 1}, op=2) + encode(HELLO, {"fw": "1"})) == []


def test_a_frame_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="bytes; 256 are the most"):
        encode(REPORT, {"text": "x" * 300})


def test_no_damaged_frame_is_believed() -> None:
    """20,000 frames with flipped, lost and doubled bytes: what is believed was said (bench has 100,000)."""
    chance = random.Random(1)
    right = {
        repr(value) for value in read(encode(REPORT, {"seq": 1, 0: 1850, 1: 640, 2: 12_300, 4: 0, 7: 0}))
    }
    frame = encode(REPORT, {"seq": 1, 0: 1850, 1: 640, 2: 12_300, 4: 0, 7: 0})
    for _ in range(20_000):
        hurt = bytearray(frame)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(hurt))
            match chance.randrange(3):
                case 0:
                    hurt[place] ^= 1 << chance.randrange(8)
                case 1:
                    del hurt[place]
                case _:
                    hurt.insert(place, chance.randrange(256))
        assert {repr(value) for value in read(bytes(hurt))} <= right


@given(st.binary(max_size=300))
def test_any_payload_raises_nothing(payload: bytes) -> None:
    decoder = SensorBoardDecoder()
    decoder.feed(payload)
    decoder.replies()


@given(
    st.dictionaries(
        st.one_of(st.integers(-5, 20), st.text(max_size=4)),
        st.one_of(
            st.none(), st.integers(), st.text(max_size=5), st.floats(), st.lists(st.integers(), max_size=3)
        ),
        max_size=6,
    ),
    st.sampled_from([HELLO, REPORT, EVENT, ACK, 77]),
)
def test_any_content_raises_nothing(content: dict[object, object], command: int) -> None:
    try:
        frame = encode(command, content)
    except ValueError:
        return
    read(frame)
