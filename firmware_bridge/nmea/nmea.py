"""GNSS over NMEA 0183: sentences in, one `Fix` an epoch out, gated by the receiver's own validity flags.

    $GPRMC,hhmmss.ss,A,ddmm.mmmm,N,dddmm.mmmm,E,knots,course,ddmmyy,,,mode*hh    A valid, V not
    $GPGGA,hhmmss.ss,ddmm.mmmm,N,dddmm.mmmm,E,quality,used,hdop,altitude,M,…*hh    quality 0: no fix
    $GPGLL,ddmm.mmmm,N,dddmm.mmmm,E,hhmmss.ss,A,mode*hh
    $GPGNS,hhmmss.ss,ddmm.mmmm,N,dddmm.mmmm,E,modes,used,hdop,altitude,…*hh
    $GPGSA,A,dimension,id x 12,pdop,hdop,vdop*hh    $GPGST,hhmmss.ss,,,,,north,east,up*hh
    $GPVTG,course,T,,M,knots,N,…*hh                 $GPZDA,hhmmss.ss,dd,mm,yyyy,…*hh
    $GPGSV,total,number,seen,{id,elevation,azimuth,C/N0} x 4,signal*hh

Any talker but vendors' ``$P…``. The fields are split by hand, for speed (docs/decisions/0007), and checked
against pynmeagps over all recordings. Source: NMEA 0183 v4.11, and gpsd's regression logs.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import ClassVar, Literal, TypeAlias

from firmware_bridge.ais.ais import AisDecoder
from firmware_bridge.ais.dsc import DscDecoder
from firmware_bridge.epoch import NOT_BEFORE, Satellite
from firmware_bridge.nmea.fixes import Fixes
from firmware_bridge.nmea.instruments import NAMES, InstrumentDecoder
from firmware_bridge.nmea.radar import RadarDecoder
from firmware_bridge.nmea.sentence import clock_ms, degrees, number, position, seal
from firmware_bridge.nmea.talkers import Talkers
from firmware_bridge.readings import Fix, GnssState, Value
from firmware_bridge.serial.line import Decoder, SerialLine
from firmware_bridge.units import KNOT_MPS

Fields: TypeAlias = list[bytes]
Take: TypeAlias = Callable[[Fixes, Fields], list[Value]]

LIVE_QUALITY = frozenset({1, 2, 3, 4, 5, 9})
"""GGA: GPS, DGPS, PPS, RTK fixed, RTK float; 9 is NovAtel's for SBAS."""
NOT_LIVE_QUALITY = frozenset({0, 6, 7, 8})
"""None, estimated, manual, simulated. What is neither says nothing about the fix."""
NOT_LIVE_MODE = (b"N", b"E", b"M", b"S")
"""RMC, GLL, GNS mode: not valid, estimated, manual, simulated."""
ANTENNA: dict[bytes, Literal["ok", "short", "open"]] = {b"OK": "ok", b"SHORT": "short", b"OPEN": "open"}

_ANTENNA = re.compile(rb"ANT(?:STATUS=|ENNA )(OK|SHORT|OPEN)").search


