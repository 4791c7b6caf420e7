"""Ranges of message numbers. Pure."""

from collections.abc import Iterable, Sequence

MOST_RANGES = 50
"""Missing ranges that are reported one by one; the rest is reported as one."""


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same numbers in ascending ranges that do not touch, from 1 to the greatest of SQLite."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted((max(1, first), min(last, 2**62)) for first, last in ranges):
        if last < first:
            continue
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def missing_ranges(first: int, last: int, present: Iterable[int]) -> list[tuple[int, int, int]]:
    """The ranges (first, last, count) between ``first`` and ``last`` without the ascending ``present``."""
    found, next_number = [], first
    for number in present:
        if number > next_number:
            found.append((next_number, number - 1, number - next_number))
        next_number = number + 1
    return [*found, (next_number, last, last - next_number + 1)] if next_number <= last else found


def limit_ranges(ranges: Sequence[tuple[int, int, int]]) -> tuple[tuple[int, int, int], ...]:
    """At most `MOST_RANGES`: the last spans all that remain, with their count."""
    if len(ranges) <= MOST_RANGES:
        return tuple(ranges)
    rest = ranges[MOST_RANGES - 1 :]
    return (*ranges[: MOST_RANGES - 1], (rest[0][0], rest[-1][1], sum(count for _, _, count in rest)))
