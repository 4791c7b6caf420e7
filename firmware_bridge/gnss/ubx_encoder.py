"""The UBX messages that a u-blox receiver sends for a `Fix`, for simulators and tests. Pure."""

import struct
from datetime import UTC, datetime, timedelta

from firmware_bridge.epoch import NOT_BEFORE, Satellite
from firmware_bridge.gnss import rf_status
from firmware_bridge.gnss.ubx_decoder import _PVT, DOP, EOE, GPS_EPOCH, LEAP_S, NAV, PVT, SAT
from firmware_bridge.readings import Fix, GnssState


def frame(kind: int, payload: bytes, family: int = NAV) -> bytes:
    """A message on the wire."""
    body = struct.pack("<BBH", family, kind, len(payload)) + payload
    first = second = 0
    for byte in body:
        first = (first + byte) & 0xFF
        second = (second + first) & 0xFF
    return b"\xb5\x62" + body + bytes((first, second))


def encode(fix: Fix, sky: tuple[Satellite, ...] = (), state: GnssState | None = None) -> bytes:
    """A receiver's epoch for ``fix``: NAV-PVT, DOP, SAT and EOE; MON-RF and SEC-SIG for ``state``."""
    at = fix.time or datetime.combine(NOT_BEFORE, datetime.min.time(), UTC)
    tow_ms = round((at - GPS_EPOCH + timedelta(seconds=LEAP_S)) / timedelta(milliseconds=1)) % 604_800_000
    known = fix.mode != "none" and fix.lat is not None and fix.lon is not None
    mode = {"none": 0, "2d": 2, "3d": 3}[fix.mode]
    alt_mm, error_mm = round((fix.alt_m or 0) * 1000), round((fix.error_m or 0) * 1000)
    payload = _PVT.pack(
        tow_ms, at.year, at.month, at.day, at.hour, at.minute, at.second, 7, 30, at.microsecond * 1000,
        mode, int(known), 0, fix.satellites or 0, round((fix.lon or 0) * 1e7), round((fix.lat or 0) * 1e7),
        alt_mm, alt_mm, error_mm or 0xFFFFFFFF, error_mm or 0xFFFFFFFF, 0, 0, 0,
        round((fix.speed_mps or 0) * 1000), round((fix.course_deg or 0) * 1e5), 100, 18_000_000, 9999,
        int(not known),
    )  # fmt: skip
    frames = [frame(PVT, payload.ljust(92, b"\0"))]
    if fix.hdop is not None:
        frames.append(frame(DOP, struct.pack("<I7H", tow_ms, 0, 0, 0, 0, round(fix.hdop * 100), 0, 0)))
    if sky:
        entries = b"".join(
            struct.pack(
                "<3Bbhhi", ("GP", "SB", "GA", "GB", "IM", "GQ", "GL").index(one.talker), one.number,
                one.cn0_dbhz or 0, one.elevation_deg, one.azimuth_deg, 0, one.used << 3,
            )
            for one in sky
        )  # fmt: skip
        frames.append(frame(SAT, struct.pack("<IBBH", tow_ms, 1, len(sky), 0) + entries))
    if state is not None:
        frames += [frame(kind, payload, family) for family, kind, payload in rf_status.encode(state)]
    return b"".join([*frames, frame(EOE, struct.pack("<I", tow_ms))])
