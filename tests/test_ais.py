"""AIS by tables: what is encoded is read back, parts, what is not available, beacons; and any content."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.ais.ais import MAX_PART_AGE, PENDING, REMEMBERED, AisDecoder, encode
from firmware_bridge.nmea.sentence import seal
from firmware_bridge.readings import Vessel
from firmware_bridge.serial.line_decoder import LineDecoder

SHIP = Vessel(
    mmsi=413000001,
    message=1,
    station="class_a",
    lat=32.061667,
    lon=118.783333,
    error_m=10.0,
    speed_mps=5.144,
    course_deg=61.5,
    heading_deg=63.0,
    turn_deg_min=4.0,
    status="under_way_using_engine",
)
STATIC = Vessel(
    mmsi=413000001,
    message=5,
    station="class_a",
    name="CHANG JIANG 7",
    callsign="BABC7",
    imo=9134270,
    ship_type="cargo",
    length_m=110,
    beam_m=18,
    draught_m=4.5,
    destination="NANJING",
    eta="05-15T14:00Z",
)
BOAT = Vessel(mmsi=413000018, message=18, station="class_b", lat=-33.5, lon=-70.25, speed_mps=0.0)
TABLE = [
    SHIP,
    replace(SHIP, message=3, status="moored", speed_mps=0.0, turn_deg_min=None, heading_deg=None),
    replace(SHIP, own=True),
    STATIC,
    BOAT,
    replace(BOAT, message=19, name="XIAO YU", ship_type="fishing", length_m=12, beam_m=3, course_deg=12.5),
    Vessel(mmsi=4130001, message=4, station="base_station", lat=32.1, lon=118.7,
           time=datetime(2026, 11, 28, 6, 12, 31, tzinfo=UTC)),
    Vessel(mmsi=111413001, message=9, station="aircraft", lat=32.0, lon=118.0, speed_mps=43.213,
           course_deg=270.0, alt_m=300.0),
    Vessel(mmsi=994131001, message=21, station="aid", lat=32.2, lon=118.9, name="CHANNEL 14",
           aid="port_hand_mark", virtual=False, off_position=True),
    Vessel(mmsi=413000001, message=27, lat=32.05, lon=118.75, speed_mps=5.144, course_deg=61.0,
           status="under_way_using_engine"),
    Vessel(mmsi=413000001, message=14, text="BRIDGE CLOSED, KEEP CLEAR"),
    Vessel(mmsi=970012345, message=1, station="beacon", distress="sart", lat=32.0, lon=118.0, speed_mps=0.514,
           status="beacon_active"),
    Vessel(mmsi=972012345, message=14, station="beacon", distress="mob", text="MOB ACTIVE"),
    Vessel(mmsi=974012345, message=14, station="beacon", distress="epirb", test=True, text="EPIRB TEST"),
]  # fmt: skip


def read(data: bytes, chunk: int = 0) -> list[Vessel]:
    ear = LineDecoder([AisDecoder()])
    size = chunk or len(data) or 1
    told = [value for at in range(0, len(data), size) for value in ear.feed(data[at : at + size])]
    return [value for value in told if isinstance(value, Vessel)]


def sentences(vessel: Vessel, **how: Any) -> list[bytes]:
    return encode(vessel, **how).splitlines(keepends=True)


@pytest.mark.parametrize("chunk", [0, 1, 7])
@pytest.mark.parametrize("vessel", TABLE, ids=lambda one: f"{one.message}-{one.mmsi}")
def test_what_is_encoded_is_read_back(vessel: Vessel, chunk: int) -> None:
    (told,) = read(b"\x00#!AI noise\xff" + encode(vessel) + b"!AIVDM,1,1,,A,cut", chunk)
    assert told == replace(
        vessel,
        lat=None if vessel.lat is None else pytest.approx(vessel.lat, abs=2e-6),
        lon=None if vessel.lon is None else pytest.approx(vessel.lon, abs=2e-6),
        speed_mps=None if vessel.speed_mps is None else pytest.approx(vessel.speed_mps, abs=0.03),
    )


def test_type_24_is_two_messages_whose_second_tells_all() -> None:
    craft = Vessel(
        mmsi=413000024, message=24, station="class_b", name="XIAO YU", callsign="B123", ship_type="pilot",
        length_m=12, beam_m=3,
    )  # fmt: skip
    first, second = read(encode(craft))
    assert first == Vessel(mmsi=413000024, message=24, station="class_b", name="XIAO YU")
    assert second == craft
    b_first = b"".join(reversed(sentences(craft)))
    assert read(b_first)[-1] == craft


def test_a_tender_names_its_mothership_in_place_of_its_size() -> None:
    tender = Vessel(mmsi=984130001, message=24, station="class_b", name="T1", mothership=413000001)
    assert read(encode(tender))[-1] == tender


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 9, 11, 18, 19, 21, 27])
def test_what_is_not_available_is_absent(kind: int) -> None:
    (told,) = read(encode(Vessel(mmsi=413000001, message=kind)))
    assert (told.lat, told.lon, told.error_m) == (None, None, None)
    assert (told.speed_mps, told.course_deg, told.heading_deg, told.turn_deg_min) == (None,) * 4
    assert (told.status, told.alt_m, told.time, told.name, told.ship_type, told.aid) == (None,) * 6
    assert (told.length_m, told.beam_m, told.own, told.distress) == (None,) * 4


def raw(**fields: Any) -> bytes:
    """What pyais makes of fields that no `Vessel` has."""
    from pyais.encode import encode_dict

    known = {"type": 1, "mmsi": 413000001, "lat": 32.0, "lon": 118.0, "speed": 5.0, "course": 10.0}
    return "\r\n".join([*encode_dict(known | fields, sentence_type="VDM"), ""]).encode()


CANNOT_BE = [
    ("latitude 95", raw(lat=95.0)),
    ("longitude -190", raw(lon=-190.0)),
    ("MMSI 0", raw(mmsi=0)),
    ("MMSI over nine digits", raw(mmsi=1_000_000_000)),
    ("no payload", seal("AIVDM,1,1,,A,,0").replace(b"$", b"!")),
    ("letters that no payload has", seal("AIVDM,1,1,,A,1X_YZ,0").replace(b"$", b"!")),
    ("cut short", seal("AIVDM,1,1,,A,15RTgt0PAso;90TK,0").replace(b"$", b"!")),
    ("two in one", seal("AIVDM,1,1,,A," + 2 * "15RTgt0PAso;90TKcjM8h6g208CQ" + ",0").replace(b"$", b"!")),
    ("fill bits", seal("AIVDM,1,1,,A,15RTgt0PAso;90TKcjM8h6g208CQ,9").replace(b"$", b"!")),
    ("part 0", seal("AIVDM,2,0,1,A,15RTgt0PAso;90TKcjM8h6g208CQ,0").replace(b"$", b"!")),
    ("a part beyond the last", seal("AIVDM,2,3,1,A,15RTgt0PAso;90TKcjM8h6g208CQ,0").replace(b"$", b"!")),
    ("too few fields", seal("AIVDM,1,1").replace(b"$", b"!")),
]


@pytest.mark.parametrize("data", [case[1] for case in CANNOT_BE], ids=[case[0] for case in CANNOT_BE])
def test_what_cannot_be_is_counted_and_not_told(data: bytes) -> None:
    ear = LineDecoder([AisDecoder()])
    assert ear.feed(data) == []
    assert ear.state().bad == {"content": 1}


def test_null_island_and_half_a_position_are_none() -> None:
    for data in (raw(lat=0.0, lon=0.0), raw(lat=91.0), raw(lon=181.0)):
        (told,) = read(data)
        assert (told.lat, told.lon, told.speed_mps) == (None, None, pytest.approx(2.572))


def test_a_heading_that_cannot_be_does_not_cost_the_position() -> None:
    (told,) = read(raw(heading=400, course=365.0))
    assert (told.lat, told.heading_deg, told.course_deg) == (32.0, None, None)


OTHER = replace(STATIC, mmsi=413000002, name="OTHER SHIP", destination="WUHU")
A1, A2 = sentences(STATIC)
B1, B2 = sentences(OTHER)
ON_B1, ON_B2 = sentences(OTHER, channel="B")
SEQUENCE_1, SEQUENCE_2 = sentences(OTHER, sequence=4)
POSITION = encode(SHIP)

# name: sentences, the senders of the type 5 that must be told, and how many messages are lost
PARTS: dict[str, tuple[list[bytes], list[int], int]] = {
    "in order": ([A1, A2], [413000001], 0),
    "with others between": ([A1, POSITION, POSITION, A2], [413000001], 0),
    "one after the other": ([A1, A2, B1, B2], [413000001, 413000002], 0),
    "interleaved by channel": ([A1, ON_B1, A2, ON_B2], [413000001, 413000002], 0),
    "interleaved by sequence": ([A1, SEQUENCE_1, SEQUENCE_2, A2], [413000002, 413000001], 0),
    "the second part alone": ([A2], [], 1),
    "the first part alone": ([A1], [], 0),
    "the second lost, then another ship": ([A1, B1, B2], [413000002], 1),
    "the second first": ([A2, A1], [], 1),
    "part one of one, part two of another, much later": ([A1, *[POSITION] * MAX_PART_AGE, B2], [], 2),
    "just in time": ([A1, *[POSITION] * (MAX_PART_AGE - 1), A2], [413000001], 0),
    "twice the second": ([A1, A2, A2], [413000001], 1),
    "other channel": ([A1, ON_B2], [], 1),
    "own and received": ([A1, sentences(replace(OTHER, own=True))[1]], [], 1),
}


@pytest.mark.parametrize("case", PARTS)
def test_parts(case: str) -> None:
    given_sentences, senders, lost = PARTS[case]
    ear = LineDecoder([AisDecoder()])
    told = [value for one in given_sentences for value in ear.feed(one)]
    static = [one for one in told if isinstance(one, Vessel) and one.message == 5]
    assert [one.mmsi for one in static] == senders
    assert ear.state().lost == lost
    assert all(one in (STATIC, OTHER) for one in static)


def test_a_part_that_comes_after_a_long_pause_is_another_ships() -> None:
    ear = LineDecoder([AisDecoder()])
    ear.feed(A1)
    for _ in range(2):  # a gateway that hesitates
        ear.pause()
    assert len(ear.feed(A2)) == 1
    ear.feed(A1)
    for _ in range(10):
        ear.pause()
    assert ear.feed(B2) == []


def test_a_position_carries_the_name_that_was_told_before() -> None:
    told = read(encode(SHIP) + encode(STATIC) + encode(SHIP) + encode(replace(SHIP, mmsi=413000009)))
    assert [one.name for one in told] == [None, "CHANG JIANG 7", "CHANG JIANG 7", None]
    assert (told[2].callsign, told[2].ship_type, told[2].destination) == ("BABC7", "cargo", None)
    assert told[1].lat is None


def test_own_ship_is_told_from_others() -> None:
    own, other = read(encode(replace(SHIP, own=True)) + encode(SHIP))
    assert (own.own, other.own) == (True, None)


# how a beacon sends: MMSI, type, status, text: what it is, and whether it only tests
BEACONS = [
    (970012345, 1, "beacon_active", None, "sart", None),
    (970012345, 1, None, None, "sart", True),
    (972012345, 1, "beacon_active", None, "mob", None),
    (974012345, 1, "under_way_using_engine", None, "epirb", None),  # a wrong status: better believed
    (413000001, 1, "beacon_active", None, "sart", None),
    (970012345, 14, None, "SART ACTIVE", "sart", None),
    (970012345, 14, None, "SART TEST", "sart", True),
    (413000001, 14, None, "THIS IS A TEST", None, None),
    (413000001, 1, None, None, None, None),
    (970012345, 3, "beacon_active", None, "sart", None),
]


@pytest.mark.parametrize(("mmsi", "kind", "status", "text", "distress", "test"), BEACONS)
def test_beacons_stand_out(
    mmsi: int, kind: int, status: str | None, text: str | None, distress: str | None, test: bool | None
) -> None:
    (told,) = read(encode(Vessel(mmsi=mmsi, message=kind, status=status, text=text)))
    assert (told.distress, told.test, told.text) == (distress, test, text)
    assert (told.station == "beacon") == (distress is not None)


def test_messages_that_are_not_read_are_no_fault() -> None:
    binary = b"!AIVDM,1,1,,A,83aDrt0j2d<etMutthahO@O04400,0*13\r\n"
    ear = LineDecoder([AisDecoder()])
    assert ear.feed(binary.replace(b"*13", b"*%02X" % checksum(binary))) == []
    assert (ear.state().good, ear.state().bad) == ({"nmea": 1}, {})


def checksum(sentence: bytes) -> int:
    sum_ = 0
    for byte in sentence[1 : sentence.index(b"*")]:
        sum_ ^= byte
    return sum_


@pytest.mark.parametrize("talker", ["AI", "BS", "AB", "AN", "SA"])
def test_any_talker(talker: str) -> None:
    body = encode(SHIP)[3:].split(b"*")[0].decode()
    assert [one.mmsi for one in read(seal(talker + body).replace(b"$", b"!"))] == [SHIP.mmsi]


def test_a_tag_block_before_the_sentence_is_passed_over() -> None:
    tagged = b"\\s:2573535,c:1671533231*08\\" + encode(SHIP)
    assert [one.mmsi for one in read(tagged)] == [SHIP.mmsi]


@pytest.mark.slow
def test_memory_is_bounded() -> None:
    decoder = AisDecoder()
    for mmsi in range(REMEMBERED + 50):
        for sentence in sentences(Vessel(mmsi=413000000 + mmsi, message=24, name=f"N{mmsi}")):
            decoder.feed(sentence.strip())
    for number in range(PENDING + 50):
        channel, sequence = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number % 26], number // 26
        decoder.feed(b"!AIVDM,2,1,%d,%s,5,0*00" % (sequence, channel.encode()))
    assert len(decoder._known) == REMEMBERED
    assert len(decoder._parts) == PENDING
    assert decoder.lost == 50


def sane(vessel: Vessel) -> None:
    """Everything that is told can be."""
    ranges = {
        "mmsi": (1, 999_999_999), "lat": (-90, 90), "lon": (-180, 180), "speed_mps": (0, 530), "alt_m": (0, 4094),
        "course_deg": (0, 360), "heading_deg": (0, 359), "turn_deg_min": (-720, 720), "length_m": (1, 1022),
        "beam_m": (1, 126), "draught_m": (0.1, 25.5), "error_m": (10, 10),
    }  # fmt: skip
    for name, (least, most) in ranges.items():
        number = getattr(vessel, name)
        assert number is None or (math.isfinite(number) and least <= number <= most), (name, number)
    assert (vessel.lat is None) == (vessel.lon is None)
    for text in (vessel.name, vessel.text, vessel.destination, vessel.callsign):
        assert text is None or (text.isascii() and text.isprintable() and text == text.strip() and text)


ARMOR = "".join(map(chr, [*range(48, 88), *range(96, 120)]))
ANY_PAYLOAD = st.text(alphabet=ARMOR, max_size=72)


@given(st.sampled_from("1345;9>BCEHKAD"), ANY_PAYLOAD, st.integers(0, 5), st.sampled_from(["VDM", "VDO"]))
def test_any_payload_with_a_good_checksum(first: str, payload: str, fill: int, kind: str) -> None:
    for vessel in read(seal(f"AI{kind},1,1,,A,{first}{payload},{fill}").replace(b"$", b"!")):
        sane(vessel)


@pytest.mark.slow
@given(st.sampled_from(TABLE), st.data())
def test_any_bits_of_the_right_length(vessel: Vessel, data: st.DataObject) -> None:
    """The sender's message with some of its payload replaced: any content of a length that is right."""
    said = b""
    for sentence in sentences(vessel):
        fields = sentence.strip().split(b"*")[0].split(b",")
        payload = bytearray(fields[5])
        for _ in range(data.draw(st.integers(0, 20))):
            at = data.draw(st.integers(1, len(payload) - 1))
            payload[at] = ord(data.draw(st.sampled_from(ARMOR)))
        fields[5] = bytes(payload)
        said += seal(b",".join(fields)[1:].decode()).replace(b"$", b"!")
    for told in read(said):
        sane(told)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), ANY_PAYLOAD), max_size=12))
