"""The sniffer: packets out of mixed, cut, noisy streams; whole, byte by byte, and bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge import ubx
from firmware_bridge.nmea import seal
from firmware_bridge.sensor_board import REPORT, encode
from firmware_bridge.sniff import UBX_LONGEST, Sniffer

RMC = seal("GPRMC,061231.00,A,3206.972,N,11844.424,E,0.1,87.0,281126,,,A")
GGA = seal("GPGGA,061231.00,3206.972,N,11844.424,E,1,08,0.9,12.5,M,,M,,")
AIS = b"!AIVDM,1,1,,A,14eG;o@034o8sd<L9i:a;WF>062D,0*7D\r\n"
FRAME = encode(REPORT, {"seq": 1, 0: 1850, 7: 0})
UBX = ubx.encode(ubx.EOE, bytes.fromhex("00c07a01"))
OTHER = encode(REPORT, {"seq": 2, 0: 1851, 7: 1})

# stream, and the protocols of the packets in it
CASES = [
    ("two sentences", RMC + GGA, ["nmea", "nmea"]),
    ("AIS beside GNSS", RMC + AIS, ["nmea", "nmea"]),
    ("frames", FRAME + OTHER, ["cobs", "cobs"]),
    ("frames that share a zero", FRAME + OTHER[1:], ["cobs", "cobs"]),
    ("mixed", RMC + FRAME + GGA + OTHER + AIS, ["nmea", "cobs", "nmea", "cobs", "nmea"]),
    ("half a sentence first", RMC[20:] + GGA, ["nmea"]),
    ("half a frame first", FRAME[5:] + OTHER, ["cobs"]),
    ("a dollar in a sentence begins anew", RMC[:30] + GGA, ["nmea"]),
    ("two dollars", b"$" + RMC, ["nmea"]),
    ("no line end, next begins", RMC.strip() + GGA, ["nmea", "nmea"]),
    ("wrong checksum", RMC.replace(b"3206", b"3207") + GGA, ["nmea"]),
    ("no checksum", RMC[:-5] + b"\r\n" + GGA, ["nmea"]),
    ("binary between", RMC + bytes(range(1, 256)) + GGA, ["nmea", "nmea"]),
    ("a frame's zero before a sentence", b"\0" + RMC + GGA, ["nmea", "nmea"]),
    ("zeros", b"\0" * 50 + FRAME, ["cobs"]),
    ("an endless sentence", b"$GP" + b"A" * 2000 + RMC, ["nmea"]),
    ("an endless frame", b"\0" + b"\x05" * 2000 + FRAME, ["cobs"]),
    ("UBX beside NMEA", RMC + UBX + GGA + UBX, ["nmea", "ubx", "nmea", "ubx"]),
    ("half a UBX frame first", UBX[3:] + UBX, ["ubx"]),
    ("a UBX frame cut short", UBX[:8] + UBX + RMC, ["ubx", "nmea"]),
    ("a UBX length that was hit", UBX[:4] + b"\xff\x0f" + UBX[6:] + UBX + RMC, ["ubx", "nmea"]),
    ("a UBX checksum that was hit", UBX[:-1] + b"\0" + UBX, ["ubx"]),
    ("nothing", b"", []),
]  # fmt: skip


@pytest.mark.parametrize("chunk", [0, 1, 2, 7])
@pytest.mark.parametrize(
    ("stream", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_is_in_a_stream(stream: bytes, expected: list[str], chunk: int) -> None:
    sniffer = Sniffer()
    packets = []
    for start in range(0, len(stream), chunk or len(stream) or 1):
        packets += sniffer.feed(stream[start : start + (chunk or len(stream))])
    assert [packet.protocol for packet in packets] == expected


def test_what_is_thrown_away_is_counted() -> None:
    sniffer = Sniffer(("nmea",))
    sniffer.feed(b"\x81\x82\x83" + RMC + RMC.replace(b"3206", b"3207") + GGA)
    assert (sniffer.good["nmea"], sniffer.bad["nmea"]) == (2, 1)
    assert sniffer.skipped_bytes == 3 + len(RMC.strip())


def test_an_unknown_framing_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no framing"):
        Sniffer(("morse",))


@given(st.lists(st.binary(max_size=300), max_size=20))
@settings(max_examples=200)
def test_any_bytes_in_any_pieces_raise_nothing_and_keep_little(pieces: list[bytes]) -> None:
    sniffer = Sniffer()
    for piece in pieces:
        sniffer.feed(piece)
        assert len(sniffer._buffer) <= UBX_LONGEST
    assert sniffer.skipped_bytes <= sum(map(len, pieces))


@given(st.binary(max_size=120), st.sampled_from([RMC, FRAME]))
def test_after_any_noise_the_next_but_one_is_found(noise: bytes, packet: bytes) -> None:
    """A sentence or frame may be lost to what stood before it; the one after it never is."""
    found = Sniffer().feed(noise + packet + packet)
    assert found


@given(st.binary(max_size=200))
def test_it_does_not_matter_how_the_bytes_arrive(noise: bytes) -> None:
    stream = noise + RMC + FRAME + GGA
    whole, single = Sniffer(("nmea",)), Sniffer(("nmea",))
    bytewise = [packet for place in range(len(stream)) for packet in single.feed(stream[place : place + 1])]
    assert whole.feed(stream) == bytewise
