"""Distances along rivers: a network of lines that join where they meet. Pure."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from centre.map.map_lines import NamedLine, Position
from firmware_bridge.wgs84 import Plane

JOIN_M = 80.0
"""A line that ends this close to another one flows into it."""
XY = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Landing:
    """The nearest place on the water: its leg, how far from both ends of it, and how far from the water."""

    ends: tuple[tuple[int, float], tuple[int, float]]
    leg: int
    off_m: float


class Waterway:
    """Rivers as lines between numbered points, in metres on the plane of the first point."""

    def __init__(self, rivers: Sequence[NamedLine]) -> None:
        first = rivers[0].points[0] if rivers else (0.0, 0.0)
        self._plane = Plane(*first)
        self._points: list[XY] = []
        self._legs: list[tuple[int, int]] = []
        self._next: dict[int, dict[int, float]] = {}
        ends: list[int] = []
        for river in rivers:
            begin = len(self._points)
            self._points += [self._plane.metres(*point) for point in river.points]
            for one, other in pairwise(range(begin, len(self._points))):
                self._legs.append((one, other))
                self._connect(one, other, math.dist(self._points[one], self._points[other]))
            ends += [begin, len(self._points) - 1]
        for end in ends:
            self._join(end)

    def __bool__(self) -> bool:
        return bool(self._legs)

    def _connect(self, one: int, other: int, length_m: float) -> None:
        self._next.setdefault(one, {})[other] = length_m
        self._next.setdefault(other, {})[one] = length_m

    def _join(self, end: int) -> None:
        """Connects the end of a line with the lines that it reaches."""
        for one, other in self._legs:
            if end not in (one, other):
                off_m, share, length_m = self._off(self._points[end], (one, other))
                if off_m <= JOIN_M:
                    self._connect(end, one, off_m + share * length_m)
                    self._connect(end, other, off_m + (1 - share) * length_m)

    def _off(self, point: XY, leg: tuple[int, int]) -> tuple[float, float, float]:
        """The distance of a point from a leg, where on it (0 to 1), and the length of the leg."""
        (ax, ay), (bx, by) = self._points[leg[0]], self._points[leg[1]]
        across, up = bx - ax, by - ay
        square = across**2 + up**2
        share = (
            0.0
            if square == 0
            else max(0.0, min(1.0, ((point[0] - ax) * across + (point[1] - ay) * up) / square))
        )
        off_m = math.hypot(point[0] - ax - share * across, point[1] - ay - share * up)
        return off_m, share, math.sqrt(square)

    def landing(self, position: Position) -> Landing:
        """The nearest place on the water. There have to be lines."""
        point = self._plane.metres(*position)
        number, (off_m, share, length_m) = min(
            ((number, self._off(point, leg)) for number, leg in enumerate(self._legs)),
            key=lambda one: one[1][0],
        )
        one, other = self._legs[number]
        return Landing(((one, share * length_m), (other, (1 - share) * length_m)), number, off_m)

    def distances(self, start: Landing) -> dict[int, float]:
        """The way on the water from a place to each point of the network that it reaches (Dijkstra)."""
        found: dict[int, float] = {}
        waiting = [(length_m, point) for point, length_m in start.ends]
        heapq.heapify(waiting)
        while waiting:
            length_m, point = heapq.heappop(waiting)
            if point in found:
                continue
            found[point] = length_m
            for other, leg_m in self._next.get(point, {}).items():
                if other not in found:
                    heapq.heappush(waiting, (length_m + leg_m, other))
        return found

    def way_m(self, start: Landing, to: Landing, distances: dict[int, float]) -> float:
        """The way between two places on the water; inf where no water joins them. ``distances`` of ``to``."""
        if start.leg == to.leg:
            return abs(start.ends[0][1] - to.ends[0][1])
        return min(length_m + distances.get(point, math.inf) for point, length_m in start.ends)
