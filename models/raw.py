"""Networks with a prepared input and without post-processing: the parts that their formats share.

A format decodes the outputs into rows, float32 [K, 6]: left, top, right, bottom in input pixels, score,
class.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import Field

from models.card import Card, Input
from models.detection import Detection, Frame
from models.e2e import decode
from models.fit import fit
from models.proof import noise, plausible
from models.session import Loaded, Session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Outputs: TypeAlias = "Mapping[str, NDArray[Any]]"
Rows: TypeAlias = "NDArray[np.float32]"
Triple: TypeAlias = tuple[float, float, float]

DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
}


class RawInput(Input):
    """The preparation of the picture: (value - mean) / std, channels in the order of ``colour``."""

    layout: Literal["nchw", "nhwc"] = "nchw"
    colour: Literal["rgb", "bgr"] = "rgb"
    mean: Triple = (0, 0, 0)
    std: Triple = (1, 1, 1)
    corner: bool = False


class Raw(Card):
    """A network without our post-processing inside."""

    input: RawInput
    iou: float = Field(default=0.6, gt=0, le=1)
    """Of two boxes of one class that overlap more than this, the one with the higher score is kept; 1
    keeps all."""

    def rows(self, outputs: Outputs) -> Rows:
        """The rows in the outputs; each format implements this."""
        raise NotImplementedError(f"{self.name} has no format")

    def more(self) -> "dict[str, NDArray[Any]]":
        """The network's inputs besides the picture."""
        return {}

    def load(self) -> Loaded:
        """Loads and tests the network. OSError or ValueError with the reason."""
        session = self.open()
        prepared = self.input_on(session)
        name, dtype = self._picture_input(session, set(self.more()), prepared.by_aspect)

        def infer(picture: Frame, card: Raw) -> Rows:
            height, width = picture.shape[:2]
            sized = card.model_copy(update={"input": self.input.at(width, height)})
            outputs = session.run({name: prepare(picture, self.input, dtype), **sized.more()})
            return sized.rows(dict(zip(session.outputs, outputs, strict=True)))

        def detect(frame: Frame) -> tuple[Detection, ...]:
            size = prepared.size(frame.shape[1], frame.shape[0])
            small, how = fit(
                frame,
                *size,
                prepared.resize,
                pad=prepared.pad,
                corner=self.input.corner,
                invert=prepared.invert,
            )
            rows = infer(small, self)
            return decode(suppress(rows[rows[:, 4] >= self.score], self.iou), how, self.labels)

        def prove() -> None:
            everything = self.model_copy(update={"score": 0.0})
            plausible(infer(noise(self.input.width, self.input.height), everything), len(self.labels))

        return self.proven(detect, prove, session)

    def _picture_input(self, session: Session, more: set[str], by_aspect: bool) -> tuple[str, str]:
        names = [name for name in session.inputs if name not in more]
        size = (self.input.height, self.input.width)
        wanted = [1, 3, *size] if self.input.layout == "nchw" else [1, *size, 3]
        if len(names) == 1 and more <= set(session.inputs):
            kind, shape = session.inputs[names[0]]
            # a free dimension is a name or nothing
            fits = len(shape) == 4 and all(
                one == want or not isinstance(one, int) for one, want in zip(shape, wanted, strict=True)
            )
            sides = shape[2:] if self.input.layout == "nchw" else shape[1:3]
            if fits and by_aspect:
                self.hold_to_free(shape, sides)
            if fits and kind in DTYPES:
                return names[0], DTYPES[kind]
        raise ValueError(
            f"{self.name}: takes {session.inputs}, its card says a picture {wanted}"
            + "".join(f" and {name}" for name in sorted(more))
        )


def prepare(picture: Frame, how: RawInput, dtype: str) -> "NDArray[Any]":
    """The fitted picture in the network's layout, with a batch of one."""
    import numpy as np

    values: NDArray[Any] = picture[..., ::-1] if how.colour == "rgb" else picture
    if dtype == "int8":  # quantised, with its zero at the middle
        values = (values ^ 128).view(np.int8)
    elif dtype != "uint8":
        levels = (np.arange(256)[:, None] - np.array(how.mean)) / np.array(how.std)
        values = np.stack(
            [levels.astype(dtype)[:, channel][values[..., channel]] for channel in range(3)], axis=-1
        )
    if how.layout == "nchw":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[None])


def suppress(rows: Rows, iou: float) -> Rows:
    """``rows`` best first, without those that overlap a better one of their class by more than ``iou``."""
    import numpy as np

    rest = rows[np.argsort(-rows[:, 4], kind="stable")]
    kept = []
    while len(rest):
        best, rest = rest[0], rest[1:]
        kept.append(best)
        across = np.minimum(best[2], rest[:, 2]) - np.maximum(best[0], rest[:, 0])
        down = np.minimum(best[3], rest[:, 3]) - np.maximum(best[1], rest[:, 1])
        both = across.clip(0) * down.clip(0)
        areas = (rest[:, 2] - rest[:, 0]) * (rest[:, 3] - rest[:, 1])
        either = (best[2] - best[0]) * (best[3] - best[1]) + areas - both
        rest = rest[(rest[:, 5] != best[5]) | (both <= iou * either)]
    return np.array(kept, np.float32).reshape(-1, 6)


def only(outputs: Outputs, name: str | None = None) -> "NDArray[Any]":
    """The output ``name``, or the only one. ValueError where there is none, or several."""
    if name is not None and name in outputs:
        return outputs[name]
    if name is not None or len(outputs) != 1:
        raise ValueError(f"outputs {', '.join(outputs)}; expected {name or 'one'}")
    return next(iter(outputs.values()))


def best_class(boxes: "NDArray[Any]", scores: "NDArray[Any]") -> Rows:
    """Rows from boxes [N, 4] and scores [N, C], one class for each box."""
    import numpy as np

    number = scores.argmax(1)
    score = scores[np.arange(len(scores)), number]
    return np.concatenate([boxes, score[:, None], number[:, None]], axis=1).astype(np.float32)


def from_centre(boxes: "NDArray[Any]") -> "NDArray[Any]":
    """Centre x, centre y, width, height [..., 4] as left, top, right, bottom."""
    import numpy as np

    half = boxes[..., 2:] / 2
    return np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], axis=-1)


def grid(width: int, height: int, strides: tuple[int, ...]) -> "NDArray[np.float32]":
    """Column, row and stride of each cell [N, 3], finest stride first, row by row; partial cells count."""
    import numpy as np

    cells = []
    for stride in strides:
        rows, columns = np.mgrid[: -(-height // stride), : -(-width // stride)]
        cells.append(np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, stride)], axis=1))
    return np.concatenate(cells).astype(np.float32)
