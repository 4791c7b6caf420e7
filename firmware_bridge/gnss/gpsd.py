"""A receiver owned by gpsd: its JSON protocol, one object a line, over TCP.

    > ?WATCH={"enable":true,"json":true};
    {"class":"TPV","device":"/dev/ttyACM0","mode":3,"time":"2026-11-28T06:12:31.000Z","lat":32.1,"lon":118.7,…}
    {"class":"SKY","device":"/dev/ttyACM0","hdop":0.9,"nSat":14,"uSat":11,"satellites":[{"used":true,…},…]}

``mode`` 0 and 1 are no fix; ``status`` 5 is dead reckoning and 8 a simulator, which are no live position.
gpsd sends the sky in pieces: DOPs in one SKY, satellites in another. Since 3.26 a TPV has ``jam`` (0 to 255)
and ``ant`` (2 open, 3 short, by gps.h; the manual has them the other way round), both only while they say
something.
Source: gpsd_json(5), gpsd_json.c and gps.h, gpsd 3.22 to 3.27.
"""

from datetime import date
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from firmware_bridge.epoch import NOT_BEFORE
from firmware_bridge.gnss.gpsd_decoder import GpsdDecoder
from firmware_bridge.readings import LineState
from firmware_bridge.serial import tcp
from firmware_bridge.serial.line import STATE_EVERY_S, Emit
from firmware_bridge.serial.port import open_port
from firmware_bridge.serial.silence_timeout import SilenceTimeout
from firmware_bridge.source import Latest, Server, SourcePart, WantedOutputs

PORT = 2947


class Gpsd(SourcePart):
    """A receiver that gpsd owns on this machine, or another. ``device`` selects one of several receivers;
    without it the source reports one that has a fix.
    """

    value_kinds: ClassVar[frozenset[str] | None] = frozenset({"fix", "gnss_state"})

    live_keys: ClassVar[frozenset[str]] = SourcePart.live_keys | {"silent_after_s"}

    kind: Literal["gpsd"] = "gpsd"
    host: str = Field(default="localhost", pattern=r"^[^/\s]+$", max_length=253)
    port: int = Field(default=PORT, ge=1, le=65535)
    device: str | None = None
    not_before: date | None = NOT_BEFORE
    """The earliest valid date; an earlier one is a week rollover (modulo 1024), and is corrected."""
    silent_after_s: float | None = Field(default=None, ge=1)
    """Silent for this long, gpsd is connected again."""

    @model_validator(mode="before")
    @classmethod
    def _as_address(cls, given: Any) -> Any:
        """``port: gpsd://host:2947``, as for other lines, equals host and port."""
        if isinstance(given, dict) and isinstance(given.get("port"), str) and "://" in given["port"]:
            host, port = tcp.split_address(given["port"], PORT)
            return given | {"host": host, "port": port}
        return given

    @property
    def longest_wait_s(self) -> float:
        return tcp.MAX_RETRY_WAIT_S

    def server(self) -> Server:
        return Server("port", self.host, self.port, usual=self.port == PORT)

    async def run(self, emit: Emit, _wanted: WantedOutputs = dict, latest: Latest | None = None) -> None:
        """Emits gpsd's values until the connection is lost, or silent for too long (OSError)."""
        decoder, latest = GpsdDecoder(self.device, self.not_before), latest or (lambda: self)
        async with open_port(
            f"tcp://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
        ) as line:
            silence = SilenceTimeout(line.last_byte_s, self.silent_after_s)
            state_s = line.last_byte_s

            def on_data(data: bytes) -> None:
                if values := decoder.feed(data):
                    silence.on_valid(line.last_byte_s)
                    for value in values:
                        emit(value)

            line.write(b'?WATCH={"enable":true,"json":true};\n')
            line.listen(on_data)
            try:
                while True:
                    now_s = await line.wait_lost(within_s=1.0)
                    if now_s - state_s >= STATE_EVERY_S:
                        state_s = now_s
                        emit(self.state(decoder))
                    if isinstance(settings := latest(), Gpsd):
                        silence.configured_s = settings.silent_after_s
                    if limit_s := silence.expired_s(now_s):
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
    return "no position" if decoder.receivers else "it has no receiver"
