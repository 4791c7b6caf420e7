"""Tracker, zones, camera and scene: lists in, lists out; a camera's own thread only where it is the matter."""

import asyncio
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agent.domain.observations import CameraState, Sighting
from agent.domain.zones import Zone, zones_of
from agent.vision.camera import Camera
from agent.vision.egomotion import Egomotion
from agent.vision.tracker import Tracker
from agent.vision.video_file import frames
from models.detection import Box, Detection
from simulators.scene import Scene, stream
from tests.waiting import until

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "vision" / "clips"
SQUARE = {
    "square": [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)],
    "corner": [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3)],
}


def person(left: float, top: float = 0.3, score: float = 0.8, label: str = "person") -> Detection:
    return Detection(label, score, (left, top, left + 0.1, top + 0.3))


def numbers(frames_: list[list[Detection]], every_s: float = 0.2) -> list[list[int]]:
    tracker = Tracker()
    return [
        [one.track for one in tracker.track(seen, number * every_s)] for number, seen in enumerate(frames_)
    ]


@pytest.mark.parametrize("every_s", [0.03, 0.2, 1.0, 5.0])
def test_one_flicker_is_nobody(every_s: float) -> None:
    assert numbers([[person(0.5)], [], [], []], every_s) == [[], [], [], []]
    far = 40.0  # two flickers in one place, with a long silence of the camera between them
    assert numbers([[person(0.5)], [person(0.5)]], far) == [[], []]


@given(st.floats(0.2, 30), st.lists(st.floats(0.6, 1.4), min_size=12, max_size=12))
def test_who_stands_is_told_from_the_second_look_on_whatever_the_pace(
    fps: float, jitter: list[float]
) -> None:
    tracker, now_s = Tracker(), 0.0
    for look, part in enumerate(jitter):
        told = tracker.track([person(0.4)], now_s)
        assert [one.track for one in told] == ([1] if look else [])
        now_s += part / fps


@pytest.mark.parametrize("fps", [0.4, 0.8, 1.0, 2.0, 5.0])
def test_who_walks_across_the_picture_keeps_his_number_at_a_slow_pace(fps: float) -> None:
    """A tenth of the picture a second: 0.6 of his height, one and a half of his width."""
    seen = [[person(0.1 * step / fps)] for step in range(int(9 * fps))]
    told = numbers(seen, 1 / fps)
    assert told[1:] == [[1]] * (len(seen) - 1)


def test_who_was_seen_far_away_at_a_slow_pace_is_somebody_else() -> None:
    assert numbers([[person(0.0)], [person(0.9)], [person(0.0)], [person(0.9)]], 1.0)[:2] == [[], []]


def test_who_walks_keeps_his_number() -> None:
    told = numbers([[person(0.02 * step)] for step in range(40)])
    assert told[1:] == [[1]] * 39


def test_two_who_cross_keep_theirs() -> None:
    told = numbers([[person(0.02 * step, 0.3), person(0.8 - 0.02 * step, 0.5)] for step in range(40)])
    assert all(sorted(frame) == [1, 2] for frame in told[1:])
    tracker = Tracker()
    last = {}
    for step in range(40):
        last = {
            one.track: one.box[1]
            for one in tracker.track([person(0.02 * step, 0.3), person(0.8 - 0.02 * step, 0.5)], step * 0.2)
        }
    assert last == {1: 0.3, 2: 0.5}


def test_who_is_hidden_for_a_second_keeps_his_number() -> None:
    seen = [[person(0.02 * step)] if not 10 <= step < 15 else [] for step in range(30)]
    assert numbers(seen)[-1] == [1]


WALK = 0.12
"""Picture widths a second: three quarters of a height, one and a quarter of a width."""


def hidden(how: str, at_s: float) -> list[Detection]:
    """Hidden from the third second to the fifth: a walker behind a van, one who stops behind a post."""
    goes_on = {"van": at_s, "stops": min(at_s, 3.0) + max(0.0, at_s - 5.0), "stands": 2.5}
    return [] if 3 <= at_s < 5 else [person(0.05 + WALK * goes_on[how])]


@pytest.mark.parametrize("fps", [2.0, 5.0])
@pytest.mark.parametrize("how", ["van", "stops", "stands"])
def test_who_is_hidden_for_two_seconds_keeps_his_number(how: str, fps: float) -> None:
    told = numbers([hidden(how, step / fps) for step in range(int(7 * fps))], 1 / fps)
    assert [one for one in told if one] == [[1]] * (int(5 * fps) - 1)


@pytest.mark.parametrize("fps", [2.0, 5.0])
def test_two_who_cross_and_hide_each_other_for_two_seconds_keep_theirs(fps: float) -> None:
    """The far one comes from the right, 1.5 picture heights away at first."""
    tracker, ends = Tracker(), {}
    for step in range(int(8 * fps)):
        at_s = step / fps
        near, far = 0.05 + 0.1 * at_s, 0.85 - 0.1 * at_s
        seen = [person(near)] + ([person(far, 0.27)] if abs(near - far) > 0.1 else [])
        for one in tracker.track(seen, at_s):
            ends.setdefault(one.box[1], set()).add(one.track)
    assert len(ends) == 2
    assert all(len(tracks) == 1 for tracks in ends.values())


