"""Redaction: people in a picture that leaves are covered by a solid fill, or no picture leaves.

A picture is made from a `FrameWithPeople` only: a frame together with the detections in that very frame at a
very low score; before it leaves, `find_people` runs the detector again, in tiles and all four orientations.
A person that no inference finds can't be covered; `MARGIN` and `LEAST_SCORE` are wide for that.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from agent.domain.zones import Corner
from models.boxes import area
from models.card import Card
from models.detection import Box, Detect, Detection, Frame
from models.labels import HARMLESS, PEOPLE, plain
from models.tiles import tiled, turned

LEAST_SCORE = 0.1
"""Whatever is this likely to be a person is covered, however much else is covered with it."""
SURE = 0.3
MARGIN = 0.1
"""Share of a box's width and height that is covered around it: hands, hats, a box too tight."""
LARGE = 0.1
"""Share of the picture from which a box is large."""
TILES = "2x2"
LOOKS = 4 + 5
"""How many times the detector runs in `find_people`."""
GRID = 8
"""Fills end on the blocks of JPEG, so that its compression smears nothing over their edge."""
FILL, BLACK = 60, 0


class FrameWithPeople:
    """A frame, and everybody whom the detector may have seen in it. Nobody writes to the frame any more.

    It goes along with a `Sighting` inside this process and nowhere else: a copy of it, as for JSON or a
    recording, is nothing.
    """

    __slots__ = ("frame", "people", "sure")

    def __init__(self, frame: Frame, seen: Iterable[Detection]) -> None:
        find_people = [one for one in seen if _may_be_a_person(one)]
        self.frame = frame
        self.people = tuple(one.box for one in find_people)
        self.sure = tuple(one.box for one in find_people if one.score >= SURE)
        """Those who are covered for a while after, should the detector blink."""

    def __deepcopy__(self, _: Any) -> None:
        return None


def knows_people(card: Card) -> bool:
    """Whether a model can find people at all: one that can't gives its camera no pictures."""
    return bool(card.people) or not PEOPLE.isdisjoint(map(plain, card.labels))


def people_in(seen: Iterable[Detection]) -> tuple[Box, ...]:
    """The boxes of all who may be people in a detection pass at `LEAST_SCORE`."""
    return tuple(one.box for one in seen if _may_be_a_person(one))


def find_people(frame: Frame, detect: Detect) -> tuple[Box, ...]:
    """Who may be a person in a picture that is to leave, whichever way up it is; ``detect`` at `LEAST_SCORE`.

    A detector finds people who stand upright: of those who lie sideways, because a camera hangs so or is
    configured so, it misses a third. So it looks at the whole in four orientations, and closer, in tiles, in
    that in which people are seen most surely. A box too many costs a piece of the picture: who is large is
    seen surely in his own orientation, so that large and unsure boxes in the others don't count.
    """
    passes = [[one for one in turned(detect, turn)(frame) if _may_be_a_person(one)] for turn in range(4)]
    upright = max(range(4), key=lambda turn: sum(one.score**2 for one in passes[turn]))
    closer = turned(tiled(detect, TILES), upright)(frame)
    others = [one for turn in range(4) if turn != upright for one in passes[turn]]
    sideways = [one for one in others if one.score >= SURE or area(one.box) < LARGE]
    return people_in((*passes[upright], *closer, *sideways))


def _may_be_a_person(seen: Detection) -> bool:
    return plain(seen.label) not in HARMLESS


def redact(frame: Frame, people: Iterable[Box], blackout: Sequence[Sequence[Corner]] = ()) -> Frame:
    """A copy of ``frame`` with people filled grey and ``blackout`` polygons (corners in 0..1) zero."""
    import cv2
    import numpy as np

    covered = frame.copy()
    rows, columns = frame.shape[:2]
    for left, top, right, bottom in people:
        wide, tall = MARGIN * (right - left), MARGIN * (bottom - top)
        first, last = int((left - wide) * columns), int((right + wide) * columns)
        upper, lower = int((top - tall) * rows), int((bottom + tall) * rows)
        covered[_outward(upper, lower), _outward(first, last)] = FILL
    for corners in blackout:
        mask = np.zeros((-(-rows // GRID) * GRID, -(-columns // GRID) * GRID), np.uint8)
        polygon = np.array([[x * columns, y * rows] for x, y in corners])
        cv2.fillPoly(mask, [np.rint(polygon).astype(np.int32)], 1)
        cv2.polylines(mask, [np.rint(polygon).astype(np.int32)], isClosed=True, color=1, thickness=3)
        blocks = mask.reshape(mask.shape[0] // GRID, GRID, -1, GRID).any(axis=(1, 3))
        black = np.kron(blocks, np.ones((GRID, GRID), bool))[:rows, :columns]
        covered[black] = BLACK
    return covered


def _outward(first: int, last: int) -> slice:
    """From the block that ``first`` lies in to the end of the block that ``last`` lies in."""
    return slice(max(0, first // GRID * GRID), max(0, (last // GRID + 1) * GRID))
