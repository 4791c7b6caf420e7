"""The YOLO family but X, in input pixels.

v5          [1, N, 5 + C]   centre x, y, w, h, objectness, C scores; score = objectness x class (v5, v7)
v8          [1, 4 + C, N]   centre x, y, w, h, C scores (v8, v9, v11, v12)
end_to_end  [1, K, 6]       left, top, right, bottom, score, class (v10, or exported with NMS)
v5 of one class and end_to_end look alike, so the card says which.
"""

from typing import TYPE_CHECKING, Any, Literal

from models.raw import Outputs, Raw, Rows, best_class, from_centre, only

if TYPE_CHECKING:
    from numpy.typing import NDArray

Variant = Literal["v5", "v8", "end_to_end"]


class Yolo(Raw):
    """A YOLO of one ``variant``."""

    format: Literal["yolo"] = "yolo"
    variant: Variant
    output: str | None = None
    """The output's name, where there are several."""

    def rows(self, outputs: Outputs) -> Rows:
        return decode_yolo(only(outputs, self.output), self.variant, len(self.labels))


def decode_yolo(output: "NDArray[Any]", variant: Variant, classes: int) -> Rows:
    """Rows of all candidates. ValueError where the output has another shape."""
    import numpy as np

    width = {"v5": 5 + classes, "v8": 4 + classes, "end_to_end": 6}[variant]
    axis = 1 if variant == "v8" else 2
    if output.ndim != 3 or output.shape[0] != 1 or output.shape[axis] != width:
        raise ValueError(f"an output of shape {output.shape}; {variant} has {width} on axis {axis}")
    values: Rows = output[0].astype(np.float32)
    if variant == "end_to_end":
        return values
    if variant == "v8":
        values = values.T
        return best_class(from_centre(values[:, :4]), values[:, 4:])
    return best_class(from_centre(values[:, :4]), values[:, 4:5] * values[:, 5:])
