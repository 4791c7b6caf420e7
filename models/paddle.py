"""PaddleDetection's own export, with its post-processing inside (PicoDet, PP-YOLOE).

image         float32 [1, 3, H, W]
scale_factor  float32 [1, 2]   y, x: input over picture; we give 1, 1 and scale back ourselves
first output  float32 [M, 6]   class, score, left, top, right, bottom; class -1 where there is nothing
Source: PaddleDetection deploy/third_engine/demo_onnxruntime/infer_demo.py.
"""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from models.raw import Outputs, Raw, Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Paddle(Raw):
    """A network of PaddleDetection."""

    format: Literal["paddle"] = "paddle"
    iou: float = Field(default=1.0, gt=0, le=1)

    def more(self) -> "dict[str, NDArray[Any]]":
        import numpy as np

        return {"scale_factor": np.ones((1, 2), np.float32)}

    def rows(self, outputs: Outputs) -> Rows:
        return decode_paddle(outputs)


def decode_paddle(outputs: Outputs) -> Rows:
    """Rows of all boxes. ValueError where the first output has another shape."""
    import numpy as np

    boxes = next(iter(outputs.values()))
    if boxes.ndim != 2 or boxes.shape[1] != 6:
        raise ValueError(f"a first output of shape {boxes.shape}; expected [M, 6]")
    real = boxes[boxes[:, 0] >= 0]
    return np.concatenate([real[:, 2:], real[:, 1:2], real[:, :1]], axis=1).astype(np.float32)
