"""UBX messages of a u-blox receiver: frames in, one `Fix` an epoch out. Pure."""

import struct
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from firmware_bridge.epoch import EpochBoundary, unroll
from firmware_bridge.gnss import rf_status
from firmware_bridge.gnss.rf_status import RfStatus
from firmware_bridge.gnss.ubx_epoch import UbxEpoch, add_satellites, add_validity
from firmware_bridge.readings import Fix, Value
from firmware_bridge.wgs84 import from_earth_centred

NAV = 0x01


HNR_PVT = (0x28, 0x00)


POSLLH, STATUS, DOP, SOL, PVT, VELNED, TIMEGPS, TIMEUTC, SVINFO, SAT, EOE = (
    0x02, 0x03, 0x04, 0x06, 0x07, 0x12, 0x20, 0x21, 0x30, 0x35, 0x61,
)  # fmt: skip


LEAP_S = 18
"""GPS has been ahead of UTC by this much since 2017, until the receiver reports another value."""


GPS_EPOCH = datetime(1980, 1, 6, tzinfo=UTC)


REMEMBERED_HNR = 64
"""Fixes of HNR that are remembered: NAV reports the same epoch up to a second later, repeated or
corrected."""


NAV_VALID_MS = 5000
"""NAV's satellites and HDOP stay valid this long for the fixes of HNR."""


WEEK_MS = 604_800_000


_PVT = struct.Struct("<IH6BIi4B4i2I5i2IHB")


_HNR = struct.Struct("<IH6Bi2B2x8i4I4x")