def test_who_leaves_the_picture_is_not_who_comes_in_there() -> None:
    leaves = [[person(0.75 + 0.03 * step)] for step in range(6)]
    comes = [[person(0.9 - 0.03 * step)] for step in range(6)]
    assert numbers([*leaves, *[[]] * 8, *comes])[-1] == [2]


def test_the_boxes_of_a_small_swimmer_may_vary_and_come_seldom() -> None:
    """As regions find one: in about every third frame, the edges off by a tenth of the box."""
    chance, tracker, tracks, told = random.Random(3), Tracker(), set(), 0
    for step in range(300):
        if chance.random() < 0.35:
            off = [chance.gauss(0, 0.1) for _ in range(4)]
            left, wide, tall = 0.3 + 0.0004 * step, 0.015, 0.04
            box = (
                left + off[0] * wide,
                0.5 + off[1] * tall,
                left + (1 + off[2]) * wide,
                0.5 + (1 + off[3]) * tall,
            )
            found = tracker.track([Detection("person", 0.5, box)], step / 5)
            tracks.update(one.track for one in found)
            told += len(found)
        else:
            tracker.track([], step / 5)
    assert len(tracks) <= 4
    assert told > 70


def test_who_is_gone_for_long_gets_another() -> None:
    seen = [[person(0.4)] if not 5 <= step < 40 else [] for step in range(45)]
    assert numbers(seen)[-1] == [2]


def test_an_unsure_detection_continues_a_track() -> None:
    scores = (0.9, 0.9, 0.3, 0.3)
    assert numbers([[person(0.4, score=score)] for score in scores]) == [[], [1], [1], [1]]


def test_a_boat_does_not_continue_a_person() -> None:
    assert numbers([[person(0.4)], [person(0.4)], [person(0.4, label="boat")], [person(0.4, label="boat")]])[
        -1
    ] == [2]


def test_what_is_only_unsure_any_more_is_told_so_and_ends() -> None:
    """A pole at the place of somebody who left looks a little like a person, for ever."""
    tracker = Tracker(0.4)
    told = [tracker.track([person(0.4, score=0.9 if step < 5 else 0.2)], step * 0.2) for step in range(60)]
    assert [one.sure for (one,) in told[1:10]] == [True] * 4 + [False] * 5
    assert [len(frame) for frame in told[-35:]] == [0] * 35


def test_a_car_that_is_sometimes_taken_for_a_truck_is_one_car() -> None:
    labels = ["car", "car", "truck", "car", "bus", "car", "truck", "car"]
    tracker = Tracker()
    told = [
        tracker.track([person(0.01 * step, label=label)], step * 0.2) for step, label in enumerate(labels)
    ]
    assert [(one.track, one.label) for (one,) in told[1:]] == [(1, "car")] * 7


def test_who_walks_behind_something_keeps_his_number() -> None:
    seen = [[person(0.025 * step)] if not 12 <= step < 20 else [] for step in range(30)]
    assert numbers(seen)[-1] == [1]


def test_a_box_around_somebody_who_is_tracked_is_nobody_else_at_once() -> None:
    double = Detection("person", 0.6, (0.4, 0.3, 0.52, 0.5))
    told = numbers([[person(0.4)], [person(0.4)], *[[person(0.4), double]] * 3, [person(0.4)]])
    assert told[-2:] == [[1], [1]]


def test_who_is_half_hidden_keeps_his_number_from_whom_hides_him() -> None:
    tracker = Tracker()
    for step in range(5):
        tracker.track([person(0.4)], step * 0.2)
    told = tracker.track([person(0.44), person(0.4, score=0.2)], 1.0)
    assert [(one.track, one.box[0]) for one in told] == [(1, 0.4)]


def test_who_is_less_than_half_as_tall_is_somebody_else() -> None:
    child = Detection("person", 0.8, (0.4, 0.3, 0.45, 0.43))
    assert numbers([*[[person(0.4)]] * 5, [child], [child]])[-2:] == [[], [2]]


def test_a_flicker_beside_somebody_takes_nothing_from_him() -> None:
    told = numbers([*[[person(0.4)]] * 5, [person(0.4), person(0.43)], [person(0.425)], [person(0.425)]])
    assert told[-2:] == [[1], [1]]


def test_where_the_camera_turns_numbers_stay() -> None:
    """A quarter of the picture from frame to frame, with two people who look the same to a tracker."""
    moved = Egomotion((1, 0, -0.25), (0, 1, 0))
    frames_ = [[person(0.45 + shift), person(0.7 + shift)] for shift in (0.0, 0.0, -0.25)]
    still, turning = Tracker(), Tracker()
    for step, seen in enumerate(frames_):
        without = still.track(seen, step * 0.2)
        told = turning.track(seen, step * 0.2, moved if step == 2 else None)
    assert [one.track for one in told] == [1, 2]
    assert [one.track for one in without] != [1, 2]


