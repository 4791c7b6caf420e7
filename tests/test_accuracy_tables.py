"""Scores, groups and bands of heights, on pictures whose answer is known by counting."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bench.accuracy_tables import Scored, by_size, grouped
from bench.picture_variants import CHANGES, make_variant

KINDS = [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}, {"id": 8, "name": "truck"}]


def labelled(*boxes: tuple[int, int, list[float]], crowd: int = 0) -> dict[str, Any]:
    images = sorted({image for image, _, _ in boxes})
    return {
        "images": [{"id": one, "file_name": f"{one}.jpg", "width": 640, "height": 480} for one in images],
        "annotations": [
            {"id": n, "image_id": image, "category_id": kind, "bbox": box, "area": box[2] * box[3], "iscrowd": crowd}
            for n, (image, kind, box) in enumerate(boxes, 1)
        ],
        "categories": KINDS,
    }  # fmt: skip


def found(*boxes: tuple[int, int, list[float], float]) -> list[dict[str, Any]]:
    return [{"image_id": i, "category_id": k, "bbox": list(b), "score": s} for i, k, b, s in boxes]


SMALL, LARGE = [10.0, 10.0, 10.0, 20.0], [100.0, 100.0, 60.0, 120.0]
TRUTH = labelled((1, 1, SMALL), (1, 1, LARGE), (2, 3, LARGE))


def test_ap_of_each_class_and_of_drawn_pictures() -> None:
    scored = Scored(TRUTH, found((1, 1, LARGE, 0.9), (2, 8, LARGE, 0.8)))
    classes = scored.by_class()
    assert classes["person"] == pytest.approx((0.5, 0.5), abs=0.01)
    assert classes["car"] == (0, 0)
    assert "truck" not in classes
    assert scored.by_class([0, 0])["person"] == pytest.approx(classes["person"])
    assert "person" not in scored.by_class([1, 1])
    assert scored.by_class() == classes


def test_a_car_taken_for_a_truck_is_a_vehicle() -> None:
    scored = Scored(*grouped(TRUTH, found((2, 8, LARGE, 0.8))))
    assert scored.by_class()["vehicle"] == pytest.approx((1, 1), abs=1e-6)


def test_recall_and_precision_by_height() -> None:
    wrong = [400.0, 10.0, 10.0, 40.0]
    bands = by_size(TRUTH, found((1, 1, LARGE, 0.9), (1, 1, wrong, 0.7), (1, 1, SMALL, 0.3)), 0.4)
    assert bands["person"] == [("< 32", 1, 0, 0, 0), ("32-64", 0, 0, 1, 0), (">= 64", 1, 1, 1, 1)]


def test_a_detection_in_a_crowd_is_neither_right_nor_wrong() -> None:
    bands = by_size(labelled((1, 1, LARGE), crowd=1), found((1, 1, LARGE, 0.9)), 0.4)
    assert bands["person"] == [("< 32", 0, 0, 0, 0), ("32-64", 0, 0, 0, 0), (">= 64", 0, 0, 0, 0)]


@pytest.mark.parametrize("names", [["16:9"], ["half"], ["half", "16:9"], ["16:9", "quarter"]])
def test_labels_move_with_their_picture(tmp_path: Path, names: list[str]) -> None:
    picture = np.full((480, 640, 3), 50, np.uint8)
    picture[100:220, 100:160] = 250
    cv2.imwrite(str(tmp_path / "1.jpg"), picture)
    (tmp_path / "instances.json").write_text(json.dumps(labelled((1, 1, LARGE))))
    (tmp_path / "out").mkdir()
    made = make_variant(tmp_path, tmp_path / "out", names)
    truth = json.loads((made / "instances.json").read_text())
    changed = cv2.imread(str(made / truth["images"][0]["file_name"]))
    assert changed is not None
    rows, columns = np.nonzero(changed[:, :, 0] > 200)
    seen = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    assert seen == pytest.approx(truth["annotations"][0]["bbox"], abs=2)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_keeps_the_form_of_a_picture(name: str) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    changed = CHANGES[name](picture)
    assert (changed.shape, changed.dtype) == (picture.shape, np.uint8)


def test_an_unknown_variant_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sepia: not one of 16:9"):
        make_variant(tmp_path, tmp_path, ["sepia"])
