"""The site of the map: one page for all officers, its files, and what runs beside it."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path

from fastapi.responses import FileResponse, Response
from nicegui import background_tasks

from centre.map.base_map import Tiles, geojson_files, is_tile, lines_geojson, open_tiles
from centre.map.city import City
from centre.map.pages import map_page, report_page
from console.web.session import Session
from console.web.site import Page, Site
from console.web.widgets.map import BaseMap

TITLE = "ringpost map"
STATIC = Path(__file__).parent / "static"
DAY = {"Cache-Control": "private, max-age=86400"}


def city_site(city: City) -> Site:
    """The site. ValueError or OSError where a file of the base map is not usable."""
    settings = city.settings
    tiles, files = open_tiles(settings), geojson_files(settings)
    lines = lines_geojson(city.rivers, city.roads)
    base = BaseMap(
        tiles=None if tiles is None else "/map-tiles/{z}/{x}/{y}",
        min_zoom=0 if tiles is None else tiles.min_zoom,
        max_zoom=19 if tiles is None else tiles.max_zoom,
        geojson=[*(f"/map-geojson/{number}" for number in range(len(files))), "/map-lines"],
        attribution=settings.attribution or ("" if tiles is None else tiles.attribution),
    )
    routes: Mapping[str, Callable[..., object]] = {
        "/map-static/city.css": lambda: FileResponse(STATIC / "city.css", media_type="text/css"),
        "/map-tiles/{z}/{x}/{y}": partial(_tile, tiles),
        "/map-geojson/{number}": partial(_geojson, files),
        "/map-lines": lambda: Response(lines, media_type="application/geo+json"),
    }
    return Site(
        settings.title or TITLE,
        (
            Page("/", "Map", "map", partial(map_page.build, city, base), map_page.KEYS),
            Page("/reports", "Reports", "summarize", partial(report_page.build, city)),
        ),
        routes=routes,
        prepare=partial(_prepare, city),
        on_start=(partial(_start, city),),
        on_stop=(city.close,),
    )


def _prepare(city: City, session: Session) -> None:
    """Each session begins in the time zone and the units of the settings."""
    session.zone = session.place_zone = city.settings.zone
    session.units = city.settings.units


def _start(city: City) -> None:
    """Runs what follows the database and the broker."""
    jobs: list[Callable[[], Coroutine[None, None, None]]] = [
        city.feed.run, city.actions.run, city.actions.orders.run,
    ]  # fmt: skip
    for job in jobs:
        background_tasks.create(job(), name="map")


def _tile(tiles: Tiles | None, z: int, x: int, y: int) -> Response:
    tile = None if tiles is None or not is_tile(z, x, y) else tiles.get(z, x, y)
    if tile is None:
        return Response(status_code=404)
    return Response(tile.data, media_type=tile.media_type, headers=DAY)


def _geojson(files: Sequence[Path], number: int) -> Response:
    if not 0 <= number < len(files):
        return Response(status_code=404)
    return FileResponse(files[number], media_type="application/geo+json", headers=DAY)
