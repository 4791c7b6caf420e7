"""YOLOX: one output [1, N, 5 + C] over strides 8, 16, 32: x, y, w, h, objectness, C scores (already 0..1).

centre = (xy + cell) x stride, size = exp(wh) x stride, score = objectness x class. Exports that were
``decoded`` inside have centre and size in input pixels already.
Source: Megvii-BaseDetection/YOLOX demo_postprocess.
"""

from typing import TYPE_CHECKING, Any, Literal

from models.raw import Outputs, Raw, Rows, best_class, from_centre, grid, only

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Yolox(Raw):
    """YOLOX as its own export script writes it."""

    format: Literal["yolox"] = "yolox"
    strides: tuple[int, ...] = (8, 16, 32)
    decoded: bool = False

    def rows(self, outputs: Outputs) -> Rows:
        width, height = self.input.width, self.input.height
        return decode_yolox(
            only(outputs), width, height, self.strides, len(self.labels), self.score, self.decoded
        )


def decode_yolox(
    output: "NDArray[Any]",
    width: int,
    height: int,
    strides: tuple[int, ...],
    classes: int,
    least: float = 0.0,
    decoded: bool = False,
) -> Rows:
    """Rows of all cells that score ``least``. ValueError where the output has another shape."""
    import numpy as np

    cells = grid(width, height, strides)
    if output.shape != (1, len(cells), 5 + classes):
        raise ValueError(f"an output of shape {output.shape}; expected [1, {len(cells)}, {5 + classes}]")
    values = output[0].astype(np.float32)
    scores = values[:, 4:5] * values[:, 5:]
    sure = scores.max(1) >= least
    values, cells = values[sure], cells[sure]
    if decoded:
        return best_class(from_centre(values[:, :4]), scores[sure])
    centre = (values[:, :2] + cells[:, :2]) * cells[:, 2:]
    size = np.exp(values[:, 2:4].clip(max=20)) * cells[:, 2:]
    return best_class(from_centre(np.concatenate([centre, size], axis=1)), scores[sure])
