"""People are covered, blackout is zero, and what can't be covered is no picture."""

import asyncio
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import models
from agent.domain.observations import Sighting
from agent.domain.zones import Corner
from agent.privacy.redaction import (
    FILL,
    REDACTION_MIN_SCORE,
    REDACTION_PASSES,
    FrameWithPeople,
    detects_people,
    find_people,
    person_boxes,
    redact,
)
from agent.vision.camera import Camera
from agent.vision.detector import DetectorSettings
from bench.covering import measure
from models.detection import Box, Detect, Detection, Frame
from models.tiles import rotated
from simulators.scene import Scene
from tests.test_models import network, put
from tests.thorough import all_or, part_of

share = st.floats(0, 1)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    (left, right), (top, bottom) = (sorted((draw(share), draw(share))) for _ in range(2))
    return left, top, right, bottom


def noise(rows: int = 90, columns: int = 160) -> Any:
    """No pixel of it is the fill or zero."""
    return np.random.default_rng(3).integers(FILL + 1, 256, (rows, columns, 3), np.uint8)


@given(st.lists(boxes(), max_size=6), st.integers(33, 90), st.integers(33, 160))
def test_every_pixel_of_a_person_is_filled_and_the_frame_itself_is_not_touched(
    people: list[Box], rows: int, columns: int
) -> None:
    frame = noise(rows, columns)
    before = frame.copy()
    covered = redact(frame, people)
    assert (frame == before).all()
    for left, top, right, bottom in people:
        inside = covered[
            int(top * rows) : int(np.ceil(bottom * rows)), int(left * columns) : int(np.ceil(right * columns))
        ]
        assert (inside == FILL).all()
    if not people:
        assert (covered == before).all()


@pytest.mark.parametrize("box", [(0.3, 0.3, 0.5, 0.7), (0.0, 0.4, 0.4, 1.0)])
def test_a_tenth_of_his_box_around_a_person_is_filled_too(box: Box) -> None:
    """A hand, a hat, a box that is too tight: a tenth of its width at each side, of its height above and below."""
    rows, columns = 400, 640
    frame = np.full((rows, columns, 3), 255, np.uint8)
    left, top, right, bottom = box
    across, down = 0.099 * (right - left), 0.099 * (bottom - top)
    filled = redact(frame, [box])[..., 0] == FILL
    wide = filled[
        int(max(0, top - down) * rows) : int((bottom + down) * rows),
        int(max(0, left - across) * columns) : int((right + across) * columns),
    ]
    assert wide.all()
    assert filled.sum() <= wide.size * 1.2  # and not much more


@given(st.lists(st.tuples(share, share), min_size=3, max_size=6), boxes())
def test_every_pixel_of_a_blackout_is_zero_whoever_stands_in_it(corners: list[Corner], person: Box) -> None:
    import cv2

    rows, columns = 90, 160
    covered = redact(noise(), [person], [corners])
    mask = np.zeros((rows, columns), np.uint8)
    cv2.fillPoly(mask, [np.array([[x * columns, y * rows] for x, y in corners]).astype(np.int32)], 1)
    assert (covered[mask == 1] == 0).all()


def test_compression_smears_nothing_over_the_edge() -> None:
    """A bright person on black: outside the fill nothing of him is left in a bad JPEG either."""
    import cv2

    frame = np.zeros((96, 160, 3), np.uint8)
    frame[30:70, 50:90] = (0, 255, 255)
    covered = redact(frame, [(50 / 160, 30 / 96, 90 / 160, 70 / 96)])
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        30,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    back = cv2.imdecode(cv2.imencode(".jpg", covered, options)[1], cv2.IMREAD_COLOR)
    assert back is not None
    assert abs(back.astype(int) - covered).max() <= 6


def test_unsure_people_count_and_others_do_not() -> None:
    seen = [Detection("person", 0.11, (0, 0, 1, 1)), Detection("boat", 0.9, (0, 0, 0.5, 0.5))]
    assert person_boxes(seen) == ((0, 0, 1, 1),)


