"""Writes ``map.yaml`` of the invented city, with its river and its roads: ``configs/city``.

``python -m simulators.city_settings FOLDER``
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from simulators.city_fleet import CENTRE, river, roads

SETTINGS = f"""\
# The map of a city that does not exist: ringpost map --db city.db --settings configs/city/map.yaml
# Every key is optional. Paths are below this folder.
schema_version: 1
title: Quillmere
center: [{CENTRE[0]:g}, {CENTRE[1]:g}]     # latitude, longitude; without it: where the forces are
zoom: 12
timezone: Asia/Shanghai
units: metric               # metric, nautical, imperial

# What is drawn below the forces: a PMTiles file, GeoJSON files, a folder of tiles, or a grid.
base: {{kind: none}}
# base: {{kind: pmtiles, file: city.pmtiles}}
# base: {{kind: geojson, files: [areas.geojson]}}
# base: {{kind: tiles, folder: tiles, suffix: png, max_zoom: 16}}
# attribution: "where the map data comes from"

rivers: [river.geojson]     # boats go along these lines
roads: [roads.geojson]
shore_m: 200                # a boat helps up to this far from a river line

# How the people and the craft of each kind of device move; by: water, air, road, foot, stays.
speeds:
  patrol_boat: {{by: water, mps: 12, ready_s: 15}}
  drone_ground_station: {{by: air, mps: 15, ready_s: 30}}
  checkpoint_camera: {{by: road, mps: 8, ready_s: 30, detour: 1.4}}
  metro_post: {{by: foot, mps: 1.8, ready_s: 15, detour: 1.3}}
  watch_point: {{by: foot, mps: 1.8, ready_s: 15, detour: 1.3}}
minutes: [1, 3, 5]          # after an alert, when forces should be there
rings: [inner_city, ring_road, perimeter]
# roles: roles.json         # whose keys may hand alerts over and note something
"""


def geojson(lines: Iterable[tuple[str, list[tuple[float, float]]]]) -> str:
    """A FeatureCollection of named lines."""
    features = [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {
                "type": "LineString",
                "coordinates": [[round(lon, 6), round(lat, 6)] for lat, lon in points],
            },
        }
        for name, points in lines
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}) + "\n"


def write_settings(folder: Path) -> Path:
    """Writes the three files; returns ``map.yaml``. OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "river.geojson").write_text(geojson([("Quill", river())]))
    (folder / "roads.geojson").write_text(geojson(roads()))
    settings = folder / "map.yaml"
    settings.write_text(SETTINGS)
    return settings


if __name__ == "__main__":
    write_settings(Path(sys.argv[1]))
