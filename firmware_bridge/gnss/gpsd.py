"""A receiver that gpsd owns: its JSON protocol, one object a line, over TCP.

    > ?WATCH={"enable":true,"json":true};
    {"class":"TPV","device":"/dev/ttyACM0","mode":3,"time":"2026-11-28T06:12:31.000Z","lat":32.1,"lon":118.7,…}
    {"class":"SKY","device":"/dev/ttyACM0","hdop":0.9,"nSat":14,"uSat":11,"satellites":[{"used":true,…},…]}

``mode`` 0 and 1 are no fix; ``status`` 5 is dead reckoning and 8 a simulator, which are no live position.
gpsd sends the sky in pieces: DOPs in one SKY, satellites in another. Since 3.26 a TPV has ``jam`` (0 to 255)
and ``ant`` (2 open, 3 short, by gps.h; the manual has them the other way round), both only while they say
something.
Source: gpsd_json(5), gpsd_json.c and gps.h, gpsd 3.22 to 3.27.
"""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import Field, model_validator

from firmware_bridge.epoch import NOT_BEFORE, unroll
from firmware_bridge.readings import Fix, GnssState, LineState, Value
from firmware_bridge.serial import tcp
from firmware_bridge.serial.line import STATE_EVERY_S, Emit
from firmware_bridge.serial.port import open_port
from firmware_bridge.serial.silence_timeout import SilenceTimeout
from firmware_bridge.source import Server, SourcePart, Wanted

PORT = 2947
LONGEST = 64 * 1024
"""More than gpsd ever says in one line."""
SKY_LASTS = 40
"""Objects for which what was said of the sky holds."""
NOT_LIVE = frozenset({5, 8})
SKY_KEYS = ("satellites", "nSat", "uSat", "hdop")
ANTENNA: dict[object, Literal["ok", "short", "open"]] = {1: "ok", 2: "open", 3: "short"}
JAM_WARNING, JAM_CRITICAL = 128, 192
"""Of 255. A TSIP receiver's two alarms come as 128 and 255; u-blox tells 5 to 50 where all is well."""
STATE_LASTS = 10
"""TPVs without a word of jamming or antenna after which the one told before is taken to be over."""

RECEIVER_LASTS, RECEIVER_LASTS_S = 20, 3.0
"""TPVs of all receivers, or seconds, for which a receiver's last fix holds where others speak."""

Sky: TypeAlias = "dict[str, tuple[int, Any]]"
"""What was said of the sky, each with the count of objects when it was said."""


class _Noticed:
    """What gpsd says of jamming and antenna: it falls silent where all is well again."""

    def __init__(self) -> None:
        self._jam: tuple[int, int] | None = None  # what was said, and TPVs since
        self._antenna: tuple[Literal["ok", "short", "open"], int] | None = None

    def take(self, told: Mapping[str, Any]) -> list[Value]:
        """The state with this TPV; nothing where gpsd never spoke of it."""
        jam, antenna = told.get("jam"), told.get("ant")
        if type(jam) is int and 0 <= jam <= 255:
            self._jam = jam, 0
        elif self._jam is not None:
            level, since = self._jam
            self._jam = (level, since + 1) if since < STATE_LASTS else (0, since)
        if type(antenna) is int and antenna in ANTENNA:
            self._antenna = ANTENNA[antenna], 0
        elif self._antenna is not None:
            state, since = self._antenna
            self._antenna = (state, since + 1) if since < STATE_LASTS else ("ok", since)
        if self._jam is None and self._antenna is None:
            return []
        return [
            GnssState(
                jamming=None if self._jam is None else _jamming(self._jam[0]),
                jamming_pct=None if self._jam is None else round(self._jam[0] / 2.55, 1),
                antenna=None if self._antenna is None else self._antenna[0],
            )
        ]


class _Receivers:
    """Of several receivers one is told as long as it has a fix: a blind one refuses no fix of another."""

    def __init__(self) -> None:
        self._best: str | None = None
        self._fixes: dict[
            str, tuple[datetime | None, int]
        ] = {}  # each one's last fix: its time, and TPVs since

    def passes(self, device: str, fix: Fix) -> bool:
        """Whether this fix, or that there is none, is to be told."""
        self._fixes = {
            name: (time, since + 1) for name, (time, since) in self._fixes.items() if since < RECEIVER_LASTS
        }
        if fix.mode == "none":
            self._fixes.pop(device, None)
            return not self._fixes
        if self._best != device and self._best in self._fixes and not self._outlived(fix.time):
            passes = False
        else:
            self._best, passes = device, True
        self._fixes[device] = fix.time, 0
        return passes

    def _outlived(self, time: datetime | None) -> bool:
        """Whether the best one's last fix is older than `RECEIVER_LASTS_S` by another's clock."""
        best, _ = self._fixes[self._best or ""]
        return time is not None and best is not None and (time - best).total_seconds() > RECEIVER_LASTS_S