class UbxDecoder:
    """Frames with a valid checksum in, values out. ``not_before``: see `Ubx`; without it times are
    unchanged.
    """

    framings = ("ubx",)

    def __init__(self, not_before: date | None = None) -> None:
        self.bad = 0
        self._not_before = not_before
        self._epoch: UbxEpoch | None = None
        self._cycle = EpochBoundary()
        self._leap_s = LEAP_S
        self._rf_status = RfStatus()
        self._hnr_reported: OrderedDict[int, tuple[float | None, float | None]] = OrderedDict()
        self._nav_values: tuple[int, dict[str, Any]] = 0, {}  # NAV's time, and its values for HNR
        self._messages: dict[tuple[int, int], tuple[int, Callable[[UbxEpoch, bytes], None]]] = {
            (NAV, PVT): (84, self._pvt), (NAV, POSLLH): (28, self._posllh), (NAV, SOL): (52, self._sol),
            (NAV, STATUS): (16, self._status), (NAV, DOP): (18, self._dop), (NAV, VELNED): (36, self._velned),
            (NAV, TIMEGPS): (16, self._timegps), (NAV, TIMEUTC): (20, self._timeutc),
            (NAV, SVINFO): (8, self._svinfo), (NAV, SAT): (8, self._sat), (NAV, EOE): (4, lambda *_: None),
        }  # fmt: skip
        """By class and id: the shortest payload (newer receivers send more, never less), and its handler."""

    def feed(self, frame: bytes) -> list[Value]:
        """An epoch's fix, with the message that usually ends it, or at the latest when the next begins."""
        if len(frame) < 8:
            return []
        kind, payload = (frame[2], frame[3]), frame[6:-2]
        if kind in rf_status.KINDS:
            self._rf_status.feed(kind, payload)
            return []
        if kind == HNR_PVT:
            return self._hnr(payload)
        if kind not in self._messages:
            return []
        least, take = self._messages[kind]
        if len(payload) < least:
            self.bad += 1
            return []
        tow_ms = int.from_bytes(payload[:4], "little")
        values: list[Value] = []
        if self._epoch is None or self._epoch.tow_ms != tow_ms:
            values = self.pause()
            self._epoch = UbxEpoch(tow_ms)
        elif self._epoch.reported and kind != (NAV, EOE):
            self._cycle.mistaken()
        take(self._epoch, payload)
        closes = self._cycle.closes(kind)
        if not self._epoch.reported and (kind == (NAV, EOE) or closes):
            values += self._report(self._epoch)
        return values

    def pause(self) -> list[Value]:
        """The line is silent, or ended: the fix of the epoch so far, once."""
        if self._epoch is None or self._epoch.reported:
            return self._rf_status.take_state()
        self._cycle.ended()
        return self._report(self._epoch)

    def replies(self) -> bytes:
        """Nothing: receive-only."""
        return b""

    def _report(self, epoch: UbxEpoch) -> list[Value]:
        epoch.reported = True
        if not epoch.has_validity:
            return self._rf_status.take_state()
        names = ("satellites", "satellites_seen", "cn0_dbhz", "hdop")
        self._nav_values = epoch.tow_ms, {name: epoch.known[name] for name in names if name in epoch.known}
        fix = self._fix(epoch)
        again = self._hnr_reported.get(epoch.tow_ms) == (fix.lat, fix.lon)
        return [*([] if again else [fix]), *self._rf_status.take_state()]

    def _fix(self, epoch: UbxEpoch) -> Fix:
        moment, weeks = epoch.time or self._gps_time(epoch), None
        if moment is not None:
            moment, weeks = unroll(moment, self._not_before)
        sky = {key: epoch.known[key] for key in ("satellites_seen", "cn0_dbhz") if key in epoch.known}
        if epoch.rejected or epoch.mode is None or epoch.position is None:
            return Fix(mode="none", time=moment, rollover_weeks=weeks, **sky)
        lat, lon = epoch.position
        known = epoch.known if epoch.mode == "3d" else epoch.known | {"alt_m": None}
        return Fix(mode=epoch.mode, lat=lat, lon=lon, time=moment, rollover_weeks=weeks, **known)

    def _hnr(self, payload: bytes) -> list[Value]:
        """A whole epoch in one message, ahead of NAV's."""
        if len(payload) < _HNR.size:
            self.bad += 1
            return []
        fields = _HNR.unpack_from(payload)
        epoch = UbxEpoch(fields[0])
        if epoch.tow_ms in self._hnr_reported or (
            self._epoch and self._epoch.reported and self._epoch.tow_ms == epoch.tow_ms
        ):
            return []
        since_ms, slow = self._nav_values
        if (epoch.tow_ms - since_ms) % WEEK_MS <= NAV_VALID_MS:
            epoch.known |= slow
        valid, nano, mode, flags, lon, lat, _, alt_mm, speed_mmps, _, course = fields[7:18]
        if valid & 3 == 3:
            epoch.time = self._moment(list(fields[1:7]), nano)
        add_validity(epoch, mode, flags)
        self._set_velocity(epoch, speed_mmps / 1000, course)
        if not epoch.rejected:
            self._set_position(epoch, lat, lon, alt_mm, fields[19])
        fix = self._fix(epoch)
        self._hnr_reported[epoch.tow_ms] = fix.lat, fix.lon
        if len(self._hnr_reported) > REMEMBERED_HNR:
            self._hnr_reported.popitem(last=False)
        return [fix]

    # The messages.

    def _pvt(self, epoch: UbxEpoch, payload: bytes) -> None:
        fields = _PVT.unpack_from(payload)
        valid, nano, mode, flags, satellites = fields[7], fields[9], fields[10], fields[11], fields[13]
        lon, lat, _, alt_mm, error_mm = fields[14:19]
        if valid & 3 == 3:  # date and time
            epoch.time = self._moment(list(fields[1:7]), nano)
        add_validity(epoch, mode, flags)
        epoch.known["satellites"] = satellites if 0 < satellites < 200 else None
        self._set_velocity(epoch, fields[23] / 1000, fields[24])
        if not epoch.rejected:
            self._set_position(epoch, lat, lon, alt_mm, error_mm)

    def _posllh(self, epoch: UbxEpoch, payload: bytes) -> None:
        lon, lat, _, alt_mm, error_mm = struct.unpack_from("<4iI", payload, 4)
        self._set_position(epoch, lat, lon, alt_mm, error_mm)

    def _status(self, epoch: UbxEpoch, payload: bytes) -> None:
        add_validity(epoch, payload[4], payload[5])
        self._rf_status.update(spoofing=payload[7] >> 3 & 3)

    def _sol(self, epoch: UbxEpoch, payload: bytes) -> None:
        flags = payload[11]
        add_validity(epoch, payload[10], flags)
        if flags & 12 == 12:  # week and time of week are known
            epoch.week = struct.unpack_from("<H", payload, 8)[0]
        epoch.known["satellites"] = payload[47] if 0 < payload[47] < 200 else None
        if not epoch.rejected and epoch.position is None:
            x_cm, y_cm, z_cm, error_cm = struct.unpack_from("<3iI", payload, 12)
            epoch.position = from_earth_centred(x_cm / 100, y_cm / 100, z_cm / 100)
            if epoch.position is None:
                self.bad += 1
                epoch.rejected = True
            elif error_cm < 10_000_000:
                epoch.known.setdefault("error_m", error_cm / 100)

    def _dop(self, epoch: UbxEpoch, payload: bytes) -> None:
        hdop = struct.unpack_from("<H", payload, 12)[0] / 100
        epoch.known["hdop"] = hdop if 0 < hdop < 99 else None

    def _velned(self, epoch: UbxEpoch, payload: bytes) -> None:
        speed_cm, course = struct.unpack_from("<Ii", payload, 20)
        self._set_velocity(epoch, speed_cm / 100, course)

    def _timegps(self, epoch: UbxEpoch, payload: bytes) -> None:
        week, leap_s, valid = struct.unpack_from("<HbB", payload, 8)
        if valid & 3 == 3:
            epoch.week = week
        if valid & 4:
            self._leap_s = leap_s

    def _timeutc(self, epoch: UbxEpoch, payload: bytes) -> None:
        if payload[19] & 4:  # the leap seconds are known
            nano, *clock = struct.unpack_from("<iH5B", payload, 8)
            epoch.time = self._moment(clock, nano)

    def _svinfo(self, epoch: UbxEpoch, payload: bytes) -> None:
        add_satellites(epoch, payload[12::12], payload[13::12])

    def _sat(self, epoch: UbxEpoch, payload: bytes) -> None:
        add_satellites(epoch, payload[10::12], payload[11::12])

    def _set_position(self, epoch: UbxEpoch, lat: int, lon: int, alt_mm: int, error_mm: int) -> None:
        """Sets a valid position; a position out of range, or 0/0, rejects the epoch."""
        if abs(lat) > 900_000_000 or abs(lon) > 1_800_000_000 or (lat == 0 and lon == 0):
            self.bad += 1
            epoch.rejected = True
            return
        epoch.position = (lat / 1e7, lon / 1e7)
        epoch.known["alt_m"] = alt_mm / 1000 if -1_000_000 < alt_mm < 100_000_000 else None
        epoch.known["error_m"] = error_mm / 1000 if error_mm < 100_000_000 else None

    def _set_velocity(self, epoch: UbxEpoch, speed_mps: float, course_1e5: int) -> None:
        if 0 <= speed_mps <= 1000 and abs(course_1e5) <= 36_000_000:
            epoch.known["speed_mps"] = speed_mps
            epoch.known["course_deg"] = round(course_1e5 / 1e5 % 360, 2)

    def _moment(self, clock: list[int], nano: int) -> datetime | None:
        """UTC to the millisecond, as in the same receiver's NMEA."""
        year, month, day, hour, minute, second = clock
        try:
            if not 1980 <= year < 2100 or second > 60:
                raise ValueError(f"the year {year} is invalid")
            start = datetime(year, month, day, hour, minute, tzinfo=UTC)
            return start + timedelta(seconds=second, milliseconds=round(nano / 1e6))
        except (ValueError, OverflowError):
            self.bad += 1
            return None

    def _gps_time(self, epoch: UbxEpoch) -> datetime | None:
        if epoch.week is None or epoch.tow_ms >= WEEK_MS:
            return None
        return GPS_EPOCH + timedelta(weeks=epoch.week, milliseconds=epoch.tow_ms, seconds=-self._leap_s)
