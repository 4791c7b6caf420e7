"""Zones drawn by hand: the drawing, what it proposes, and what the picture shows of it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from agent.config.layers import tree_of
from agent.config.merge_patch import merged
from agent.domain.zones import Zone
from console.pages.cameras.desk import CameraDesk
from console.pages.cameras.drawing import Drawing
from console.pages.cameras.ground import Fit, GroundDrawing
from console.pages.cameras.proposal import (
    CameraInForce,
    RuleDraft,
    camera_in_force,
    describe_changes,
    merge_patch,
    push_fields,
    verdict,
    what_if_fields,
)
from console.pages.cameras.rule_kinds import RULE_KINDS
from console.pages.cameras.shapes import Shape, problem_of

SQUARE = [[0.2, 0.2], [0.6, 0.2], [0.6, 0.6], [0.2, 0.6]]
CONFIG = """
schema_version: 1
device: post-1
kind: checkpoint_camera
place: {ring: inner_city, domain: ground, site: s, post: p}
broker: {url: "mqtt://127.0.0.1"}
sources:
  cam1:
    kind: camera
    url: "http://127.0.0.1/x"
    purpose: watching
    zones: {gate: [[0.2, 0.2], [0.6, 0.2], [0.6, 0.6], [0.2, 0.6]]}
  cam2: {kind: camera, url: "http://127.0.0.1/y", purpose: watching}
rules:
  at-gate: {kind: zone_dwell, camera: cam1, zone: gate, dwell: 8s}
  over: {kind: line_cross, camera: cam1, line: [[0.1, 0.5], [0.9, 0.5]]}
  blind: {kind: blind, camera: cam2}