def _jamming(level: int) -> Literal["ok", "warning", "critical"]:
    if level < JAM_WARNING:
        return "ok"
    return "warning" if level < JAM_CRITICAL else "critical"


class GpsdDecoder:
    """What gpsd says in; out comes one `Fix` for each of its positions, and a `GnssState` where gpsd tells
    of jamming or the antenna. ``device``: that receiver only, else one at a time. ``not_before``: see `Gpsd`.
    """

    def __init__(self, device: str | None = None, not_before: date | None = None) -> None:
        self.device = device
        self._not_before = not_before
        self.good = self.bad = self.skipped_bytes = 0
        self.receivers: frozenset[str] = frozenset()
        """Those that gpsd has open."""
        self._buffer = bytearray()
        self._sky: dict[str, Sky] = {}
        self._noticed: dict[str, _Noticed] = {}
        self._told: dict[str, tuple[datetime | None, str]] = {}
        self._receivers = _Receivers()

    def feed(self, data: bytes) -> list[Value]:
        """The values in what has come."""
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        if len(rest) > LONGEST:
            self.skipped_bytes += len(rest)
            rest = bytearray()
        self._buffer = rest
        return [value for line in lines if line.strip() for value in self._take(line)]

    def _take(self, line: bytearray) -> list[Value]:
        try:
            told = json.loads(line)
            kind = told["class"]
        except (ValueError, KeyError, TypeError, RecursionError):
            self.bad += 1
            self.skipped_bytes += len(line)
            return []
        self.good += 1
        device = str(told.get("device"))
        if kind == "DEVICES":
            self.receivers = frozenset(_opened(told.get("devices")))
        elif kind == "DEVICE":
            self.receivers -= {str(told.get("path"))}
            self.receivers |= frozenset(_opened([told]))
        elif self.device in (None, device) and kind == "SKY":
            known = self._sky.setdefault(device, {})
            known.update({key: (self.good, told[key]) for key in SKY_KEYS if key in told})
        elif self.device in (None, device) and kind == "TPV":
            return self._position(device, told)
        return []

    def _position(self, device: str, told: Mapping[str, Any]) -> list[Value]:
        """The fix of a TPV, where it says something new, and what the receiver noticed."""
        noticed = self._noticed.setdefault(device, _Noticed())
        fix = self._fix(told, self._sky.get(device, {}))
        epoch = (fix.time, fix.mode)
        again = (
            fix.time is not None and self._told.get(device) == epoch
        )  # some receivers make it say one twice
        self._told[device] = epoch
        if again:
            return noticed.take(told) if told.keys() & {"jam", "ant"} else []
        passes = self._receivers.passes(device, fix)
        return [*([fix] if passes else []), *noticed.take(told)]

    def _fix(self, told: Mapping[str, Any], heard: Sky) -> Fix:
        moment, mode = _time(told.get("time")), told.get("mode")
        moment, weeks = (None, None) if moment is None else unroll(moment, self._not_before)
        lat, lon = _number(told, "lat", 90), _number(told, "lon", 180)
        sky = {key: (at, value) for key, (at, value) in heard.items() if self.good - at <= SKY_LASTS}
        none = Fix(
            mode="none", time=moment, satellites_seen=_seen(sky), cn0_dbhz=_cn0(sky), rollover_weeks=weeks
        )
        if mode not in (2, 3) or told.get("status") in NOT_LIVE:
            return none
        if lat is None or lon is None or (lat == 0 and lon == 0):
            self.bad += 1
            return none
        east, north = _number(told, "epx"), _number(told, "epy")
        error_m = _number(told, "eph")
        if error_m is None and east is not None and north is not None:
            error_m = round(math.hypot(east, north), 2)
        altitudes = (_number(told, key) for key in ("altMSL", "alt"))
        return Fix(
            mode="3d" if mode == 3 else "2d",
            lat=lat,
            lon=lon,
            time=moment,
            alt_m=next((one for one in altitudes if one is not None), None) if mode == 3 else None,
            satellites=_used(sky) or None,  # a fix out of none is one whose satellites are not told
            satellites_seen=none.satellites_seen,
            hdop=_number({key: value for key, (_, value) in sky.items()}, "hdop", 50) or None,
            error_m=error_m,
            speed_mps=_number(told, "speed"),
            course_deg=_number(told, "track"),
            cn0_dbhz=none.cn0_dbhz,
            rollover_weeks=weeks,
        )


