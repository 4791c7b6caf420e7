"""GNSS over NMEA 0183: sentences in, one `Fix` an epoch out, gated by the receiver's own validity flags.

    $GPRMC,hhmmss.ss,A,ddmm.mmmm,N,dddmm.mmmm,E,knots,course,ddmmyy,…*hh    A valid, V not
    $GPGGA,hhmmss.ss,ddmm.mmmm,N,dddmm.mmmm,E,quality,satellites,hdop,altitude,M,…*hh    quality 0: no fix

pynmeagps knows the fields; the epochs and what makes a position valid are ours. Source: NMEA 0183 v4.11,
and gpsd's regression logs.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, TypeAlias

from firmware_bridge.line import SerialLine
from firmware_bridge.readings import Fix, Value

Message: TypeAlias = dict[str, Any]

KNOT_MPS = 1852 / 3600
LIVE_QUALITY = frozenset({1, 2, 3, 4, 5})
"""GGA: GPS, DGPS, PPS, RTK fixed, RTK float. 6 estimated, 7 manual, 8 simulated are no live fix."""
NOT_LIVE_MODE = frozenset("NEMS")
"""RMC, GLL, GNS mode: not valid, estimated, manual, simulated."""
AGREE_M = 50.0
"""Positions of one epoch that lie further apart than this contradict each other."""
POSITIONS = frozenset({"RMC", "GGA", "GLL", "GNS"})
SENTENCES = POSITIONS | {"GSA", "ZDA", "GST", "VTG"}

_TIME = re.compile(r"(\d\d)(\d\d)(\d\d)(\.\d+)?$")
_TIME_FIELD = {"RMC": 1, "GGA": 1, "GNS": 1, "ZDA": 1, "GST": 1, "GLL": 5}
_LATITUDE_FIELD = {"RMC": 3, "GGA": 2, "GNS": 2, "GLL": 1}


@dataclass(slots=True)
class _Epoch:
    """What the sentences of one epoch say together."""

    time_of_day: timedelta | None = None
    positions: list[tuple[float, float]] | None = None
    refused: bool = False
    told: bool = False
    kinds: frozenset[str] = frozenset()
    """Which sentences have said whether there is a fix."""
    dimension: int = 0
    alt_m: float | None = None
    satellites: int | None = None
    hdop: float | None = None
    error_m: float | None = None
    speed_mps: float | None = None
    course_deg: float | None = None


class NmeaDecoder:
    """Checked sentences in, values out. ``bad`` counts those whose content cannot be."""

    framings = ("nmea",)

    def __init__(self) -> None:
        self.bad = 0
        self._date: date | None = None
        self._date_at: timedelta | None = None
        self._epoch = _Epoch()

    def feed(self, sentence: bytes) -> list[Value]:
        """The fix of the epoch before, when this sentence begins another."""
        if sentence[:1] != b"$" or b"," not in sentence:
            return []
        kind = sentence[3:6].decode("ascii", "replace")
        if kind not in SENTENCES or sentence[1:2] == b"P":
            return []
        fields = sentence.decode("ascii", "replace").rsplit("*", 1)[0].split(",")
        message = _parse(sentence)
        if message is None:
            self.bad += 1
            return []
        moment = _time_of_day(fields, kind)
        values = self._turn(kind, moment) if kind in POSITIONS else []
        if kind in ("RMC", "ZDA"):
            self._take_date(message, moment)
        if kind != "GLL" or moment == self._epoch.time_of_day:  # a GLL that lags speaks of another epoch
            self._take(kind, message, fields)
        return values

    def _turn(self, kind: str, moment: timedelta | None) -> list[Value]:
        """Begins a new epoch where ``kind`` at ``moment`` belongs to one: another time, or all over again.

        A GLL may lead its epoch, but some receivers send it late: one with an earlier time begins nothing.
        """
        epoch = self._epoch
        if moment is None:
            over = epoch.time_of_day is not None or epoch.told or kind in epoch.kinds
        elif epoch.time_of_day is None:
            over = bool(epoch.kinds)  # GSA and the like may lead the epoch, a position may not
        else:
            over = moment != epoch.time_of_day and (kind != "GLL" or _later(moment, epoch.time_of_day))
        values = self.pause() if over else []
        if over:
            self._epoch = epoch = _Epoch()
        if epoch.time_of_day is None:
            epoch.time_of_day = moment
        epoch.kinds |= {kind}
        return values

    def pause(self) -> list[Value]:
        """The line fell quiet, or ended: the fix of the epoch so far, once."""
        epoch = self._epoch
        if epoch.told or not epoch.kinds:
            return []
        epoch.told = True
        return [self._fix(epoch)]

    def replies(self) -> bytes:
        """Nothing: it only listens."""
        return b""

    def _take(self, kind: str, message: Message, fields: list[str]) -> None:
        epoch = self._epoch
        if kind == "GSA":
            epoch.dimension = max(epoch.dimension, _whole(message.get("navMode")) or 0)
        elif kind == "GST":
            north, east = _number(message.get("stdLat")), _number(message.get("stdLong"))
            if north is not None and east is not None:
                epoch.error_m = round(math.hypot(north, east), 2)
        elif kind == "VTG":
            epoch.speed_mps = _scaled(message.get("sogn"), KNOT_MPS)
            epoch.course_deg = _number(message.get("cogt"))
        elif kind != "ZDA":
            self._take_position(kind, message, fields)

    def _take_position(self, kind: str, message: Message, fields: list[str]) -> None:
        epoch = self._epoch
        mode = str(message.get("posMode") or "")
        if kind == "GGA":
            valid = _whole(message.get("quality")) in LIVE_QUALITY
        elif kind == "GNS":
            valid = any(one not in NOT_LIVE_MODE for one in mode)
        else:
            valid = message.get("status") == "A" and not (mode and mode in NOT_LIVE_MODE)
        at = _LATITUDE_FIELD[kind]
        position = _position(message, fields[at : at + 3])
        if not valid or position is None:
            epoch.refused = True
            if valid:
                self.bad += 1
            return
        epoch.positions = [*(epoch.positions or []), position]
        if kind == "RMC":
            epoch.speed_mps = _scaled(message.get("spd"), KNOT_MPS)
            epoch.course_deg = _number(message.get("cog"))
        elif kind in ("GGA", "GNS"):
            epoch.satellites = _whole(message.get("numSV"))
            epoch.hdop = _number(message.get("HDOP"))
            epoch.alt_m = _number(message.get("alt"))

    def _fix(self, epoch: _Epoch) -> Fix:
        moment = self._moment(epoch.time_of_day)
        positions = epoch.positions or []
        if epoch.refused or not positions or not _agree(positions):
            return Fix(mode="none", time=moment)
        flat = epoch.dimension == 2 or (epoch.dimension < 2 and epoch.alt_m is None)
        lat, lon = positions[-1]
        return Fix(
            mode="2d" if flat else "3d",
            lat=round(lat, 8),
            lon=round(lon, 8),
            time=moment,
            alt_m=None if flat else epoch.alt_m,
            satellites=epoch.satellites,
            hdop=epoch.hdop,
            error_m=epoch.error_m,
            speed_mps=epoch.speed_mps,
            course_deg=epoch.course_deg,
        )

    def _take_date(self, message: Message, moment: timedelta | None) -> None:
        found = message.get("date")
        if found is None and message.get("year"):
            try:
                found = date(int(message["year"]), int(message["month"]), int(message["day"]))
            except (ValueError, KeyError, TypeError):
                found = None
        if isinstance(found, date):
            self._date, self._date_at = found, moment

    def _moment(self, time_of_day: timedelta | None) -> datetime | None:
        """UTC of the epoch, with the last date that the receiver said, carried over midnight."""
        if time_of_day is None or self._date is None:
            return None
        day = self._date
        if self._date_at is not None and self._date_at - time_of_day > timedelta(hours=12):
            day += timedelta(days=1)
        return datetime.combine(day, time(0), UTC) + time_of_day


class Nmea(SerialLine):
    """A GNSS receiver or boat instrument that speaks NMEA 0183."""

    kind: Literal["nmea"] = "nmea"
    baud: int = 4800

    def decoder(self) -> NmeaDecoder:
        return NmeaDecoder()


def encode(fix: Fix) -> bytes:
    """A receiver's epoch for ``fix``: RMC, GGA and GSA, each with checksum and line end."""
    at = fix.time or datetime(2026, 1, 1, tzinfo=UTC)
    clock, day = f"{at:%H%M%S}.{at.microsecond // 10000:02d}", f"{at:%d%m%y}"
    known = fix.mode != "none" and fix.lat is not None and fix.lon is not None
    where = _degrees(fix.lat or 0.0, "NS", 2) + "," + _degrees(fix.lon or 0.0, "EW", 3) if known else ",,,"
    speed = "" if fix.speed_mps is None else f"{fix.speed_mps / KNOT_MPS:.3f}"
    course = "" if fix.course_deg is None else f"{fix.course_deg:.2f}"
    satellites = f"{fix.satellites or 0:02d}"
    hdop = "" if fix.hdop is None else f"{fix.hdop:.2f}"
    altitude = "" if fix.alt_m is None else f"{fix.alt_m:.2f}"
    dimension = {"none": 1, "2d": 2, "3d": 3}[fix.mode]
    return b"".join(
        seal(body)
        for body in (
            f"GNRMC,{clock},{'A' if known else 'V'},{where},{speed},{course},{day},,,{'A' if known else 'N'}",
            f"GNGGA,{clock},{where},{int(known)},{satellites},{hdop},{altitude},M,,M,,",
            f"GNGSA,A,{dimension},,,,,,,,,,,,,,{hdop},",
        )
    )


