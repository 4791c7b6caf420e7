"""Regions: what is asked is seen, everything is seen in turn, whole frames go first, nothing is told twice."""

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.vision.region_budget import RegionBudget
from agent.vision.regions import FarZone, Region, plan
from agent.vision.track import label_group
from models.detection import Box, Detection
from models.tiles import PartDetection, add_parts, detect_part, without_repeats
from tests.test_tiles import detect, picture

HD, INPUT = (1280, 720), (544, 320)


def at(x: float, y: float, size: float = 0.02) -> Box:
    return (x - size / 2, y - size / 2, x + size / 2, y + size / 2)


def shows(region: Region, box: Box) -> bool:
    left, top, right, bottom = region.box
    return left <= box[0] and top <= box[1] and box[2] <= right and box[3] <= bottom


SEA = FarZone((0.1, 0.3, 0.9, 0.4), 0.04)


@pytest.mark.parametrize(
    ("motion", "tracks", "zones", "options", "expected"),
    [
        ([], [], [], {}, []),
        ([at(0.5, 0.5)], [], [], {}, ["motion"]),
        ([at(0.5, 0.5)], [at(0.9, 0.9)], [], {}, ["track", "motion"]),
        ([at(0.5, 0.5)], [at(0.51, 0.5)], [], {}, ["track"]),  # one region shows both
        ([at(0.5, 0.5), at(0.52, 0.5), at(0.9, 0.1)], [], [], {}, ["motion", "motion"]),
        ([at(0.5, 0.5, 0.3)], [at(0.5, 0.5, 0.4)], [], {}, []),  # large: the whole frame shows it well
        ([], [], [SEA], {}, ["zone"] * 4),
        ([], [], [SEA], {"turn": 1, "limit": 1}, ["zone"]),
        ([], [at(0.9, 0.9)], [SEA], {"turn": 1, "limit": 2}, ["track", "zone"]),
        ([], [at(0.9, 0.9)], [SEA], {"turn": 4, "limit": 2}, ["zone", "track"]),
        ([], [at(0.9, 0.9)], [SEA], {"turn": 2, "limit": 1}, ["track"]),
        ([], [], [], {"scan": True}, ["scan"] * 4),
        ([], [at(0.9, 0.9)], [], {"limit": 0}, []),
    ],
)
def test_what_is_planned(
    motion: list[Box], tracks: list[Box], zones: list[FarZone], options: dict, expected: list[str]
) -> None:  # type: ignore[type-arg]
    given = {"limit": 4, "turn": 1} | options
    planned = plan(HD, INPUT, motion, tracks, zones, given.pop("limit"), **given)
    assert [one.reason for one in planned] == expected


@pytest.mark.parametrize(
    ("frame", "side"),
    [((1280, 720), 0.2125), ((1920, 1080), 0.1417), ((640, 360), 0.425), ((480, 270), 0.5667)],
)
def test_a_tiny_object_is_enlarged_by_two_at_most(frame: tuple[int, int], side: float) -> None:
    (region,) = plan(frame, INPUT, [], [at(0.5, 0.5, 0.001)], [], 4)
    assert region.box[2] - region.box[0] == pytest.approx(side, abs=1e-3)


def test_a_frame_that_the_input_shows_in_full_has_no_regions() -> None:
    assert plan((400, 225), INPUT, [at(0.2, 0.2)], [at(0.5, 0.5)], [SEA], 8, scan=True) == ()


BOXES = st.tuples(st.floats(0, 0.97), st.floats(0, 0.97), st.floats(0.001, 0.5), st.floats(0.001, 0.5)).map(
    lambda one: (one[0], one[1], min(1.0, one[0] + one[2]), min(1.0, one[1] + one[3]))
)


