"""Tiles and lines below the forces, from files of our own: nothing is asked of other servers. Blocking."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from centre.map.map_lines import NamedLine, read_geojson
from centre.map.settings import GeojsonBase, MapSettings, Pmtiles, TileFolder

RASTER: Mapping[str, str] = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
}
SUFFIXES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
MAX_ZOOM = 22
MAX_TILE_BYTES = 4_000_000
CACHED = 512
"""Tiles that are kept in memory."""


@dataclass(frozen=True, slots=True)
class Tile:
    data: bytes
    media_type: str


class Tiles(Protocol):
    """Raster tiles of a web mercator grid."""

    min_zoom: int
    max_zoom: int
    attribution: str

    def get(self, z: int, x: int, y: int) -> Tile | None:
        """None where there is none. OSError."""


class FolderTiles:
    """A folder with ``{z}/{x}/{y}.png`` (or jpg, webp)."""

    def __init__(self, folder: Path) -> None:
        """ValueError where the folder has no zoom levels; OSError."""
        self._folder = folder
        self.attribution = ""
        zooms = sorted(int(one.name) for one in folder.iterdir() if one.name.isdecimal() and one.is_dir())
        if not zooms:
            raise ValueError(f"{folder}: no tiles: expected folders z/x/y.png")
        self.min_zoom, self.max_zoom = zooms[0], zooms[-1]

    def get(self, z: int, x: int, y: int) -> Tile | None:
        for suffix, media_type in SUFFIXES.items():
            path = self._folder / str(z) / str(x) / f"{y}{suffix}"
            if path.is_file() and path.stat().st_size <= MAX_TILE_BYTES:
                return Tile(path.read_bytes(), media_type)
        return None


class PmtilesArchive:
    """A PMTiles file of raster tiles. Vector tiles need a renderer that the page does not have."""

    def __init__(self, path: Path) -> None:
        """ValueError where it is no archive of raster tiles. OSError."""
        library: Any = import_module("pmtiles.reader")  # its functions have no types

        with path.open("rb") as file:
            try:
                self._reader = library.Reader(library.MmapSource(file))
                header: dict[str, Any] = self._reader.header()
                metadata: dict[str, Any] = self._reader.metadata()
            except Exception as error:  # the library raises whatever its parsing meets
                raise ValueError(f"{path}: no PMTiles archive: {error!r}") from error
        kind = header["tile_type"].name
        if kind not in RASTER:
            raise ValueError(
                f"{path}: tiles of type {kind}: only raster tiles (PNG, JPEG, WebP) can be drawn;"
                " make them with a renderer, or give the lines as GeoJSON"
            )
        self._media_type = RASTER[kind]
        self.min_zoom, self.max_zoom = int(header["min_zoom"]), int(header["max_zoom"])
        self.attribution = str(metadata.get("attribution", ""))[:200]
        self._cached = lru_cache(CACHED)(self._read)

    def _read(self, z: int, x: int, y: int) -> bytes | None:
        data: bytes | None = self._reader.get(z, x, y)
        return data

    def get(self, z: int, x: int, y: int) -> Tile | None:
        data = self._cached(z, x, y)
        return None if data is None or len(data) > MAX_TILE_BYTES else Tile(data, self._media_type)


def open_tiles(settings: MapSettings) -> Tiles | None:
    """The tiles of the base map; None where it has none. ValueError or OSError: one line."""
    match settings.base:
        case Pmtiles(file=file):
            return PmtilesArchive(file)
        case TileFolder(folder=folder):
            return FolderTiles(folder)
        case _:
            return None


def geojson_files(settings: MapSettings) -> tuple[Path, ...]:
    """The GeoJSON files of the base map; ValueError where one is none, OSError."""
    files = settings.base.files if isinstance(settings.base, GeojsonBase) else ()
    for file in files:
        read_geojson(file)
    return files


def is_tile(z: int, x: int, y: int) -> bool:
    """Whether such a tile can exist."""
    return 0 <= z <= MAX_ZOOM and 0 <= x < 2**z and 0 <= y < 2**z


def lines_geojson(rivers: Sequence[NamedLine], roads: Sequence[NamedLine]) -> str:
    """GeoJSON of the rivers and roads that are configured."""
    features = [
        {
            "type": "Feature",
            "properties": {"kind": kind, "name": line.name},
            "geometry": {"type": "LineString", "coordinates": [[lon, lat] for lat, lon in line.points]},
        }
        for kind, lines in (("river", rivers), ("road", roads))
        for line in lines
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})