@pytest.mark.parametrize(
    "label",
    ["cyclist", "rider", "worker", "swimmer", "Person", "life-jacket", "motor", "class0", ""],
)
def test_what_is_not_known_to_be_a_thing_is_covered(label: str) -> None:
    seen = [Detection(label, 0.2, (0.25, 0.25, 0.5, 0.75))]
    assert len(person_boxes(seen)) == len(FrameWithPeople(noise(), seen).people) == 1
    assert (redact(noise(), person_boxes(seen))[23:67, 40:80] == FILL).all()


def test_what_is_known_to_be_a_thing_is_not() -> None:
    coco = [label for label in models.find("default").labels if label != "person"]
    seen = [Detection(label, 0.9, (0, 0, 1, 1)) for label in [*coco, "Traffic_Light", "ship"]]
    assert person_boxes(seen) == FrameWithPeople(noise(), seen).people == ()


@pytest.mark.parametrize(
    ("labels", "people", "known"),
    [
        (["boat", "swimmer"], [], True),
        (["boat", "Pedestrian"], [], True),
        (["boat", "buoy"], [], False),
        (["boat", "boulder"], [], False),  # what is covered is no person
        (["boat", "cyclist"], [], False),  # nobody has said that this is all who may be there
        (["boat", "cyclist"], ["cyclist"], True),
    ],
)
def test_no_pictures_where_nobody_says_that_the_model_finds_people(
    labels: list[str], people: list[str], known: bool
) -> None:
    card = models.find("default")
    its = card.model_validate(card.model_dump() | {"labels": labels, "people": people})
    assert detects_people(its) == known


def test_people_of_a_card_are_labels_of_it() -> None:
    card = models.find("default")
    with pytest.raises(ValueError, match="people: rider is not among its labels"):
        card.model_validate(card.model_dump() | {"people": ["rider"]})


def test_what_a_card_calls_people_is_covered() -> None:
    card = models.find("default")
    with pytest.raises(ValueError, match="people: boat is a thing"):
        card.model_validate(card.model_dump() | {"people": ["boat"]})


def test_a_copy_of_a_look_is_nothing() -> None:
    """So that no recording and no JSON can carry a frame away by accident."""
    sighting = Sighting(frame=1, objects=(), frame_with_people=FrameWithPeople(noise(), []))
    assert asdict(sighting)["frame_with_people"] is None
    assert deepcopy(sighting).frame_with_people is None
    assert "FrameWithPeople" not in repr(sighting)


@pytest.mark.parametrize(("score", "covered"), [(0.101, True), (0.15, True), (0.24, True), (0.09, False)])
@pytest.mark.parametrize("asked", [0.9, 0.4, 0.1])
def test_whoever_is_seen_at_a_tenth_of_sureness_is_covered(
    tmp_path: Path, score: float, covered: bool, asked: float
) -> None:
    """By the camera's own detector, whatever its score, in what is kept and in what leaves."""
    card = put(tmp_path, network([[16, 8, 48, 24, score, 0], [0, 0, 8, 8, 0.95, 1]]))
    watching = DetectorSettings(model=card, score=asked)
    for detect in (watching.load()[0], watching.finder()):
        assert bool(person_boxes(detect(noise()))) == covered