def seal(body: str) -> bytes:
    """A sentence on the wire: ``$body*hh`` and a line end."""
    checksum = 0
    for byte in body.encode("ascii"):
        checksum ^= byte
    return f"${body}*{checksum:02X}\r\n".encode("ascii")


def _degrees(value: float, sides: str, width: int) -> str:
    whole, minutes = divmod(round(abs(value) * 60, 5), 60)
    return f"{int(whole):0{width}d}{minutes:08.5f},{sides[value < 0]}"


def _parse(sentence: bytes) -> Message | None:
    """The sentence's fields by pynmeagps' names; short sentences lack the last ones."""
    from pynmeagps import NMEAReader
    from pynmeagps.exceptions import NMEAMessageError, NMEAParseError, NMEATypeError

    try:
        parsed = NMEAReader.parse(sentence + b"\r\n", validate=0)
        return dict(parsed.__dict__)
    except (NMEAMessageError, NMEAParseError, NMEATypeError, ValueError, IndexError, KeyError, TypeError):
        return None


def _time_of_day(fields: list[str], kind: str) -> timedelta | None:
    """The sentence's UTC time; 23:59:60 is one."""
    index = _TIME_FIELD.get(kind)
    found = _TIME.match(fields[index]) if index is not None and index < len(fields) else None
    if found is None:
        return None
    hours, minutes, seconds = int(found[1]), int(found[2]), float(found[3] + (found[4] or ""))
    if hours > 23 or minutes > 59 or seconds >= 61:
        return None
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _position(message: Message, texts: list[str]) -> tuple[float, float] | None:
    """Latitude and longitude where both are whole and can be: ranges, minutes below 60, not 0/0."""
    lat, lon = _number(message.get("lat")), _number(message.get("lon"))
    if lat is None or lon is None or not message.get("NS") or not message.get("EW"):
        return None
    if abs(lat) > 90 or abs(lon) > 180 or (lat == 0 and lon == 0):
        return None
    if any(float(text) % 100 >= 60 for text in texts[::2]):  # ddmm.mmmm, N, dddmm.mmmm
        return None
    return lat, lon


def _later(one: timedelta, other: timedelta) -> bool:
    """Whether time of day ``one`` is the later, also over midnight."""
    return timedelta(0) < (one - other) % timedelta(days=1) < timedelta(hours=12)


def _agree(positions: list[tuple[float, float]]) -> bool:
    first = positions[0]
    return all(
        math.hypot(lat - first[0], (lon - first[1]) * math.cos(math.radians(first[0]))) * 111_320 <= AGREE_M
        for lat, lon in positions[1:]
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _whole(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _scaled(value: Any, factor: float) -> float | None:
    number = _number(value)
    return None if number is None else round(number * factor, 3)
