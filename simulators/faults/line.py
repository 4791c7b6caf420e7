"""Faults of a serial line."""

import random
from functools import partial
from pathlib import PurePath
from typing import Literal, TypeAlias

from pydantic import Field

from simulators.faults.fault import Fault, FaultStep, line_of
from simulators.line_faults import STALE_BYTES, Batched, LineFault, Split, corrupt, misread
from simulators.stage import Stage, StagedLine

Direction: TypeAlias = Literal["both", "to_agent", "from_agent"]
Share: TypeAlias = float


class Counted:
    """A line fault that counts what went through it, and what it changed."""

    def __init__(self, fault: LineFault = bytes) -> None:
        self._fault = fault
        self.bytes = self.changed = 0

    def __call__(self, data: bytes) -> bytes:
        result = self._fault(data)
        self.bytes += len(data)
        self.changed += result != data
        return result


class Together:
    """The faults of a line that are on at the same time, in the order of their begin."""

    def __init__(self) -> None:
        self.faults: list[LineFault] = []

    def __call__(self, data: bytes) -> bytes:
        for fault in self.faults:
            data = fault(data)
        return data


def add(line: StagedLine, fault: LineFault, *, from_agent: bool = False) -> None:
    """Puts ``fault`` on one direction of the line, beside those that are on it."""
    present = line.line_fault_from_agent if from_agent else line.line_fault
    together = present if isinstance(present, Together) else Together()
    together.faults.append(fault)
    if from_agent:
        line.line_fault_from_agent = together
    else:
        line.line_fault = together


def remove(line: StagedLine, fault: LineFault) -> None:
    """Takes ``fault`` off the line."""
    for present in (line.line_fault, line.line_fault_from_agent):
        if isinstance(present, Together) and fault in present.faults:
            present.faults.remove(fault)


class Spoil(Fault):
    """A fault of the bytes."""

    subject = "source"
    proof = "bytes changed, or kept back, on a line that the agent had open"

    direction: Direction = "both"

    def fault(self, chance: random.Random) -> LineFault:
        raise NotImplementedError

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        line = line_of(stage, step)
        step.before["counted"] = []
        for way in ("to_agent", "from_agent"):
            if self.direction in ("both", way):
                counted = Counted(self.fault(random.Random(f"{stage.seed} {step.number} {way}")))
                add(line, counted, from_agent=way == "from_agent")
                step.before["counted"].append(counted)

    async def end(self, stage: Stage, step: FaultStep) -> None:
        for counted in step.before["counted"]:
            remove(line_of(stage, step), counted)

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return any(counted.changed for counted in step.before["counted"])


class Noise(Spoil):
    kind = "line.noise"
    text = "noise on the line of the {subject}"

    chance: Share = Field(0.01, gt=0, le=1)
    """Of each byte, that up to 20 bytes of noise precede it."""

    def fault(self, chance: random.Random) -> LineFault:
        return partial(corrupt, chance=chance, noise=self.chance)


class BitsFlip(Spoil):
    kind = "line.bits_flip"
    text = "bits flip on the line of the {subject}"

    chance: Share = Field(0.01, gt=0, le=1)
    """Of each byte, that one bit flips."""

    def fault(self, chance: random.Random) -> LineFault:
        return partial(corrupt, chance=chance, flips=self.chance)


class BytesDrop(Spoil):
    kind = "line.bytes_drop"
    text = "bytes are lost on the line of the {subject}"

    chance: Share = Field(0.01, gt=0, le=1)
    """Of each byte, that it is lost."""

    def fault(self, chance: random.Random) -> LineFault:
        return partial(corrupt, chance=chance, drops=self.chance)


class WrongSpeed(Spoil):
    kind = "line.wrong_speed"
    text = "the {subject} sends at another speed"

    sender_baud: int = Field(9600, ge=300, le=4_000_000)
    reader_baud: int = Field(4800, ge=300, le=4_000_000)

    def fault(self, chance: random.Random) -> LineFault:
        return partial(misread, sender_baud=self.sender_baud, reader_baud=self.reader_baud)


class SplitAnywhere(Spoil):
    kind = "line.split"
    text = "the bytes of the {subject} arrive in pieces cut anywhere"

    def fault(self, chance: random.Random) -> LineFault:
        return Split(chance)


class Stale(Spoil):
    kind = "line.stale"
    text = "the bytes of the {subject} arrive late, many at once"

    size: int = Field(STALE_BYTES, ge=1)
    """As many bytes are kept back."""

    def fault(self, chance: random.Random) -> LineFault:
        return Batched(self.size)


class Silent(Spoil):
    kind = "line.silent"
    text = "no byte of the {subject} arrives, the line stays open"

    def fault(self, chance: random.Random) -> LineFault:
        return lambda _data: b""


class _Vanishes(Fault):
    """A fault that takes the device away."""

    subject = "source"
    state = "plug"
    proof = "the agent had the line open when it began"

    async def end(self, stage: Stage, step: FaultStep) -> None:
        line_of(stage, step).plug(step.before["path"])

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return bool(step.before["open"])

    def _note(self, line: StagedLine, step: FaultStep) -> None:
        step.before.update(open=line.is_open, path=line.path)


class Unplug(_Vanishes):
    kind = "line.unplug"
    text = "the cable of the {subject} is pulled"

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        line = line_of(stage, step)
        self._note(line, step)
        line.unplug()


class ReEnumerate(_Vanishes):
    kind = "line.re_enumerate"
    text = "the {subject} comes back under another name"

    suffix: str = Field("-again", pattern=r"^[\w-]+$")
    """Of the other name."""

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        line = line_of(stage, step)
        self._note(line, step)
        line.unplug()
        path = PurePath(line.path)
        line.plug(str(path.with_name(path.name + self.suffix)))


class Mute(_Vanishes):
    kind = "line.mute"
    text = "the bus of the {subject} was reset: the line is open, without data"

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        line = line_of(stage, step)
        self._note(line, step)
        line.go_mute()


LINE: tuple[type[Fault], ...] = (
    Unplug, ReEnumerate, Noise, BitsFlip, BytesDrop, WrongSpeed, SplitAnywhere, Stale, Silent, Mute,
)  # fmt: skip