class Gpsd(SourcePart):
    """A receiver that gpsd owns on this machine, or another. ``device`` names one where it has several;
    without it one that has a fix is told."""

    gives: ClassVar[frozenset[str] | None] = frozenset({"fix", "gnss_state"})

    kind: Literal["gpsd"] = "gpsd"
    host: str = Field(default="localhost", pattern=r"^[^/\s]+$")
    port: int = Field(default=PORT, ge=1, le=65535)
    device: str | None = None
    not_before: date | None = NOT_BEFORE
    """No time can be earlier; one that is was counted in weeks modulo 1024, and is corrected."""
    silent_after_s: float | None = Field(default=None, ge=1)
    """Said nothing for this long, it is asked anew."""

    @model_validator(mode="before")
    @classmethod
    def _as_address(cls, given: Any) -> Any:
        """``port: gpsd://host:2947``, as other lines have it, is the same as host and port."""
        if isinstance(given, dict) and isinstance(given.get("port"), str) and "://" in given["port"]:
            host, port = tcp.split(given["port"], PORT)
            return given | {"host": host, "port": port}
        return given

    @property
    def longest_wait_s(self) -> float:
        return tcp.LONGEST_WAIT_S

    def server(self) -> Server:
        return Server("port", self.host, self.port, usual=self.port == PORT)

    async def run(self, emit: Emit, _wanted: Wanted = dict) -> None:
        """Emits what gpsd says until it is gone, or silent too long (OSError)."""
        decoder = GpsdDecoder(self.device, self.not_before)
        async with open_port(
            f"tcp://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
        ) as line:
            patience = SilenceTimeout(line.heard_s, self.silent_after_s)
            state_s = line.heard_s

            def hear(data: bytes) -> None:
                if values := decoder.feed(data):
                    patience.valid(line.heard_s)
                    for value in values:
                        emit(value)

            line.write(b'?WATCH={"enable":true,"json":true};\n')
            line.listen(hear)
            try:
                while True:
                    now_s = await line.gone(within_s=1.0)
                    if now_s - state_s >= STATE_EVERY_S:
                        state_s = now_s
                        emit(self.state(decoder))
                    if limit_s := patience.lost(now_s):
                        raise TimeoutError(f"gpsd on {self.host}: {_why(decoder)} for {limit_s:.0f} s")
            finally:
                emit(self.state(decoder))

    @staticmethod
    def state(decoder: GpsdDecoder) -> LineState:
        """The counts so far."""
        bad = {"gpsd": decoder.bad} if decoder.bad else {}
        return LineState(good={"gpsd": decoder.good}, bad=bad, skipped_bytes=decoder.skipped_bytes)


def _why(decoder: GpsdDecoder) -> str:
    if decoder.device is not None and decoder.device not in decoder.receivers:
        known = ", ".join(sorted(decoder.receivers)) or "none"
        return f"no receiver {decoder.device} (it has {known})"
    return "no word of a position" if decoder.receivers else "it has no receiver"


def _opened(devices: Any) -> list[str]:
    """``activated`` is a time, or 0 (and in old versions absent) where the receiver is gone."""
    listed = [one for one in devices if isinstance(one, dict)] if isinstance(devices, list) else []
    return [str(one.get("path")) for one in listed if one.get("activated")]


def _used(sky: Sky) -> int | None:
    """As it is counted, or by the list; where both were said, what is newer."""
    return _counted(sky, "uSat", lambda listed: sum(one.get("used") is True for one in listed))


def _seen(sky: Sky) -> int | None:
    return _counted(sky, "nSat", len)


def _counted(sky: Sky, key: str, count: Callable[[list[Mapping[str, Any]]], int]) -> int | None:
    said_at, said = sky.get(key, (-1, None))
    listed_at, listed = sky.get("satellites", (-1, None))
    if type(said) is int and said_at >= listed_at:
        return said
    if isinstance(listed, list):
        return count([one for one in listed if isinstance(one, dict)])
    return said if type(said) is int else None


def _cn0(sky: Sky) -> float | None:
    """The mean carrier to noise density of the satellites that are received."""
    _, listed = sky.get("satellites", (0, None))
    satellites = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    heard = [cn0 for one in satellites if (cn0 := _number(one, "ss", 100)) is not None and cn0 > 0]
    return round(sum(heard) / len(heard), 1) if heard else None


def _number(told: Mapping[str, Any], key: str, limit: float = 1e6) -> float | None:
    value = told.get(key)
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
