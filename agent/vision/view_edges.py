"""The brightness and the lasting edges of one area of the picture: what a view is recognised by. Pure."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from agent.domain.zones import Corner
from models.detection import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

BlindReason = Literal["dark", "over_exposed", "fog", "blurred", "covered", "turned", "frozen", "flat"]
WIDTH, HEIGHT, COARSE = 320, 180, 4
"""Size of the grey picture; edges are computed in one smaller by `COARSE`: wind on the mast moves none."""
DARK, BRIGHT, BRIGHT_SHARE = 16, 250, 0.7
"""Dark: 95 % of the zone is below `DARK`; over-exposed: `BRIGHT_SHARE` of it is at `BRIGHT` or above."""
EDGE_SHARE, MIN_EDGES = 0.15, 12
"""The steepest share of an area that describes it, and the least number of places in it."""
LASTING_AGREEMENT = 0.5
"""An area whose edges agree less than this while learning has no lasting ones (water, sky): the whole picture
decides."""
OTHER_VIEW = 0.45
"""Below this share of the usual agreement the view is another one, or covered."""
WEAK, GONE = 0.3, 0.03
"""Below the first share of their usual strength edges or fine detail mean fog or dirt; below the second
a cover."""
LEAST_SHOWN = 0.3
"""Of an area of which objects hide more, the rest is not enough to judge it."""
LARGEST_OBJECT = 0.5
"""A box that takes more of the picture may be a hand in front of the lens that was taken for a person."""
OBJECT_MARGIN = 0.1
"""A box is enlarged by this share of its width and height on each side: the object moves on."""
ROUNDING_LEVELS = 0.6
"""Detail in grey levels that a plain grey picture has by rounding."""
AVERAGE_S, RISE_S, FALL_S = 600.0, 300.0, 43_200.0
"""Time constants of the average picture, and of the usual strength when it rises and falls: slow fog does not
become usual."""


class ViewArea:
    """The picture or one zone: its brightness, and its edges once learnt; ``mask`` as of `zone_masks`."""

    def __init__(self, mask: "NDArray[Any]") -> None:
        import cv2
        import numpy as np

        self._mask = self._shown = mask
        shares = cv2.resize(mask, (WIDTH // COARSE, HEIGHT // COARSE), interpolation=cv2.INTER_AREA)
        self._coarse = np.flatnonzero(shares >= 1) if (shares >= 1).any() else np.flatnonzero(shares)
        self._open: NDArray[Any] = np.ones(len(shares.ravel()), bool)
        """Of the coarse pixels, those that no object hides."""
        self._judged = True
        self.span = 0
        self.known = False
        self._mean = self._passed_s = 0.0
        self._where: NDArray[Any] = np.zeros(0, int)
        self._slope: NDArray[Any] = np.zeros((0, 2))
        self._steep: NDArray[Any] = np.zeros(0)
        self._usual = self._now = np.zeros(4)  # as `_measure` gives them

    def leave_out(self, hidden: "NDArray[Any] | None", occupied: bool) -> None:
        """Leaves out of the next checks what objects hide (mask as of `object_mask`), where enough is left.

        Where it is not, an area that is ``occupied`` is not judged: who is detected in it is no cover.
        """
        import cv2
        import numpy as np

        self._shown, self._judged = self._mask, True
        self._open = np.ones(len(self._open), bool)
        if hidden is None:
            return
        free = cv2.resize(1 - hidden, (WIDTH // COARSE, HEIGHT // COARSE), interpolation=cv2.INTER_AREA)
        open_ = free.ravel() > 0
        places = self._where if self.known else self._coarse
        if open_[places].mean() >= LEAST_SHOWN and open_[self._coarse].mean() >= LEAST_SHOWN:
            self._shown, self._open = self._mask & (1 - hidden), open_
        else:
            self._judged = not occupied

    def check_brightness(self, grey: "NDArray[Any]") -> BlindReason | None:
        """``dark``, ``over_exposed`` or None by the brightness alone."""
        import cv2
        import numpy as np

        counts = cv2.calcHist([grey], [0], self._shown, [256], [0, 256]).ravel()
        share = counts.cumsum() / max(1.0, float(counts.sum()))
        low, high = (int(np.searchsorted(share, part)) for part in (0.05, 0.95))
        self.span = high - low
        self._mean = float(counts @ np.arange(256)) / max(1.0, float(counts.sum()))
        if not self._judged:
            return None
        if high < DARK:
            return "dark"
        return "over_exposed" if 1 - share[BRIGHT - 1] > BRIGHT_SHARE else None

    def learn(
        self, average: "NDArray[Any]", samples: "Sequence[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]"
    ) -> None:
        """Takes the edges of ``average``; their usual strength from ``samples`` (grey, detail, gradient)."""
        import numpy as np

        self._take_edges(average)
        if len(self._where) < MIN_EDGES:
            return
        shown = []
        for grey, fine, coarse in samples:
            self.check_brightness(grey)
            shown.append(self._measure(fine, coarse))
        self._usual = np.median(shown, axis=0)
        self.known = bool(self._usual[1] >= LASTING_AGREEMENT)

    def check_edges(self, fine: "NDArray[Any]", coarse: "NDArray[Any]", slack: float) -> BlindReason | None:
        """Why the area is blind by its edges; None where they are visible, or none were learnt."""
        if not self.known or not self._judged:
            return None
        self._now = self._measure(fine, coarse)
        strength, agreement, detail, steep = self._now / self._usual / slack
        if agreement < OTHER_VIEW:
            return "covered" if min(detail, steep) < WEAK else "turned"
        if strength < WEAK:
            return "covered" if strength < GONE else "fog"
        measurable = self._usual[2] * (self._mean + 10) > ROUNDING_LEVELS / 2
        return "blurred" if measurable and detail < WEAK * min(1.0, strength) else None

    def follow(self, average: "NDArray[Any]", passed_s: float) -> None:
        """Adapts to the present picture: the usual strength rises quickly and falls slowly."""
        import numpy as np

        self._passed_s += passed_s
        if self._passed_s > AVERAGE_S / 10:
            self._passed_s = 0.0
            self._take_edges(average)
        if self.known and self._judged and self._open.all():
            rate = np.where(self._now > self._usual, passed_s / RISE_S, passed_s / FALL_S)
            self._usual += np.minimum(rate, 1) * (self._now - self._usual)

    def _take_edges(self, average: "NDArray[Any]") -> None:
        import numpy as np

        slopes = coarse_gradient(average)[self._coarse]
        steep = np.hypot(slopes[:, 0], slopes[:, 1])
        chosen = np.argsort(steep)[-max(MIN_EDGES, int(EDGE_SHARE * len(steep))) :]
        self._where, self._slope, self._steep = self._coarse[chosen], slopes[chosen], steep[chosen] + 1e-3

    def _measure(self, fine: "NDArray[Any]", coarse: "NDArray[Any]") -> "NDArray[Any]":
        """Strength and agreement (1 equal, 0 by chance) of known edges, fine detail, strength of all edges.

        All but the agreement are in levels divided by the brightness: dimmed light is not fog.
        """
        import numpy as np

        shown = self._open[self._where]
        here, steepness = coarse[self._where[shown]], self._steep[shown]
        along = (here * self._slope[shown]).sum(1) / steepness
        agreement = np.average(along / (np.hypot(*here.T) + 1e-3), weights=np.sqrt(steepness))
        all_edges = coarse[self._coarse[self._open[self._coarse]]]
        steep = np.quantile(np.hypot(*all_edges.T), 1 - EDGE_SHARE)
        detail = max(0.05, float(fine[self._shown.ravel() > 0].mean()) - ROUNDING_LEVELS)
        measured: NDArray[Any] = np.array([max(0.0, float(np.median(along))), 0.0, detail, steep])
        measured /= self._mean + 10
        measured[1] = max(0.0, float(agreement))
        return measured


def zone_masks(zones: Sequence[Sequence[Corner]]) -> "list[NDArray[Any]]":
    """Masks (uint8, `HEIGHT` x `WIDTH`) of the whole picture and of each zone."""
    import cv2
    import numpy as np

    masks = [np.ones((HEIGHT, WIDTH), np.uint8)]
    for corners in zones:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        polygon = np.array([[x * (WIDTH - 1), y * (HEIGHT - 1)] for x, y in corners])
        cv2.fillPoly(mask, [np.rint(polygon).astype(np.int32)], 1)
        masks.append(mask)
    return masks


def object_mask(boxes: Sequence[Box]) -> "NDArray[Any] | None":
    """A mask (uint8, `HEIGHT` x `WIDTH`) of what objects in these boxes hide; None where there are none."""
    import numpy as np

    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for left, top, right, bottom in boxes:
        wide, tall = right - left, bottom - top
        if wide * tall <= LARGEST_OBJECT:
            across, down = OBJECT_MARGIN * wide, OBJECT_MARGIN * tall
            rows = slice(max(0, int((top - down) * HEIGHT)), max(0, math.ceil((bottom + down) * HEIGHT)))
            mask[rows, max(0, int((left - across) * WIDTH)) : max(0, math.ceil((right + across) * WIDTH))] = 1
    return mask if mask.any() else None


def fine_detail(grey: "NDArray[Any]") -> "NDArray[Any]":
    """The contrast of each pixel with its neighbours, capped at 20: one passing car must not dominate."""
    import cv2
    import numpy as np

    return np.minimum(np.abs(cv2.Laplacian(grey, cv2.CV_16S)), 20).ravel()


def coarse_gradient(grey: "NDArray[Any]") -> "NDArray[Any]":
    """The gradient of the coarse picture: shape (pixels, 2), across and down."""
    import cv2
    import numpy as np

    size = (WIDTH // COARSE, HEIGHT // COARSE)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    across, down = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
    return np.stack([across.ravel(), down.ravel()], 1)
