"""Rules on where the device itself is, judged by lists of fixes: fence, route, post."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agent.config.loader import parse
from agent.domain.findings import Cleared, Finding
from agent.domain.observations import Observation, Tick
from agent.domain.schedule import parse_schedule
from agent.domain.site import Site
from agent.domain.yaml_loader import BadConfig
from agent.rules import Rule
from agent.rules.route import read_route
from firmware_bridge.readings import Fix

LAT, LON = 32.06, 118.79
M_NORTH = 1 / 110_900
"""Degrees of latitude in a metre, here."""
START = datetime(2026, 11, 27, 0, 0, tzinfo=UTC)  # 08:00 in China, a Friday


def at(second: float, value: Any, source: str = "gnss") -> Observation:
    return Observation(source, START + timedelta(seconds=second), 1000 + second, value)


def north(metres: float | None, error_m: float | None = None) -> Fix:
    """A fix so far north of the origin; None is no fix."""
    if metres is None:
        return Fix(mode="none")
    return Fix(mode="3d", lat=LAT + metres * M_NORTH, lon=LON, error_m=error_m)


def judge(rule: Any, observations: Iterable[Observation]) -> list[tuple[float, str]]:
    """(second, text or "over"), where the answer changes in kind."""
    decide = rule.scheduled_evaluator()
    said: list[tuple[float, str]] = []
    told = False
    for one in observations:
        for fact in decide(one):
            if isinstance(fact, Finding) and not told:
                said.append((one.mono_s - 1000, fact.text))
            elif isinstance(fact, Cleared):
                said.append((one.mono_s - 1000, "over"))
            told = isinstance(fact, Finding)
    return said


def walk(rule: Any, *metres: float | None, error_m: float | None = None) -> list[tuple[float, str]]:
    """One fix a second."""
    return judge(rule, [at(second, north(one, error_m)) for second, one in enumerate(metres)])


def rule(**config: Any) -> Any:
    around = Site(
        timezone="Asia/Shanghai",
        post="north pier",
        lat=LAT,
        lon=LON,
        duty=parse_schedule("Mo-Fr 08:00-18:00"),
    )
    return TypeAdapter(Rule).validate_python({"source": "gnss"} | config).resolve(around)


CIRCLE = rule(kind="geofence", circle={"radius_m": 100}, hold="3s")
SQUARE = rule(
    kind="geofence",
    polygon=[
        [LAT + y * M_NORTH, LON + x * M_NORTH]
        for x, y in ((-100, -100), (100, -100), (100, 100), (-100, 100))
    ],
    hold="3s",
    margin_m=20,
)
FORBIDDEN = rule(kind="geofence", circle={"radius_m": 100}, when="inside", hold="3s", where="the weir")


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("it stays", walk(CIRCLE, *[0, 50, 99] * 9), []),
        ("it leaves", walk(CIRCLE, *[90] * 5, *[130] * 9), [(8, "30 m outside its area")]),
        ("between r and 1.2 r it has not left", walk(CIRCLE, *[90] * 5, *[115] * 9), []),
        ("nor come back", walk(CIRCLE, *[130] * 9, *[110] * 9), [(3, "30 m outside its area")]),
        ("it comes back", walk(CIRCLE, *[130] * 9, *[90] * 9), [(3, "30 m outside its area"), (12, "over")]),
        ("a jump of two seconds", walk(CIRCLE, *[0] * 5, 900, 900, *[0] * 9), []),
        ("a jump back of two seconds", walk(CIRCLE, *[130] * 9, 0, 0, *[130] * 9), [(3, "30 m outside its area")]),
        ("not surely outside", walk(CIRCLE, *[130] * 9, error_m=30), []),
        ("surely outside", walk(CIRCLE, *[160] * 9, error_m=30), [(3, "60 m outside its area")]),
        ("no fix is no position", walk(CIRCLE, *[None] * 9), []),
        ("a polygon", walk(SQUARE, *[90] * 9, *[115] * 9, *[130] * 9), [(21, "30 m outside its area")]),
        ("a closed area", walk(FORBIDDEN, *[200] * 9, *[90] * 9, *[110] * 9, *[130] * 9), [(12, "inside the weir"), (30, "over")]),
    ],
)  # fmt: skip
def test_geofence(name: str, said: list[Any], expected: list[Any]) -> None:
    assert said == expected, name


def test_a_finding_says_where_the_device_is_and_since_when() -> None:
    decide = CIRCLE.scheduled_evaluator()
    found = [fact for second in range(9) for fact in decide(at(second, north(200, 2.5)))][-1]
    assert isinstance(found, Finding)
    assert (found.since_s, found.key, found.source) == (1000, "outside", "gnss")
    assert found.point is not None
    assert (found.point.lat, found.point.how, found.point.error_m) == (LAT + 200 * M_NORTH, "gnss", 2.5)


def test_without_a_newer_position_nothing_begins_and_what_goes_on_says_so() -> None:
    ticks = [at(second, Tick(), "clock") for second in range(2, 60)]
    slow = rule(kind="geofence", circle={"radius_m": 100}, hold="10s")
    assert judge(slow, [at(0, north(0)), at(1, north(900)), *ticks]) == []
    decide = CIRCLE.scheduled_evaluator()
    facts = [fact for one in [*(at(n - 6, north(900)) for n in range(8)), *ticks] for fact in decide(one)]
    last = facts[-1]
    assert isinstance(last, Finding)
    assert last.text == "800 m outside its area; no position for 58 s"


def test_a_receiver_that_speaks_every_ten_seconds_is_not_stale_in_between() -> None:
    def fixes(until: int) -> list[Observation]:
        ticks = [at(second, Tick(), "clock") for second in range(200)]
        said = [at(second + 0.5, north(900)) for second in range(0, until, 10)]
        return sorted([*ticks, *said], key=lambda one: one.mono_s)

    fence = rule(kind="geofence", circle={"radius_m": 100}, hold="15s", lost_after=None)
    ((second, text),) = judge(fence, fixes(200))
    assert 15 <= second <= 40
    assert text == "800 m outside its area"
    decide = fence.scheduled_evaluator()
    facts = [fact for one in fixes(100) for fact in decide(one) if isinstance(fact, Finding)]
    assert facts[-1].text.endswith("no position for 108 s")


def test_that_there_is_no_position_is_told_too() -> None:
    """An anchor watch that has had no position for a minute is no watch."""
    fence = rule(kind="geofence", circle={"radius_m": 100}, lost_after="60s")
    ticks = [at(second, Tick(), "clock") for second in range(30, 120)]
    none = [at(second, north(None)) for second in range(30, 120)]
    lost = "gnss has no position for 60 s"
    assert judge(fence, [at(29, north(0)), *ticks, at(120, north(0))]) == [(89, lost), (120, "over")]
    assert judge(fence, [at(29, north(0)), *none, at(120, north(0))]) == [(89, lost), (120, "over")]
    assert judge(fence, ticks) == [(90, lost)]
    assert judge(rule(kind="geofence", circle={"radius_m": 100}, lost_after=None), ticks) == []


def test_other_receivers_say_nothing() -> None:
    assert judge(CIRCLE, [at(second, north(900), "spare") for second in range(30)]) == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "a circle or a polygon"),
        ({"circle": {"radius_m": 1}, "polygon": [[1, 1], [1, 2], [2, 2]]}, "a circle or a polygon"),
        ({"circle": {"radius_m": 0}}, "greater than 0"),
        ({"circle": {"radius_m": 9, "lat": 1}}, "lat and lon go together"),
        (
            {"polygon": [[118.7, 32.0], [118.8, 32.0], [118.8, 32.1]]},
            "is \\[latitude, longitude\\], not the reverse",
        ),
        ({"polygon": [[32, 118], [33, 118], [34, 118]]}, "encloses no area"),
        ({"polygon": [[32, 118], [33, 118]]}, "at least 3 items"),
    ],
)
def test_what_is_no_fence_is_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(Rule).validate_python({"kind": "geofence", "source": "gnss"} | config)


def test_a_circle_without_a_middle_needs_a_place() -> None:
    fence = TypeAdapter(Rule).validate_python(
        {"kind": "geofence", "source": "gnss", "circle": {"radius_m": 9}}
    )
    with pytest.raises(ValueError, match=r"give its lat and lon, or place\.lat"):
        fence.resolve(Site())


POST = rule(kind="on_post", hold="30s")
HOUR = 3600


def shift(rule: Any, *stays: tuple[float, float, float]) -> list[tuple[str, str]]:
    """What is told at which time in China, a fix every 10 s: (from hour, to hour, metres from the post)."""
    fixes = [
        at(second, north(metres))
        for begin, end, metres in stays
        for second in range(int((begin - 8) * HOUR), int((end - 8) * HOUR), 10)
    ]
    clock = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)
    return [
        ((clock + timedelta(seconds=second)).strftime("%H:%M:%S"), text)
        for second, text in judge(rule, fixes)
    ]


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("on post", shift(POST, (7, 19, 20)), []),
        (
            "away for an hour",
            shift(POST, (8, 10, 20), (10, 11, 400), (11, 12, 20)),
            [("10:00:30", "off post: 400 m from north pier during duty"), ("11:00:30", "over")],
        ),
        ("comes late", shift(POST, (7, 8.5, 400), (8.5, 9, 20)), [("08:00:30", "off post: 400 m from north pier during duty"), ("08:30:30", "over")]),
        ("does not come back before the end of duty", shift(POST, (17, 19, 400)), [("17:00:30", "off post: 400 m from north pier during duty"), ("18:00:30", "over")]),
        ("off duty nobody must be there", shift(POST, (18.5, 24, 4000)), []),
        ("nor is a presence told", shift(POST, (18.5, 24, 20)), []),
        ("unless it is unexpected", shift(rule(kind="on_post", unexpected=True), (17, 20, 20)), [("18:00:30", "at north pier outside the duty hours")]),
    ],
)  # fmt: skip
def test_on_post(name: str, said: list[Any], expected: list[Any]) -> None:
    assert said == expected, name


@pytest.mark.parametrize(
    ("around", "said"),
    [
        (Site(duty=parse_schedule("24/7")), "the post needs a position"),
        (Site(lat=1, lon=1), "give hours, or duty.schedule"),
        (Site(lat=None, lon=None, duty=parse_schedule("night")), "the post needs a position"),
    ],
)
def test_a_post_needs_a_place_and_hours(around: Site, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TypeAdapter(Rule).validate_python({"kind": "on_post", "source": "gnss"}).resolve(around)


def test_off_duty_nobody_asks_for_a_position() -> None:
    evening = [at(second, Tick(), "clock") for second in range(int(9.9 * HOUR), 11 * HOUR, 10)]
    assert judge(POST, evening) == [(9.9 * HOUR + 120, "gnss has no position for 2 min"), (10 * HOUR, "over")]


def geojson(*lines: list[list[float]]) -> dict[str, Any]:
    shapes = [
        {"type": "Feature", "properties": {}, "geometry": {"type": "LineString", "coordinates": one}}
        for one in lines
    ]
    return {"type": "FeatureCollection", "features": shapes}


NORTHWARD = [[LON, LAT], [LON, LAT + 1000 * M_NORTH]]


def route(folder: Path, tree: Any, **more: Any) -> Any:
    path = folder / "route.geojson"
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree, indent=1))
    found = TypeAdapter(Rule).validate_python({"kind": "route", "source": "gnss", "hold": "3s"} | more)
    return found.resolve(Site(route=path))


def east(metres: float, along: float) -> Fix:
    return Fix(mode="3d", lat=LAT + along * M_NORTH, lon=LON + metres / 94_600)


def test_route(tmp_path: Path) -> None:
    its = route(tmp_path, geojson(NORTHWARD), corridor_m=50)
    along = [at(second, east(40, second * 10)) for second in range(50)]
    off = [at(second, east(200, second * 10)) for second in range(50, 60)]
    back = [at(second, east(40, second * 10)) for second in range(60, 70)]
    assert judge(its, [*along, *off, *back]) == [(53, "200 m off the route"), (63, "over")]
    past_the_end = [at(second, east(0, 1100 + second * 10)) for second in range(9)]
    assert judge(its, past_the_end) == [(3, "130 m off the route")]


def test_a_route_of_several_lines_is_one(tmp_path: Path) -> None:
    second_line = [[LON + 0.01, LAT], [LON + 0.01, LAT + 0.01]]
    for tree in (
        geojson(NORTHWARD, second_line),
        {"type": "MultiLineString", "coordinates": [NORTHWARD, second_line]},
    ):
        its = route(tmp_path, tree, corridor_m=50)
        assert judge(its, [at(second, Fix(mode="3d", lat=LAT, lon=LON + 0.01)) for second in range(9)]) == []


WRONG = [
    ("", "route.geojson:1: no GeoJSON: Expecting value"),
    ('{"type":\n "LineString",\n }', "route.geojson:3: no GeoJSON: Expecting property name"),
    ("[]", "route.geojson:1: no GeoJSON object"),
    ('{"type": "Line"}', "route.geojson:1: no type of GeoJSON"),
    ('{"type": "Point", "coordinates": [1, 2]}', "route.geojson: no LineString in it"),
    ('{"type": "LineString",\n"coordinates": [[1, 2]]}', "route.geojson:2: a line has two positions or more"),
    ('{"type": "LineString",\n\n"coordinates": [[1, 2], [3]]}', "route.geojson:3: no position; GeoJSON"),
    ('{"type": "LineString",\n"coordinates": [[1, 2], ["3", 4]]}', "no position; GeoJSON writes [longitude, latitude]"),
    ('{"type": "LineString",\n"coordinates": [[32.1, 118.7], [32.2, 118.7]]}', "route.geojson:2: a position that is nowhere on Earth; GeoJSON writes the longitude first"),
    ('{"type": "LineString", "crs": {"properties": {"name": "EPSG:2437"}}, "coordinates": []}', "positions must be WGS-84"),
    ("[" * 100_000, "nested too deep"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_no_route_is_refused_with_file_and_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"route\.geojson") as caught:
        route(tmp_path, text)
    assert said in str(caught.value)


def test_a_route_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="which route"):
        TypeAdapter(Rule).validate_python({"kind": "route", "source": "gnss"}).resolve(Site())
    with pytest.raises(ValueError, match=r"none\.geojson: No such file"):
        read_route(tmp_path / "none.geojson")
    (tmp_path / "latin.geojson").write_bytes(b'{\n"\xe9"}')
    with pytest.raises(ValueError, match=r"latin\.geojson:2: not UTF-8"):
        read_route(tmp_path / "latin.geojson")
    (tmp_path / "large.geojson").write_bytes(b" " * 1_100_000)
    with pytest.raises(ValueError, match="larger than 1024 KiB"):
        read_route(tmp_path / "large.geojson")


@pytest.mark.slow
@given(st.recursive(st.none() | st.floats() | st.text(max_size=9), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(["type", "coordinates", "features", "geometry", "geometries", "crs"]), x | st.sampled_from(["LineString", "Feature", "FeatureCollection", "MultiLineString"])), max_leaves=12))  # fmt: skip
@settings(deadline=None)
def test_any_json_is_a_route_or_refused_in_words(tree: Any) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.geojson"
        path.write_text(json.dumps(tree))
        try:
            assert read_route(path)
        except ValueError as error:
            assert str(error).startswith(str(path))  # noqa: PT017  either it is one, or it says what is wrong


CONFIG = """\
schema_version: 1
device: boat-03
kind: patrol_boat
place: {ring: inner_city, domain: water, site: reach, post: boat}
duty: {unit: water-2, responsible: shift-b, route: route.geojson}
broker: {url: "mqtt://127.0.0.1:1883"}
sources:
  gnss: {kind: nmea, port: /dev/ttyUSB0}
  board: {kind: sensor_board, port: /dev/ttyUSB1}
