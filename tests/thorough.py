"""How much of a measurement, a search or a repetition a run does: all of it in `make test-long`.

`make test` takes the part that finds the same faults: each use says which. Nothing else differs.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

LONG = os.environ.get("RINGPOST_TESTS") == "long"


only_long = pytest.mark.skipif(
    not LONG, reason="a long run has it: make test-long; what holds it otherwise stands at the test"
)


def all_or(few: T, everything: T) -> T:
    """``everything`` in a long run, else ``few``."""
    return everything if LONG else few


def part_of(pictures: Path, images: Sequence[int], folder: Path) -> Path:
    """In ``folder`` the labelled ``pictures`` with these numbers."""
    truth = json.loads((pictures / "instances.json").read_text())
    truth["images"] = [image for image in truth["images"] if image["id"] in images]
    truth["annotations"] = [label for label in truth["annotations"] if label["image_id"] in images]
    for image in truth["images"]:
        (folder / image["file_name"]).parent.mkdir(exist_ok=True)
        (folder / image["file_name"]).symlink_to(pictures / image["file_name"])
    (folder / "instances.json").write_text(json.dumps(truth))
    return folder