@given(
    st.lists(BOXES, max_size=8),
    st.lists(BOXES, max_size=8),
    st.lists(st.builds(FarZone, BOXES, st.floats(0, 1)), max_size=3),
    st.integers(0, 9),
    st.booleans(),
    st.integers(0, 1000),
    st.sampled_from([(1280, 720), (3840, 2160), (640, 480), (720, 1280)]),
)
def test_regions_lie_in_the_frame_have_its_aspect_and_are_few(
    motion: list[Box],
    tracks: list[Box],
    zones: list[FarZone],
    limit: int,
    scan: bool,
    turn: int,
    frame: tuple[int, int],
) -> None:
    planned = plan(frame, INPUT, motion, tracks, zones, limit, scan=scan, turn=turn, cell=turn)
    assert planned == plan(frame, INPUT, motion, tracks, zones, limit, scan=scan, turn=turn, cell=turn)
    assert len(planned) <= limit
    for region in planned:
        left, top, right, bottom = region.box
        assert -1e-9 <= left < right <= 1 + 1e-9
        assert -1e-9 <= top < bottom <= 1 + 1e-9
        assert right - left == pytest.approx(bottom - top)
        assert right - left <= 0.6 + 1e-9


@given(st.lists(BOXES, max_size=4), st.integers(0, 1000))
def test_each_small_object_that_asks_is_whole_in_a_region(tracks: list[Box], turn: int) -> None:
    planned = plan(HD, INPUT, [], tracks, [], 4, turn=turn)
    for box in tracks:
        if 3 * max(box[2] - box[0], box[3] - box[1]) <= 0.6:
            assert any(shows(region, box) for region in planned)


@pytest.mark.parametrize("tracks", [[], [at(0.1 + 0.1 * n, 0.9) for n in range(9)]])
@pytest.mark.parametrize("limit", [1, 2, 4])
@pytest.mark.parametrize("done", [1, 4])
def test_everything_is_examined_in_turn_whatever_else_asks_and_however_few_are_done(
    tracks: list[Box], limit: int, done: int
) -> None:
    """``done``: regions of each plan for which there is time."""
    cell, seen = 0, list[Region]()
    for turn in range(400):
        examined = plan(HD, INPUT, [], tracks, [SEA], limit, scan=True, turn=turn, cell=cell)[:done]
        cell += sum(one.reason in ("zone", "scan") for one in examined)
        seen += examined
    for x, y in itertools.product((0.05, 0.3, 0.5, 0.72, 0.95), repeat=2):
        assert any(shows(region, at(x, y)) for region in seen), (x, y)
    for box in tracks:
        assert any(shows(region, box) for region in seen)


@dataclass
class Camera:
    """A camera of which ``regions`` wait, as the budget sees it."""

    regions: int = 0
    region_turn_s: float = 0.0
    due_s: float = 1e9
    examined: list[float] = field(default_factory=list)

    def has_regions(self) -> bool:
        return self.regions > 0

    def expected_s(self) -> float:
        return self.due_s


def spend(budget: RegionBudget, cameras: list[Camera], seconds: float, region_s: float) -> float:
    """Core seconds of regions where one thread may always run them."""
    now_s, spent_s = 0.0, 0.0
    while now_s < seconds:
        camera = budget.next(cameras, now_s, 2)
        if camera is None:
            now_s += 0.05
            continue
        budget.start(camera, now_s)
        camera.regions -= 1
        camera.examined.append(now_s)
        now_s += region_s
        spent_s += region_s
        budget.end(region_s)
    return spent_s


def test_cameras_take_turns_however_many_regions_each_wants() -> None:
    cameras = [Camera(10_000), Camera(10_000), Camera(40)]
    spend(RegionBudget(2), cameras, 60, 0.05)
    first, second, third = (len(camera.examined) for camera in cameras)
    assert third == 40
    assert abs(first - second) <= 1


@pytest.mark.parametrize(("threads", "share"), [(1, 0.5), (2, 1.0)])
def test_regions_take_half_of_the_core_time_at_most(threads: int, share: float) -> None:
    spent_s = spend(RegionBudget(threads), [Camera(100_000)], 60, 0.05)
    assert spent_s <= 60 * share + threads + 0.1  # saved up
    assert spent_s >= 50 * share


