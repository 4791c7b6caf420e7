"""Detectors that predict a set, so that no non-maximum suppression is needed.

rtdetr  labels [1, Q], boxes [1, Q, 4] left, top, right, bottom, scores [1, Q]   (RT-DETR, D-FINE)
        with a second input orig_target_sizes, int64 [1, 2]: we give the input's own size. Exports disagree
        whether that is w, h or h, w, so only a square input is safe.
rfdetr  dets [1, Q, 4] centre x, y, w, h in 0..1, labels [1, Q, C or C + 1] logits, background last; the
        same as pred_boxes and logits from transformers (RT-DETR, D-FINE and Conditional DETR exported there)
"""

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from models.raw import Outputs, Raw, Rows, best_class, from_centre

if TYPE_CHECKING:
    from numpy.typing import NDArray

Variant = Literal["rtdetr", "rfdetr"]


class Detr(Raw):
    """A DETR of one ``variant``."""

    format: Literal["detr"] = "detr"
    variant: Variant
    iou: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _square(self) -> Self:
        sides_differ = self.input.width != self.input.height or self.input.by_aspect
        if self.variant == "rtdetr" and sides_differ:
            raise ValueError("rtdetr needs a square input: exports disagree on the order of its size")
        return self

    def more(self) -> "dict[str, NDArray[Any]]":
        import numpy as np

        if self.variant == "rfdetr":
            return {}
        return {"orig_target_sizes": np.array([[self.input.width, self.input.height]], np.int64)}

    def rows(self, outputs: Outputs) -> Rows:
        return decode_detr(outputs, self.variant, self.input.width, self.input.height, len(self.labels))


def decode_detr(outputs: Outputs, variant: Variant, width: int, height: int, classes: int) -> Rows:
    """Rows of all queries. ValueError where the outputs have other names or shapes."""
    import numpy as np

    if variant == "rfdetr" and {"pred_boxes", "logits"} <= set(outputs):
        outputs = {"dets": outputs["pred_boxes"], "labels": outputs["logits"]}
    wanted = {"labels", "boxes", "scores"} if variant == "rtdetr" else {"dets", "labels"}
    if set(outputs) != wanted:
        raise ValueError(f"outputs {sorted(outputs)}; {variant} has {sorted(wanted)}")
    boxes = outputs["boxes" if variant == "rtdetr" else "dets"]
    labels = outputs["labels"]
    if boxes.ndim != 3 or boxes.shape[0] != 1 or boxes.shape[2] != 4 or labels.shape[:2] != boxes.shape[:2]:
        raise ValueError(f"boxes of shape {boxes.shape} and labels of {labels.shape}: not {variant}")
    if variant == "rtdetr":
        score = outputs["scores"]
        if labels.ndim != 2 or score.shape != labels.shape:
            raise ValueError(f"labels of shape {labels.shape} and scores of {score.shape}: not {variant}")
        return np.concatenate([boxes[0], score[0][:, None], labels[0][:, None]], axis=1).astype(np.float32)
    if labels.ndim != 3 or labels.shape[2] not in (classes, classes + 1):
        raise ValueError(f"labels of shape {labels.shape} for {classes} labels")
    scores = 1 / (1 + np.exp(-labels[0, :, :classes].astype(np.float32)))
    size = np.array([width, height, width, height], np.float32)
    return best_class(from_centre(boxes[0]) * size, scores)
