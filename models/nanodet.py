"""NanoDet, NanoDet-Plus and PicoDet without post-processing.

Plus      one output  [1, N, C + 4B]               centre = cell x stride
v0, Pico  two a stride [1, n, C] and [1, n, 4B]    centre = (cell + 0.5) x stride
C scores (already 0..1); for each side B bins, whose softmax weighs 0..B-1: the distance in strides.
Source: RangiLyu/nanodet nanodet_plus_head.py; nihui/ncnn-android-nanodet nanodet.cpp.
"""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from models.raw import Outputs, Raw, Rows, best_class, grid

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Nanodet(Raw):
    """NanoDet and its variants; ``strides`` as trained."""

    format: Literal["nanodet"] = "nanodet"
    strides: tuple[int, ...] = (8, 16, 32)
    bins: int = Field(default=8, ge=2, le=64)
    """The number of bins for each side; upstream's reg_max plus one: 8, and 11 for NanoDet-g."""

    def rows(self, outputs: Outputs) -> Rows:
        width, height = self.input.width, self.input.height
        return decode_nanodet(outputs, width, height, self.strides, len(self.labels), self.bins, self.score)


def decode_nanodet(
    outputs: Outputs,
    width: int,
    height: int,
    strides: tuple[int, ...],
    classes: int,
    bins: int = 8,
    least: float = 0.0,
) -> Rows:
    """Rows of all cells that score ``least``. ValueError where the outputs have other shapes."""
    import numpy as np

    cells = grid(width, height, strides)
    if len(outputs) == 1:
        (joined,), offset = [one[0] for one in outputs.values()], 0.0
        if joined.ndim != 2 or len(joined) != len(cells):
            raise ValueError(f"an output of shape {joined.shape}; expected [{len(cells)}, …]")
        scores, sides = joined[:, :classes], joined[:, classes:]
    else:
        offset = 0.5
        pairs = [_pair(outputs, int((cells[:, 2] == stride).sum()), classes) for stride in strides]
        scores, sides = (np.concatenate(list(part)) for part in zip(*pairs, strict=True))
    if sides.shape[1] != 4 * bins:
        raise ValueError(
            f"{sides.shape[1]} values for four sides of {bins} bins beside {classes} labels: other labels?"
        )
    sure = scores.max(1) >= least
    scores, sides, cells = scores[sure], sides[sure].astype(np.float32), cells[sure]
    logits = sides.reshape(len(sides), 4, bins)
    weights = np.exp(logits - logits.max(2, keepdims=True))
    weights /= weights.sum(2, keepdims=True)
    away = (weights @ np.arange(bins, dtype=np.float32)) * cells[:, 2:]
    centre = (cells[:, :2] + offset) * cells[:, 2:]
    edges = np.concatenate([centre - away[:, :2], centre + away[:, 2:]], axis=1)
    # clipped to the input before any overlap is measured, as the upstream head does
    return best_class(edges.clip(0, [width, height, width, height]), scores)


def _pair(outputs: Outputs, cells: int, classes: int) -> "tuple[NDArray[Any], NDArray[Any]]":
    here = [one[0] for one in outputs.values() if one.ndim == 3 and one.shape[1] == cells]
    if len(here) == 2:
        if here[1].shape[1] == classes != here[0].shape[1]:
            here.reverse()
        if here[0].shape[1] == classes:
            return here[0], here[1]
    shapes = [one.shape for one in outputs.values()]
    raise ValueError(f"outputs {shapes}; [1, {cells}, {classes}] and [1, {cells}, 4 x bins] expected")
