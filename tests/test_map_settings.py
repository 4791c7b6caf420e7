"""map.yaml: one clear line for each mistake; and GeoJSON files of all kinds."""

from pathlib import Path

import pytest

from agent.domain.yaml_loader import BadConfig
from centre.map.city import load_roles
from centre.map.map_lines import read_lines
from centre.map.settings import GeojsonBase, MapSettings, load_settings, parse_settings
from simulators.city_settings import write_settings

CITY = Path(__file__).resolve().parents[1] / "configs" / "city"

WRONG = [
    ("an unknown key", "zom: 12", "m.yaml:1: zom: unknown key; did you mean 'zoom'?"),
    ("no list", "- 1", "m.yaml:1: a configuration is a mapping"),
    (
        "a reversed position",
        "center: [118, 32]",
        "m.yaml:1: center: [118, 32]: a position is [latitude, longitude]",
    ),
    ("an unknown base", "base: {kind: google}", "m.yaml:1: base.kind: write pmtiles, geojson, tiles or none"),
    ("a base without its file", "base: {kind: pmtiles}", "m.yaml:1: base.file: is required"),
    (
        "a file that is missing",
        "zoom: 3\nrivers: [none.geojson]",
        "m.yaml:2: rivers: /nowhere/none.geojson: no such",
    ),
    (
        "a speed of zero",
        "speeds:\n  boat: {by: water, mps: 0}",
        "m.yaml:2: speeds.boat.mps: input should be greater",
    ),
    ("an unknown zone", "timezone: Asia/Shanghia", "m.yaml:1: timezone: no time zone 'Asia/Shanghia'"),
    ("an unknown unit", "units: furlong", "m.yaml:1: units: input should be"),
]


@pytest.mark.parametrize(("text", "message"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(BadConfig) as error:
        parse_settings(text, "m.yaml", Path("/nowhere"))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_paths_are_below_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text("{}")
    settings = parse_settings("base: {kind: geojson, files: [a.geojson]}", "m.yaml", tmp_path)
    assert settings.base == GeojsonBase(kind="geojson", files=(tmp_path / "a.geojson",))


def test_every_key_has_a_default() -> None:
    settings = MapSettings()
    assert settings.speed("patrol_boat").by == "water"
    assert settings.speed("something new").by == "foot"
    assert settings.zone.key == "UTC"


def test_the_example_is_what_the_simulator_writes(tmp_path: Path) -> None:
    write_settings(tmp_path)
    for name in ("map.yaml", "river.geojson", "roads.geojson"):
        assert (tmp_path / name).read_text() == (CITY / name).read_text()
    settings = load_settings(CITY / "map.yaml")
    assert [line.name for line in read_lines(settings.rivers[0])] == ["Quill"]


GEOJSON = [
    ('{"type": "LineString", "coordinates": [[170, 33], [171, 33, 5]]}', [("", ((33, 170), (33, 171)))]),
    (
        """{"type": "Feature", "properties": {"name": "A"}, "geometry":
        {"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]}}""",
        [("A", ((2, 1), (4, 3))), ("A", ((6, 5), (8, 7)))],
    ),
]


@pytest.mark.parametrize(("text", "lines"), GEOJSON)
def test_geojson(tmp_path: Path, text: str, lines: list[object]) -> None:
    (tmp_path / "a.geojson").write_text(text)
    assert [(line.name, line.points) for line in read_lines(tmp_path / "a.geojson")] == lines


BAD_GEOJSON = [
    ("[1]", "not GeoJSON"),
    ("{", "not GeoJSON"),
    ("[" * 100_000, "not GeoJSON"),
    ('{"type": "FeatureCollection", "features": []}', "has no LineString"),
    ('{"type": "LineString", "coordinates": [[33, 170], [1, 2]]}', "write [longitude, latitude]"),
    ('{"type": "LineString", "coordinates": [["a", {}], 7]}', "write [longitude, latitude]"),
    ('{"type": "MultiPolygon", "coordinates": [7, [8, [9]]]}', "write [longitude, latitude]"),
]


@pytest.mark.parametrize(("text", "message"), BAD_GEOJSON)
def test_bad_geojson(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.geojson").write_text(text)
    with pytest.raises(ValueError, match=r"a\.geojson") as error:
        read_lines(tmp_path / "a.geojson")
    assert message in str(error.value)


def test_a_roles_file_that_is_none_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "roles.json").write_text("{}")
    with pytest.raises(ValueError, match=r"roles\.json: ") as error:
        load_roles(tmp_path / "roles.json")
    assert "\n" not in str(error.value)
