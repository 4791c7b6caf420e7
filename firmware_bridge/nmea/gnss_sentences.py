"""The fields of each GNSS sentence of NMEA 0183, added to the epoch of its receiver. Pure."""

import math
import re
from collections.abc import Callable
from typing import Literal, TypeAlias

from firmware_bridge.nmea.fixes import FixAssembler
from firmware_bridge.nmea.sentence import clock_ms, number, position
from firmware_bridge.readings import GnssState, Value

Fields: TypeAlias = list[bytes]


SentenceHandler: TypeAlias = Callable[[FixAssembler, Fields], list[Value]]


VALID_QUALITY = frozenset({1, 2, 3, 4, 5, 9})
"""GGA: GPS, DGPS, PPS, RTK fixed, RTK float; 9 is NovAtel's for SBAS."""


INVALID_QUALITY = frozenset({0, 6, 7, 8})
"""None, estimated, manual, simulated. Any other quality says nothing about the fix."""


INVALID_MODE = (b"N", b"E", b"M", b"S")
"""RMC, GLL, GNS mode: not valid, estimated, manual, simulated."""


ANTENNA: dict[bytes, Literal["ok", "short", "open"]] = {b"OK": "ok", b"SHORT": "short", b"OPEN": "open"}


_ANTENNA = re.compile(rb"ANT(?:STATUS=|ENNA )(OK|SHORT|OPEN)").search


def take_rmc(fixes: FixAssembler, fields: Fields) -> list[Value]:
    ms = clock_ms(fields[1])
    values = fixes.advance(b"RMC", ms)
    fixes.set_date(fields[9], ms)
    if _add_position(fixes, fields[3:7], _rmc_valid(fields)):
        fixes.set_velocity(fields[7], fields[8])
    fixes.note_repeatable(b"RMC", number(fields[7], 0.0, 2000.0))
    return values + fixes.close(b"RMC")


def take_gga(fixes: FixAssembler, fields: Fields) -> list[Value]:
    values = fixes.advance(b"GGA", clock_ms(fields[1]))
    valid = _gga_valid(fields)
    if valid is not None:
        _take_position_and_quality(fixes, fields, valid)
    return values + fixes.close(b"GGA")


def take_gns(fixes: FixAssembler, fields: Fields) -> list[Value]:
    values = fixes.advance(b"GNS", clock_ms(fields[1]))
    _take_position_and_quality(fixes, fields, _gns_valid(fields))
    return values + fixes.close(b"GNS")


def _take_position_and_quality(fixes: FixAssembler, fields: Fields, valid: bool) -> None:
    if not _add_position(fixes, fields[2:6], valid):
        return
    epoch, used = fixes.epoch, int(number(fields[7], 0, 200) or 0)
    epoch.satellites = (
        max(used, epoch.satellites or 0) or None
    )  # a fix from none: some plotters omit the number
    epoch.hdop = number(fields[8], 0.0, 99.0) or None
    epoch.alt_m = number(fields[9], -1000.0, 100_000.0)
    fixes.note_repeatable(b"GGA", epoch.hdop)


def take_gll(fixes: FixAssembler, fields: Fields) -> list[Value]:
    ms = clock_ms(fields[5])
    values = fixes.advance(b"GLL", ms)
    if ms != fixes.epoch.ms:  # a late GLL belongs to another epoch
        return values
    _add_position(fixes, fields[1:5], _gll_valid(fields))
    return values + fixes.close(b"GLL")


def _rmc_valid(fields: Fields) -> bool:
    return fields[2] == b"A" and (len(fields) < 13 or fields[12][:1] not in INVALID_MODE)


def _gga_valid(fields: Fields) -> bool | None:
    """None for an unknown quality."""
    quality = int(fields[6]) if fields[6].isdigit() and len(fields[6]) < 4 else None
    return True if quality in VALID_QUALITY else False if quality in INVALID_QUALITY else None


def _gns_valid(fields: Fields) -> bool:
    """GNS has a letter for each constellation in place of GGA's quality."""
    return any(bytes((letter,)) not in INVALID_MODE for letter in fields[6])


def _gll_valid(fields: Fields) -> bool:
    return fields[6] == b"A" and (len(fields) < 8 or fields[7][:1] not in INVALID_MODE)


VALIDITY: dict[bytes, tuple[int, Callable[[Fields], bool | None]]] = {
    b"RMC": (3, _rmc_valid), b"GGA": (2, _gga_valid), b"GNS": (2, _gns_valid), b"GLL": (1, _gll_valid),
}  # fmt: skip
"""The index of a sentence's position, and whether the sentence flags a fix."""


def _add_position(fixes: FixAssembler, fields: Fields, valid: bool) -> bool:
    """Adds the position in four fields; a valid sentence with an empty field has no position, and is not
    damaged.
    """
    return (not valid or all(fields)) and fixes.add_position(position(*fields), valid)


def take_gsa(fixes: FixAssembler, fields: Fields) -> list[Value]:
    hdop = number(fields[16], 0.0, 99.0) or None
    values = fixes.on_untimed(b"GSA", shows=(b"GGA", hdop))
    epoch = fixes.untimed_epoch()
    epoch.dimension = max(epoch.dimension, int(fields[2]) if fields[2] in (b"1", b"2", b"3") else 0)
    epoch.listed += sum(map(bool, fields[3:15]))
    epoch.gsa_count += 1
    if epoch.hdop is None:
        epoch.hdop = hdop
    return values + fixes.close((b"GSA", epoch.gsa_count))


def take_gst(fixes: FixAssembler, fields: Fields) -> list[Value]:
    ms = clock_ms(fields[1])
    values = fixes.on_untimed(b"GST", ms)
    north, east = number(fields[6], 0.0, 10_000.0), number(fields[7], 0.0, 10_000.0)
    if north is not None and east is not None:
        fixes.error = ms, round(math.hypot(north, east), 2)
    return values + fixes.close(b"GST")


def take_vtg(fixes: FixAssembler, fields: Fields) -> list[Value]:
    if len(fields) < 7 or fields[2] != b"T":
        return []
    values = fixes.on_untimed(b"VTG", shows=(b"RMC", number(fields[5], 0.0, 2000.0)))
    fixes.set_velocity(fields[5], fields[1])
    return values + fixes.close(b"VTG")


def take_zda(fixes: FixAssembler, fields: Fields) -> list[Value]:
    ms = clock_ms(fields[1]) if len(fields) > 1 else None
    if (
        len(fields) > 4
    ):  # also for an epoch that it ends: a date is valid half a day before and after its time
        fixes.set_date(fields[2] + fields[3] + fields[4][2:], ms)
    values = fixes.on_untimed(b"ZDA", ms)
    return values + fixes.close(b"ZDA")


def take_gsv(fixes: FixAssembler, fields: Fields) -> list[Value]:
    seen = fields[3] if len(fields) > 3 else b""
    if seen.isdigit() and len(seen) < 3:
        signal = fields[-1] if len(fields) % 4 == 1 else b""  # since 4.10 each signal has its own GSV
        cn0s = [int(cn0) for cn0 in fields[7::4] if len(cn0) == 2 and cn0.isdigit() and cn0 != b"00"]
        fixes.sky(fields[0][1:3] + signal, int(seen), fields[2] in (b"1", b"01"), cn0s)
    return []


def take_txt(_: FixAssembler, fields: Fields) -> list[Value]:
    """u-blox sends ``ANTSTATUS=OPEN``, MediaTek ``ANTENNA OPEN``."""
    found = _ANTENNA(fields[4]) if len(fields) > 4 else None
    return [] if found is None else [GnssState(antenna=ANTENNA[found[1]])]