def test_any_parts_in_any_order(parts: list[tuple[int, int, str]]) -> None:
    said = b"".join(
        seal(f"AIVDM,{total},{number},1,A,{payload},0").replace(b"$", b"!")
        for total, number, payload in parts
    )
    for vessel in read(said):
        sane(vessel)


@given(st.text(alphabet="0123456789,ABM*wW`X- ", max_size=70))
def test_any_content_raises_nothing(content: str) -> None:
    for vessel in read(seal(f"AIVDM,{content}").replace(b"$", b"!")):
        sane(vessel)


@given(st.binary(max_size=300), st.integers(1, 9))
def test_any_noise_costs_at_most_what_it_hit(noise: bytes, chunk: int) -> None:
    told = read(noise + b"\r\n" + encode(SHIP) + encode(SHIP), chunk)
    assert SHIP.mmsi in [one.mmsi for one in told]


@given(st.data())
def test_a_flipped_bit_tells_nothing_else(data: st.DataObject) -> None:
    said = bytearray(encode(SHIP))
    place = data.draw(st.integers(0, len(said) - 1))
    said[place] ^= 1 << data.draw(st.integers(0, 7))
    for told in read(bytes(said)):
        assert (told.mmsi, told.lat, told.lon) == (SHIP.mmsi, *(read(encode(SHIP))[0].lat, SHIP.lon))


