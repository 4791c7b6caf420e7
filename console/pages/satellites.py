"""Satellites in the sky, from the raw bytes of a receiver: GSV sentences of NMEA and UBX NAV-SAT. Pure."""

import re
import struct
from dataclasses import dataclass
from typing import Final

KEPT_BYTES = 8192
FORGET_S = 15.0
"""A satellite that no message names for so long has set."""
_GSV = re.compile(rb"\$(G[A-Z]GSV,[^*\r\n$]{4,90})\*([0-9A-F]{2})")
_UBX_SAT = b"\xb5\x62\x01\x35"
_TALKERS: Final = {
    "GP": "GPS",
    "GL": "GLONASS",
    "GA": "Galileo",
    "GB": "BeiDou",
    "BD": "BeiDou",
    "GQ": "QZSS",
}
_UBX_SYSTEMS: Final = {0: "GPS", 1: "SBAS", 2: "Galileo", 3: "BeiDou", 5: "QZSS", 6: "GLONASS"}


@dataclass(frozen=True, slots=True)
class Satellite:
    """Direction in degrees (azimuth from north, clockwise), and C/N0 in dBHz (0: none)."""

    system: str
    number: int
    elevation_deg: int
    azimuth_deg: int
    cn0_dbhz: int
    seen_s: float


class Sky:
    """The satellites that the bytes so far name."""

    def __init__(self) -> None:
        self._buffer = b""
        self._satellites: dict[tuple[str, int], Satellite] = {}

    def take(self, data: bytes, now_s: float) -> None:
        """Takes the next bytes of a line; what is damaged is left out."""
        self._buffer = (self._buffer + data)[-KEPT_BYTES:]
        used = 0
        for found in _GSV.finditer(self._buffer):
            used = found.end()
            if _checksum(found[1]) == int(found[2], 16):
                self._take_gsv(found[1].decode("ascii", "replace").split(","), now_s)
        used = max(used, self._take_ubx(now_s))
        self._buffer = self._buffer[used:]

    def satellites(self, now_s: float) -> list[Satellite]:
        """Those named lately, the strongest first."""
        found = [one for one in self._satellites.values() if now_s - one.seen_s <= FORGET_S]
        return sorted(found, key=lambda one: (-one.cn0_dbhz, one.system, one.number))

    def _take_gsv(self, fields: list[str], now_s: float) -> None:
        system = _TALKERS.get(fields[0][:2], "GNSS")
        for at in range(4, len(fields) - 3, 4):
            number, elevation, azimuth, cn0 = fields[at : at + 4]
            if number.isdigit() and elevation.isdigit() and azimuth.isdigit():
                level = int(cn0) if cn0.isdigit() else 0
                self._add(system, int(number), int(elevation), int(azimuth), level, now_s)

    def _take_ubx(self, now_s: float) -> int:
        """The end of the last whole message."""
        end, start = 0, self._buffer.find(_UBX_SAT)
        while start >= 0 and len(self._buffer) >= start + 6:
            length = int.from_bytes(self._buffer[start + 4 : start + 6], "little")
            stop = start + 8 + length
            if length > KEPT_BYTES - 8 or len(self._buffer) >= stop:
                body = self._buffer[start + 2 : stop - 2]
                if _fletcher(body) == self._buffer[stop - 2 : stop]:
                    self._take_sat(body[4:], now_s)
                    end = stop
                start = self._buffer.find(_UBX_SAT, start + 4)
            else:
                break
        return end

    def _take_sat(self, payload: bytes, now_s: float) -> None:
        for at in range(8, len(payload) - 11, 12):
            system, number, cn0, elevation, azimuth = struct.unpack_from("<BBBbh", payload, at)
            if 0 <= elevation <= 90 and 0 <= azimuth <= 360:
                name = _UBX_SYSTEMS.get(system, "GNSS")
                self._add(name, number, elevation, azimuth, cn0, now_s)

    def _add(self, system: str, number: int, elevation: int, azimuth: int, cn0: int, now_s: float) -> None:
        if elevation > 90 or azimuth > 360 or cn0 > 99:
            return
        before = self._satellites.get((system, number))
        if before is not None and now_s - before.seen_s < 1.0:  # another signal of the same satellite
            cn0 = max(cn0, before.cn0_dbhz)
        self._satellites[system, number] = Satellite(system, number, elevation, azimuth, cn0, now_s)


def _checksum(body: bytes) -> int:
    checksum = 0
    for byte in body:
        checksum ^= byte
    return checksum


def _fletcher(body: bytes) -> bytes:
    first = second = 0
    for byte in body:
        first = (first + byte) & 0xFF
        second = (second + first) & 0xFF
    return bytes((first, second))