@pytest.mark.slow
@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 0.9), st.floats(0, 0.6), st.floats(0, 1)), max_size=6), max_size=12
    )
)
def test_no_number_is_given_twice_in_a_frame(scene: list[list[tuple[float, float, float]]]) -> None:
    for told in numbers([[person(*one) for one in seen] for seen in scene]):
        assert len(told) == len(set(told))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0.4, 0.2, 0.6, 0.5), ("square",)),
        ((0.4, 0.2, 0.6, 0.9), ()),
        ((0.0, 0.0, 0.1, 0.1), ("corner",)),
        ((0.15, 0.0, 0.25, 0.21), ("square",)),
        ((0.9, 0.9, 1.0, 1.0), ()),
    ],
)
def test_a_foot_stands_in_its_zones(box: Box, expected: tuple[str, ...]) -> None:
    assert zones_of(box, SQUARE) == expected


def test_a_foot_at_the_lower_edge_is_in_a_zone_that_reaches_it() -> None:
    assert zones_of((0.4, 0.5, 0.6, 1.0), {"all": [(0, 0), (1, 0), (1, 1), (0, 1)]}) == ("all",)


@pytest.mark.parametrize(
    "corners",
    [
        [(0, 0), (1, 1)],
        [(0, 0), (1, 1), (1, 0), (0, 1)],
        [(0, 0), (0.5, 0.5), (1, 1)],
        [(0, 0), (2, 0), (0, 1)],
    ],
)
def test_what_is_no_zone_is_refused(corners: list[Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Zone).validate_python(corners)


def camera(url: str, **more: Any) -> Camera:
    return Camera.model_validate(
        {"url": url, "purpose": "a test", "open_timeout": "2s", "read_timeout": "1s"} | more
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nothing.mp4", "nothing.mp4 not found"),
        ("/dev/video99", "/dev/video99 not found: the camera is unplugged"),
        (__file__, "not a readable video"),
        ("rtsp://127.0.0.1:9/x", "x: connection refused: nothing listens on port 9"),
        ("http://127.0.0.1:9/x", "x: connection refused: nothing listens on port 9"),
    ],
)
def test_why_there_is_no_picture_is_said(url: str, message: str) -> None:
    with pytest.raises(OSError, match=message):
        asyncio.run(asyncio.wait_for(camera(url).run(lambda _: None), 60))


def test_a_model_that_is_not_there_is_said() -> None:
    with pytest.raises(OSError, match="no model 'best'"):
        asyncio.run(camera("x.mp4", detector={"model": "best"}).run(lambda _: None))


def test_a_stream_is_seen_and_its_end_is_an_error() -> None:
    """By the real way: MJPEG over HTTP, OpenCV, the default detector; and no thread is left behind."""
    said: list[Any] = []

    async def scene() -> None:
        async with stream(Scene(comes_s=-10, leaves_s=100)) as server:
            source = camera(server.url, zones={"rail": [[0.25, 0.6], [0.75, 0.6], [0.75, 1], [0.25, 1]]})
            task = asyncio.ensure_future(source.run(said.append))  # type: ignore[arg-type]
            await until(lambda: sum(isinstance(one, Sighting) and bool(one.objects) for one in said) >= 3)
            await server.cut()
            with pytest.raises(OSError, match=r"stream ended|no frame"):
                await task

    asyncio.run(asyncio.wait_for(scene(), 120))
    sighting = [value for value in said if isinstance(value, Sighting) and value.objects][-1]
    (man,) = sighting.objects
    assert (man.label, man.zones) == ("person", ("rail",))
    assert 0 < sighting.delay_s < 5
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("camera")]


@pytest.mark.needs_shared
@pytest.mark.skipif(not CLIPS.exists(), reason="needs the clips beside this folder: ../shared/data")
def test_a_file_plays_to_its_end() -> None:
    clip = CLIPS / "person-bicycle-car_preview.mp4"
    said: list[Any] = []
    asyncio.run(asyncio.wait_for(camera(str(clip), every_frame=True).run(said.append), 60))  # type: ignore[arg-type]
    assert isinstance(said[-1], CameraState)
    assert said[-1].frames == 41 == sum(1 for _ in frames(str(clip)))
    assert any(
        one.label == "person" for value in said if isinstance(value, Sighting) for one in value.objects
    )


def test_the_scene_is_a_function_of_the_second() -> None:
    scene = Scene(comes_s=5, leaves_s=20, seed=3)
    assert (scene.picture(12.3) == Scene(5, 20, 3).picture(12.3)).all()
    assert (scene.picture(12.3) != Scene(5, 20, 4).picture(12.3)).any()
    assert [scene.where(second) is None for second in (0, 6, 15, 22, 30)] == [True, False, False, False, True]
