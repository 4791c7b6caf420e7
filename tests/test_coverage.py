"""Each way of being blind is noticed in its time and forgotten after; no real clip is blind, by day or night."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from agent.domain.findings import Cleared, Finding
from agent.domain.observations import BlindZone, Observation, SeenObject, Sighting, Tick, View
from agent.rules import Rule
from agent.vision.video_file import frames
from agent.vision.visibility import CLEAR_S, HOLD_S, PICTURE, VisibilityMonitor, VisibilitySettings
from agent.vision.visibility_state import NO_FRAME_S, VisibilityState
from simulators.blinding import Change, blurred, covered, dimmed, foggy, noisy, turned
from simulators.scene import Scene
from tests.thorough import all_or

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "vision" / "clips"
ZONES = {"left": [(0.0, 0.3), (0.4, 0.3), (0.4, 1.0), (0.0, 1.0)], "right": [(0.6, 0.3), (1.0, 0.3), (1.0, 1.0), (0.6, 1.0)]}  # fmt: skip
WATCH = VisibilitySettings()
FAULTS: dict[str, tuple[Change, set[str]]] = {
    "black": (lambda frame: frame * 0, {"dark"}),
    "black with noise": (lambda frame: noisy(frame * 0, 4), {"dark"}),
    "white": (lambda frame: frame * 0 + 255, {"over_exposed"}),
    "over-exposed": (lambda frame: np.clip(frame.astype(int) * 5 + 60, 0, 255).astype(np.uint8), {"over_exposed", "fog", "covered"}),
    "a hand": (covered, {"covered", "turned", "fog"}),
    "blurred": (blurred, {"blurred"}),
    "fog": (foggy(0.2), {"fog", "covered"}),
    "fog with noise": (foggy(0.15, noise=3), {"fog", "covered", "turned"}),
    "turned aside": (turned(aside=0.1), {"turned", "covered"}),
    "rotated": (turned(degrees=8), {"turned", "covered"}),
    "upside down": (lambda frame: np.ascontiguousarray(frame[::-1, ::-1]), {"turned", "covered"}),
}  # fmt: skip


@cache
def clip(name: str) -> list[Any]:
    """A frame of each second, 480 x 270; the scene of the simulator where no clip is meant."""
    import cv2

    if name == "scene":
        scene = Scene(comes_s=5, leaves_s=20)
        return [scene.picture(second) for second in range(30)]
    found = list(frames(str(CLIPS / name)))
    wanted = iter(range(math.ceil(found[-1][1]) + 1))
    due = next(wanted)
    picked = []
    for _, second, frame in found:
        if second >= due - 1e-9:
            picked.append(cv2.resize(frame, (480, 270), interpolation=cv2.INTER_AREA))
            due = next(wanted)
    return picked


def looped(name: str, seconds: int) -> Iterator[Any]:
    pictures = clip(name)
    yield from (pictures[second % len(pictures)] for second in range(seconds))


real = pytest.mark.skipif(not CLIPS.exists(), reason="needs the clips beside this folder: ../shared/data")
FIXED = [
    pytest.param("scene"),
    *(pytest.param(name, marks=[pytest.mark.needs_shared, real])
      for name in ("vtest.mp4", "car-detection.mp4", "one-by-one-person-detection.mp4")),
]  # fmt: skip
ALL = [
    *FIXED,
    *(pytest.param(name, marks=[pytest.mark.needs_shared, real])
      for name in ("person-bicycle-car_preview.mp4", "street-bikes.mp4", "boat_crossing_synthetic.mp4", "boats_pan_synthetic.mp4")),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "light", [dimmed(1), dimmed(2), dimmed(3), dimmed(3, noise=6)], ids=["day", "dusk", "night", "noise"]
)
def test_no_real_view_is_blind_and_night_falling_is_no_fault(name: str, light: Change) -> None:
    """20 s of day so that the view is known, then 40 s in this light; each clip in a loop."""
    coverage = VisibilityMonitor(ZONES, WATCH)
    for second, frame in enumerate(looped(name, 60)):
        view = coverage.check(frame if second < 20 else light(frame), float(second))
        assert not view.blind, (second, view.blind)


@pytest.mark.slow
@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_noticed_in_its_time_and_its_end_too(name: str, fault: str) -> None:
    change, expected = FAULTS[fault]
    coverage = VisibilityMonitor(ZONES, WATCH)
    first: dict[str, int] = {}
    whys: set[str] = set()
    blind_after = []
    for second, frame in enumerate(looped(name, 60)):
        view = coverage.check(change(frame) if 20 <= second < 48 else frame, float(second))
        told = {one.zone: one for one in view.blind}
        if second < 20:
            assert not told
        elif second < 48:
            for zone, one in told.items():
                first.setdefault(zone, second - 20)
                whys.add(one.why)
                assert one.for_s <= second - 19
        elif told:
            blind_after.append(second - 48)
    print(f"{name} {fault}: noticed after {max(first.values())} s as {', '.join(sorted(whys))}")
    assert set(first) == set(ZONES)
    passing_car = 8 if name == "car-detection.mp4" else 0  # it fills the zone, and the waiting begins anew
    assert max(first.values()) <= max(HOLD_S.values()) + passing_car
    assert whys <= expected
    assert max(blind_after, default=0) <= CLEAR_S


@pytest.mark.parametrize("name", FIXED)
def test_a_frozen_picture_is_noticed_after_ten_seconds(name: str) -> None:
    coverage = VisibilityMonitor(ZONES, WATCH)
    frozen = clip(name)[0]
    told = []
    for second, frame in enumerate(looped(name, 60)):
        view = coverage.check(frozen if 20 <= second < 45 else frame, float(second))
        told.append({one.why for one in view.blind})
    assert told[:30] == [set()] * 30
    assert told[31:46] == [{"frozen"}] * 15
    assert told[48:] == [set()] * 12


def test_a_camera_that_moves_is_not_turned_but_can_be_dark_or_frozen() -> None:
    coverage = VisibilityMonitor({}, VisibilitySettings(moves=True))
    scene = list(looped("scene", 30))
    whys = []
    for second in range(90):
        frame = scene[second % 30]
        if second >= 70:
            frame = frame * 0
        elif second >= 30:
            frame = turned(degrees=second * 4)(frame)
        whys.append([(one.zone, one.why) for one in coverage.check(frame, float(second)).blind])
    assert whys[:70] == [[]] * 70
    assert whys[-1] == [(PICTURE, "dark")]


def test_one_zone_can_be_blind_alone() -> None:
    coverage = VisibilityMonitor(ZONES, WATCH)
    view = View(zones=())
    for second, frame in enumerate(looped("scene", 50)):
        picture = frame.copy()
        if second >= 20:
            picture[:, 360:] = 0  # of 640
        view = coverage.check(picture, float(second))
    assert [one.zone for one in view.blind] == ["right"]


def test_it_looks_once_a_second() -> None:
    coverage = VisibilityMonitor({}, WATCH)
    looked = [
        second / 5
        for second in range(26)
        if coverage.due(second / 5) and coverage.check(clip("scene")[0], second / 5)
    ]
    assert looked == [0, 1, 2, 3, 4, 5]
    assert not VisibilityMonitor({}, VisibilitySettings(watch=False)).due(0)


START = datetime(2026, 11, 28, tzinfo=UTC)


def say(second: float, value: Any, source: str = "cam1") -> Observation:
    return Observation(source, START + timedelta(seconds=second), 500 + second, value)


def view(second: float, **blind: float) -> Observation:
    """What cam1 with the zones a and b sees; the blind ones with the seconds since when."""
    return say(second, View(zones=("a", "b"), blind=tuple(BlindZone(zone=zone, why="dark", for_s=for_s) for zone, for_s in blind.items())))  # fmt: skip


def judged(config: dict[str, Any], observations: list[Observation]) -> list[tuple[float, str]]:
    decide = (
        TypeAdapter(Rule).validate_python({"kind": "blind", "camera": "cam1", "after": "5s"} | config).start()
    )
    said: list[tuple[float, str]] = []
    for one in observations:
        for fact in decide(one):
            text = fact.text if isinstance(fact, Finding) else "over"
            if not said or (said[-1][1] == "over") != (text == "over"):
                said.append((one.mono_s - 500, text))
            assert isinstance(fact, Finding | Cleared)
    return said


SEEN = [view(second) for second in range(5)]
DARK = [view(second, a=second - 5) for second in range(5, 15)]


@pytest.mark.parametrize(
    ("config", "observations", "expected"),
    [
        ({}, [*SEEN, *DARK, view(15)], [(10, "cam1 can't see a: dark for 5 s"), (15, "over")]),
        ({"zone": "a"}, [*SEEN, *DARK], [(10, "cam1 can't see a: dark for 5 s")]),
        ({"zone": "b"}, [*SEEN, *DARK], []),
        ({}, [*SEEN, *DARK[:4], view(9), view(10)], []),
        ({}, [view(5, a=0, b=0), view(11, a=6, b=6)], [(11, "cam1 can't see a, b: dark for 6 s")]),
        ({}, [view(5), *(say(second, Tick(), "clock") for second in range(6, 18))], [(16, "cam1 can't see a, b: no picture for 11 s")]),
        ({}, [say(second, Tick(), "clock") for second in range(12)], [(11, "cam1 can't see picture: no picture for 11 s")]),
        ({}, [view(5, a=9), say(6, View(zones=("a",)), "cam2")], [(5, "cam1 can't see a: dark for 9 s")]),
        ({}, [view(0), *(say(second, Sighting(frame=1, objects=())) for second in range(3))], []),
    ],
)  # fmt: skip
def test_the_rule_tells_what_cannot_be_seen(
    config: dict[str, Any], observations: list[Observation], expected: list[tuple[float, str]]
) -> None:
    assert judged(config, observations) == expected


def test_a_sighting_of_an_earlier_instant_ends_nothing() -> None:
    """It comes right after the `View` of the same frame, and is older by the time of its inference."""
    said = judged(
        {"after": "10s"},
        [view(10.05, rail=10.02), say(9.93, Sighting(frame=1, objects=())), view(11.05, rail=11.02)],
    )
    assert [text for _, text in said] == ["cam1 can't see rail: dark for 10 s"]


def test_health_says_which_zones_are_seen_and_since_when_not() -> None:
    sight = VisibilityState(("a", "b"))
    sight.on_observation(view(20, a=8))
    assert sight.fields(521) == {
        "seen": ["b"],
        "blind": [{"zone": "a", "why": "dark", "since": START + timedelta(seconds=12)}],
    }
    assert sight.reason(521) == "blind in a (dark) since 2026-11-28 00:00:12Z"
    later = 520 + NO_FRAME_S + 1
    assert [one["why"] for one in sight.fields(later)["blind"]] == ["no_picture"] * 2
    assert sight.reason(later) is None


@pytest.mark.slow
@settings(deadline=None, max_examples=all_or(20, 80))
@given(
    st.lists(
        st.tuples(st.integers(1, 700), st.integers(1, 1000), st.integers(0, 255), st.integers(0, 60)),
        min_size=12,
        max_size=24,
    ),
    st.tuples(st.floats(0, 0.97), st.floats(0, 0.97), st.floats(0.01, 0.03)),
)
def test_whatever_comes_is_judged(
    sizes: list[tuple[int, int, int, int]], corner: tuple[float, float, float]
) -> None:
    """Sizes that change, frames of one pixel, plain ones, noise; and a zone hardly larger than nothing."""
    left, top, size = corner
    zone = {"tiny": [(left, top), (left + size, top), (left, top + size)]}
    coverage = VisibilityMonitor(zone, WATCH)
    for second, (rows, columns, level, noise) in enumerate(sizes):
        frame = noisy(np.full((rows, columns, 3), float(level)), noise)
        seen = coverage.check(frame, float(second))
        assert seen.zones == ("tiny",)
        assert all(one.for_s >= 0 for one in seen.blind)


SMALL = {"spot": [(0.37, 0.5), (0.53, 0.5), (0.53, 1.0), (0.37, 1.0)]}
MAN = SeenObject(track=1, label="person", score=0.8, box=(0.35, 0.38, 0.55, 1.0), zones=("spot",))


@cache
def with_man(second: int) -> Any:
    """He stands in the zone from the 14th second on."""
    import cv2

    return cv2.resize(
        Scene(comes_s=10, leaves_s=80).picture(float(second)), (320, 180), interpolation=cv2.INTER_AREA
    )


def whys(change: Change, objects: tuple[SeenObject, ...], zones: Any = SMALL) -> list[set[str]]:
    """Why a small zone is blind at each second; from the 14th on with ``change``, and with ``objects`` seen."""
    coverage = VisibilityMonitor(zones, WATCH)
    told = []
    for second in range(40):
        late = second >= 14
        frame = change(with_man(second)) if late else with_man(second)
        view = coverage.check(frame, float(second), objects=objects if late else ())
        told.append({one.why for one in view.blind})
    return told


def test_who_stands_in_a_small_zone_does_not_cover_it() -> None:
    assert whys(dimmed(1), ())[-1] & {"covered", "turned", "fog"}, "undetected he may be anything"
    assert whys(dimmed(1), (MAN,)) == [set()] * 40


@pytest.mark.parametrize("zones", [SMALL, {}], ids=["zone", "picture"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_noticed_beside_a_man_too(fault: str, zones: Any) -> None:
    """A hand before the lens is still one where the detector says that a person stands in the zone."""
    change, _ = FAULTS[fault]
    assert whys(change, (MAN,), zones)[-1], "he is detected all the time, which is worse than it gets"


def test_a_person_as_large_as_the_picture_may_be_a_hand() -> None:
    hand = SeenObject(track=1, label="person", score=0.8, box=(0.0, 0.0, 1.0, 1.0), zones=("spot",))
    assert whys(covered, (hand,))[-1]


def test_a_van_that_stands_before_a_zone_covers_it_and_one_in_it_does_not() -> None:
    def van(frame: Any) -> Any:
        frame = frame.copy()
        frame[75:, 100:190] = 90
        return frame

    before = SeenObject(track=1, label="truck", score=0.8, box=(0.31, 0.41, 0.6, 1.0))
    assert whys(van, (before,))[-1]
    inside = SeenObject(track=1, label="truck", score=0.8, box=(0.31, 0.41, 0.6, 1.0), zones=("spot",))
    assert not whys(van, (inside,))[-1]
