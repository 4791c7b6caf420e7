"""The sniffer: packets out of mixed, cut, noisy streams; whole, byte by byte, and bounded."""

import random
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firmware_bridge.gnss import ubx_decoder, ubx_encoder
from firmware_bridge.nmea.sentence import seal
from firmware_bridge.sensors.board_frames import REPORT, encode
from firmware_bridge.serial.framings import FRAMINGS
from firmware_bridge.serial.sniffer import MAX_BUFFER, MAX_IN_STEP, Packet, Sniffer
from tests.recordings import SHARED

RMC = seal("GPRMC,061231.00,A,3206.972,N,11844.424,E,0.1,87.0,281126,,,A")
GGA = seal("GPGGA,061231.00,3206.972,N,11844.424,E,1,08,0.9,12.5,M,,M,,")
AIS = b"!AIVDM,1,1,,A,14eG;o@034o8sd<L9i:a;WF>062D,0*7D\r\n"
FRAME = encode(REPORT, {"seq": 1, 0: 1850, 7: 0})
UBX = ubx_encoder.frame(ubx_decoder.EOE, bytes.fromhex("00c07a01"))
OTHER = encode(REPORT, {"seq": 2, 0: 1851, 7: 1})
MAV1 = bytes.fromhex("fe 09 01 01 01 00 04 00 00 00 02 03 51 04 03 0b 13")
"""HEARTBEAT, version 1, as pymavlink packs it; the same in version 2, and one that is signed."""
MAV2 = bytes.fromhex("fd 09 00 00 01 01 01 00 00 00 04 00 00 00 02 03 51 04 03 6b 20")
SIGNED = bytes.fromhex(
    "fd 09 01 00 02 01 01 00 00 00 04 00 00 00 02 03 51 04 03 ad 42 00 78 56 34 12 00 00 41 e0 83 b9 06 e9"
)
UNKNOWN = bytes.fromhex("fd 09 00 00 01 01 01 ff ff 0f 04 00 00 00 02 03 51 04 03 6b 20")
RTCM = bytes.fromhex("d3 00 13 3e d7 d3 02 02 98 0e de ef 34 b4 bd 62 ac 09 41 98 6f 33 36 0b 98")
"""Message 1005, the example of the RTCM 10403 standard."""

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
    ("a UBX frame longer than patience", ubx_encoder.frame(0x35, bytes(400)) + UBX, ["ubx", "ubx"]),
    ("a sentence inside a UBX frame in step", UBX + ubx_encoder.frame(0x35, RMC) + UBX, ["ubx", "ubx", "ubx"]),
    ("MAVLink of both versions", MAV1 + MAV2 + MAV1, ["mavlink"] * 3),
    ("MAVLink, signed", SIGNED + MAV1, ["mavlink", "mavlink"]),
    ("MAVLink in timestamps", MAV1 + b"\0\1\2\xfe\4\5\6\7" + MAV2, ["mavlink", "mavlink"]),
    ("half a MAVLink frame", MAV2[6:] + MAV1 + MAV2[:9] + MAV1, ["mavlink", "mavlink"]),
    ("a MAVLink length that was hit", MAV2[:1] + b"\xff" + MAV2[2:] + MAV1 * 20, ["mavlink"] * 20),
    ("a MAVLink id that we don't know", MAV1 + UNKNOWN + MAV2, ["mavlink", "mavlink"]),
    ("MAVLink flags that we don't know", MAV2[:2] + b"\2" + MAV2[3:] + MAV2, ["mavlink"]),
    ("a MAVLink checksum that was hit", MAV2[:-1] + b"\0" + MAV1, ["mavlink"]),
    ("corrections between fixes", UBX + RTCM + RTCM + RMC, ["ubx", "nmea"]),
    ("corrections that were hit", RTCM[:9] + b"\0" + RTCM[10:] + UBX, ["ubx"]),
    ("all of them", RMC + UBX + MAV1 + FRAME + RTCM + MAV2 + AIS, ["nmea", "ubx", "mavlink", "cobs", "mavlink", "nmea"]),
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
    with pytest.raises(ValueError, match="unknown framing"):
        Sniffer(("morse",))


