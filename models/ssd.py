"""SSD with its post-processing inside (TFLite_Detection_PostProcess, brought to ONNX).

boxes [1, K, 4] top, left, bottom, right in 0..1; classes [1, K] from 0; scores [1, K]; count [1].
The order of the outputs differs between exports, so the card names them.
"""

from typing import Literal

from models.raw import Outputs, Raw, Rows


class Ssd(Raw):
    """An SSD; ``outputs`` are the names of boxes, classes, scores and count."""

    format: Literal["ssd"] = "ssd"
    outputs: tuple[str, str, str, str]

    def rows(self, outputs: Outputs) -> Rows:
        return decode_ssd(outputs, self.outputs, self.input.width, self.input.height)


def decode_ssd(outputs: Outputs, names: tuple[str, str, str, str], width: int, height: int) -> Rows:
    """The first ``count`` rows. ValueError where an output is missing or of another shape."""
    import numpy as np

    missing = [name for name in names if name not in outputs]
    if missing:
        raise ValueError(f"no output {', '.join(missing)}; there are {', '.join(outputs)}")
    boxes, classes, scores, count = (outputs[name] for name in names)
    if boxes.ndim != 3 or boxes.shape[2] != 4 or not classes.shape == scores.shape == boxes.shape[:2]:
        raise ValueError(f"boxes {boxes.shape}, classes {classes.shape}, scores {scores.shape}: not SSD")
    edges = boxes[0][:, [1, 0, 3, 2]] * np.array([width, height, width, height], np.float32)
    rows = np.concatenate([edges, scores[0][:, None], classes[0][:, None]], axis=1).astype(np.float32)
    return rows[: int(count.ravel()[0])]
