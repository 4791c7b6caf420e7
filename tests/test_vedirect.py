"""VE.Direct: blocks as chargers and battery monitors send them, with HEX messages and noise between."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.readings import Reading, Switch
from firmware_bridge.sensors.vedirect import VeDirectDecoder, encode
from firmware_bridge.serial.line_decoder import LineDecoder
from firmware_bridge.serial.sniffer import Sniffer

CHARGER = (
    b"\r\nPID\t0xA042\r\nFW\t123\r\nSER#\tHQ1411MYIKN\r\nV\t12530\r\nI\t620\r\nVPV\t33580\r\nPPV\t8\r\nCS\t3"
    b"\r\nERR\t0\r\nLOAD\tON\r\nIL\t0\r\nH19\t8272\r\nH20\t0\r\nH21\t11\r\nH22\t25\r\nH23\t119\r\nHSDS\t274"
    b"\r\nChecksum\t\xb0"
)
"""What a BlueSolar MPPT 75/15 said (recorded by github.com/karioja/vedirect, MIT)."""
MONITOR = (
    b"\r\nPID\t0x203\r\nV\t12065\r\nI\t-7625\r\nP\t-92\r\nCE\t-65473\r\nSOC\t839\r\nTTG\t942\r\nAlarm\tOFF"
    b"\r\nRelay\tOFF\r\nAR\t0\r\nBMV\t700\r\nFW\t0308\r\nChecksum\tq"
)
"""A BMV-702, of the same origin, and the second block that it sends."""
HISTORY = (
    b"\r\nH1\t-149322\r\nH2\t-82854\r\nH3\t0\r\nH4\t0\r\nH5\t0\r\nH6\t-5526294\r\nH7\t11733\r\nH8\t16161"
    b"\r\nH9\t368003\r\nH10\t26\r\nH11\t0\r\nH12\t0\r\nH17\t6843\r\nH18\t8527\r\nChecksum\t\xbc"
)
HEX = b":7F0ED009600DB\n:A0102000543D2\n"


def reading(quantity: str, value: float, unit: str) -> Reading:
    return Reading(quantity=quantity, value=value, unit=unit)


def read(data: bytes, chunk: int = 0, decoder: VeDirectDecoder | None = None) -> list[object]:
    sniffer, decoder = Sniffer(("vedirect",)), decoder or VeDirectDecoder()
    return [
        value
        for at in range(0, len(data), chunk or len(data) or 1)
        for packet in sniffer.feed(data[at : at + (chunk or len(data))])
        for value in decoder.feed(packet.data)
    ]


CHARGES = [
    reading("battery_voltage", 12.53, "V"),
    reading("battery_current", 0.62, "A"),
    reading("panel_voltage", 33.58, "V"),
    reading("panel_power", 8, "W"),
    reading("charger_state", 3, "code"),
    reading("charger_error", 0, "code"),
    Switch(name="load", on=True),
    reading("load_current", 0, "A"),
]
DISCHARGES = [
    reading("battery_voltage", 12.065, "V"),
    reading("battery_current", -7.625, "A"),
    reading("battery_power", -92, "W"),
    reading("consumed_charge", -65.473, "Ah"),
    reading("state_of_charge", 83.9, "percent"),
    reading("time_to_go", 56_520, "s"),
    Switch(name="alarm", on=False),
    Switch(name="relay", on=False),
    reading("alarm_reasons", 0, "code"),
]
CASES = [
    ("a charger", CHARGER, CHARGES),
    ("a monitor, with its history", MONITOR + HISTORY + MONITOR, DISCHARGES * 2),
    ("half a block first", CHARGER[60:] + CHARGER, CHARGES),
    ("HEX between blocks", HEX + CHARGER + HEX + CHARGER, CHARGES * 2),
    ("HEX inside a block", CHARGER[:70] + HEX + CHARGER[70:], CHARGES),
    ("HEX inside a number", CHARGER[:52] + HEX + CHARGER[52:], CHARGES),
    ("noise before", b"\xff\x00\x0d\x0a\x80" + CHARGER, CHARGES),
    ("a digit that was hit", CHARGER.replace(b"12530", b"12531") + MONITOR, DISCHARGES),
    ("a block cut off by the next", CHARGER[:80] + MONITOR, DISCHARGES),
    ("no end", CHARGER[:-1], []),
    ("not known", encode({"PID": "0x203", "T": "---", "TTG": "-1", "SOC": "1000"}), [reading("state_of_charge", 100, "percent")]),
    ("an inverter", encode({"PID": "0xA201", "AC_OUT_V": "23012", "AC_OUT_I": "-1", "WARN": "2"}), [reading("output_voltage", 230.12, "V"), reading("warning_reasons", 2, "code")]),
    ("out of range", encode({"PID": "0xA042", "V": "999999", "SOC": "1001", "PPV": "1e3", "LOAD": "MAYBE"}), []),
    ("a label twice", encode({"PID": "0xA042", "V": "1", "X\t1\r\nV": "2"}), []),
    ("nothing", b"", []),
]  # fmt: skip


@pytest.mark.parametrize("chunk", [0, 1, 7])
@pytest.mark.parametrize(("data", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_said(data: bytes, expected: list[object], chunk: int) -> None:
    assert read(data, chunk) == expected


def test_what_cannot_be_is_counted() -> None:
    decoder = VeDirectDecoder()
    read(encode({"PID": "1", "V": "999999", "I": "x", "LOAD": "MAYBE"}) + CHARGER, decoder=decoder)
    assert decoder.bad == 3


def test_it_begins_before_or_after_other_protocols_on_auto() -> None:
    sniffer = Sniffer()
    sentence = b"$GPTXT,01,01,02,ok*17\r\n"
    packets = [
        packet.protocol
        for byte in sentence + CHARGER + sentence + MONITOR + HISTORY
        for packet in sniffer.feed(bytes((byte,)))
    ]
    assert packets.count("vedirect") == 3


def test_a_damaged_block_is_hardly_ever_believed() -> None:
    """The sum of one byte lets through one in 256 of those that lost or gained bytes; a flip never."""
    chance = random.Random(3)
    wrong = 0
    for number in range(4000):
        hurt = bytearray(CHARGER)
        at = chance.randrange(8, len(hurt))
        if number % 2:
            hurt[at] ^= 1 << chance.randrange(8)
        else:
            del hurt[at : at + chance.randint(1, 20)]
        found = [value for value in read(bytes(hurt)) if value not in CHARGES]
        assert not (found and number % 2)
        wrong += bool(found)
    assert wrong <= 2000 / 256 * 2


@given(
    st.lists(
        st.sampled_from(
            [b"\r\n", b"PID\t", b"H1\t", b"Checksum\t", b"V\t", b":7", b"\n", b"12", b"\x00", b"ON"]
        )
    )
)
def test_any_bytes_raise_nothing(pieces: list[bytes]) -> None:
    read(b"\r\nPID\t" + b"".join(pieces), 5)


@given(st.binary(max_size=200))
def test_any_block_raises_nothing(block: bytes) -> None:
    VeDirectDecoder().feed(block)


BMV_600 = {
    "V": "12800", "VS": "12500", "I": "-1500", "CE": "-1320", "SOC": "985", "TTG": "-1", "Alarm": "OFF",
    "Relay": "ON", "AR": "0", "BMV": "602S", "FW": "212",
}  # fmt: skip
OLDER_HISTORY = {"H1": "-5523", "H2": "-1320", "H3": "0"}


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_a_bmv_600_which_names_itself_at_the_end(chunk: int) -> None:
    data = (encode(BMV_600) + encode(OLDER_HISTORY)) * 3
    ear = LineDecoder([VeDirectDecoder()])
    told = [value for at in range(0, len(data), chunk) for value in ear.feed(data[at : at + chunk])]
    assert [value.value for value in told if isinstance(value, Reading)][:3] == [12.8, 12.5, -1.5]
    assert len(told) == 3 * 8
    assert (ear.state().good, ear.state().bad, ear.state().skipped_bytes) == ({"vedirect": 6}, {}, 0)


@pytest.mark.parametrize("first", [{"PID": "0x203"}, {"PID": "0xA042", "FW": "156", "SER#": "HQ1"}])
def test_the_rest_of_a_block_that_was_cut_is_none(first: dict[str, str]) -> None:
    newer = first | {"V": "12800", "I": "-1500", "P": "-19"} | dict(list(BMV_600.items())[3:])
    ear = LineDecoder([VeDirectDecoder()])
    assert ear.feed(encode(newer)[encode(newer).index(b"\r\nV\t") :]) == []
    assert ear.state().bad == {}
    assert ear.feed(encode(newer)) != []
