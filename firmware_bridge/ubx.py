"""GNSS over u-blox UBX: frames in, one `Fix` an epoch out, gated by the receiver's own validity flags.

    B5 62 class id length(2, little endian) payload checksum(2)     class 01 is NAV; iTOW names the epoch
    07 PVT      all of it in one message
    02 POSLLH   position: no fix unless 03 STATUS or 06 SOL of the same epoch says so
    04 DOP   12 VELNED   21 TIMEUTC   61 EOE, the epoch's end

Source: u-blox M8 and F9 interface descriptions, and gpsd's regression logs.
"""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from firmware_bridge.line import SerialLine
from firmware_bridge.readings import Fix, Value

NAV = 0x01
POSLLH, STATUS, DOP, SOL, PVT, VELNED, TIMEUTC, EOE = 0x02, 0x03, 0x04, 0x06, 0x07, 0x12, 0x21, 0x61
SHORTEST = {POSLLH: 28, STATUS: 16, DOP: 18, SOL: 52, PVT: 84, VELNED: 36, TIMEUTC: 20, EOE: 4}
"""Bytes of payload; newer receivers may send more, never fewer."""
MODES: dict[int, Literal["2d", "3d"]] = {2: "2d", 3: "3d", 4: "3d"}
"""gpsFix: 1 is dead reckoning alone and 5 time alone, which are no live position."""

_PVT = struct.Struct("<IH6BIi4B4i2I5i")


@dataclass(slots=True)
class _Epoch:
    """What the messages of one epoch say together."""

    tow_ms: int
    judged: bool = False
    refused: bool = False
    mode: Literal["2d", "3d"] | None = None
    position: tuple[float, float] | None = None
    time: datetime | None = None
    alt_m: float | None = None
    satellites: int | None = None
    hdop: float | None = None
    error_m: float | None = None
    speed_mps: float | None = None
    course_deg: float | None = None


class UbxDecoder:
    """Checked frames in, values out. ``bad`` counts those whose content cannot be."""

    framings = ("ubx",)

    def __init__(self) -> None:
        self.bad = 0
        self._epoch: _Epoch | None = None

    def feed(self, frame: bytes) -> list[Value]:
        """The fix of the epoch before, when this frame begins another or ends it."""
        kind, payload = frame[3], frame[6:-2]
        if frame[2] != NAV or kind not in SHORTEST:
            return []
        if len(payload) < SHORTEST[kind]:
            self.bad += 1
            return []
        (tow_ms,) = struct.unpack_from("<I", payload)
        over = self._epoch is not None and self._epoch.tow_ms != tow_ms
        values = self.pause() if over or kind == EOE else []
        if kind != EOE:
            if self._epoch is None:
                self._epoch = _Epoch(tow_ms)
            self._take(self._epoch, kind, payload)
        return values

    def pause(self) -> list[Value]:
        """The line fell quiet, or ended: the fix of the epoch so far, once."""
        epoch, self._epoch = self._epoch, None
        if epoch is None or not epoch.judged:
            return []
        if epoch.refused or epoch.mode is None or epoch.position is None:
            return [Fix(mode="none", time=epoch.time)]
        lat, lon = epoch.position
        return [
            Fix(
                mode=epoch.mode,
                lat=lat,
                lon=lon,
                time=epoch.time,
                alt_m=epoch.alt_m if epoch.mode == "3d" else None,
                satellites=epoch.satellites,
                hdop=epoch.hdop,
                error_m=epoch.error_m,
                speed_mps=epoch.speed_mps,
                course_deg=epoch.course_deg,
            )
        ]

    def replies(self) -> bytes:
        """Nothing: it only listens."""
        return b""

    def _take(self, epoch: _Epoch, kind: int, payload: bytes) -> None:
        if kind == PVT:
            self._take_pvt(epoch, payload)
        elif kind == POSLLH:
            lon, lat, _, alt_mm, error_mm = struct.unpack_from("<4iI", payload, 4)
            self._place(epoch, lat, lon, alt_mm, error_mm)
        elif kind == STATUS:
            _judge(epoch, payload[4], payload[5])
        elif kind == SOL:
            _judge(epoch, payload[10], payload[11])
            epoch.satellites = payload[47]
        elif kind == DOP:
            epoch.hdop = struct.unpack_from("<H", payload, 12)[0] / 100
        elif kind == VELNED:
            speed, course = struct.unpack_from("<Ii", payload, 20)  # cm/s, 1e-5 degrees
            epoch.speed_mps, epoch.course_deg = speed / 100, round(course / 1e5, 2)
        elif payload[19] & 4:  # TIMEUTC with its leap seconds known
            nano, *clock = struct.unpack_from("<iH5B", payload, 8)
            epoch.time = self._moment(clock, nano)

    def _take_pvt(self, epoch: _Epoch, payload: bytes) -> None:
        fields = _PVT.unpack_from(payload)
        valid, nano, mode, flags, satellites = fields[7], fields[9], fields[10], fields[11], fields[13]
        lon, lat, _, alt_mm, error_mm = fields[14:19]
        if valid & 3 == 3:  # date and time
            epoch.time = self._moment(list(fields[1:7]), nano)
        _judge(epoch, mode, flags)
        epoch.satellites = satellites
        epoch.speed_mps, epoch.course_deg = fields[23] / 1000, round(fields[24] / 1e5, 2)
        if not epoch.refused:
            self._place(epoch, lat, lon, alt_mm, error_mm)

    def _place(self, epoch: _Epoch, lat: int, lon: int, alt_mm: int, error_mm: int) -> None:
        """Takes a position that can be; one out of range, or 0/0, refuses the epoch."""
        if abs(lat) > 900_000_000 or abs(lon) > 1_800_000_000 or (lat == 0 and lon == 0):
            self.bad += 1
            epoch.refused = True
            return
        epoch.position = (lat / 1e7, lon / 1e7)
        epoch.alt_m, epoch.error_m = alt_mm / 1000, error_mm / 1000

    def _moment(self, clock: list[int], nano: int) -> datetime | None:
        year, month, day, hour, minute, second = clock
        try:
            start = datetime(year, month, day, hour, minute, tzinfo=UTC)
            return start + timedelta(seconds=second, microseconds=round(nano / 1000))
        except (ValueError, OverflowError):
            self.bad += 1
            return None


class Ubx(SerialLine):
    """A u-blox receiver that speaks UBX."""

    kind: Literal["ubx"] = "ubx"
    baud: int = 9600

    def decoder(self) -> UbxDecoder:
        return UbxDecoder()


def encode(kind: int, payload: bytes) -> bytes:
    """A NAV frame on the wire."""
    body = struct.pack("<BBH", NAV, kind, len(payload)) + payload
    first = second = 0
    for byte in body:
        first = (first + byte) & 0xFF
        second = (second + first) & 0xFF
    return b"\xb5\x62" + body + bytes((first, second))


def _judge(epoch: _Epoch, mode: int, flags: int) -> None:
    """What one message says about the fix; a single no is enough."""
    epoch.judged = True
    if not flags & 1 or mode not in MODES:
        epoch.refused = True
    elif epoch.mode != "2d":
        epoch.mode = MODES[mode]