"""


def in_force() -> CameraInForce:
    return camera_in_force(CONFIG, "cam1", 3)


def drawn(*places: tuple[float, float]) -> Drawing:
    drawing = Drawing()
    drawing.begin("zone")
    for x, y in places:
        drawing.tap(x, y)
    return drawing


def test_corners_are_clicked_and_the_first_closes() -> None:
    drawing = drawn((0.1, 0.1), (0.5, 0.1), (0.5, 0.5))
    assert drawing.is_drawing
    drawing.tap(0.1, 0.1, corner=0)
    assert drawing.current == Shape("zone-1", "zone", ((0.1, 0.1), (0.5, 0.1), (0.5, 0.5)), closed=True)
    assert drawing.changed_zones() == {"zone-1": [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]}


def test_a_double_click_closes() -> None:
    drawing = drawn((0.1, 0.1), (0.5, 0.1), (0.5, 0.5))
    drawing.tap(0.5, 0.5)  # the first click of the two, at the last corner
    drawing.double(0.5, 0.5)
    assert drawing.current is not None
    assert drawing.current.closed
    assert len(drawing.current.corners) == 3


def test_two_corners_are_no_zone() -> None:
    drawing = drawn((0.1, 0.1), (0.5, 0.1))
    assert not drawing.close()
    assert drawing.problems() == {"zone:zone-1": "it is not closed yet"}


def test_a_line_is_done_with_its_second_end() -> None:
    drawing = Drawing()
    drawing.begin("line")
    drawing.tap(0.1, 0.5)
    drawing.tap(0.9, 0.5)
    assert drawing.current == Shape("line-1", "line", ((0.1, 0.5), (0.9, 0.5)), closed=True)


@pytest.mark.parametrize(
    ("places", "problem"),
    [
        (((0.1, 0.1), (0.5, 0.5), (0.5, 0.1), (0.1, 0.5)), "crosses itself"),
        (((0.1, 0.1), (0.13, 0.1), (0.13, 0.13)), "too small"),
        (((0.1, 0.1), (0.5, 0.1), (0.9, 0.1)), "no area"),
        (((0.1, 0.1), (0.5, 0.1), (0.5, 0.5)), None),
    ],
)
def test_what_is_wrong_is_told(places: tuple[tuple[float, float], ...], problem: str | None) -> None:
    drawing = drawn(*places)
    assert drawing.close()
    assert drawing.current is not None
    found = problem_of(drawing.current)
    assert (found is None) if problem is None else (found is not None and problem in found)


def test_corners_snap_to_the_edge_and_to_other_shapes() -> None:
    drawing = Drawing.of({"gate": SQUARE})
    drawing.begin("zone")
    drawing.tap(0.004, 0.99)
    drawing.tap(0.605, 0.193)
    assert drawing.current is not None
    assert drawing.current.corners == ((0.0, 1.0), (0.6, 0.2))


def test_corners_are_dragged_inserted_and_deleted_and_it_can_be_undone() -> None:
    drawing = Drawing.of({"gate": SQUARE})
    drawing.tap(0.4, 0.4)
    assert drawing.selected == "zone:gate"
    drawing.move(0, 0.1, 0.15)
    drawing.insert(0, 0.35, 0.1)
    assert drawing.corner == 1
    assert drawing.delete_corner()
    assert drawing.changed_zones() == {"gate": [[0.1, 0.15], [0.6, 0.2], [0.6, 0.6], [0.2, 0.6]]}
    assert [drawing.undo() for _ in range(4)] == [True, True, True, False]
    assert drawing.changed_zones() == {}


def test_a_zone_keeps_three_corners() -> None:
    drawing = Drawing.of({"gate": SQUARE[:3]})
    drawing.select("zone:gate")
    assert not drawing.delete_corner(0)


@pytest.mark.parametrize("name", ["", "Gate", "../x", "a b", "x" * 33, "<b>", "大门"])
def test_a_name_is_one_of_the_configuration(name: str) -> None:
    drawing = drawn((0.1, 0.1), (0.5, 0.1), (0.5, 0.5))
    drawing.close()
    assert drawing.rename(name) is not None
    assert drawing.rename("north-gate") is None
    assert drawing.selected == "zone:north-gate"


def test_the_keyboard_draws_as_well() -> None:
    desk = CameraDesk.of(in_force())
    desk.select("zone:gate")
    desk.key("]", fast=False)
    desk.key("ArrowRight", fast=True)
    assert desk.drawing.changed_zones() == {"gate": [[0.22, 0.2], [0.6, 0.2], [0.6, 0.6], [0.2, 0.6]]}
    desk.key("undo", fast=False)
    assert desk.drawing.changed_zones() == {}


SHARE = st.floats(-0.5, 1.5, allow_nan=False)
STEP = st.one_of(
    st.tuples(st.just("begin"), st.sampled_from(["zone", "line"])),
    st.tuples(st.just("tap"), SHARE, SHARE, st.none() | st.integers(0, 9), st.none() | st.integers(0, 9)),
    st.tuples(st.just("double"), SHARE, SHARE),
    st.tuples(st.just("move"), st.integers(-2, 9), SHARE, SHARE),
    st.tuples(st.just("delete_corner"), st.none() | st.integers(-2, 9)),
    st.tuples(st.just("nudge"), SHARE, SHARE),
    st.tuples(st.just("step_corner"), st.integers(-1, 1)),
    st.tuples(st.just("rename"), st.sampled_from(["a", "gate", "zone-1", "B"])),
    st.tuples(st.just("select"), st.sampled_from(["zone:gate", "zone:zone-1", "line:line-1", None])),
    st.tuples(st.just("remove")),
    st.tuples(st.just("undo")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=25))
def test_whatever_the_hand_does_a_drawing_without_problems_is_a_configuration(steps: list[Any]) -> None:
    drawing = Drawing.of({"gate": SQUARE})
    for name, *args in steps:
        getattr(drawing, name)(*args)
        assert drawing.selected is None or drawing.selected in drawing.shapes
        for key, one in drawing.shapes.items():
            assert key == one.id
            assert all(0 <= part <= 1 for corner in one.corners for part in corner)
    if not drawing.problems():
        for corners in drawing.changed_zones().values():
            if corners is not None:
                TypeAdapter(Zone).validate_python(corners)
    while drawing.undo():
        pass
    assert drawing.changed_zones() in ({}, {"gate": None}) or drawing.shapes


def test_a_new_zone_with_its_rule_is_a_patch_that_the_loader_takes() -> None:
    desk = CameraDesk.of(in_force())
    desk.begin("zone")
    for x, y in ((0.7, 0.7), (0.9, 0.7), (0.9, 0.9)):
        desk.tap(x, y, None, None, double=False)
    desk.tap(0.7, 0.7, 0, None, double=False)
    desk.rename("yard")
    desk.set_kind("zone_dwell")
    draft = desk.draft
    assert draft is not None
    draft.fields["dwell"] = "3s"
    zones, rules = desk.proposal()
    assert zones == {"yard": [[0.7, 0.7], [0.9, 0.7], [0.9, 0.9]]}
    assert rules == {
        "at-yard": {
            "kind": "zone_dwell",
            "camera": "cam1",
            "zone": "yard",
            "labels": ["person"],
            "dwell": "3s",
        }
    }
    assert desk.problem() is None
    assert describe_changes(zones, rules, desk.now) == [("new", "zone", "yard"), ("new", "rule", "at-yard")]
    text = merged(tree_of(CONFIG), merge_patch("cam1", zones, rules))
    from agent.config.model import Config

    Config.model_validate(text)
    assert push_fields(merge_patch("cam1", zones, rules))["patch"]["sources"] == {"cam1": {"zones": zones}}
    assert what_if_fields("cam1", {}, rules) == {"rules": rules, "hours": 24.0}


def test_a_slider_on_a_rule_in_force_changes_that_value_only() -> None:
    desk = CameraDesk.of(in_force())
    desk.select("zone:gate")
    assert desk.draft is not None
    assert desk.problem() == "nothing is changed"
    desk.draft.fields["dwell"] = "5s"
    assert desk.proposal() == ({}, {"at-gate": {"dwell": "5s"}})


def test_another_kind_replaces_the_rule_of_a_zone() -> None:
    desk = CameraDesk.of(in_force())
    desk.select("zone:gate")
    desk.set_kind("zone_enter")
    _, rules = desk.proposal()
    assert rules.pop("at-gate") is None
    assert [rule["kind"] for rule in rules.values()] == ["zone_enter"]


def test_a_rule_goes_with_its_zone_and_a_line_takes_its_rule_along() -> None:
    desk = CameraDesk.of(in_force())
    desk.select("zone:gate")
    desk.remove()
    desk.select("line:over")
    desk.drag(0, 0.2, 0.4)
    assert desk.proposal() == (
        {"gate": None},
        {"at-gate": None, "over": {"line": [[0.2, 0.4], [0.9, 0.5]]}},
    )


def test_two_new_zones_keep_their_rules_while_the_hand_goes_back_and_forth() -> None:
    desk = CameraDesk.of(in_force())
    for left in (0.62, 0.8):
        desk.begin("zone")
        for x, y in ((left, 0.7), (left + 0.15, 0.7), (left + 0.15, 0.9)):
            desk.tap(x, y, None, None, double=False)
        desk.key("Enter", fast=False)
    desk.select("zone:zone-1")
    assert set(desk.proposal()[1]) == {"at-zone-1", "at-zone-2"}


def test_what_is_drawn_stays_when_another_configuration_comes_into_force() -> None:
    desk = CameraDesk.of(in_force())
    desk.select("zone:gate")
    desk.drag(0, 0.1, 0.1)
    other = camera_in_force(CONFIG.replace("0.9, 0.5", "0.8, 0.5"), "cam1", 4)
    desk.take_in_force(other)
    zones, rules = desk.proposal()
    assert (list(zones), rules) == (["gate"], {})
    assert desk.drawing.shapes["line:over"].corners[1] == (0.8, 0.5)


def seen(**fields: Any) -> Any:
    return {
        "track": 1, "label": "person", "score": 0.5, "box": [0.3, 0.3, 0.4, 0.5], "zones": [], "sure": True,
        **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "passes", "text"),
    [
        ({}, True, "counts"),
        ({"label": "car"}, False, "car is not asked for"),
        ({"score": 0.36}, False, "score 0.36 < 0.40"),
        ({"box": [0.3, 0.47, 0.4, 0.5]}, False, "too small: 0.030 < 0.080"),
        ({"box": [0.3, 0.3, 0.4, 0.9]}, False, "foot point outside the zone"),
        ({"sure": False}, False, "not certain yet: seen in too few frames"),
    ],
)
def test_why_a_track_does_not_count_is_told(fields: dict[str, Any], passes: bool, text: str) -> None:
    draft = RuleDraft("at-gate", "zone_enter", "gate", {"min_size": 0.08})
    found, template, values = verdict(seen(**fields), draft, Drawing.of({"gate": SQUARE}))
    assert (found, template.format(**values)) == (passes, text)


@pytest.mark.parametrize("kind", RULE_KINDS.values(), ids=lambda kind: kind.kind)
def test_each_kind_with_each_slider_at_its_ends_is_a_rule(kind: Any) -> None:
    from agent.config.model import Config

    shapes = Drawing.of({"gate": SQUARE}, {"over": [[0.1, 0.5], [0.9, 0.5]]})
    place = "gate" if kind.shape == "zone" else "over"
    for end in ("least", "most", "default"):
        draft = RuleDraft("new", kind.kind, place)
        draft.fields = {one.key: one.written(getattr(one, end)) for one in kind.settings}
        tree = merged(tree_of(CONFIG), {"rules": {"new": draft.whole("cam1", shapes)}})
        Config.model_validate(tree)
        for one in kind.settings:
            assert draft.value(one.key) == pytest.approx(getattr(one, end))


def test_ground_points_are_fitted_with_residuals_in_metres() -> None:
    ground = GroundDrawing((1920, 1080))
    corners = [
        (0.2, 0.9, 0, 0),
        (0.8, 0.9, 0, 20),
        (0.65, 0.5, 40, 20),
        (0.35, 0.5, 40, 0),
        (0.5, 0.62, 15.5, 10),
    ]
    for x, y, north, east in corners:
        ground.tap(x, y)
        assert ground.locate(32.06 + north / 111_000, 118.79 + east / 94_300)
    fit = ground.fit()
    assert isinstance(fit, Fit)
    assert not fit.is_exact
    assert fit.horizon is not None
    assert all(0 < end[1] < 0.5 for end in fit.horizon)
    assert all(one.metres is not None and one.metres < 5 for one in fit.residuals.values())
    patch = ground.patch()
    assert patch is not None
    from agent.positioning.camera_mount import GroundSurvey

    GroundSurvey.model_validate(patch)
    assert GroundDrawing.of(patch, (1920, 1080)).points == ground.points


def test_too_few_ground_points_are_told() -> None:
    desk = CameraDesk.of(in_force())
    desk.task = "ground"
    desk.tap(0.5, 0.5, None, None, double=False)
    assert "at least 4" in str(desk.fit())
    assert desk.picture(lambda text, **_: text)["points"][0]["text"] == "1 ?"
