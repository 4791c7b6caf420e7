"""Ranges of sequence numbers: those issued, less those stored or explained by a ``gap``. Pure.

``health.numbers`` lists ``{"lane", "epoch", "last"}``: the highest number issued in each epoch of which the
device still stores messages. Numbers begin at 1.
"""

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, Field, ValidationError

from agent.runtime.sanitize import as_dict, as_list

Ranges: TypeAlias = list[tuple[int, int]]
"""First and last of each run, ascending, disjoint."""

MOST_EPOCHS = 64
"""Entries of ``health.numbers`` that are read."""

Lane: TypeAlias = Literal["alert", "result"]


class IssuedNumbers(BaseModel):
    """One entry of ``health.numbers``."""

    lane: Lane
    epoch: str = Field(min_length=1, max_length=64)
    last: int = Field(ge=0, lt=2**63)


class LostNumbers(BaseModel):
    """Numbers that a ``gap`` message declares lost for good."""

    lane: str = Field(max_length=16)
    epoch: str = Field(min_length=1, max_length=64)
    first: int = Field(ge=1, lt=2**63)
    last: int = Field(ge=1, lt=2**63)
    why: str = ""


def issued_numbers(health: dict[str, Any]) -> list[IssuedNumbers]:
    """The well-formed entries of ``health.numbers``; alerts first."""
    found = []
    for one in as_list(health.get("numbers"))[:MOST_EPOCHS]:
        try:
            found.append(IssuedNumbers.model_validate(one))
        except ValidationError:
            continue
    return sorted(found, key=lambda one: one.lane)


def lost_numbers(gap: dict[str, Any]) -> LostNumbers | None:
    """The numbers that a ``gap`` message names; None where it names none."""
    body = as_dict(gap.get("gap"))
    try:
        return LostNumbers(
            lane=body.get("lane", ""),
            epoch=gap.get("of_epoch", ""),
            first=body.get("first", 0),
            last=body.get("last", body.get("first", 0)),
            why=str(body.get("why", ""))[:200],
        )
    except ValidationError:
        return None


def ranges(numbers: Iterable[int]) -> Ranges:
    """``1, 2, 3, 7`` (ascending) as ``[(1, 3), (7, 7)]``."""
    found: Ranges = []
    for number in numbers:
        if found and number <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], number))
        else:
            found.append((number, number))
    return found


def missing(first: int, last: int, have: Iterable[tuple[int, int]]) -> Ranges:
    """The numbers from ``first`` to ``last`` that no range of ``have`` (in any order) holds."""
    found: Ranges = []
    for begin, end in sorted(have):
        if begin > last:
            break
        if begin > first:
            found.append((first, begin - 1))
        first = max(first, end + 1)
    if first <= last:
        found.append((first, last))
    return found


def format_ranges(found: Ranges) -> str:
    """``7-16, 20`` for people."""
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in found[:5]]
    return ", ".join(shown) + (" …" if len(found) > 5 else "")
