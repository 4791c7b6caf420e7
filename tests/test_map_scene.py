"""What the map draws of a situation, and the files below it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from centre.map.base_map import FolderTiles, PmtilesArchive, is_tile, lines_geojson
from centre.map.cli import map_group
from centre.map.forces import Filter
from centre.map.map_lines import NamedLine
from centre.map.pages.view import View
from centre.map.scene import ForceObjects, alert_id, alert_objects, force_id, picked
from centre.map.situation import Situation
from centre.map.stored_message import StoredMessage
from console.web.session import Session

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


_rows = count(1)


def message(device: str, topic: str, at: datetime = NOW, **body: Any) -> StoredMessage:
    return StoredMessage(
        next(_rows), device, topic, at, at, {"at": at.isoformat(), "historical": False, **body}
    )


def city() -> Situation:
    situation = Situation()
    alert = {
        "alert_id": "a1",
        "phase": "new",
        "severity": "critical",
        "kind": "person_in_water",
        "since": NOW.isoformat(),
    }
    situation.apply([
        message("boat-1", "birth", kind="patrol_boat", domain="water", ring="inner_city"),
        message("boat-1", "position", lat=30.0, lon=120.0, mode="3d", trust="good", age_s=0, course_deg=90, error_m=4),
        message("post-1", "birth", kind="watch_point", domain="ground", ring="perimeter", lat=30.1, lon=120.1),
        message("post-1", "health", coverage={"cam1": {"blind": [{"zone": "water", "why": "dark"}]}}),
        message("post-1", "alert", alert={**alert, "point": {"lat": 30.2, "lon": 120.2, "error_m": 50}}),
        message("drill-1", "alert", drill=True, alert={**alert, "alert_id": "d1", "phase": "drill"}),
    ])  # fmt: skip
    return situation


def objects(
    situation: Situation, now: datetime, by: Filter | None = None, states: frozenset[str] = frozenset()
) -> dict[str, Any]:
    found = ForceObjects().chosen(situation, by or Filter(), states, now)
    return {one.id: one for one in found}


def test_forces_have_their_shape_state_and_sight() -> None:
    found = objects(city(), NOW)
    boat, post = found["force/boat-1"], found["force/post-1"]
    assert (boat.symbol, boat.state, boat.stale, boat.course_deg, boat.error_m) == (
        "boat",
        "online",
        False,
        90,
        4,
    )
    assert (post.symbol, post.stale, post.blind) == ("watch", False, ((None, 360.0),))


def test_an_old_position_is_stale_and_a_post_is_not() -> None:
    found = objects(city(), NOW + timedelta(minutes=2))
    assert found["force/boat-1"].stale
    assert not found["force/post-1"].stale


@pytest.mark.parametrize(
    ("by", "states", "expected"),
    [
        (Filter(domains=frozenset({"water"})), (), {"force/boat-1"}),
        (Filter(rings=frozenset({"perimeter"})), (), {"force/post-1"}),
        (Filter(search="POST"), (), {"force/post-1"}),
        (Filter(), ("stale",), {"force/boat-1"}),
        (Filter(), ("offline",), set()),
    ],
)
def test_filters(by: Filter, states: tuple[str, ...], expected: set[str]) -> None:
    assert set(objects(city(), NOW + timedelta(minutes=2), by, frozenset(states))) == expected


def test_what_has_not_changed_is_the_same_object() -> None:
    situation, kept = city(), ForceObjects()
    (one,) = kept.chosen(situation, Filter(search="boat"), frozenset(), NOW)
    assert kept.chosen(situation, Filter(search="boat"), frozenset(), NOW)[0] is one
    situation.apply(
        [message("boat-1", "position", NOW + timedelta(seconds=1), lat=30.1, lon=120, trust="good")]
    )
    assert kept.chosen(situation, Filter(search="boat"), frozenset(), NOW)[0] is not one


def test_an_alert_has_its_place_and_a_drill_is_none() -> None:
    situation = city()
    shown = alert_objects(
        situation.alerts.unfinished(), situation, {"person_in_water": "man over board"}, None
    )
    assert [(one.id, one.label, one.state, one.error_m) for one in shown] == [
        ("alert/post-1/a1", "man over board", "critical", 50)
    ]


def test_the_queue_of_a_page_keeps_alerts_of_unknown_devices() -> None:
    situation = city()
    situation.apply([message("new-9", "alert", alert={"alert_id": "n", "phase": "new", "severity": "info"})])
    view = View(situation, filter=Filter(domains=frozenset({"water"})))
    assert [alert.alert_id for alert in view.queue()] == ["n"]
    assert view.step(1) == ("new-9", "n")
    view.select_alert(("new-9", "n"))
    assert view.step(1) == ("new-9", "n")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (alert_id(("dev", "a/b")), ("alert", ("dev", "a/b"))),
        (force_id("dev"), ("force", ("dev", ""))),
        ("other/dev", None), ("", None), ("alert/", None),
    ],
)  # fmt: skip
def test_ids_of_the_map(name: str, expected: object) -> None:
    assert picked(name) == expected


def test_a_folder_of_tiles(tmp_path: Path) -> None:
    (tmp_path / "3" / "5").mkdir(parents=True)
    (tmp_path / "3" / "5" / "2.png").write_bytes(b"png")
    tiles = FolderTiles(tmp_path)
    assert (tiles.min_zoom, tiles.max_zoom) == (3, 3)
    found = tiles.get(3, 5, 2)
    assert found is not None
    assert (found.data, found.media_type) == (b"png", "image/png")
    assert tiles.get(3, 5, 3) is None
    with pytest.raises(ValueError, match="no tiles"):
        FolderTiles(tmp_path / "3" / "5")


@pytest.mark.parametrize(("kind", "refused"), [("PNG", False), ("MVT", True)])
def test_a_pmtiles_file(tmp_path: Path, kind: str, refused: bool) -> None:
    tile = pytest.importorskip("pmtiles.tile")
    writer = pytest.importorskip("pmtiles.writer")
    path = tmp_path / "city.pmtiles"
    with writer.write(str(path)) as archive:
        archive.write_tile(tile.zxy_to_tileid(2, 1, 1), b"tile")
        archive.finalize(
            {
                "tile_type": tile.TileType[kind], "tile_compression": tile.Compression.NONE, "min_lon_e7": 0,
                "min_lat_e7": 0, "max_lon_e7": 1, "max_lat_e7": 1, "center_zoom": 2, "center_lon_e7": 0, "center_lat_e7": 0,
            },
            {"attribution": "ours"},
        )  # fmt: skip
    if refused:
        with pytest.raises(ValueError, match="only raster tiles"):
            PmtilesArchive(path)
        return
    archive = PmtilesArchive(path)
    found = archive.get(2, 1, 1)
    assert found is not None
    assert (found.data, found.media_type, archive.attribution) == (b"tile", "image/png", "ours")
    assert archive.get(2, 0, 0) is None


def test_no_pmtiles_file(tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(b"x" * 200)
    with pytest.raises(ValueError, match="no PMTiles archive"):
        PmtilesArchive(path)


@pytest.mark.parametrize(
    ("z", "x", "y", "fine"),
    [(0, 0, 0, True), (1, 2, 0, False), (-1, 0, 0, False), (3, 7, 7, True), (30, 0, 0, False)],
)
def test_which_tiles_exist(z: int, x: int, y: int, fine: bool) -> None:
    assert is_tile(z, x, y) is fine


def test_rivers_and_roads_for_the_page() -> None:
    found = json.loads(lines_geojson([NamedLine("<b>", ((30.0, 120.0), (31.0, 121.0)))], []))
    (river,) = found["features"]
    assert river["properties"] == {"kind": "river", "name": "<b>"}
    assert river["geometry"]["coordinates"][0] == [120.0, 30.0]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "--db"),
        (["--db", "none.db"], 78, "none.db: no such file: give the database of 'ringpost centre'"),
        (["--db", "none.db", "--broker", "ftp://x"], 2, "broker"),
        (["--db", "none.db", "--host", "192.0.2.1"], 2, "TLS and a login"),
        (["--db", "none.db", "--pictures", "nowhere"], 78, "nowhere: no such directory"),
        (["--db", "none.db", "--settings", "none.yaml"], 78, "none.yaml"),
    ],
)  # fmt: skip
def test_the_command_says_what_is_wrong(
    arguments: list[str], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(map_group, ["--no-open", "--port", "8799", *arguments])
    assert result.exit_code == code, result.output
    assert words in result.output
    assert "Traceback" not in result.output


def test_left_out_in_both_languages() -> None:
    from centre.map.words import why_left_out

    english = Session("t", "operator")
    assert why_left_out(english, "silent for 200 s") == "silent for 200 s"
    assert why_left_out(replace(english, language="zh"), "silent for 200 s") == "无响应 200 秒"
    assert why_left_out(replace(english, language="zh"), "something new 3") == "something new 3"
