"""The link between one device and a broker in real time, with the faults of `StagedBroker`."""

from collections import Counter
from typing import Self

from simulators.faults.proxy import FaultProxy
from simulators.faults.toxics import Bandwidth, Latency, Slicer, Stream, Timeout, Toxic
from simulators.stage import NotInRealTimeError

STREAMS: tuple[Stream, ...] = ("upstream", "downstream")
SHAPES = ("latency", "bandwidth", "slicer")
PIECE_US = 1000.0
_REFUSED = {5: b"\x20\x03\x00\x87\x00", 4: b"\x20\x02\x00\x05"}
"""CONNACK with *not authorized*, by the level of the protocol."""


class FaultyLink:
    """``async with FaultyLink(port) as link``: the device connects to ``link.url``."""

    def __init__(self, port: int) -> None:
        self.proxy = FaultProxy(("127.0.0.1", port))
        self._cut: str | None = None
        self._struck: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.proxy.address[1]}"

    async def __aenter__(self) -> Self:
        await self.proxy.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.proxy.__aexit__()

    def cut(self, how: str) -> None:
        """NotInRealTimeError for a fault that a proxy does not have."""
        if how not in ("closed", "reset", "half_open", "unreachable", "auth_revoked"):
            raise NotInRealTimeError(f"{how}: the broker of a run in real time speaks without TLS")
        self.mend()
        self._cut = how
        self._struck[how] += self.proxy.connections
        self._seen = self.proxy.struck.copy()
        match how:
            case "half_open" | "unreachable":
                for stream in STREAMS:
                    self.proxy.add(f"cut {stream}", Timeout(stream=stream))
                if how == "unreachable":
                    self.proxy.stop_listening()
            case "auth_revoked":
                self.proxy.on_first_data = refuse_login
                self.proxy.reset()
            case _:
                self.proxy.set_down(True)

    def mend(self) -> None:
        """Connections that lost data are reset."""
        if self._cut is None:
            return
        self._struck[self._cut] = self.struck(self._cut)
        self._cut = self.proxy.on_first_data = None
        for stream in STREAMS:
            self.proxy.remove(f"cut {stream}")
        self.proxy.set_down(False)

    def shape(
        self, latency_s: float, jitter_s: float, bytes_per_s: float | None, slice_bytes: int | None
    ) -> None:
        """As `simulators.stage.StagedBroker.shape`, in each direction."""
        for stream in STREAMS:
            toxics: dict[str, Toxic | None] = {
                "latency": Latency(latency=latency_s * 1000, jitter=jitter_s * 1000, stream=stream)
                if latency_s or jitter_s
                else None,
                "bandwidth": Bandwidth(rate=bytes_per_s / 1000, stream=stream) if bytes_per_s else None,
                "slicer": Slicer(average_size=slice_bytes, delay=1000, stream=stream)
                if slice_bytes
                else None,
            }
            for name, toxic in toxics.items():
                self.proxy.remove(f"{name} {stream}")
                if toxic is not None:
                    self.proxy.add(f"{name} {stream}", toxic)

    def struck(self, how: str) -> int:
        """How often a fault struck."""
        if how == "shape":
            return sum(self.proxy.struck[name] for name in SHAPES)
        now = self.proxy.struck if how == self._cut else self._seen
        return self._struck[how] + sum(now[name] - self._seen[name] for name in ("timeout", "refused"))


def refuse_login(data: bytes) -> bytes | None:
    """The broker's answer to a CONNECT of a client without rights; None for anything else."""
    place = data.find(b"\x00\x04MQTT", 0, 12)
    if data[:1] != b"\x10" or place < 0:
        return None
    return _REFUSED.get(data[place + 6])
