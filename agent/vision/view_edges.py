"""The brightness and the lasting edges of one area of the picture: what a view is recognised by. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from agent.domain.zones import Corner

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

        self._mask = mask
        shares = cv2.resize(mask, (WIDTH // COARSE, HEIGHT // COARSE), interpolation=cv2.INTER_AREA)
        self._inside = np.flatnonzero(mask)
        self._coarse = np.flatnonzero(shares >= 1) if (shares >= 1).any() else np.flatnonzero(shares)
        self.span = 0
        self.known = False
        self._mean = self._passed_s = 0.0
        self._where: NDArray[Any] = np.zeros(0, int)
        self._slope: NDArray[Any] = np.zeros((0, 2))
        self._steep: NDArray[Any] = np.zeros(0)
        self._usual = self._now = np.zeros(4)  # as `_measure` gives them

    def check_brightness(self, grey: "NDArray[Any]") -> BlindReason | None:
        """``dark``, ``over_exposed`` or None by the brightness alone."""
        import cv2
        import numpy as np

        counts = cv2.calcHist([grey], [0], self._mask, [256], [0, 256]).ravel()
        share = counts.cumsum() / max(1.0, float(counts.sum()))
        low, high = (int(np.searchsorted(share, part)) for part in (0.05, 0.95))
        self.span = high - low
        self._mean = float(counts @ np.arange(256)) / max(1.0, float(counts.sum()))
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
        if not self.known:
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
        if self.known:
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

        here = coarse[self._where]
        along = (here * self._slope).sum(1) / self._steep
        agreement = np.average(along / (np.hypot(*here.T) + 1e-3), weights=np.sqrt(self._steep))
        steep = np.quantile(np.hypot(*coarse[self._coarse].T), 1 - EDGE_SHARE)
        detail = max(0.05, float(fine[self._inside].mean()) - ROUNDING_LEVELS)
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
