"""Ranges of message numbers."""

from collections.abc import Iterable, Sequence

MOST_RUNS = 50
"""Runs of missing numbers that are told one by one; what is beyond is told in one."""


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same numbers in ranges that rise and do not touch; none below 1, none beyond what SQLite counts."""
    found: list[tuple[int, int]] = []
    for first, end in sorted((max(1, first), min(end, 2**62)) for first, end in ranges):
        if end < first:
            continue
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((first, end))
    return found


def _holes(first: int, end: int, here: Iterable[int]) -> list[tuple[int, int, int]]:
    """The runs (first, last, count) of numbers from ``first`` to ``end`` that are not ``here`` (rising)."""
    found, at = [], first
    for number in here:
        if number > at:
            found.append((at, number - 1, number - at))
        at = number + 1
    return [*found, (at, end, end - at + 1)] if at <= end else found


def _bounded(runs: Sequence[tuple[int, int, int]]) -> tuple[tuple[int, int, int], ...]:
    """No more than `MOST_RUNS`: what is beyond becomes one, with its count."""
    if len(runs) <= MOST_RUNS:
        return tuple(runs)
    rest = runs[MOST_RUNS - 1 :]
    return (*runs[: MOST_RUNS - 1], (rest[0][0], rest[-1][1], sum(count for _, _, count in rest)))
