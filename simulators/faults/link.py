"""Faults of the network between one device and the broker."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from weakref import WeakKeyDictionary

from pydantic import Field

from agent.domain.durations import Duration
from simulators.faults.fault import Fault, FaultStep
from simulators.stage import Stage, StagedBroker


class _Cut(Fault):
    subject = "device"
    state = "link"
    proof = "the broker's side saw a connection of the device that ended, was refused or swallowed"
    how: ClassVar[str]

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        step.before["struck"] = stage.broker.struck(self.how, step.device)
        stage.broker.cut(step.device or "", self.how)

    async def end(self, stage: Stage, step: FaultStep) -> None:
        stage.broker.mend(step.device or "")

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return bool(stage.broker.struck(self.how, step.device) > step.before["struck"])


class LinkDown(_Cut):
    kind = "link.down"
    text = "the link is down"
    how = "unreachable"


class LinkHalfOpen(_Cut):
    kind = "link.half_open"
    text = "the link is half-open: nothing arrives any more"
    how = "half_open"


class LinkReset(_Cut):
    kind = "link.reset"
    text = "the connection is reset"
    how = "reset"
    instant = True


class TlsExpired(_Cut):
    kind = "link.tls_expired"
    text = "the certificate of the broker has expired"
    how = "tls_expired"
    clocks = ("virtual",)
    reason = "the broker of a run in real time speaks without TLS"


class AuthRevoked(_Cut):
    kind = "link.auth_revoked"
    text = "the broker refuses the device: its rights are revoked"
    how = "auth_revoked"


@dataclass(frozen=True, slots=True)
class Shape:
    """What slows down one link."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    slice_bytes: int | None = None


_SHAPES: WeakKeyDictionary[StagedBroker, dict[tuple[str, int], Shape]] = WeakKeyDictionary()
"""Of each broker, by device and number of the fault: several may slow down one link."""


class _Shaped(Fault):
    subject = "device"
    proof = "messages of the device that went through the slow link"

    def shape(self) -> Shape:
        raise NotImplementedError

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        step.before["struck"] = stage.broker.struck("shape", step.device)
        _SHAPES.setdefault(stage.broker, {})[step.device or "", step.number] = self.shape()
        _apply(stage.broker, step.device or "")

    async def end(self, stage: Stage, step: FaultStep) -> None:
        _SHAPES.get(stage.broker, {}).pop((step.device or "", step.number), None)
        _apply(stage.broker, step.device or "")

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return bool(stage.broker.struck("shape", step.device) > step.before["struck"])


def _apply(broker: StagedBroker, device: str) -> None:
    """All shapes of one link together: delays add up, the narrowest limit counts."""
    shapes = [shape for (whose, _), shape in _SHAPES.get(broker, {}).items() if whose == device]
    broker.shape(
        device,
        latency_s=sum(one.latency_s for one in shapes),
        jitter_s=sum(one.jitter_s for one in shapes),
        bytes_per_s=min((one.bytes_per_s for one in shapes if one.bytes_per_s is not None), default=None),
        slice_bytes=min((one.slice_bytes for one in shapes if one.slice_bytes is not None), default=None),
    )


class LinkLatency(_Shaped):
    kind = "link.latency"
    text = "the link is slow"

    latency: Duration = timedelta(milliseconds=500)
    jitter: Duration = timedelta(milliseconds=100)

    def shape(self) -> Shape:
        return Shape(latency_s=self.latency.total_seconds(), jitter_s=self.jitter.total_seconds())


class LinkBandwidth(_Shaped):
    kind = "link.bandwidth"
    text = "the link is narrow"

    bytes_per_s: float = Field(2000.0, gt=0)

    def shape(self) -> Shape:
        return Shape(bytes_per_s=self.bytes_per_s)


class LinkSlicer(_Shaped):
    kind = "link.slicer"
    text = "the link delivers packets in pieces"

    size: int = Field(5, ge=1)
    """Bytes of a piece, at most."""

    def shape(self) -> Shape:
        return Shape(slice_bytes=self.size)


LINK: tuple[type[Fault], ...] = (
    LinkDown, LinkLatency, LinkBandwidth, LinkHalfOpen, LinkReset, LinkSlicer, TlsExpired, AuthRevoked,
)  # fmt: skip
