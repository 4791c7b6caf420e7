"""End-to-end networks: a uint8 BGR picture in, finished boxes out.

image            uint8   [1, H, W, 3]   fixed, or free dimensions of these names: then the card gives the size
                                       (or each picture: `Input.by_aspect`)
score_threshold  float32 [1]
dets             float32 [K, 6]   left, top, right, bottom in input pixels, score, class
"""

from typing import TYPE_CHECKING, Literal

from models.card import Card
from models.detection import Detection, Frame
from models.fit import Fit, fit
from models.proof import noise, plausible
from models.session import Loaded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class E2e(Card):
    """A network with everything inside: normalisation, decoding, NMS."""

    format: Literal["e2e"] = "e2e"

    def load(self) -> Loaded:
        """Loads and tests the network. OSError or ValueError with the reason."""
        import numpy as np

        session = self.open()
        prepared = self.input_on(session)
        width, height = prepared.width, prepared.height
        _, shape = session.inputs.get("image", ("", []))
        if prepared.by_aspect and len(shape) == 4:
            self.hold_to_free(shape, shape[1:3])
        sides: list[int | str] = ["H", "W"] if prepared.by_aspect else [height, width]
        wanted = {
            "image": ("tensor(uint8)", [1, *sides, 3]),
            "score_threshold": ("tensor(float)", [1]),
        }
        if session.inputs != wanted:
            raise ValueError(f"{self.name}: takes {session.inputs}, its card says {wanted}")
        threshold = np.array([self.score], np.float32)

        def detect(frame: Frame) -> tuple[Detection, ...]:
            rows, columns = frame.shape[:2]
            size = prepared.size(columns, rows)
            picture, how = fit(frame, *size, prepared.resize, pad=prepared.pad, invert=prepared.invert)
            (dets,) = session.run({"image": picture[None], "score_threshold": threshold})
            return decode(dets, how, self.labels)

        def prove() -> None:
            least = np.array([0.0], np.float32)
            outputs = session.run({"image": noise(width, height)[None], "score_threshold": least})
            if len(outputs) != 1:
                raise ValueError(f"{len(outputs)} outputs; expected one: dets")
            plausible(rows_of(outputs[0]), len(self.labels))

        return self.proven(detect, prove, session)


def rows_of(dets: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """``dets`` themselves. ValueError where they have another shape."""
    if dets.ndim != 2 or dets.shape[1] != 6:
        raise ValueError(f"dets of shape {dets.shape}; expected [K, 6]")
    return dets


def decode(dets: "NDArray[np.float32]", how: Fit, labels: tuple[str, ...]) -> tuple[Detection, ...]:
    """``dets`` as detections, best first. ValueError where they are invalid."""
    found = []
    for left, top, right, bottom, score, number in rows_of(dets).tolist():
        if not 0 <= score <= 1 or not 0 <= number < len(labels):
            raise ValueError(
                f"a detection with score {score} and class {number}: not this format, or other labels"
            )
        box = how.back(left, top, right, bottom)
        if box[2] > box[0] and box[3] > box[1]:
            found.append(Detection(labels[int(number)], score, box))
    return tuple(sorted(found, key=lambda one: -one.score))
