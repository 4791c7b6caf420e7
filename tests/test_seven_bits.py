"""A talker with seven bits and a parity, heard with eight without one."""

import pytest

from firmware_bridge.gnss.ubx_decoder import UbxDecoder
from firmware_bridge.nmea.gnss_encoder import encode
from firmware_bridge.nmea.nmea import NmeaDecoder
from firmware_bridge.readings import Fix
from firmware_bridge.serial.line_decoder import LineDecoder
from tests.test_nmea import GOOD, epochs

EPOCHS = b"".join(epochs("GNRMC,061231.00,A,3206.972,N,11844.424,E,0.1,87.0,281126,,,A", count=6))


def with_parity(data: bytes, parity: str) -> bytes:
    odd = {"even": 0, "odd": 1}
    if parity == "mark":
        return bytes(byte | 0x80 for byte in data)
    return bytes(byte | ((byte.bit_count() & 1) ^ odd[parity]) << 7 for byte in data)


@pytest.mark.parametrize("parity", ["even", "odd", "mark"])
@pytest.mark.parametrize("chunk", [1, 13, 4096])
def test_it_is_understood_from_the_first_sentence_on(parity: str, chunk: int) -> None:
    data = with_parity(EPOCHS, parity)
    ear = LineDecoder([NmeaDecoder(), UbxDecoder()])
    told = [
        value for at in range(0, len(data), chunk) for value in ear.feed(data[at : at + chunk])
    ] + ear.pause()
    assert [value.time.second for value in told if isinstance(value, Fix) and value.time] == list(
        range(31, 37)
    )
    assert (ear.state().good, ear.state().bad, ear.state().skipped_bytes) == ({"nmea": 6}, {}, 0)


def test_a_line_with_eight_bits_stays_one() -> None:
    ear = LineDecoder([NmeaDecoder()])
    told = ear.feed(encode(GOOD)) + ear.feed(with_parity(EPOCHS, "even")) + ear.pause()
    assert [value.mode for value in told if isinstance(value, Fix)] == ["3d"]