class NmeaDecoder:
    """Checked sentences in, values out. ``not_before``: see `Nmea`; without it times stay as they are."""

    framings = ("nmea",)

    def __init__(self, not_before: date | None = None) -> None:
        self._talkers = Talkers(lambda: Fixes(not_before))
        self._cut_short = 0
        self._positions: dict[bytes, tuple[int, int, Take]] = {
            b"RMC": (10, 1, _rmc), b"GGA": (10, 1, _gga), b"GNS": (10, 1, _gns), b"GLL": (7, 5, _gll),
        }  # fmt: skip
        """Sentences with a position: the fewest fields, which is the time, and what they mean."""
        self._takes: dict[bytes, tuple[int, Take]] = {
            b"GSA": (17, _gsa), b"GST": (8, _gst), b"GSV": (0, _gsv), b"VTG": (0, _vtg), b"ZDA": (0, _zda),
            b"TXT": (0, _txt),
        }  # fmt: skip

    @property
    def bad(self) -> int:
        """Sentences with a good checksum whose content cannot be."""
        return self._cut_short + sum(stream.fixes.bad for stream in self._talkers)

    def feed(self, sentence: bytes) -> list[Value]:
        """An epoch's fix, with the sentence that usually ends it, or at the latest when the next begins."""
        kind = sentence[3:6]
        beside = self._takes.get(kind)
        if beside is None and kind not in self._positions:
            return []
        if sentence[6:7] != b"," or sentence[:1] != b"$" or sentence[1:2] == b"P":
            return []
        fields = sentence.partition(b"*")[0].split(b",")
        if b" " in sentence:
            fields = [field.strip() for field in fields]
        if beside is None:
            return self._position(kind, fields)
        least, take = beside
        if len(fields) < least:
            self._cut_short += 1
            return []
        stream = self._talkers.stream(fields[0][1:3])
        return self._talkers.told(stream, take(stream.fixes, fields))

    def _position(self, kind: bytes, fields: Fields) -> list[Value]:
        """A sentence with a position: it shows how many receivers there are."""
        least, time_at, take = self._positions[kind]
        if len(fields) < least:
            self._cut_short += 1
            return []
        talker, ms = fields[0][1:3], clock_ms(fields[time_at])
        epoch = self._talkers.stream(talker).fixes.epoch
        if kind == b"GNS" and not fields[2] and not fields[6] and kind in epoch.kinds and ms == epoch.ms:
            return []  # what each constellation gave to the GNS before
        place_at, valid = VALID[kind]
        blank = not any(fields[place_at : place_at + 4])
        other = self._talkers.rival(talker, kind, ms, fields[1:7], valid(fields), blank)
        values = self._sort(other) if other is not None and self._talkers.part(talker, other) else []
        stream = self._talkers.stream(talker)
        values += self._talkers.told(stream, take(stream.fixes, fields))
        stream.fixes.epoch.said.append((talker, kind, fields))
        return values

    def _sort(self, other: bytes) -> list[Value]:
        """Two talkers turned out to be two receivers: to each what it said in this epoch."""
        said, values = self._talkers.stream(other).fixes.begin_again(), list[Value]()
        for whose, kind, fields in said:
            stream = self._talkers.stream(whose)
            values += self._talkers.told(stream, self._positions[kind][2](stream.fixes, fields))
            stream.fixes.epoch.said.append((whose, kind, fields))
        return values

    def pause(self) -> list[Value]:
        """The line fell quiet, or ended: the fix of the epoch so far, once."""
        return [
            value for stream in self._talkers for value in self._talkers.told(stream, stream.fixes.pause())
        ]

    def lull(self) -> None:
        """The line was quiet for a moment: an epoch may have ended, and the next sentence begin another."""
        for stream in self._talkers:
            stream.fixes.lull()

    def replies(self) -> bytes:
        """Nothing: it only listens."""
        return b""


def _rmc(fixes: Fixes, fields: Fields) -> list[Value]:
    ms = clock_ms(fields[1])
    values = fixes.turn(b"RMC", ms)
    fixes.day(fields[9], ms)
    if _placed(fixes, fields[3:7], _rmc_valid(fields)):
        fixes.move(fields[7], fields[8])
    fixes.shown(b"RMC", number(fields[7], 0.0, 2000.0))
    return values + fixes.close(b"RMC")


def _gga(fixes: Fixes, fields: Fields) -> list[Value]:
    values = fixes.turn(b"GGA", clock_ms(fields[1]))
    valid = _gga_valid(fields)
    if valid is not None:
        _measured(fixes, fields, valid)
    return values + fixes.close(b"GGA")


def _gns(fixes: Fixes, fields: Fields) -> list[Value]:
    values = fixes.turn(b"GNS", clock_ms(fields[1]))
    _measured(fixes, fields, _gns_valid(fields))
    return values + fixes.close(b"GNS")


def _measured(fixes: Fixes, fields: Fields, valid: bool) -> None:
    if not _placed(fixes, fields[2:6], valid):
        return
    epoch, used = fixes.epoch, int(number(fields[7], 0, 200) or 0)
    epoch.satellites = max(used, epoch.satellites or 0) or None  # a fix out of none: some plotters don't tell
    epoch.hdop = number(fields[8], 0.0, 99.0) or None
    epoch.alt_m = number(fields[9], -1000.0, 100_000.0)
    fixes.shown(b"GGA", epoch.hdop)