def test_one_thread_stays_free_for_whole_frames() -> None:
    budget, cameras = RegionBudget(4), [Camera(9)]
    for number in range(4):
        camera = budget.next(cameras, 1.0, 4 - number)
        assert (camera is None) == (number == 3)
        if camera is not None:
            budget.start(camera, 1.0)
    budget.end(0.05)
    assert budget.next(cameras, 1.0, 2) is not None


@pytest.mark.parametrize(("due_s", "may"), [(1.05, False), (1.15, True)])
@pytest.mark.parametrize("threads", [1, 2])
def test_in_the_last_idle_thread_a_region_ends_before_the_next_frame(
    threads: int, due_s: float, may: bool
) -> None:
    budget = RegionBudget(threads)
    cameras = [Camera(1), Camera(0, due_s=due_s)]
    assert (budget.next(cameras, 1.0, 1) is not None) == may
    if threads > 1:
        assert budget.next(cameras, 1.0, 2) is not None


def test_an_abandoned_region_makes_the_next_one_look_no_shorter() -> None:
    budget, cameras = RegionBudget(1), [Camera(9), Camera(0, due_s=1.05)]
    for _ in range(5):
        budget.start(cameras[0], 0.5)
        budget.abandon()
    assert budget.next(cameras, 1.0, 1) is None


def one(x: float, score: float = 0.5, size: float = 0.04, label: str = "person") -> Detection:
    return Detection(label, score, at(x, 0.5, size))


@pytest.mark.parametrize(
    ("whole", "parts", "expected"),
    [
        ([], [one(0.5)], [one(0.5)]),
        ([one(0.5)], [], [one(0.5)]),
        ([one(0.5, 0.3)], [one(0.502, 0.7)], [one(0.502, 0.7)]),  # more precise
        ([one(0.5, 0.8)], [one(0.502, 0.7)], [one(0.5, 0.8)]),
        ([one(0.52, 0.3)], [one(0.5, 0.7)], [one(0.52, 0.7)]),  # it moved: the newer box
        ([one(0.6)], [one(0.5)], [one(0.5), one(0.6)]),
        ([one(0.5)], [one(0.5, label="boat")], [one(0.5), one(0.5, label="boat")]),
        ([one(0.5, label="car")], [one(0.5, 0.8, label="truck")], [one(0.5, 0.8, label="truck")]),
        ([one(0.5, size=0.2)], [one(0.5)], [one(0.5, size=0.2), one(0.5)]),  # a child before an adult
        # two who swim side by side, of whom the whole frame shows one
        ([one(0.51, 0.5)], [one(0.5, 0.4), one(0.53, 0.4)], [one(0.51, 0.5), one(0.53, 0.4)]),
    ],
)
def test_each_object_of_frame_and_regions_is_told_once(
    whole: list[Detection], parts: list[Detection], expected: list[Detection]
) -> None:
    assert sorted(add_parts(whole, parts, label_group), key=str) == sorted(expected, key=str)


@given(st.lists(st.floats(0.05, 0.95), max_size=6), st.lists(st.floats(0.05, 0.95), max_size=6))
def test_nobody_is_lost_and_nobody_is_added(whole: list[float], parts: list[float]) -> None:
    told = add_parts([one(x) for x in whole], [one(x) for x in parts])
    assert max(len(whole), len(parts)) <= len(told) <= len(whole) + len(parts)


def test_a_part_that_an_edge_cuts_loses_against_the_whole_object() -> None:
    frame = picture((0.4, 0.4, 0.5, 0.6), (0.7, 0.4, 0.74, 0.44))
    found = detect_part(detect, frame, (0.3, 0.3, 0.46, 0.46))
    found += detect_part(detect, frame, (0.35, 0.35, 0.75, 0.75))
    kept = without_repeats(found)
    assert [(round(one.detection.box[0], 1), one.cut) for one in kept] == [(0.4, False), (0.7, False)]
    assert without_repeats(found[:1]) == [PartDetection(found[0].detection, cut=True)]
