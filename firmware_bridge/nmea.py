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
from collections.abc import Callable
from datetime import date, timedelta
from typing import Literal, TypeAlias

from firmware_bridge.ais import AisDecoder
from firmware_bridge.epoch import NOT_BEFORE, Satellite
from firmware_bridge.fixes import KNOT_MPS, Fixes
from firmware_bridge.instruments import InstrumentDecoder
from firmware_bridge.line import Decoder, SerialLine
from firmware_bridge.readings import Fix, GnssState, Value
from firmware_bridge.sentence import clock_ms, degrees, number, position, seal

Fields: TypeAlias = list[bytes]

LIVE_QUALITY = (b"1", b"2", b"3", b"4", b"5")
"""GGA: GPS, DGPS, PPS, RTK fixed, RTK float. 6 estimated, 7 manual, 8 simulated are no live fix."""
NOT_LIVE_MODE = (b"N", b"E", b"M", b"S")
"""RMC, GLL, GNS mode: not valid, estimated, manual, simulated."""
ANTENNA: dict[bytes, Literal["ok", "short", "open"]] = {b"OK": "ok", b"SHORT": "short", b"OPEN": "open"}

_ANTENNA = re.compile(rb"ANT(?:STATUS=|ENNA )(OK|SHORT|OPEN)").search