def rewritten(sentence: bytes, fields: list[bytes]) -> bytes:
    return b"!" + seal(b",".join(fields).decode()[1:])[1:]


@st.composite
def ways_of_plotters(draw: st.DrawFn) -> tuple[Vessel, bytes]:
    """A message as plotters and gateways write it: zero padding, surplus fields, blanks, another case."""
    vessel = draw(st.sampled_from(TABLE))
    data = b""
    channel = draw(st.sampled_from([b"", b"A", b"B", b"1"]))
    for sentence in sentences(vessel, sequence=draw(st.integers(0, 9))):
        fields = sentence.partition(b"*")[0].split(b",")
        fields[4] = channel
        for at in (1, 2):
            fields[at] = draw(st.sampled_from([b"", b"0"])) + fields[at]
        if fields[1].lstrip(b"0") == b"1":
            fields[3] = draw(st.sampled_from([b"", b"1", b"0"]))
        if fields[6] == b"0":
            fields[6] = draw(st.sampled_from([b"0", b"", b"00", b" 0"]))
        fields += draw(st.lists(st.sampled_from([b"0", b"", b"r3669961", b"1793600000"]), max_size=3))
        body = rewritten(sentence, fields)
        data += body[:-4] + body[-4:].lower() if draw(st.booleans()) else body
    return vessel, data


