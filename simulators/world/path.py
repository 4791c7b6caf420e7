"""A way on a plane along waypoints, with rounded corners, by the distance from its start. Pure; metres."""

import math
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from firmware_bridge.wgs84 import Metres

Placed: TypeAlias = tuple[float, float, float]
"""Metres east and north, and course in degrees."""
U_TURN_RAD = math.radians(170)
"""A sharper corner has no arc: what follows the way stands still and turns."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A straight piece, or an arc where ``turn_rad`` is not 0 (to the right is positive).

    ``leg``: the number of the leg, or of the earlier of the two that an arc joins.
    """

    east: float
    north: float
    course_rad: float
    length_m: float
    leg: int
    turn_rad: float = 0.0

    def at(self, along_m: float) -> Placed:
        """The place at this distance from the start of the piece."""
        if self.turn_rad == 0.0:
            east = self.east + along_m * math.sin(self.course_rad)
            north = self.north + along_m * math.cos(self.course_rad)
            return east, north, math.degrees(self.course_rad) % 360
        radius = self.length_m / self.turn_rad  # below 0 to the left
        turned = along_m / radius
        east = self.east + radius * (math.cos(self.course_rad) - math.cos(self.course_rad + turned))
        north = self.north + radius * (math.sin(self.course_rad + turned) - math.sin(self.course_rad))
        return east, north, math.degrees(self.course_rad + turned) % 360

    @property
    def radius_m(self) -> float:
        return math.inf if self.turn_rad == 0.0 else abs(self.length_m / self.turn_rad)


class Path:
    """The pieces of a way. ``sharp``: the waypoints where it does not round the corner.

    ``ends_m``: the distance from the start at the end of each piece. ``waypoints_m``: at each waypoint;
    a rounded one is passed in the middle of its arc.
    """

    def __init__(self, points: Sequence[Metres], radius_m: float, sharp: Collection[int] = ()) -> None:
        if len(points) < 2:
            raise ValueError("a way has two waypoints or more")
        courses, lengths = _legs(points)
        self.sharp = {0, len(points) - 1, *sharp}
        cuts = [0.0] * len(points)
        turns = [0.0] * len(points)
        for corner in range(1, len(points) - 1):
            turn = (courses[corner] - courses[corner - 1] + math.pi) % math.tau - math.pi
            if abs(turn) < 1e-9:
                continue
            if corner in self.sharp or abs(turn) > U_TURN_RAD or radius_m <= 0:
                self.sharp.add(corner)
                continue
            turns[corner] = turn
            room = min(lengths[corner - 1], lengths[corner]) / 2
            cuts[corner] = min(radius_m * math.tan(abs(turn) / 2), room)
        self.pieces: list[Piece] = []
        self.ends_m: list[float] = []
        self.waypoints_m: list[float] = [0.0]
        self._total_m = 0.0
        for leg, (course, length) in enumerate(zip(courses, lengths, strict=True)):
            east, north = points[leg]
            start, end = cuts[leg], length - cuts[leg + 1]
            if end - start > 1e-9:
                at = east + start * math.sin(course), north + start * math.cos(course)
                self._add(Piece(*at, course, end - start, leg))
            turn = turns[leg + 1]
            arc_m = abs(turn) * cuts[leg + 1] / math.tan(abs(turn) / 2) if turn else 0.0
            self.waypoints_m.append(self._total_m + arc_m / 2)
            if arc_m:
                at = east + end * math.sin(course), north + end * math.cos(course)
                self._add(Piece(*at, course, arc_m, leg, turn))

    def _add(self, piece: Piece) -> None:
        self._total_m += piece.length_m
        self.pieces.append(piece)
        self.ends_m.append(self._total_m)

    @property
    def length_m(self) -> float:
        return self._total_m

    def at(self, along_m: float) -> Placed:
        """The place at a distance from the start; its ends outside the way."""
        along_m = max(0.0, min(along_m, self._total_m))
        number = min(bisect_right(self.ends_m, along_m), len(self.pieces) - 1)
        piece = self.pieces[number]
        return piece.at(along_m - (self.ends_m[number] - piece.length_m))


def _legs(points: Sequence[Metres]) -> tuple[list[float], list[float]]:
    """Course in radians and length of each leg. ValueError: a leg without length."""
    courses, lengths = [], []
    for number, (one, other) in enumerate(pairwise(points)):
        length = math.dist(one, other)
        if length < 0.01:
            raise ValueError(f"the waypoints {number} and {number + 1} are the same place")
        courses.append(math.atan2(other[0] - one[0], other[1] - one[1]))
        lengths.append(length)
    return courses, lengths
