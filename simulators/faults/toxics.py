"""The toxics of a `FaultProxy`, with the names and units of toxiproxy. Pure but for their waits."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

Stream: TypeAlias = Literal["upstream", "downstream"]
"""``upstream``: from the client to the server."""


class ClosedByToxicError(Exception):
    """The toxic ends the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxic:
    """One fault of a direction. ``toxicity``: the share of the connections that have it."""

    kind: ClassVar[str]
    main: ClassVar[str] = ""
    """The attribute that `parse_toxic` takes from ``kind=value``."""
    loses: ClassVar[bool] = False
    """Whether a connection that had it is broken for ever: it is reset when the toxic ends."""

    stream: Stream = "downstream"
    toxicity: float = 1.0

    def delay_s(self, chance: random.Random) -> float:
        """How long a chunk is under way."""
        return 0.0

    async def carry(self, data: bytes, passed: int, chance: random.Random) -> AsyncIterator[bytes]:
        """What arrives of ``data``, and when; ``passed`` bytes of the connection came before."""
        yield data


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Toxic):
    """Delays all data by ``latency`` ms, give or take ``jitter`` ms."""

    kind = "latency"
    main = "latency"

    latency: float = 0.0
    jitter: float = 0.0

    def delay_s(self, chance: random.Random) -> float:
        return max(0.0, self.latency + self.jitter * chance.uniform(-1, 1)) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth(Toxic):
    """At most ``rate`` KB a second."""

    kind = "bandwidth"
    main = "rate"

    rate: float = 1.0

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError("bandwidth: rate is above 0")

    async def carry(self, data: bytes, passed: int, chance: random.Random) -> AsyncIterator[bytes]:
        piece = max(1, int(self.rate * 100))  # a tenth of a second
        for start in range(0, len(data), piece):
            part = data[start : start + piece]
            await asyncio.sleep(len(part) / (self.rate * 1000))
            yield part


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowClose(Toxic):
    """Passes on the end of a direction after ``delay`` ms."""

    kind = "slow_close"
    main = "delay"

    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout(Toxic):
    """Nothing gets through, no end either; the connection ends after ``timeout`` ms, with 0 only when the
    toxic ends."""

    kind = "timeout"
    main = "timeout"
    loses = True

    timeout: float = 0.0

    async def carry(self, data: bytes, passed: int, chance: random.Random) -> AsyncIterator[bytes]:
        nothing: tuple[bytes, ...] = ()
        for one in nothing:
            yield one


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetPeer(Timeout):
    """Nothing gets through; the connection is reset after ``timeout`` ms."""

    kind = "reset_peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slicer(Toxic):
    """Pieces of ``average_size`` bytes, give or take ``size_variation``, ``delay`` us apart."""

    kind = "slicer"
    main = "average_size"

    average_size: int = 64
    size_variation: int = 0
    delay: float = 0.0

    async def carry(self, data: bytes, passed: int, chance: random.Random) -> AsyncIterator[bytes]:
        while data:
            size = self.average_size + chance.randint(-self.size_variation, self.size_variation)
            piece, data = data[: max(1, size)], data[max(1, size) :]
            yield piece
            if data:
                await asyncio.sleep(self.delay / 1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitData(Toxic):
    """The connection ends after ``limit`` bytes."""

    kind = "limit_data"
    main = "limit"

    limit: int = 0

    async def carry(self, data: bytes, passed: int, chance: random.Random) -> AsyncIterator[bytes]:
        if passed < self.limit:
            yield data[: self.limit - passed]
        if passed + len(data) >= self.limit:
            raise ClosedByToxicError


TOXICS: dict[str, type[Toxic]] = {
    toxic.kind: toxic for toxic in (Latency, Bandwidth, SlowClose, Timeout, ResetPeer, Slicer, LimitData)
}


def parse_toxic(text: str) -> Toxic:
    """A toxic from ``latency=200,jitter=50,stream=upstream,toxicity=0.5``. ValueError in one line."""
    words = [word.partition("=")[::2] for word in text.split(",")]
    kind, main = words[0]
    toxic = TOXICS.get(kind)
    if toxic is None:
        raise ValueError(f"unknown toxic {kind!r}; known: {', '.join(TOXICS)}, down")
    fields: dict[str, float | int | str] = {}
    for key, value in [(toxic.main, main), *words[1:]]:
        if key == "" or key not in toxic.__dataclass_fields__:
            known = ", ".join(toxic.__dataclass_fields__)
            raise ValueError(f"{kind}: unknown attribute {key!r}; known: {known}")
        if key == "stream":
            if value not in ("upstream", "downstream"):
                raise ValueError(f"{kind}: stream is upstream or downstream, not {value!r}")
            fields[key] = value
            continue
        try:
            number = float(value)
        except ValueError:
            raise ValueError(f"{kind}: {key} is a number, not {value!r}") from None
        if not 0 <= number < 1e12 or (key == "toxicity" and number > 1):
            raise ValueError(f"{kind}: {key} is out of range: {value}")
        fields[key] = int(number) if toxic.__dataclass_fields__[key].type in (int, "int") else number
    return toxic(**fields)  # type: ignore[arg-type]  # checked by their names above