@given(ways_of_plotters())
def test_what_other_makers_write_refuses_nothing(case: tuple[Vessel, bytes]) -> None:
    vessel, data = case
    assert read(data) == read(data, 1) == read(encode(vessel))


@pytest.mark.parametrize(
    ("field", "written"),
    [(3, b"x"), (3, b"10"), (4, b"-"), (4, b"AB"), (6, None), (6, b"")],
    ids=["sequence", "long sequence", "channel", "channels", "no fill field", "empty fill field"],
)
def test_a_beacon_is_heard_whatever_stands_beside_its_payload(field: int, written: bytes | None) -> None:
    beacon = next(one for one in TABLE if one.distress == "sart")
    (sentence,) = sentences(beacon)
    fields = sentence.partition(b"*")[0].split(b",")
    fields[field : field + 1] = [] if written is None else [written]
    ear = LineDecoder([AisDecoder()])
    assert ear.feed(rewritten(sentence, fields)) == read(encode(beacon))
    assert ear.state().bad == {}


@pytest.mark.parametrize(
    "payload", [">>M4`<@0", ">>M4`<@", ">>M4`<@0000"], ids=["one letter", "no text at all", "several"]
)
def test_a_beacon_whose_message_has_no_text_calls_all_the_same(payload: str) -> None:
    (told,) = read(b"!" + seal(f"AIVDM,1,1,,A,{payload},2")[1:])
    assert (told.mmsi, told.distress, told.text, told.test) == (970008625, "sart", None, None)


