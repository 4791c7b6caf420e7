"""Closer looks: a swimmer is found and kept, nobody is told twice, and no result waits for a region."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from agent.vision.camera import Camera
from agent.vision.camera_session import CameraSession
from agent.vision.camera_slot import CameraSlot
from agent.vision.closer_look import CloserLook
from agent.vision.detector import DetectorSettings
from agent.vision.egomotion import Egomotion
from agent.vision.far_zones import LearnedHeights, SmallPeople, find_small_people
from agent.vision.inference_pool import InferencePool
from agent.vision.inference_result import CapturedFrame, ExaminedRegion, InferenceResult
from agent.vision.regions import FarZone, Region
from agent.vision.tracker import Tracker
from models.detection import Box, Detection, Frame
from models.tiles import detect_part
from tests.test_pool import LOOK, Gated, all_of, numbered
from tests.test_tiles import detect, picture
from tests.waiting import until

HD, INPUT = (1280, 720), (544, 320)
SWIMMER = 0.02
"""Size of a swimmer: the detector of the tests sees 1/32 of its picture."""


class View:
    """A camera whose regions are all examined, after the result of their frame."""

    def __init__(self, mode: Any = "auto", **small: Any) -> None:
        self.look, self.tracker = CloserLook(mode, 0.4), Tracker(0.4)
        self.look.small = SmallPeople(**small)
        self.examined: list[ExaminedRegion] = []
        self.planned: tuple[Region, ...] = ()

    def show(
        self,
        number: int,
        *boxes: Box,
        motion: Sequence[Box] = (),
        moved: Egomotion | None = None,
        skip: bool = False,
    ) -> list[Box]:
        """The boxes of the confirmed objects in a frame at 5 frames a second."""
        frame = picture(*boxes)
        captured = CapturedFrame(number, number / 5, frame)
        whole = None if skip else detect(frame)
        joined = self.look.join(captured, moved, whole, self.examined, self.tracker)
        self.examined = []
        if whole is None or joined is None:
            return []
        tracked = self.tracker.track(joined, captured.at_s, moved)
        self.planned = self.look.regions(HD, INPUT, captured, whole, motion, self.tracker)
        self.examined = [
            ExaminedRegion(captured, region, found=detect_part(detect, frame, region.box))
            for region in self.planned
        ]
        return [one.box for one in tracked]


def swimmer(x: float, y: float = 0.4) -> Box:
    return (x, y, x + SWIMMER, y + SWIMMER)


@pytest.mark.parametrize("step", [0.0, 0.004, 0.015])
def test_a_swimmer_who_moves_is_found_kept_and_told_once(step: float) -> None:
    view = View()
    found = [
        view.show(number, swimmer(0.3 + step * number), motion=[swimmer(0.3 + step * number)])
        for number in range(20)
    ]
    assert [len(boxes) for boxes in found[3:]] == [1] * 17
    at = [boxes[0][0] - 0.3 - step * number for number, boxes in enumerate(found) if boxes]
    assert max(map(abs, at[5:])) < 0.006, "the box is moved with its track"
    assert all(one.reason == "track" for one in view.planned if one.reason != "scan")


def test_a_still_swimmer_is_found_by_the_scan_and_sooner_in_a_far_zone() -> None:
    def first(view: View) -> int:
        return next(number for number in range(200) if view.show(number, swimmer(0.7)))

    far = FarZone((0.5, 0.35, 0.9, 0.5), SWIMMER)
    by_scan, by_zone = first(View()), first(View(far_zones=(far,)))
    assert by_zone <= 6 < by_scan <= 60


@pytest.mark.parametrize("mode", ["auto", "never"])
def test_without_a_reason_there_are_no_regions(mode: Any) -> None:
    view = View(mode, people_are_large=True)
    for number in range(20):
        view.show(number, (0.3, 0.3, 0.4, 0.6), motion=[swimmer(0.8)])
        assert view.planned == ()


def test_motion_in_which_nothing_is_found_asks_seldom() -> None:
    view = View(people_are_large=False)
    asked = 0
    for number in range(1, 51):
        view.show(number, motion=[swimmer(0.8)])
        asked += any(one.reason == "motion" for one in view.planned)
    assert 4 <= asked <= 8


def test_a_large_person_is_told_from_the_whole_frame_and_once() -> None:
    person = (0.4, 0.3, 0.5, 0.7)
    view = View("always")
    found = [view.show(number, person) for number in range(10)]
    assert [len(boxes) for boxes in found[1:]] == [1] * 9


def test_what_a_region_cuts_is_redacted_and_not_tracked() -> None:
    view = View()
    frame = picture((0.4, 0.3, 0.5, 0.7))
    captured = CapturedFrame(1, 0.2, frame)
    region = Region((0.2, 0.2, 0.45, 0.45), "scan")
    found = detect_part(detect, frame, region.box)
    later = CapturedFrame(2, 0.4, frame)
    assert (
        view.look.join(later, None, (), [ExaminedRegion(captured, region, found=found)], view.tracker) == ()
    )
    ((cut),) = view.look.cut
    assert cut.box == pytest.approx((0.4, 0.3, 0.45, 0.45), abs=0.01)


def test_detections_move_with_the_camera_and_do_not_grow_old() -> None:
    view, frame = View(), picture(swimmer(0.5))
    region = Region((0.4, 0.3, 0.65, 0.55), "track")
    turn = Egomotion((1, 0, 0.1), (0, 1, 0))

    def joined(*later: tuple[int, float, Egomotion | None, bool]) -> Any:
        examined = [
            ExaminedRegion(CapturedFrame(1, 0.2, frame), region, found=detect_part(detect, frame, region.box))
        ]
        told: Any = ()
        for number, at_s, moved, skip in later:
            captured = CapturedFrame(number, at_s, frame)
            told = view.look.join(captured, moved, None if skip else (), examined, view.tracker)
            assert view.look.waits() == skip
            examined = []
        return told

    (one,) = joined((2, 0.4, turn, False))
    assert one.box[0] == pytest.approx(0.6, abs=0.005)
    view = View()
    (one,) = joined((2, 0.4, turn, True), (3, 0.6, turn, False))  # one frame was skipped by the motion gate
    assert one.box[0] == pytest.approx(0.7, abs=0.005)
    view = View()
    assert joined((2, 0.4, None, True), (9, 1.4, None, False)) == ()
    view = View()
    assert joined((2, 0.4, Egomotion((1, 0, 0.6), (0, 1, 0)), False)) == (), "it has left the picture"


def test_where_people_are_small_is_known_by_survey_or_learned() -> None:
    zones = {"quay": [(0.0, 0.2), (1.0, 0.2), (1.0, 1.0), (0.0, 1.0)]}
    small = find_small_people(lambda corner: corner[1] / 2, zones, INPUT, HD)
    (far,) = small.far_zones
    assert far.box[3] == pytest.approx(2 * 40 / (0.425 * 720), abs=0.06)
    assert far.height == pytest.approx(0.11, abs=0.02)
    assert find_small_people(lambda corner: 0.5, zones, INPUT, HD) == SmallPeople((), people_are_large=True)
    assert find_small_people(None, zones, INPUT, HD) == SmallPeople()
    heights = LearnedHeights()
    assert heights.height() is None
    for number in range(80):
        foot = 0.3 + 0.6 * number / 80
        heights.learn([Detection("person", 0.8, (0.5, foot - foot / 2, 0.6, foot))])
    learned = heights.height()
    assert learned is not None
    assert learned((0.5, 0.5)) == pytest.approx(0.25, abs=0.01)


REGION = Region((0.0, 0.0, 1.0, 1.0), "scan")


def seat(pool: InferencePool, detect: Any, near: Any, every_s: float = 0.0) -> CameraSlot:
    return CameraSlot(pool, lambda frame, at_s: LOOK, detect, every_s, "", near)


@pytest.mark.parametrize("threads", [1, 2])
def test_regions_run_after_all_frames_and_no_result_waits_for_them(threads: int) -> None:
    async def scene() -> None:
        frames, regions = Gated(), Gated()
        pool = InferencePool(threads)
        with seat(pool, frames, regions) as a, seat(pool, frames, regions) as b:
            a.offer(numbered(1))
            await until(lambda: frames.shown == [1])
            a.offer(numbered(2))
            b.offer(numbered(3))
            a.examine(numbered(9), [REGION])
            for number in range(3):
                if threads == 1:
                    assert regions.shown == [], "it waits for the frames"
                frames.may.release()
                await until(lambda number=number: len(frames.shown) > number)  # type: ignore[misc]
            await asyncio.gather(all_of(a, 2), all_of(b, 1))  # the region is under way, or waits
            await until(lambda: regions.shown == [9])
            b.offer(numbered(4))
            if threads == 2:
                await until(lambda: frames.shown[-1] == 4)  # in the thread that stays free
            regions.may.release()
            frames.may.release()
            assert await all_of(b, 1) == [4]
            await until(lambda: a.regions_examined == 1)
            (examined,) = a.take_examined()
            assert (examined.captured.number, examined.error, a.take_examined()) == (9, None, [])

    asyncio.run(scene())


def test_regions_of_a_newer_frame_replace_those_that_wait_and_an_error_is_kept() -> None:
    def fails(frame: Frame) -> tuple[Detection, ...]:
        raise ValueError("broken")

    async def scene() -> None:
        frames = Gated()
        with seat(InferencePool(1), frames, fails) as one:
            one.offer(numbered(1))
            await until(lambda: frames.shown == [1])
            one.examine(numbered(1), [REGION, REGION])
            one.examine(numbered(2), [REGION])
            frames.may.release()
            assert await all_of(one, 1) == [1]
            examined: list[ExaminedRegion] = []
            await until(lambda: bool(examined.extend(one.take_examined()) or examined))
            assert [(region.captured.number, str(region.error)) for region in examined] == [(2, "broken")]
            assert (one.regions_wanted, one.regions_examined) == (3, 0)

    asyncio.run(scene())


def test_a_region_that_hangs_is_said_and_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    from agent.runtime import native_calls

    monkeypatch.setattr(native_calls, "_abandoned", [])

    async def scene() -> None:
        hung, pool = Gated(), InferencePool(1, max_inference_s=0.05)
        with seat(pool, lambda frame: (), lambda frame: ()) as well:
            with seat(pool, lambda frame: (), hung) as bad:
                bad.examine(numbered(1), [REGION])
                await until(lambda: hung.shown == [1])
                well.offer(numbered(2))
                with pytest.raises(TimeoutError, match=r"no answer for 0\.05 s: it hangs"):
                    await all_of(bad, 1)
            assert await all_of(well, 1) == [2]
            well.examine(numbered(3), [REGION])
            await until(lambda: well.regions_examined == 1)
            hung.may.release()
            await until(lambda: native_calls.abandoned_threads(0.0) == 0)

    asyncio.run(scene())


def test_people_whom_only_a_region_shows_are_redacted_and_told_with_the_next_frame() -> None:
    async def scene() -> None:
        settings = Camera.model_validate({"kind": "camera", "url": "a.mp4", "purpose": "rescue"})
        session = CameraSession(settings, detect, redactable=True)
        frame = picture(swimmer(0.5), (0.2, 0.2, 0.3, 0.6))
        region = Region((0.25, 0.3, 0.6, 0.65), "scan")  # it cuts the person
        told = []
        for number in range(1, 4):
            captured = CapturedFrame(number, number / 5, frame)
            result = InferenceResult(captured, threading.current_thread(), 0.0, LOOK, detect(frame))
            told.append(session.sighting(result))
            found = detect_part(detect, frame, region.box)
            session.slot.add_examined(ExaminedRegion(captured, region, found=found))
        boxes = [one.frame_with_people.people for one in told if one and one.frame_with_people]
        assert [len(people) for people in boxes] == [1, 3, 3]
        assert sorted(round(box[0], 2) for box in boxes[2]) == [0.2, 0.25, 0.5]
        assert [len(one.objects) for one in told if one] == [0, 1, 2]
        skipped = InferenceResult(CapturedFrame(9, 1.0, frame), threading.current_thread(), 0.0, LOOK, None)
        assert session.sighting(skipped) is None
        session.slot.add_examined(ExaminedRegion(captured, region, error=ValueError("broken")))
        with pytest.raises(OSError, match="detector default: broken"):
            session.sighting(result)

    asyncio.run(scene())


def test_regions_are_configured_and_their_cost_is_told() -> None:
    assert DetectorSettings().regions == "auto"
    assert DetectorSettings().remark() is None
    assert "up to 4 more inferences" in str(DetectorSettings(regions="always").remark())
    assert DetectorSettings().loads_as(DetectorSettings(regions="never"))
    with pytest.raises(ValueError, match="regions: always and tiles exclude each other"):
        DetectorSettings(regions="always", tiles="2x2")
