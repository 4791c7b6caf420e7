"""A receiver that gpsd owns: its JSON protocol, one object a line, over TCP.

    > ?WATCH={"enable":true,"json":true};
    {"class":"TPV","device":"/dev/ttyACM0","mode":3,"time":"2026-11-28T06:12:31.000Z","lat":32.1,"lon":118.7,…}
    {"class":"SKY","device":"/dev/ttyACM0","hdop":0.9,"nSat":14,"uSat":11,"satellites":[{"used":true,…},…]}

``mode`` 0 and 1 are no fix; ``status`` 5 is dead reckoning and 8 a simulator, which are no live position.
Source: gpsd_json(5), gpsd 3.22.
"""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from firmware_bridge import tcp
from firmware_bridge.line import STATE_EVERY_S, Emit
from firmware_bridge.patience import Patience
from firmware_bridge.port import open_port
from firmware_bridge.readings import Fix, LineState, Value

PORT = 2947
LONGEST = 64 * 1024
"""More than gpsd ever says in one line."""
SKY_LASTS = 40
"""Objects for which what was said of the sky holds."""
NOT_LIVE = frozenset({5, 8})


class GpsdDecoder:
    """What gpsd says in, one `Fix` for each of its positions out. ``device``: that receiver only."""

    def __init__(self, device: str | None = None) -> None:
        self.device = device
        self.good = self.bad = self.skipped_bytes = 0
        self.receivers: frozenset[str] = frozenset()
        """Those that gpsd has open."""
        self._buffer = bytearray()
        self._sky: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self._told: dict[str, tuple[datetime | None, str]] = {}

    def feed(self, data: bytes) -> list[Value]:
        """The fixes in what has come."""
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        if len(rest) > LONGEST:
            self.skipped_bytes += len(rest)
            rest = bytearray()
        self._buffer = rest
        return [fix for line in lines if line.strip() and (fix := self._take(line)) is not None]

    def _take(self, line: bytearray) -> Fix | None:
        try:
            told = json.loads(line)
            kind = told["class"]
        except (ValueError, KeyError, TypeError, RecursionError):
            self.bad += 1
            self.skipped_bytes += len(line)
            return None
        self.good += 1
        device = str(told.get("device"))
        if kind == "DEVICES":
            self.receivers = frozenset(_opened(told.get("devices")))
        elif kind == "DEVICE":
            self.receivers -= {str(told.get("path"))}
            self.receivers |= frozenset(_opened([told]))
        elif self.device in (None, device) and kind == "SKY":
            self._sky[device] = (self.good, told)
        elif self.device in (None, device) and kind == "TPV":
            fix = self._fix(told, self._sky.get(device))
            epoch = (fix.time, fix.mode)
            if fix.time is None or self._told.get(device) != epoch:  # some receivers make it say one twice
                self._told[device] = epoch
                return fix
        return None

    def _fix(self, told: Mapping[str, Any], heard: tuple[int, Mapping[str, Any]] | None) -> Fix:
        moment, mode = _time(told.get("time")), told.get("mode")
        lat, lon = _number(told, "lat", 90), _number(told, "lon", 180)
        if mode not in (2, 3) or told.get("status") in NOT_LIVE:
            return Fix(mode="none", time=moment)
        if lat is None or lon is None or (lat == 0 and lon == 0):
            self.bad += 1
            return Fix(mode="none", time=moment)
        since, sky = heard or (self.good, {})
        if self.good - since > SKY_LASTS:
            sky = {}
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
            satellites=_used(sky),
            satellites_seen=_seen(sky),
            hdop=_number(sky, "hdop", 50),
            error_m=error_m,
            speed_mps=_number(told, "speed"),
            course_deg=_number(told, "track"),
        )


class Gpsd(BaseModel):
    """A receiver that gpsd owns on this machine, or another: ``device`` names one where it has several."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gives: ClassVar[frozenset[str]] = frozenset({"fix"})
    longest_wait_s: ClassVar[float] = 5.0

    kind: Literal["gpsd"] = "gpsd"
    host: str = Field(default="localhost", pattern=r"^[^/\s]+$")
    port: int = Field(default=PORT, ge=1, le=65535)
    device: str | None = None
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

    async def run(self, emit: Emit) -> None:
        """Emits what gpsd says until it is gone, or silent too long (OSError)."""
        decoder = GpsdDecoder(self.device)
        async with open_port(
            f"tcp://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
        ) as line:
            patience = Patience(line.heard_s, self.silent_after_s)
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
                        emit(self._state(decoder))
                    if limit_s := patience.lost(now_s):
                        raise TimeoutError(f"gpsd on {self.host}: {_why(decoder)} for {limit_s:.0f} s")
            finally:
                emit(self._state(decoder))

    @staticmethod
    def _state(decoder: GpsdDecoder) -> LineState:
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


def _used(sky: Mapping[str, Any]) -> int | None:
    if type(sky.get("uSat")) is int:
        return int(sky["uSat"])
    listed = sky.get("satellites")
    if not isinstance(listed, list):
        return None
    return sum(isinstance(one, dict) and one.get("used") is True for one in listed)


def _seen(sky: Mapping[str, Any]) -> int | None:
    if type(sky.get("nSat")) is int:
        return int(sky["nSat"])
    listed = sky.get("satellites")
    return len(listed) if isinstance(listed, list) else None


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
