"""Faults of a timeline that would end each other."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from simulators.faults.fault import Fault


class Placed(Protocol):
    """An entry of a timeline; ``fault`` is None for an action."""

    @property
    def number(self) -> int: ...
    @property
    def fault(self) -> Fault | None: ...
    @property
    def device(self) -> str | None: ...
    @property
    def source(self) -> str | None: ...
    @property
    def at_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...


def overlaps(steps: Iterable[Placed]) -> Iterator[tuple[int, str]]:
    """The number of each fault that begins while another one of its state and target is on, and why that is
    wrong."""
    until: dict[tuple[str | None, str | None, str], Placed] = {}
    for step in sorted(steps, key=lambda one: one.at_s):
        if step.fault is None or not step.fault.state:
            continue
        target = (step.device, step.source, step.fault.state)
        other = until.get(target)
        if other is not None and other.fault is not None and step.at_s < other.end_s:
            ends = f"{other.fault.kind} ends at {other.end_s:g} s: the end of the one would end both"
            yield step.number, f"{step.fault.kind} begins at {step.at_s:g} s, before {ends}"
        if other is None or step.end_s > other.end_s:
            until[target] = step
