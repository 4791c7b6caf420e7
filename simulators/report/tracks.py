"""Tracks with few points: what a straight line at even speed explains is left out."""

from dataclasses import dataclass, field

from firmware_bridge.wgs84 import Plane
from simulators.report.story import TrackPoint

TOLERANCE_M = 0.4
MAX_PENDING = 40


@dataclass(slots=True)
class ThinnedTrack:
    """Takes points in order of time; ``points`` explain all of them to within ``tolerance_m``."""

    plane: Plane
    tolerance_m: float = TOLERANCE_M
    points: list[TrackPoint] = field(default_factory=list)
    last_t: float | None = None
    only_placed: bool = False
    """Its one point is where a post says that it stands."""
    _pending: list[tuple[TrackPoint, float, float]] = field(default_factory=list)
    """Since the last kept point, with metres east and north."""
    _kept: tuple[float, float] = (0.0, 0.0)

    def add(self, point: TrackPoint) -> None:
        """A point; later than the one before."""
        self.last_t = point.t
        east, north = self.plane.metres(point.lat, point.lon)
        if not self.points:
            self._keep(point, east, north)
            return
        if len(self._pending) == 1 and self._pending[0][1:] == (east, north) == self._kept:
            self._pending = [(point, east, north)]
            return
        if len(self._pending) >= MAX_PENDING or not self._explains(point.t, east, north):
            self._keep(*self._pending[-1])
            self._pending = []
        self._pending.append((point, east, north))

    def clear(self) -> None:
        """Forgets all points."""
        self.points, self._pending, self.only_placed = [], [], False

    def close(self) -> list[TrackPoint]:
        """All points; the last one is always among them."""
        if self._pending:
            self._keep(*self._pending[-1])
            self._pending = []
        return self.points

    def _keep(self, point: TrackPoint, east: float, north: float) -> None:
        self.points.append(point)
        self._kept = (east, north)

    def _explains(self, t: float, east: float, north: float) -> bool:
        """Whether the line from the last kept point to this one explains those between."""
        begin, (begin_east, begin_north) = self.points[-1].t, self._kept
        for point, point_east, point_north in self._pending:
            share = (point.t - begin) / (t - begin) if t > begin else 0.0
            off_east = begin_east + share * (east - begin_east) - point_east
            off_north = begin_north + share * (north - begin_north) - point_north
            if off_east * off_east + off_north * off_north > self.tolerance_m**2:
                return False
        return True
