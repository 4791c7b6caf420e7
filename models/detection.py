"""The result of a detector: the vocabulary of ``models``. Imports nothing of ours."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom as fractions of the picture, 0..1."""

Frame: TypeAlias = "NDArray[np.uint8]"
"""A picture: uint8, height x width x 3, blue-green-red as OpenCV decodes it."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One object that a detector found in one picture; ``score`` is the confidence, 0..1."""

    label: str
    score: float
    box: Box


Detect: TypeAlias = Callable[[Frame], tuple[Detection, ...]]
