"""Redaction: people in a picture that leaves are covered by a solid fill, or no picture leaves.

A picture is made from a `FrameWithPeople` only: a frame with the detections in that very frame at very low
confidence. Before it leaves, `find_people` runs the detector again, in all four orientations and in tiles. A
person that no inference finds can't be redacted; therefore `REDACTION_MARGIN` is wide and
`REDACTION_MIN_SCORE` low.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from agent.domain.zones import Corner
from models.boxes import area
from models.card import Card
from models.detection import Box, Detect, Detection, Frame
from models.labels import PEOPLE, UNREDACTED_LABELS, plain
from models.tiles import rotated, tiled

REDACTION_MIN_SCORE = 0.1
"""Detections from this confidence on are redacted, however much of the picture that covers."""
CONFIDENT_SCORE = 0.3
"""From this confidence on a detection is redacted in the next seconds too (`FrameWithPeople.confident`)."""
REDACTION_MARGIN = 0.1
"""Share of a box's width and height that is redacted around it: hands, hats, a box that is too tight."""
LARGE_BOX_AREA = 0.1
"""Share of the picture from which on a box is large."""
TILES = "2x2"
REDACTION_PASSES = 4 + 5
"""Number of inferences in `find_people`: four orientations, then the whole and 2x2 tiles."""
GRID = 8
"""Fills end on JPEG blocks (pixels), so that compression smears nothing over their edge."""
FILL, BLACK = 60, 0
"""Grey level of redacted people; value of blackout pixels."""


LargerPicture: TypeAlias = Callable[[], tuple[Frame, float]]
"""Gets the picture of the same view and moment from a larger stream, preprocessed, and the seconds by which
it is later. Blocking; OSError: there is none."""


class FrameWithPeople:
    """A frame with the boxes of all people that the detector may have seen in it. The frame is read-only.

    It accompanies a `Sighting` inside this process only: a copy of it, as for JSON or a recording, is None.
    """

    __slots__ = ("confident", "frame", "larger", "people")

    def __init__(self, frame: Frame, seen: Iterable[Detection], larger: LargerPicture | None = None) -> None:
        people = [one for one in seen if _may_be_a_person(one)]
        self.frame = frame
        self.larger = larger
        self.people = tuple(one.box for one in people)
        self.confident = tuple(one.box for one in people if one.score >= CONFIDENT_SCORE)
        """Boxes that stay redacted for a while, in case the detector misses the person in the next frames."""

    def __deepcopy__(self, _: Any) -> None:
        return None


def detects_people(card: Card) -> bool:
    """Whether a model has a label for people. Cameras with any other model send no pictures."""
    return bool(card.people) or not PEOPLE.isdisjoint(map(plain, card.labels))


def person_boxes(seen: Iterable[Detection]) -> tuple[Box, ...]:
    """The boxes of all detections that may be people, from a detector at `REDACTION_MIN_SCORE`."""
    return tuple(one.box for one in seen if _may_be_a_person(one))


def find_people(frame: Frame, detect: Detect) -> tuple[Box, ...]:
    """The boxes of all possible people in a picture before it leaves, whichever way up the picture is.

    ``detect`` must run at `REDACTION_MIN_SCORE`; it is called `REDACTION_PASSES` times. A detector finds
    upright people; where the camera is mounted sideways it misses a third. So it runs on the picture in four
    orientations, and in tiles in the orientation with the highest confidence. A false box costs a piece of
    the picture: a large person has high confidence in the right orientation, so large boxes with low
    confidence in the other orientations are ignored.
    """
    by_turn = [[one for one in rotated(detect, turn)(frame) if _may_be_a_person(one)] for turn in range(4)]
    upright = max(range(4), key=lambda turn: sum(one.score**2 for one in by_turn[turn]))
    tiles = rotated(tiled(detect, TILES), upright)(frame)
    others = [one for turn in range(4) if turn != upright for one in by_turn[turn]]
    sideways = [one for one in others if one.score >= CONFIDENT_SCORE or area(one.box) < LARGE_BOX_AREA]
    return person_boxes((*by_turn[upright], *tiles, *sideways))


def _may_be_a_person(seen: Detection) -> bool:
    return plain(seen.label) not in UNREDACTED_LABELS


def redact(frame: Frame, people: Iterable[Box], blackout: Sequence[Sequence[Corner]] = ()) -> Frame:
    """A copy of ``frame`` with people filled grey and ``blackout`` polygons (corners in 0..1) zero."""
    import cv2
    import numpy as np

    redacted = frame.copy()
    rows, columns = frame.shape[:2]
    for left, top, right, bottom in people:
        wide, tall = REDACTION_MARGIN * (right - left), REDACTION_MARGIN * (bottom - top)
        first, last = int((left - wide) * columns), int((right + wide) * columns)
        upper, lower = int((top - tall) * rows), int((bottom + tall) * rows)
        redacted[_outward(upper, lower), _outward(first, last)] = FILL
    for corners in blackout:
        mask = np.zeros((-(-rows // GRID) * GRID, -(-columns // GRID) * GRID), np.uint8)
        polygon = np.array([[x * columns, y * rows] for x, y in corners])
        cv2.fillPoly(mask, [np.rint(polygon).astype(np.int32)], 1)
        cv2.polylines(mask, [np.rint(polygon).astype(np.int32)], isClosed=True, color=1, thickness=3)
        blocks = mask.reshape(mask.shape[0] // GRID, GRID, -1, GRID).any(axis=(1, 3))
        black = np.kron(blocks, np.ones((GRID, GRID), bool))[:rows, :columns]
        redacted[black] = BLACK
    return redacted


def _outward(first: int, last: int) -> slice:
    """The pixels from ``first`` to ``last``, extended to whole JPEG blocks."""
    return slice(max(0, first // GRID * GRID), max(0, (last // GRID + 1) * GRID))
