"""gpsd's JSON objects: lines in, one `Fix` for each TPV out. Pure."""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

from firmware_bridge.epoch import unroll
from firmware_bridge.gnss.gpsd_status import GpsdRfStatus, ReceiverSelection
from firmware_bridge.readings import Fix, Value

MAX_LINE = 64 * 1024
"""Longer than any line of gpsd."""


SKY_VALID_OBJECTS = 40
"""Objects for which the last SKY stays valid."""


INVALID_STATUS = frozenset({5, 8})


SKY_KEYS = ("satellites", "nSat", "uSat", "hdop")


Sky: TypeAlias = "dict[str, tuple[int, Any]]"
"""The last value of each SKY key, with the count of objects at its arrival."""


class GpsdDecoder:
    """gpsd's JSON in; one `Fix` for each of its positions out, and a `GnssState` where gpsd reports
    jamming or the antenna. ``device``: that receiver only, else one at a time. ``not_before``: see `Gpsd`.
    """

    def __init__(self, device: str | None = None, not_before: date | None = None) -> None:
        self.device = device
        self._not_before = not_before
        self.good = self.bad = self.skipped_bytes = 0
        self.receivers: frozenset[str] = frozenset()
        """The receivers that gpsd has open."""
        self._buffer = bytearray()
        self._sky: dict[str, Sky] = {}
        self._rf_status: dict[str, GpsdRfStatus] = {}
        self._epochs: dict[str, tuple[datetime | None, str]] = {}
        self._receivers = ReceiverSelection()

    def feed(self, data: bytes) -> list[Value]:
        """The values in the lines that are complete now."""
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        if len(rest) > MAX_LINE:
            self.skipped_bytes += len(rest)
            rest = bytearray()
        self._buffer = rest
        return [value for line in lines if line.strip() for value in self._take(line)]

    def _take(self, line: bytearray) -> list[Value]:
        try:
            message = json.loads(line)
            kind = message["class"]
        except (ValueError, KeyError, TypeError, RecursionError):
            self.bad += 1
            self.skipped_bytes += len(line)
            return []
        self.good += 1
        device = str(message.get("device"))
        if kind == "DEVICES":
            self.receivers = frozenset(_opened(message.get("devices")))
        elif kind == "DEVICE":
            self.receivers -= {str(message.get("path"))}
            self.receivers |= frozenset(_opened([message]))
        elif self.device in (None, device) and kind == "SKY":
            known = self._sky.setdefault(device, {})
            known.update({key: (self.good, message[key]) for key in SKY_KEYS if key in message})
        elif self.device in (None, device) and kind == "TPV":
            return self._position(device, message)
        return []

    def _position(self, device: str, message: Mapping[str, Any]) -> list[Value]:
        """The fix of a TPV, where it is new, and the receiver's jamming and antenna."""
        noticed = self._rf_status.setdefault(device, GpsdRfStatus())
        fix = self._fix(message, self._sky.get(device, {}))
        epoch = (fix.time, fix.mode)
        repeated = (
            fix.time is not None and self._epochs.get(device) == epoch
        )  # some receivers make gpsd send a TPV twice
        self._epochs[device] = epoch
        if repeated:
            return noticed.take(message) if message.keys() & {"jam", "ant"} else []
        passes = self._receivers.passes(device, fix)
        return [*([fix] if passes else []), *noticed.take(message)]

    def _fix(self, message: Mapping[str, Any], known: Sky) -> Fix:
        moment, mode = _time(message.get("time")), message.get("mode")
        moment, weeks = (None, None) if moment is None else unroll(moment, self._not_before)
        lat, lon = _number(message, "lat", 90), _number(message, "lon", 180)
        sky = {key: (at, value) for key, (at, value) in known.items() if self.good - at <= SKY_VALID_OBJECTS}
        none = Fix(
            mode="none",
            time=moment,
            satellites_seen=_satellites_seen(sky),
            cn0_dbhz=_cn0(sky),
            rollover_weeks=weeks,
        )
        if mode not in (2, 3) or message.get("status") in INVALID_STATUS:
            return none
        if lat is None or lon is None or (lat == 0 and lon == 0):
            self.bad += 1
            return none
        east, north = _number(message, "epx"), _number(message, "epy")
        error_m = _number(message, "eph")
        if error_m is None and east is not None and north is not None:
            error_m = round(math.hypot(east, north), 2)
        altitudes = (_number(message, key) for key in ("altMSL", "alt"))
        return Fix(
            mode="3d" if mode == 3 else "2d",
            lat=lat,
            lon=lon,
            time=moment,
            alt_m=next((one for one in altitudes if one is not None), None) if mode == 3 else None,
            satellites=_used(sky) or None,  # a fix from none: the number was omitted
            satellites_seen=none.satellites_seen,
            hdop=_number({key: value for key, (_, value) in sky.items()}, "hdop", 50) or None,
            error_m=error_m,
            speed_mps=_number(message, "speed"),
            course_deg=_number(message, "track"),
            cn0_dbhz=none.cn0_dbhz,
            rollover_weeks=weeks,
        )


def _opened(devices: Any) -> list[str]:
    """``activated`` is a time, or 0 (and in old versions absent) where the receiver is lost."""
    listed = [one for one in devices if isinstance(one, dict)] if isinstance(devices, list) else []
    return [str(one.get("path")) for one in listed if one.get("activated")]


def _used(sky: Sky) -> int | None:
    """The number as counted by gpsd, or by the list; where both exist, the newer."""
    return _counted(sky, "uSat", lambda listed: sum(one.get("used") is True for one in listed))


def _satellites_seen(sky: Sky) -> int | None:
    return _counted(sky, "nSat", len)


def _counted(sky: Sky, key: str, count: Callable[[list[Mapping[str, Any]]], int]) -> int | None:
    count_at, counted = sky.get(key, (-1, None))
    listed_at, listed = sky.get("satellites", (-1, None))
    if type(counted) is int and count_at >= listed_at:
        return counted
    if isinstance(listed, list):
        return count([one for one in listed if isinstance(one, dict)])
    return counted if type(counted) is int else None


def _cn0(sky: Sky) -> float | None:
    """The mean carrier to noise density of the satellites that are received."""
    _, listed = sky.get("satellites", (0, None))
    satellites = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    levels = [cn0 for one in satellites if (cn0 := _number(one, "ss", 100)) is not None and cn0 > 0]
    return round(sum(levels) / len(levels), 1) if levels else None


def _number(message: Mapping[str, Any], key: str, limit: float = 1e6) -> float | None:
    value = message.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= limit:
        return None
    return float(value)


def _time(text: Any) -> datetime | None:
    """``2026-11-28T06:12:31.000Z``; a leap second, ``:60``, is one second after ``:59``."""
    try:
        whole, point, fraction = str(text).partition(".")
        leap = whole.endswith(":60")
        moment = datetime.fromisoformat(whole.removesuffix(":60") + ":59" * leap + point + fraction)
        return (moment + timedelta(seconds=leap)).astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