class NmeaDecoder:
    """Checked sentences in, values out. ``not_before``: see `Nmea`; without it times stay as they are."""

    framings = ("nmea",)

    def __init__(self, not_before: date | None = None) -> None:
        self._fixes = Fixes(not_before)
        self._takes: dict[bytes, Callable[[Fields], list[Value]]] = {
            b"RMC": self._rmc, b"GGA": self._gga, b"GLL": self._gll, b"GNS": self._gga,
            b"GSA": self._gsa, b"GST": self._gst, b"GSV": self._gsv, b"VTG": self._vtg,
            b"ZDA": self._zda, b"TXT": self._txt,
        }  # fmt: skip

    @property
    def bad(self) -> int:
        """Sentences with a good checksum whose content cannot be."""
        return self._fixes.bad

    def feed(self, sentence: bytes) -> list[Value]:
        """An epoch's fix, with the sentence that usually ends it, or at the latest when the next begins."""
        take = self._takes.get(sentence[3:6])
        if take is None or sentence[6:7] != b"," or sentence[:1] != b"$" or sentence[1:2] == b"P":
            return []
        return take(sentence.partition(b"*")[0].split(b","))

    def pause(self) -> list[Value]:
        """The line fell quiet, or ended: the fix of the epoch so far, once."""
        return self._fixes.pause()

    def replies(self) -> bytes:
        """Nothing: it only listens."""
        return b""

    def _rmc(self, fields: Fields) -> list[Value]:
        if len(fields) < 10:
            return self._cut()
        ms = clock_ms(fields[1])
        values = self._fixes.turn(b"RMC", ms)
        self._fixes.day(fields[9], ms)
        valid = fields[2] == b"A" and (len(fields) < 13 or fields[12][:1] not in NOT_LIVE_MODE)
        if self._fixes.place(position(*fields[3:7]), valid):
            self._fixes.move(fields[7], fields[8])
        return values + self._fixes.close(b"RMC")

    def _gga(self, fields: Fields) -> list[Value]:
        """GGA, and GNS, which has a letter for each constellation where GGA has its quality."""
        if len(fields) < 10:
            return self._cut()
        kind = fields[0][3:]
        values = self._fixes.turn(kind, clock_ms(fields[1]))
        if kind == b"GGA":
            valid = fields[6] in LIVE_QUALITY
        else:
            valid = any(bytes((letter,)) not in NOT_LIVE_MODE for letter in fields[6])
        if self._fixes.place(position(*fields[2:6]), valid):
            epoch, used = self._fixes.epoch, number(fields[7], 0, 200)
            epoch.satellites = None if used is None else int(used)
            epoch.hdop = number(fields[8], 0.0, 99.0)
            epoch.alt_m = number(fields[9], -1000.0, 100_000.0)
        return values + self._fixes.close(kind)

    def _gll(self, fields: Fields) -> list[Value]:
        if len(fields) < 7:
            return self._cut()
        ms = clock_ms(fields[5])
        values = self._fixes.turn(b"GLL", ms)
        if ms != self._fixes.epoch.ms:  # one that lags speaks of another epoch
            return values
        valid = fields[6] == b"A" and (len(fields) < 8 or fields[7][:1] not in NOT_LIVE_MODE)
        self._fixes.place(position(*fields[1:5]), valid)
        return values + self._fixes.close(b"GLL")

    def _gsa(self, fields: Fields) -> list[Value]:
        if len(fields) < 17:
            return self._cut()
        epoch = self._fixes.open()
        epoch.dimension = max(epoch.dimension, int(fields[2]) if fields[2] in (b"1", b"2", b"3") else 0)
        epoch.used += sum(map(bool, fields[3:15]))
        epoch.rounds += 1
        if epoch.hdop is None:
            epoch.hdop = number(fields[16], 0.0, 99.0)
        return self._fixes.close((b"GSA", epoch.rounds))

    def _gst(self, fields: Fields) -> list[Value]:
        if len(fields) < 8:
            return self._cut()
        north, east = number(fields[6], 0.0, 10_000.0), number(fields[7], 0.0, 10_000.0)
        if north is not None and east is not None:
            self._fixes.error = clock_ms(fields[1]), round(math.hypot(north, east), 2)
        return self._fixes.close(b"GST")

    def _vtg(self, fields: Fields) -> list[Value]:
        if len(fields) < 7 or fields[2] != b"T":
            return []
        self._fixes.move(fields[5], fields[1])
        return self._fixes.close(b"VTG")

    def _zda(self, fields: Fields) -> list[Value]:
        if len(fields) > 4:
            self._fixes.day(fields[2] + fields[3] + fields[4][2:], clock_ms(fields[1]))
        return self._fixes.close(b"ZDA")

    def _gsv(self, fields: Fields) -> list[Value]:
        seen = fields[3] if len(fields) > 3 else b""
        if seen.isdigit() and len(seen) < 3:
            signal = fields[-1] if len(fields) % 4 == 1 else b""  # since 4.10 each signal is told for itself
            cn0s = [int(one) for one in fields[7::4] if len(one) == 2 and one.isdigit() and one != b"00"]
            self._fixes.sky(fields[0][1:3] + signal, int(seen), fields[2] in (b"1", b"01"), cn0s)
        return []

    def _txt(self, fields: Fields) -> list[Value]:
        """u-blox says ``ANTSTATUS=OPEN``, MediaTek ``ANTENNA OPEN``."""
        found = _ANTENNA(fields[4]) if len(fields) > 4 else None
        return [] if found is None else [GnssState(antenna=ANTENNA[found[1]])]

    def _cut(self) -> list[Value]:
        self._fixes.bad += 1
        return []


class Nmea(SerialLine):
    """A GNSS receiver or boat instrument that speaks NMEA 0183.

    ``not_before``: no time can be earlier; one that is was counted in weeks modulo 1024, and is corrected.
    """

    kind: Literal["nmea"] = "nmea"
    not_before: date | None = NOT_BEFORE

    def decoder(self) -> NmeaDecoder:
        return NmeaDecoder(self.not_before)

    def decoders(self) -> tuple[Decoder, ...]:
        """Whatever NMEA 0183 says: fixes, instruments, AIS."""
        return (self.decoder(), InstrumentDecoder(), AisDecoder())


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
        bodies += _gsv(talker, [one for one in sky if one.talker == talker])
    return b"".join(map(seal, bodies))


def _gsv(talker: str, seen: list[Satellite]) -> list[str]:
    told = [
        f"{one.number:02d},{one.elevation_deg:02d},{one.azimuth_deg:03d},"
        + ("" if one.cn0_dbhz is None else f"{one.cn0_dbhz:02d}")
        for one in seen
    ]
    parts = [",".join(told[start : start + 4]) for start in range(0, len(told), 4)]
    return [f"{talker}GSV,{len(parts)},{at + 1},{len(seen):02d},{part}" for at, part in enumerate(parts)]