def test_corrections_are_counted_and_given_to_nobody() -> None:
    sniffer = Sniffer(("ubx",))
    assert sniffer.feed(RTCM + RTCM.replace(b"\xd7\xd3", b"\xd7\xd4")) == []
    assert (sniffer.good, sniffer.bad, sniffer.skipped_bytes) == ({"rtcm3": 1}, {"rtcm3": 1}, 24)


def test_an_unknown_id_is_neither_good_nor_bad() -> None:
    sniffer = Sniffer(("mavlink",))
    assert sniffer.feed(UNKNOWN * 10) == []
    assert sniffer.good.total() == sniffer.bad.total() == 0


def test_a_head_inside_a_good_packet_is_not_bad() -> None:
    """The tail of the UBX frame looks like a MAVLink head whose checksum is wrong."""
    sniffer = Sniffer()
    sniffer.feed(b"noise" + ubx_encoder.frame(0x35, MAV1[:-1] + b"\0"))
    assert (sniffer.good, sniffer.bad) == ({"ubx": 1}, {})


# what was hit in its length, the packets that follow, and the bytes until they are told
CLAIMS = [
    ("MAVLink 1", MAV1 + bytes([0xFE, 9, 0, 1, 1, 24]), MAV1, 17),
    ("MAVLink 2", MAV1 + bytes([0xFD, 255, 1, 0, 0, 1, 1, 30, 0, 0]), MAV1, 280),
    ("UBX", UBX + bytes([0xB5, 0x62, 1, 7, 0, 1]), UBX, 264),
    ("a long UBX", UBX + bytes([0xB5, 0x62, 1, 7, 0, 15]), UBX, 0),
    ("RTCM", UBX + bytes([0xD3, 3, 255, 0x3E, 0xD0]), UBX, 0),
    ("out of step", b"\x81" + bytes([0xFD, 255, 1, 0, 0, 1, 1, 30, 0, 0]), MAV1, 0),
    ("a frame", FRAME + b"\5abc", RMC, 0),
]


@pytest.mark.parametrize(
    ("head", "packet", "claim"), [case[1:] for case in CLAIMS], ids=[case[0] for case in CLAIMS]
)
def test_a_length_that_was_hit_delays_what_follows_and_loses_nothing(
    head: bytes, packet: bytes, claim: int
) -> None:
    assert claim < MAX_IN_STEP
    sniffer = Sniffer()
    sniffer.feed(head)
    fed = given = 0
    while given * len(packet) < fed or fed == 0:
        given += len(sniffer.feed(packet))
        fed += len(packet)
    assert given == fed // len(packet)
    assert fed <= claim + len(packet)


def spoil(packets: list[bytes], harm: str, noise: random.Random) -> tuple[bytes, Counter[bytes]]:
    """The stream, and those of its packets that are still whole."""
    stream, whole = bytearray(), Counter[bytes]()
    for packet in packets:
        spoilt = bytearray(packet)
        hits = [place for place in range(len(packet)) if noise.random() < 1e-3]
        if harm == "bursts":
            hits = [noise.randrange(len(packet))] if noise.random() < 0.2 else []
        for place in reversed(hits):
            match harm:
                case "drops":
                    del spoilt[place]
                case "flips":
                    spoilt[place] ^= 1 << noise.randrange(8)
                case "bursts":
                    spoilt[place:place] = noise.randbytes(noise.randrange(1, 60))
        stream += spoilt
        whole[packet] += not hits
    return bytes(stream), whole


@pytest.mark.parametrize("harm", ["drops", "bursts", "flips"])
@pytest.mark.parametrize("protocol", ["nmea", "ubx", "mavlink"])
def test_of_a_noisy_line_every_packet_that_is_still_whole_is_given(protocol: str, harm: str) -> None:
    noise = random.Random(f"{protocol} {harm}")
    packets = {
        "nmea": [RMC.strip(), GGA.strip(), AIS.strip()],
        "ubx": [ubx_encoder.frame(0x35, noise.randbytes(12 * count)) for count in range(2, 40)],
        "mavlink": [MAV1, MAV2],  # a signature is not under the checksum: one cut short takes the next head
    }[protocol]
    stream, whole = spoil(noise.choices(packets, k=1500), harm, noise)
    sniffer, given = Sniffer((protocol,)), Counter[bytes]()
    for start in range(0, len(stream), 64):
        given.update(packet.data for packet in sniffer.feed(stream[start : start + 64]))
    assert (whole - given).total() <= 0.001 * whole.total()