def test_a_beacon_calls_though_its_position_can_not_be() -> None:
    (told,) = read(raw(mmsi=970012345, status=14, lat=95.0))
    assert (told.mmsi, told.distress, told.lat, told.lon) == (970012345, "sart", None, None)


@pytest.mark.parametrize("fields", [b",", b",0", b",0,,,", b",s12,r003669961,1793600000"])
def test_a_beacon_through_a_plotter_that_adds_fields_is_heard(fields: bytes) -> None:
    beacon = next(one for one in TABLE if one.distress == "sart")
    (sentence,) = sentences(beacon)
    ear = LineDecoder([AisDecoder()])
    told = ear.feed(rewritten(sentence, [sentence.partition(b"*")[0] + fields]))
    assert [getattr(one, "distress", None) for one in told] == ["sart"]
    assert ear.state().bad == {}


def test_an_empty_part_takes_nothing_from_a_message_that_is_whole() -> None:
    (sentence,) = sentences(SHIP)
    payload, fill = sentence.split(b",")[5], sentence.split(b",")[6].partition(b"*")[0]
    for order in ((payload, b""), (b"", payload)):
        data = b"".join(
            b"!" + seal(f"AIVDM,2,{number},4,A,{text.decode()},{fill.decode() if text else 0}")[1:]
            for number, text in enumerate(order, 1)
        )
        ear = LineDecoder([AisDecoder()])
        assert ear.feed(data) == read(sentence)
        assert (ear.state().bad, ear.state().lost) == ({}, 0)
    assert read(b"".join(b"!" + seal(f"AIVDM,2,{number},4,A,,0")[1:] for number in (1, 2))) == []
