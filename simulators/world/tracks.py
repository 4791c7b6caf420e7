"""Tracks: where something is that moves along waypoints, how fast, and on which course, by the second."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any

from firmware_bridge.wgs84 import Plane, Position
from simulators.world.path import Path
from simulators.world.settings import Stop, TrackSettings
from simulators.world.speed_profile import SpeedProfile, Stretch

WORLD_FOLDER = FilePath(__file__).parent
SPEED_MPS, TURN_RADIUS_M, ACCELERATION_MPS2 = 5.0, 15.0, 0.5
SIDEWAYS_MPS2 = 2.0
"""The speed in a turn is limited so that this is not exceeded."""
IN_FILE = ("speed_mps", "stops", "turn_radius_m", "accelerates_mps2")


@dataclass(frozen=True, slots=True)
class Motion:
    """The true position (WGS-84, degrees), speed over ground and true course."""

    lat: float
    lon: float
    speed_mps: float = 0.0
    course_deg: float = 0.0

    @property
    def position(self) -> Position:
        return self.lat, self.lon


class Track:
    """A way along ``waypoints``, driven from ``starts_s`` on; it waits before, and stays at the end.

    ``speeds_mps``: one, or one for each leg. ValueError: numbers that don't fit the waypoints.
    """

    def __init__(
        self,
        waypoints: Sequence[Position],
        *,
        speeds_mps: Sequence[float] = (SPEED_MPS,),
        starts_s: float = 0.0,
        stops: Sequence[Stop] = (),
        turn_radius_m: float = TURN_RADIUS_M,
        mps2: float = ACCELERATION_MPS2,
        returns: bool = False,
    ) -> None:
        legs = len(waypoints) - 1
        if len(speeds_mps) not in (1, legs):
            raise ValueError(f"{len(speeds_mps)} speeds for {legs} legs: give one, or one for each leg")
        if any(stop.at > legs for stop in stops):
            raise ValueError(f"a stop at a waypoint beyond the last, which is number {legs}")
        speeds = list(speeds_mps) * (legs if len(speeds_mps) == 1 else 1)
        self.starts_s, self.top_speed_mps, self._returns = starts_s, max(speeds), returns
        self._plane = Plane(*waypoints[0])
        points = [self._plane.metres(*waypoint) for waypoint in waypoints]
        self._path = Path(points, turn_radius_m, {stop.at for stop in stops})
        halts: dict[int, float] = {}
        for stop in stops:
            for_s = stop.lasts.total_seconds()
            halts[stop.at] = halts.get(stop.at, 0.0) + for_s
        stretches, halts_s = [], {}
        for number, piece in enumerate(self._path.pieces):
            limit = speeds[piece.leg]
            if piece.turn_rad:
                limit = min(limit, speeds[piece.leg + 1], (SIDEWAYS_MPS2 * piece.radius_m) ** 0.5)
            elif piece.leg in self._path.sharp:  # the only straight piece of its leg
                halts_s[number] = halts.get(piece.leg, 0.0)
            stretches.append(Stretch(piece.length_m, limit))
        self._profile = SpeedProfile(stretches, mps2, halts_s)
        self._last_halt_s = halts.get(legs, 0.0)

    @property
    def length_m(self) -> float:
        return self._path.length_m

    @property
    def duration_s(self) -> float:
        """From the start to the last waypoint."""
        return self._profile.duration_s

    def at(self, second: float) -> Motion:
        """Where it is at a second of the run."""
        second -= self.starts_s
        back = False
        if self._returns and second > 0:
            lap_s = self.duration_s + self._last_halt_s
            laps, second = divmod(second, lap_s)
            back = int(laps) % 2 == 1
            if back:
                second = self.duration_s - second
        along_m, speed_mps = self._profile.at(second)
        east, north, course = self._path.at(along_m)
        lat, lon = self._plane.position(east, north)
        return Motion(lat, lon, speed_mps, (course + 180 * back) % 360)

    def reaches_s(self, waypoint: int) -> float:
        """The second of the run at which it first gets to a waypoint."""
        along_m = self._path.waypoints_m[waypoint]
        early, late = 0.0, self.duration_s
        while late - early > 1e-6:
            middle = (early + late) / 2
            early, late = (middle, late) if self._profile.at(middle)[0] < along_m - 1e-6 else (early, middle)
        return self.starts_s + late


def make_track(settings: TrackSettings, folder: FilePath | None = None) -> Track:
    """The track of these settings; ``folder``: of the scenario. OSError, ValueError: its file is no track."""
    values: dict[str, Any] = {key: getattr(settings, key) for key in IN_FILE}
    waypoints: Sequence[Position] | None = settings.waypoints
    if settings.file is not None:
        waypoints, properties = read_line(find_file(settings.file, folder))
        merged = {"waypoints": waypoints} | {key: properties[key] for key in IN_FILE if key in properties}
        of_file = TrackSettings.model_validate(merged)
        values = {key: values[key] if values[key] is not None else getattr(of_file, key) for key in IN_FILE}
    assert waypoints is not None  # noqa: S101  settings have a file or waypoints
    speeds = values["speed_mps"] or SPEED_MPS
    return Track(
        waypoints,
        speeds_mps=(speeds,) if isinstance(speeds, int | float) else speeds,
        starts_s=settings.starts.total_seconds(),
        stops=values["stops"] or (),
        turn_radius_m=TURN_RADIUS_M if values["turn_radius_m"] is None else values["turn_radius_m"],
        mps2=values["accelerates_mps2"] or ACCELERATION_MPS2,
        returns=settings.at_end == "returns",
    )


def find_file(name: str, folder: FilePath | None) -> FilePath:
    """A track file beside the scenario, or of this package. FileNotFoundError: neither."""
    places = [one / name for one in (folder, WORLD_FOLDER) if one is not None]
    for path in places:
        if path.is_file():
            return path
    known = ", ".join(sorted(f"tracks/{one.name}" for one in (WORLD_FOLDER / "tracks").glob("*.geojson")))
    raise FileNotFoundError(f"no track file {name!r}: beside the scenario, or one of {known}")


@lru_cache(maxsize=64)
def read_line(path: FilePath) -> tuple[tuple[Position, ...], dict[str, Any]]:
    """The positions and the properties of the first LineString of a GeoJSON file. OSError, ValueError."""
    try:
        content = json.loads(path.read_text())
        features = content["features"] if content["type"] == "FeatureCollection" else [content]
        feature = next(one for one in features if one["geometry"]["type"] == "LineString")
        line = tuple((float(lat), float(lon)) for lon, lat, *_ in feature["geometry"]["coordinates"])
    except (ValueError, TypeError, KeyError, StopIteration) as error:
        raise ValueError(f"{path}: no GeoJSON with a LineString ({error})") from error
    return line, dict(feature.get("properties") or {})
