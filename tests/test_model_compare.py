"""What a model loses against another: the gate for an int8 copy."""

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from agent.__main__ import cli
from agent.cli.model_compare import matched, too_much_lost
from models.detection import Detection
from tests.test_models import network, put

pytest.importorskip("onnxruntime", reason="needs the extra vision: pip install -e .[vision]")
MAN = Detection("person", 0.9, (0, 0, 0.5, 0.5))
HALF = Detection("person", 0.6, (0, 0, 0.5, 0.3))
BOAT = Detection("boat", 0.9, (0, 0, 0.5, 0.5))
TWO = [[16, 8, 48, 24, 0.9, 1], [0, 0, 10, 10, 0.8, 0]]


@pytest.mark.parametrize(
    ("reference", "seen", "found"),
    [
        ([MAN], [MAN], [MAN]),
        ([MAN], [HALF], [MAN]),
        ([MAN, MAN], [MAN], [MAN]),  # one detection is not two
        ([MAN], [BOAT], []),
        ([], [MAN], []),
    ],
)
def test_detections_match_by_label_and_box(
    reference: list[Detection], seen: list[Detection], found: list[Detection]
) -> None:
    assert matched(reference, seen) == found


def test_a_label_of_few_objects_decides_nothing() -> None:
    reference, found = Counter(person=100, boat=9, car=20), Counter(person=95, car=10)
    assert too_much_lost(reference, found, 0.05) == {"car": 0.5}


def compare(folder: Path, dets: list[list[float]], *more: str) -> Result:
    """A copy with ``dets`` against the model that sees `TWO` in each of ten pictures."""
    for name, some in (("copy", dets), ("whole", TWO)):
        (folder / name).mkdir()
        put(folder / name, network(some))
    (folder / "pictures").mkdir()
    for number in range(10):
        cv2.imwrite(str(folder / "pictures" / f"{number}.png"), np.zeros((32, 64, 3), np.uint8))
    given = [str(folder / "copy" / "tiny.yaml"), "--against", str(folder / "whole" / "tiny.yaml")]
    return CliRunner().invoke(
        cli, ["models", "verify", *given, "--pictures", str(folder / "pictures"), *more]
    )


def test_a_copy_that_loses_a_label_is_refused(tmp_path: Path) -> None:
    done = compare(tmp_path, TWO[:1])
    assert done.exit_code == 1
    assert "loses 100% of the person detections" in done.stderr


def test_a_copy_that_loses_nothing_passes(tmp_path: Path) -> None:
    done = compare(tmp_path, TWO, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["labels"] == {
        "boat": {"found": 10, "of": 10},
        "person": {"found": 10, "of": 10},
    }


def test_a_comparison_needs_pictures() -> None:
    done = CliRunner().invoke(cli, ["models", "verify", "default", "--against", "default"])
    assert (done.exit_code, "go together" in done.stderr) == (2, True)