def man_in(frame: Frame) -> tuple[Detection, ...]:
    """A detector for upright men: a grey body (200) with a white head (255) on top, at least a sixth of its
    picture tall. Lying or head down, or smaller, he is not seen."""
    import cv2

    rows, columns = frame.shape[:2]
    count, _, stats, _ = cv2.connectedComponentsWithStats((frame[..., 0] > 100).astype(np.uint8))
    found = []
    for left, top, wide, tall, _ in stats[1:count].tolist():
        head = frame[top : top + max(1, tall // 8), left : left + wide, 0]
        if tall > 1.2 * wide and tall >= rows / 6 and head.mean() > 240:
            box = (left / columns, top / rows, (left + wide) / columns, (top + tall) / rows)
            found.append(Detection("person", min(0.9, tall / rows), box))
    return tuple(found)


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("tall", [0.5, 0.2, 0.12])
def test_before_a_picture_leaves_people_are_found_whichever_way_up_it_is_and_however_small(
    turn: int, tall: float
) -> None:
    """A large man, and besides him one who may be too small for a look at the whole; the picture is turned."""
    frame = np.zeros((480, 640, 3), np.uint8)
    men = [(0.1, 0.2, 0.25, 0.7), (0.7, 0.6, 0.7 + tall / 4, 0.6 + tall)]
    for left, top, right, bottom in men:
        first, last = int(top * 480), int(bottom * 480)
        frame[first:last, int(left * 640) : int(right * 640)] = 200
        frame[first : first + (last - first) // 6, int(left * 640) : int(right * 640)] = 255
    picture = np.ascontiguousarray(np.rot90(frame, -turn))
    count = 0

    def counted(frame: Frame) -> tuple[Detection, ...]:
        nonlocal count
        count += 1
        return man_in(frame)

    covered = redact(picture, find_people(picture, counted))
    assert count == REDACTION_PASSES
    assert (covered[picture > 100] == FILL).all()
    assert (covered == 0).mean() > 0.5
    seen = len(man_in(picture))
    assert seen == (0 if turn else 2 if tall >= 1 / 6 else 1)


def test_who_lies_is_covered_beside_those_who_stand() -> None:
    """One picture, two orientations."""
    frame = np.zeros((480, 640, 3), np.uint8)
    frame[100:400, 60:160] = 200
    frame[100:140, 60:160] = 255
    frame[300:400, 260:560] = 200
    frame[300:400, 520:560] = 255
    covered = redact(frame, find_people(frame, man_in))
    assert (covered[frame > 100] == FILL).all()


@pytest.mark.parametrize(
    ("score", "box", "turn", "covered"),
    [
        (0.12, (0.1, 0.1, 0.9, 0.9), 0, True),  # in the orientation in which people are seen, all count
        (0.12, (0.3, 0.3, 0.4, 0.6), 1, True),  # and whoever is not large, in any other
        (0.31, (0.1, 0.1, 0.9, 0.9), 2, True),
        (0.29, (0.1, 0.1, 0.9, 0.9), 3, False),  # the whole picture is no man on his side
    ],
)
def test_what_is_large_and_unsure_in_another_orientation_costs_no_picture(
    score: float, box: Box, turn: int, covered: bool
) -> None:
    """Beside somebody who is surely seen, upright: a mark in the corner says which way up the picture is."""
    frame = np.zeros((480, 640, 3), np.uint8)
    frame[0, 0] = 255

    def detect(shown: Frame) -> tuple[Detection, ...]:
        corners = (shown[0, 0, 0], shown[0, -1, 0], shown[-1, -1, 0], shown[-1, 0, 0])
        found = [Detection("person", 0.8, (0.0, 0.0, 0.1, 0.2))] if corners[0] else []
        if max(shown.shape) == 640 and corners[turn]:
            found.append(Detection("person", score, box))
        return tuple(found)

    area = (box[2] - box[0]) * (box[3] - box[1])
    found = [(right - left) * (bottom - top) for left, top, right, bottom in find_people(frame, detect)]
    assert any(one == pytest.approx(area) for one in found) == covered
    assert any(one == pytest.approx(0.02) for one in found)


def test_who_is_no_thing_is_covered_whatever_the_model_calls_him() -> None:
    def detect(_: Frame) -> tuple[Detection, ...]:
        return Detection("rider", 0.2, (0.1, 0.1, 0.2, 0.2)), Detection("boat", 0.9, (0.5, 0.5, 1, 1))

    found = find_people(noise(), detect)
    assert (0.1, 0.1, 0.2, 0.2) in found
    assert (0.5, 0.5, 1, 1) not in found


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(4))
def test_the_man_in_the_photograph_is_covered_whichever_way_the_camera_hangs(turn: int) -> None:
    """By the real detector; in the orientation in which it sees him best nobody is left to be seen."""
    import cv2

    detect: Detect = DetectorSettings().finder()
    path = Path(models.__file__).parent / "pictures" / "man.jpg"
    upright = cv2.imread(str(path))
    assert upright is not None
    frame = np.ascontiguousarray(np.rot90(upright, -turn), np.uint8)
    covered = redact(frame, find_people(frame, detect))
    (man,) = (one for one in detect(np.asarray(upright, np.uint8)) if one.score > 0.6)
    shown = np.ascontiguousarray(np.rot90(covered, turn))
    rows, columns = shown.shape[:2]
    left, top, right, bottom = man.box
    part = shown[int(top * rows) : int(bottom * rows), int(left * columns) : int(right * columns)]
    assert (part == FILL).all()
    assert [
        one for one in rotated(detect, 4 - turn)(covered) if one.label == "person" and one.score >= 0.4
    ] == []


PICTURES = Path(__file__).resolve().parents[2] / "shared" / "data" / "vision" / "pictures"
HARD = (9, 10, 12, 19, 21, 25, 31, 35, 46, 47, 72, 74, 78)
"""Half of the people, and those who are bare with one inference, without tiles, or with a score of 0.2 or 0.3."""


@pytest.mark.needs_shared
@pytest.mark.skipif(not PICTURES.exists(), reason="needs the pictures beside this folder: ../shared/data")
def test_of_the_labelled_people_before_a_camera_that_hangs_sideways_none_is_bare_in_what_leaves(
    tmp_path: Path,
) -> None:
    people, pictures = all_or((84, part_of(PICTURES, HARD, tmp_path)), (168, PICTURES))
    row = measure(pictures, "default", 1, "leaves")
    assert (row["people"], row["less than half"], row["heads bare, >=64 px"]) == (people, 0, 0)
    assert row["to nine tenths"] >= 0.99


def looks(folder: Path, **detector: Any) -> list[Sighting]:
    """What a camera with this detector emits of one second of a man who stands there."""
    import cv2

    writer = cv2.VideoWriter(str(folder / "c.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (640, 360))
    for step in range(5):
        writer.write(Scene(comes_s=-10, leaves_s=60).picture(step / 5))
    writer.release()
    said: list[Any] = []
    camera = Camera.model_validate({"url": str(folder / "c.avi"), "purpose": "a test", "detector": detector})
    asyncio.run(asyncio.wait_for(camera.run(said.append), 60))  # type: ignore[arg-type]  None is an answer
    return [value for value in said if isinstance(value, Sighting)]


@pytest.mark.slow
def test_a_camera_looks_for_people_far_below_its_own_score_and_tells_only_what_is_wanted(
    tmp_path: Path,
) -> None:
    told = looks(tmp_path, score=0.9, labels=["boat"])
    assert told
    for sighting in told:
        assert not sighting.objects
        assert isinstance(sighting.frame_with_people, FrameWithPeople)
        assert any(left < 0.5 < right for left, _, right, _ in sighting.frame_with_people.people)


def test_a_camera_whose_model_knows_no_people_gives_no_pictures(tmp_path: Path) -> None:
    card = models.find("default")
    lines = card.model_dump_json(exclude={"labels", "weights", "accuracy", "latency", "proof"})
    renamed = [label if label != "person" else "thing" for label in card.labels]
    weights = Path(card.weights).resolve()
    fields = f'{lines[:-1]}, "labels": {renamed!r}, "weights": "{weights}"}}'.replace("'", '"')
    (tmp_path / "blind.yaml").write_text(fields)
    told = looks(tmp_path, model=str(tmp_path / "blind.yaml"))
    assert told
    assert [sighting.frame_with_people for sighting in told] == [None] * len(told)


def test_who_stands_in_the_scene_is_covered() -> None:
    frame = Scene(comes_s=0, leaves_s=60).picture(20)
    covered = redact(frame, person_boxes(models.find("default").at(REDACTION_MIN_SCORE).load()(frame)))
    assert (covered[150:340, 280:360] == FILL).mean() > 0.95