rules:
  route: {kind: route, source: gnss}
"""


def test_a_configuration_reads_its_route_and_says_on_which_line_it_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "route.geojson").write_text(json.dumps(geojson(NORTHWARD)))
    config = parse(CONFIG, name="c.yaml", base=tmp_path)
    assert config.rules["route"] == parse(CONFIG, name="c.yaml", base=tmp_path).rules["route"]
    (tmp_path / "route.geojson").write_text(json.dumps(geojson([[LON, LAT], [LON, LAT + 0.1]])))
    assert config.rules["route"] != parse(CONFIG, name="c.yaml", base=tmp_path).rules["route"]
    (tmp_path / "route.geojson").write_text("{\n}")
    with pytest.raises(BadConfig) as caught:
        parse(CONFIG, name="c.yaml", base=tmp_path)
    file = tmp_path / "route.geojson"
    assert caught.value.lines() == [f"c.yaml:11: rules.route: {file}:1: no type of GeoJSON"]


def test_a_position_is_not_asked_of_a_sensor_board(tmp_path: Path) -> None:
    text = CONFIG.replace(
        "kind: route, source: gnss", "kind: geofence, source: board, circle: {lat: 1, lon: 1, radius_m: 9}"
    )
    with pytest.raises(BadConfig) as caught:
        parse(text, name="c.yaml", base=tmp_path)
    assert caught.value.lines() == [
        "c.yaml:11: rules.route.source: board is a sensor_board source and gives no fix; known: gnss"
    ]
