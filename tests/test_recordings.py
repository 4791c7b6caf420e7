"""Every GNSS recording: each expected fix, and none that the receiver did not declare valid."""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.nmea.sentence import clock_ms, number, position
from firmware_bridge.serial.sniffer import Sniffer
from firmware_bridge.wgs84 import distance_m
from tests.recordings import fixes, fixes_in, gnss_recordings, score, valid_in, wanted_of

RECORDINGS = gnss_recordings()
needs_shared = pytest.mark.skipif(
    not RECORDINGS, reason="needs the recordings beside this folder: ../shared/data"
)


@pytest.mark.needs_shared
@needs_shared
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recording(path: Path) -> None:
    result = score(path)
    assert (result.found, result.false, result.twice) == (result.expected, 0, 0)


@pytest.mark.needs_shared
@needs_shared
@pytest.mark.parametrize("name", ["ublox-8", "garmin48", "ublox-neo-m8p"])
def test_it_does_not_matter_how_the_bytes_arrive(name: str) -> None:
    path = next(path for path in RECORDINGS if path.stem == name)
    assert fixes(path, 1) == fixes(path, 7) == fixes(path, 100_000)


@pytest.mark.needs_shared
@needs_shared
@pytest.mark.parametrize(("flips", "drops"), [(1e-3, 0.0), (1e-3, 1e-3)])
def test_a_damaged_line_gives_no_false_position(flips: float, drops: float) -> None:
    """The checksum of NMEA is weak. With two sentences an epoch hardly any fix is lost."""
    found = expected = 0
    for path in RECORDINGS:
        noise = random.Random(path.stem)
        wanted, places = list(wanted_of(path)), {place[1:] for place in valid_in(path)}
        told = fixes_in(damaged(path.read_bytes(), noise, flips, drops))
        for fix in told:
            assert fix.lat is not None
            assert fix.lon is not None
            here = (fix.lat, fix.lon)
            assert any(distance_m(here, place) < 50 for place in places), fix
        if {b"RMC", b"GGA"} <= set(re.findall(rb"\$..(RMC|GGA),", path.read_bytes())):
            found += sum(any(one(fix) for fix in told) for one in wanted)
            expected += len(wanted)
    assert found / expected > 0.97


def damaged(data: bytes, noise: random.Random, flips: float, drops: float) -> bytes:
    return bytes(
        byte ^ (1 << noise.randrange(8) if noise.random() < flips else 0)
        for byte in data
        if noise.random() >= drops
    )


def sentences() -> Iterator[bytes]:
    for path in RECORDINGS:
        for packet in Sniffer(("nmea",)).feed(path.read_bytes()):
            if packet.data[:1] == b"$" and packet.data[1:2] != b"P":
                yield packet.data


@pytest.mark.needs_shared
@needs_shared
def test_fields_split_by_hand_are_what_pynmeagps_reads() -> None:
    from pynmeagps import NMEAReader
    from pynmeagps.exceptions import NMEAMessageError, NMEAParseError, NMEATypeError

    compared = 0
    where = {b"RMC": (1, 3), b"GGA": (1, 2), b"GNS": (1, 2), b"GLL": (5, 1)}
    for sentence in sentences():
        kind = sentence[3:6]
        if kind not in where:
            continue
        fields = sentence.partition(b"*")[0].split(b",")
        try:
            theirs: Any = NMEAReader.parse(sentence + b"\r\n", validate=0)
        except (NMEAMessageError, NMEAParseError, NMEATypeError):
            continue
        time_at, at = where[kind]
        ours = position(*fields[at : at + 4])
        if ours is not None:
            assert ours == pytest.approx((theirs.lat, theirs.lon), abs=1e-8)
            compared += 1
        elif "" not in (theirs.lat, theirs.lon, theirs.NS, theirs.EW):
            cannot_be = abs(theirs.lat) > 90 or abs(theirs.lon) > 180 or theirs.lat == theirs.lon == 0
            assert cannot_be, sentence
        ms = clock_ms(fields[time_at])
        if ms is not None and theirs.time:
            moment = theirs.time
            assert ms == pytest.approx(
                ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1000 + moment.microsecond / 1000,
                abs=1,
            )
        if kind == b"RMC":
            assert number(fields[7], 0, 2000) == (None if theirs.spd == "" else pytest.approx(theirs.spd))
        if kind in (b"GGA", b"GNS") and theirs.HDOP != "":
            assert number(fields[8], 0, 1000) == pytest.approx(theirs.HDOP)
    assert compared > 4000