def _gll(fixes: Fixes, fields: Fields) -> list[Value]:
    ms = clock_ms(fields[5])
    values = fixes.turn(b"GLL", ms)
    if ms != fixes.epoch.ms:  # one that lags speaks of another epoch
        return values
    _placed(fixes, fields[1:5], _gll_valid(fields))
    return values + fixes.close(b"GLL")


def _rmc_valid(fields: Fields) -> bool:
    return fields[2] == b"A" and (len(fields) < 13 or fields[12][:1] not in NOT_LIVE_MODE)


def _gga_valid(fields: Fields) -> bool | None:
    """None for a quality that nobody knows."""
    quality = int(fields[6]) if fields[6].isdigit() and len(fields[6]) < 4 else None
    return True if quality in LIVE_QUALITY else False if quality in NOT_LIVE_QUALITY else None


def _gns_valid(fields: Fields) -> bool:
    """GNS has a letter for each constellation where GGA has its quality."""
    return any(bytes((letter,)) not in NOT_LIVE_MODE for letter in fields[6])


def _gll_valid(fields: Fields) -> bool:
    return fields[6] == b"A" and (len(fields) < 8 or fields[7][:1] not in NOT_LIVE_MODE)


VALID: dict[bytes, tuple[int, Callable[[Fields], bool | None]]] = {
    b"RMC": (3, _rmc_valid), b"GGA": (2, _gga_valid), b"GNS": (2, _gns_valid), b"GLL": (1, _gll_valid),
}  # fmt: skip
"""Where a sentence has its position, and whether it says that there is a fix."""


def _placed(fixes: Fixes, fields: Fields, valid: bool) -> bool:
    """Notes the position in four fields; one of which a field is empty is not told, and not damaged."""
    return (not valid or all(fields)) and fixes.place(position(*fields), valid)


def _gsa(fixes: Fixes, fields: Fields) -> list[Value]:
    hdop = number(fields[16], 0.0, 99.0) or None
    values = fixes.beside(b"GSA", shows=(b"GGA", hdop))
    epoch = fixes.open()
    epoch.dimension = max(epoch.dimension, int(fields[2]) if fields[2] in (b"1", b"2", b"3") else 0)
    epoch.used += sum(map(bool, fields[3:15]))
    epoch.rounds += 1
    if epoch.hdop is None:
        epoch.hdop = hdop
    return values + fixes.close((b"GSA", epoch.rounds))


def _gst(fixes: Fixes, fields: Fields) -> list[Value]:
    ms = clock_ms(fields[1])
    values = fixes.beside(b"GST", ms)
    north, east = number(fields[6], 0.0, 10_000.0), number(fields[7], 0.0, 10_000.0)
    if north is not None and east is not None:
        fixes.error = ms, round(math.hypot(north, east), 2)
    return values + fixes.close(b"GST")


def _vtg(fixes: Fixes, fields: Fields) -> list[Value]:
    if len(fields) < 7 or fields[2] != b"T":
        return []
    values = fixes.beside(b"VTG", shows=(b"RMC", number(fields[5], 0.0, 2000.0)))
    fixes.move(fields[5], fields[1])
    return values + fixes.close(b"VTG")


def _zda(fixes: Fixes, fields: Fields) -> list[Value]:
    ms = clock_ms(fields[1]) if len(fields) > 1 else None
    if len(fields) > 4:  # also for an epoch that it ends: a date holds half a day before and after its time
        fixes.day(fields[2] + fields[3] + fields[4][2:], ms)
    values = fixes.beside(b"ZDA", ms)
    return values + fixes.close(b"ZDA")


def _gsv(fixes: Fixes, fields: Fields) -> list[Value]:
    seen = fields[3] if len(fields) > 3 else b""
    if seen.isdigit() and len(seen) < 3:
        signal = fields[-1] if len(fields) % 4 == 1 else b""  # since 4.10 each signal is told for itself
        cn0s = [int(one) for one in fields[7::4] if len(one) == 2 and one.isdigit() and one != b"00"]
        fixes.sky(fields[0][1:3] + signal, int(seen), fields[2] in (b"1", b"01"), cn0s)
    return []


