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
from agent.observations import Sighting
from agent.vision.camera import Camera
from agent.vision.privacy import FILL, LEAST_SCORE, Look, cover, knows_people, people_in
from agent.vision.zones import Corner
from models.detection import Box, Detection
from simulators.scene import Scene

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
    covered = cover(frame, people)
    assert (frame == before).all()
    for left, top, right, bottom in people:
        inside = covered[
            int(top * rows) : int(np.ceil(bottom * rows)), int(left * columns) : int(np.ceil(right * columns))
        ]
        assert (inside == FILL).all()
    if not people:
        assert (covered == before).all()


@given(st.lists(st.tuples(share, share), min_size=3, max_size=6), boxes())
def test_every_pixel_of_a_blackout_is_zero_whoever_stands_in_it(corners: list[Corner], person: Box) -> None:
    import cv2

    rows, columns = 90, 160
    covered = cover(noise(), [person], [corners])
    mask = np.zeros((rows, columns), np.uint8)
    cv2.fillPoly(mask, [np.array([[x * columns, y * rows] for x, y in corners]).astype(np.int32)], 1)
    assert (covered[mask == 1] == 0).all()


def test_compression_smears_nothing_over_the_edge() -> None:
    """A bright person on black: outside the fill nothing of him is left in a bad JPEG either."""
    import cv2

    frame = np.zeros((96, 160, 3), np.uint8)
    frame[30:70, 50:90] = (0, 255, 255)
    covered = cover(frame, [(50 / 160, 30 / 96, 90 / 160, 70 / 96)])
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
    assert people_in(seen) == ((0, 0, 1, 1),)


@pytest.mark.parametrize(
    "label",
    ["cyclist", "rider", "worker", "swimmer", "Person", "life-jacket", "motor", "class0", ""],
)
def test_what_is_not_known_to_be_a_thing_is_covered(label: str) -> None:
    seen = [Detection(label, 0.2, (0.25, 0.25, 0.5, 0.75))]
    assert len(people_in(seen)) == len(Look(noise(), seen).people) == 1
    assert (cover(noise(), people_in(seen))[23:67, 40:80] == FILL).all()


def test_what_is_known_to_be_a_thing_is_not() -> None:
    coco = [label for label in models.find("default").labels if label != "person"]
    seen = [Detection(label, 0.9, (0, 0, 1, 1)) for label in [*coco, "Traffic_Light", "ship"]]
    assert people_in(seen) == Look(noise(), seen).people == ()


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
    assert knows_people(its) == known


def test_people_of_a_card_are_labels_of_it() -> None:
    card = models.find("default")
    with pytest.raises(ValueError, match="people: rider is none of its labels"):
        card.model_validate(card.model_dump() | {"people": ["rider"]})


def test_a_copy_of_a_look_is_nothing() -> None:
    """So that no recording and no JSON can carry a frame away by accident."""
    sighting = Sighting(frame=1, objects=(), look=Look(noise(), []))
    assert asdict(sighting)["look"] is None
    assert deepcopy(sighting).look is None
    assert "Look" not in repr(sighting)


def looks(folder: Path, **detector: Any) -> list[Sighting]:
    """What a camera with this detector emits of one second of a man who stands there."""
    import cv2

    writer = cv2.VideoWriter(str(folder / "c.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (640, 360))
    for step in range(5):
        writer.write(Scene(comes_s=-10, leaves_s=60).picture(step / 5))
    writer.release()
    said: list[Any] = []
    camera = Camera.model_validate({"url": str(folder / "c.avi"), "purpose": "a test", "detector": detector})
    asyncio.run(asyncio.wait_for(camera.run(said.append), 30))  # type: ignore[arg-type]  None is an answer
    return [value for value in said if isinstance(value, Sighting)]


def test_a_camera_looks_for_people_far_below_its_own_score_and_tells_only_what_is_wanted(
    tmp_path: Path,
) -> None:
    told = looks(tmp_path, score=0.9, labels=["boat"])
    assert told
    for sighting in told:
        assert not sighting.objects
        assert isinstance(sighting.look, Look)
        assert any(left < 0.5 < right for left, _, right, _ in sighting.look.people)


def test_a_camera_whose_model_knows_no_people_gives_no_pictures(tmp_path: Path) -> None:
    card = models.find("default")
    lines = card.model_dump_json(exclude={"labels", "weights", "accuracy", "latency", "proof"})
    renamed = [label if label != "person" else "thing" for label in card.labels]
    weights = Path(card.weights).resolve()
    fields = f'{lines[:-1]}, "labels": {renamed!r}, "weights": "{weights}"}}'.replace("'", '"')
    (tmp_path / "blind.yaml").write_text(fields)
    told = looks(tmp_path, model=str(tmp_path / "blind.yaml"))
    assert told
    assert [sighting.look for sighting in told] == [None] * len(told)


def test_who_stands_in_the_scene_is_covered() -> None:
    frame = Scene(comes_s=0, leaves_s=60).picture(20)
    covered = cover(frame, people_in(models.find("default").at(LEAST_SCORE).load()(frame)))
    assert (covered[150:340, 280:360] == FILL).mean() > 0.95
