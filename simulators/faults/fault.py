"""A fault: what it hits, its begin and end, and the proof that it had an effect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from simulators.stage import Stage, StagedDevice, StagedLine

Subject: TypeAlias = Literal["source", "device", "broker", "centre"]
"""What a fault hits: a source of a device, a device, or what all devices share."""
CLOCKS = ("virtual", "real")


class CannotApplyError(Exception):
    """The fault can't be carried out on this stage: the message says why. The run is incomplete."""


@dataclass(slots=True)
class FaultStep:
    """One fault of a timeline, while it is played. ``number``: its place there, from 0."""

    number: int
    device: str | None = None
    source: str | None = None
    source_kind: str = ""
    """As in the configuration of the device: ``nmea``, ``camera``."""
    for_s: float | None = None
    began_s: float = 0.0
    ended_s: float = 0.0
    before: dict[str, Any] = field(default_factory=dict)
    """What `Fault.begin` noted for the proof."""


class Fault(BaseModel):
    """One fault with its parameters. `begin` and `end` are called once each; then `took_effect` is asked.

    ``took_effect`` is a proof from the staged object or from the record: False where there was nothing to
    hit, such as a cable that the agent had not opened.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    subject: ClassVar[Subject]
    text: ClassVar[str]
    """What happens, for people; ``{subject}`` is filled in."""
    proof: ClassVar[str]
    """What `took_effect` looks at."""
    clocks: ClassVar[tuple[str, ...]] = CLOCKS
    reason: ClassVar[str] = ""
    """Why it can't run under the other clock."""
    instant: ClassVar[bool] = False
    """Whether it needs no ``for``."""
    state: ClassVar[str] = ""
    """What it switches on and off: two faults of one state and one target can't be on at once, since the end
    of the one would end both. Empty: they add up."""
    source_kinds: ClassVar[frozenset[str]] = frozenset()
    """The kinds of sources that it can hit; empty: all but cameras."""

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        raise NotImplementedError

    async def end(self, stage: Stage, step: FaultStep) -> None:
        raise NotImplementedError

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        raise NotImplementedError

    def describe(self, step: FaultStep) -> str:
        """For the timeline: ``post-1: the cable of the GNSS receiver is pulled, for 14 s``."""
        whose = "" if step.device is None else f"{step.device}: "
        text = self.text.format(subject=subject_text(step))
        lasts = "" if step.for_s is None else f", for {step.for_s:g} s"
        return f"{whose}{text}{lasts}"

    @classmethod
    def misplaced(cls, config: Mapping[str, Any] | None, source: str | None) -> str | None:
        """Why this fault can't hit this: one line, or None. ``config`` is that of the device, if any."""
        if cls.subject in ("broker", "centre"):
            return f"{cls.kind} hits the {cls.subject}: leave the device out" if config is not None else None
        if config is None:
            return f"{cls.kind} needs a device"
        if cls.subject == "device":
            return f"{cls.kind} hits the device: leave the source out" if source is not None else None
        sources: Mapping[str, Any] = config.get("sources", {})
        fitting = [name for name, one in sources.items() if cls._fits(one.get("kind"))]
        if source in fitting:
            return None
        known = f"known: {', '.join(fitting)}" if fitting else "the device has none"
        wrong = "needs a source" if source is None else f"can't hit the source {source!r}"
        return f"{cls.kind} {wrong}; {known}"

    @classmethod
    def refuse_clock(cls, clock: str) -> str | None:
        """Why this fault can't be played under ``clock``: one line, or None."""
        if clock in cls.clocks:
            return None
        return f"{cls.kind} needs `clock: {cls.clocks[0]}`: {cls.reason}"

    @classmethod
    def _fits(cls, kind: Any) -> bool:
        return kind in cls.source_kinds if cls.source_kinds else kind != "camera"


def subject_text(step: FaultStep) -> str:
    """The hardware of the step's source, for people."""
    name = HARDWARE.get(step.source_kind, "source")
    return f"{name} {step.source}" if step.source else name


HARDWARE = {
    "nmea": "receiver",
    "ubx": "GNSS receiver",
    "sensor_board": "sensor board",
    "mavlink": "drone's radio",
    "ais": "AIS receiver",
    "camera": "camera",
}
"""The hardware of each kind of source, for people."""


def device_of(stage: Stage, step: FaultStep) -> StagedDevice:
    """CannotApplyError where the stage has no such device."""
    found = stage.devices.get(step.device or "")
    if found is None:
        raise CannotApplyError(f"no device {step.device!r} on the stage")
    return found


def line_of(stage: Stage, step: FaultStep) -> StagedLine:
    """CannotApplyError where the source has no line."""
    found = device_of(stage, step).lines.get(step.source or "")
    if found is None:
        raise CannotApplyError(f"{step.device}: the source {step.source!r} has no line")
    return found


def hardware_of(stage: Stage, step: FaultStep, attribute: str) -> Any:
    """The simulated hardware of the source. CannotApplyError where it is not what the fault is for."""
    found = device_of(stage, step).hardware.get(step.source or "")
    if not hasattr(found, attribute):
        raise CannotApplyError(f"{step.device}: the hardware of {step.source!r} has no {attribute}")
    return found


async def play(stage: Stage, fault: Fault, step: FaultStep) -> bool:
    """Plays ``fault`` from now on for ``step.for_s``, with its events in the record; whether it took effect.

    CannotApplyError, and those of the stage, where it can't be carried out.
    """
    fields = {"fault": step.number, "kind": fault.kind}
    step.began_s = stage.now_s()
    stage.record.event("fault_began", step.device, **fields)
    await fault.begin(stage, step)
    try:
        await stage.sleep_until(step.began_s + (step.for_s or 0.0))
    finally:
        await fault.end(stage, step)
        step.ended_s = stage.now_s()
    stage.record.event("fault_ended", step.device, **fields)
    struck = fault.took_effect(stage, step)
    if struck:
        stage.record.event("fault_effect", step.device, **fields)
    return struck