def _txt(_: Fixes, fields: Fields) -> list[Value]:
    """u-blox says ``ANTSTATUS=OPEN``, MediaTek ``ANTENNA OPEN``."""
    found = _ANTENNA(fields[4]) if len(fields) > 4 else None
    return [] if found is None else [GnssState(antenna=ANTENNA[found[1]])]


class Nmea(SerialLine):
    """A GNSS receiver or boat instrument that speaks NMEA 0183.

    ``not_before``: no time can be earlier; one that is was counted in weeks modulo 1024, and is corrected.
    """

    gives: ClassVar[frozenset[str] | None] = frozenset({"fix", "gnss_state", "reading", "vessel"})
    named: ClassVar[Mapping[str, tuple[str, ...]]] = {"reading": NAMES}

    kind: Literal["nmea"] = "nmea"
    not_before: date | None = NOT_BEFORE

    def decoder(self) -> NmeaDecoder:
        return NmeaDecoder(self.not_before)

    def decoders(self) -> tuple[Decoder, ...]:
        """Whatever NMEA 0183 says: fixes, instruments, AIS, calls for help, radar."""
        return (self.decoder(), InstrumentDecoder(), AisDecoder(), DscDecoder(), RadarDecoder())


def encode(fix: Fix, sky: tuple[Satellite, ...] = (), *, leap: bool = False) -> bytes:
    """A receiver's epoch for ``fix``: RMC, GGA, GSA, and GST and GSV where there is something to say.

    With ``leap`` midnight is the second 60 of the day before.
    """
    clock = day = ""
    if fix.time is not None:
        at = fix.time - timedelta(seconds=leap)
        second = at.second + leap
        clock, day = f"{at:%H%M}{second:02d}.{at.microsecond // 10000:02d}", f"{at:%d%m%y}"
    known = fix.mode != "none" and fix.lat is not None and fix.lon is not None
    where = degrees(fix.lat or 0.0, fix.lon or 0.0) if known else ",,,"
    speed = "" if fix.speed_mps is None else f"{fix.speed_mps / KNOT_MPS:.3f}"
    course = "" if fix.course_deg is None else f"{fix.course_deg:.2f}"
    hdop = "" if fix.hdop is None else f"{fix.hdop:.2f}"
    altitude = "" if fix.alt_m is None else f"{fix.alt_m:.2f}"
    dimension = {"none": 1, "2d": 2, "3d": 3}[fix.mode]
    bodies = [
        f"GNRMC,{clock},{'A' if known else 'V'},{where},{speed},{course},{day},,,{'A' if known else 'N'}",
        f"GNGGA,{clock},{where},{int(known)},{fix.satellites or 0:02d},{hdop},{altitude},M,,M,,",
    ]
    talkers = sorted({one.talker for one in sky})
    for talker in talkers or ["GN"]:
        used = [f"{one.number:02d}" for one in sky if one.talker == talker and one.used][:12]
        bodies.append(f"GNGSA,A,{dimension},{','.join(used + [''] * (12 - len(used)))},,{hdop},")
    if fix.error_m is not None and known:
        sigma = f"{fix.error_m / math.sqrt(2):.2f}"
        bodies.append(f"GNGST,{clock},,,,,{sigma},{sigma},")
    for talker in talkers:
        bodies += _sky(talker, [one for one in sky if one.talker == talker])
    return b"".join(map(seal, bodies))


def _sky(talker: str, seen: list[Satellite]) -> list[str]:
    told = [
        f"{one.number:02d},{one.elevation_deg:02d},{one.azimuth_deg:03d},"
        + ("" if one.cn0_dbhz is None else f"{one.cn0_dbhz:02d}")
        for one in seen
    ]
    parts = [",".join(told[start : start + 4]) for start in range(0, len(told), 4)]
    return [f"{talker}GSV,{len(parts)},{at + 1},{len(seen):02d},{part}" for at, part in enumerate(parts)]