@pytest.mark.needs_shared
@pytest.mark.skipif(not SHARED.exists(), reason="needs the recordings beside this folder: ../shared/data")
@pytest.mark.parametrize("harm", ["drops", "bursts", "flips"])
@pytest.mark.parametrize(("protocol", "count"), [("nmea", 9003), ("ubx", 1266), ("mavlink", 16504)])
def test_of_recordings_on_a_noisy_line_every_packet_that_is_still_whole_is_given(
    protocol: str, count: int, harm: str
) -> None:
    """``count`` of the public set; another set may have more."""
    packets = [
        packet.data
        for path in sorted((SHARED / protocol).glob("*log"))
        for packet in Sniffer((protocol,)).feed(path.read_bytes())
        if packet.protocol == protocol
    ]
    assert len(packets) >= count
    stream, whole = spoil(packets, harm, random.Random(harm))
    given = Counter(packet.data for packet in Sniffer((protocol,)).feed(stream))
    assert (whole - given).total() <= 0.001 * whole.total()


@given(st.lists(st.binary(max_size=300), max_size=20))
@settings(max_examples=200)
def test_any_bytes_in_any_pieces_raise_nothing_and_keep_little(pieces: list[bytes]) -> None:
    sniffer = Sniffer()
    for piece in pieces:
        sniffer.feed(piece)
        assert len(sniffer._buffer) <= MAX_BUFFER
        assert len(sniffer._waiting) + len(sniffer._failed) <= MAX_BUFFER


HEADS = b"".join(framing.heads for framing in FRAMINGS.values()) + b"\x62*\0\1\2\3"
LONG = ubx_encoder.frame(0x35, RMC * 3 + UBX + bytes(200))
WHOLE = st.sampled_from([RMC, AIS, UBX, LONG, FRAME, OTHER, MAV1, MAV2, SIGNED, RTCM, UNKNOWN])
NOISE = st.one_of(st.binary(max_size=40), st.lists(st.sampled_from(HEADS), max_size=40).map(bytes))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A packet of which a piece is missing, or in which one byte is another."""
    packet = bytearray(draw(WHOLE))
    place = draw(st.integers(0, len(packet) - 1))
    if draw(st.booleans()):
        packet[place] = draw(st.integers(0, 255))
    else:
        del packet[place : draw(st.integers(place, len(packet)))]
    return bytes(packet)


STREAMS = st.lists(st.one_of(WHOLE, NOISE, damaged()), max_size=30).map(b"".join)


@pytest.mark.slow
@given(STREAMS, st.lists(st.integers(1, 60), max_size=60))
@settings(max_examples=300)
def test_it_does_not_matter_how_the_bytes_arrive(stream: bytes, cuts: list[int]) -> None:
    whole, cut = Sniffer(), Sniffer()
    packets: list[Packet] = []
    rest = stream
    for length in cuts:
        packets += cut.feed(rest[:length])
        rest = rest[length:]
    packets += cut.feed(rest)
    assert whole.feed(stream) == packets
    assert (whole.good, whole.bad, whole.skipped_bytes) == (cut.good, cut.bad, cut.skipped_bytes)
    assert whole._buffer == cut._buffer


@given(STREAMS)
def test_every_byte_is_in_a_good_packet_or_skipped_or_idle_or_still_waiting(stream: bytes) -> None:
    sniffer = Sniffer(("nmea", "ubx", "mavlink"))
    packets = sniffer.feed(stream)
    told = b"".join(packet.data for packet in packets) + RTCM * sniffer.good["rtcm3"]
    assert _loud(stream) == _loud(told) + sniffer.skipped_bytes + _loud(bytes(sniffer._buffer))


def _loud(data: bytes) -> int:
    return sum(byte not in b"\r\n\0" for byte in data)


@given(st.lists(st.one_of(NOISE, damaged()), max_size=3).map(b"".join), WHOLE)
@example(RMC + bytes.fromhex("fd1700"), UBX)
def test_after_any_noise_what_comes_is_found_within_300_bytes(noise: bytes, packet: bytes) -> None:
    """A damaged head in step may claim so much of what follows it (decision 0009), and one packet more."""
    sniffer = Sniffer()
    sniffer.feed(noise)
    before = sniffer.good.total()
    sniffer.feed(packet * (2 + 300 // len(packet)))
    assert sniffer.good.total() > before or packet == UNKNOWN
