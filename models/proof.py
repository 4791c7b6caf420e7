"""The self-test of a loaded network: it runs on noise, and on a picture whose content is known."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from models.boxes import iou
from models.detection import Box, Detect, Detection, Frame
from models.picture import decode_picture
from models.regular import read_regular

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_BYTES = 32 * 1024 * 1024
"""The maximum size of a test picture's file."""
SAME_BOX, SAME_SCORE = 0.8, 0.15
"""The tolerance for another processor, or for lower precision."""


class Expected(BaseModel):
    """An object in the test picture, as the model detected it when its card was written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    score: float = Field(ge=0, le=1)
    box: Box


class Proof(BaseModel):
    """A test picture, and the objects that must be detected in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    picture: Path
    sees: tuple[Expected, ...] = Field(min_length=1)

    def check(self, detect: Detect, least: float) -> None:
        """ValueError where ``detect``, at the threshold ``least``, detects something else."""
        try:
            frame = decode_picture(read_regular(self.picture, MOST_BYTES))
        except ValueError as error:
            raise ValueError(f"its test picture {self.picture.name} is not readable: {error}") from error
        seen = detect(frame)
        for expected in self.sees:
            if expected.score - SAME_SCORE >= least and not any(_same(expected, one) for one in seen):
                found = ", ".join(f"{one.label} {one.score:.2f}" for one in seen[:3]) or "nothing"
                raise ValueError(
                    f"it does not see the {expected.label} of {expected.score:.2f} in its test picture, but"
                    f" {found}: other weights, or this processor computes differently"
                )


def noise(width: int, height: int) -> Frame:
    """A random picture, in which a network at threshold 0 yields rows of many kinds."""
    import numpy as np

    blocks = np.random.default_rng(0).integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
    return np.ascontiguousarray(np.kron(blocks, np.ones((16, 16, 1), np.uint8))[:height, :width])


def plausible(rows: "NDArray[Any]", labels: int) -> None:
    """ValueError where ``rows`` can't be left, top, right, bottom in input pixels, score, class."""
    import numpy as np

    scores = rows[:, 4]
    if not np.isfinite(scores).all() or (scores < -1e-4).any() or (scores > 1 + 1e-3).any():
        raise ValueError(f"scores from {np.min(scores):.3g} to {np.max(scores):.3g}: not this format")
    some = rows[scores > 0]
    if not len(some):
        return
    if not np.isfinite(some[:, :4]).all():
        raise ValueError("boxes are not numbers: not this format")
    if np.abs(some[:, :4]).max() <= 2:
        raise ValueError("boxes as fractions, where this format has pixels")
    if (some[:, 5] < 0).any() or (some[:, 5] >= labels).any():
        raise ValueError(f"class {some[:, 5].max():g}, and only {labels} labels: other labels?")


def _same(expected: Expected, seen: Detection) -> bool:
    near = math.isclose(expected.score, seen.score, abs_tol=SAME_SCORE)
    return expected.label == seen.label and near and iou(expected.box, seen.box) >= SAME_BOX
