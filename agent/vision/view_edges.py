"""The edges that a view is known by."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from agent.domain.zones import Corner

if TYPE_CHECKING:
    from numpy.typing import NDArray

Why = Literal["dark", "over_exposed", "fog", "blurred", "covered", "turned", "frozen", "flat"]
WIDTH, HEIGHT, COARSE = 320, 180, 4
"""The grey picture; edges are sought in one that is so much smaller: wind that shakes the mast moves none."""
DARK, BRIGHT, BRIGHT_SHARE = 16, 250, 0.7
"""Dark: 95 % of a zone are darker than the one; over-exposed: that share is brighter than the other."""
EDGES, LEAST_EDGES = 0.15, 12
"""The steepest share of an area that it is known by, and how many places that must be."""
KNOWN = 0.5
"""Where edges agree less than this with those just learnt, none last (water, sky): the picture decides."""
OTHER = 0.45
"""Less than this share of the usual agreement: it is another view, or none."""
WEAK, GONE = 0.3, 0.03
"""Edges, or fine detail, with less than this share of their usual strength: fog or dirt; or all but none."""
ROUNDING = 0.6
"""Levels of detail that grey without any has, because levels are whole numbers."""
SLOWLY_S, RISE_S, FALL_S = 600.0, 300.0, 43_200.0
"""How fast the average picture follows, and its usual strength: fog that creeps in does not become usual."""


class _Area:
    """The picture or one zone: how bright it is, and the edges that it is known by."""

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

    def levels(self, grey: "NDArray[Any]") -> Why | None:
        """What brightness alone tells."""
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

    def know(
        self, average: "NDArray[Any]", looks: "Sequence[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]"
    ) -> None:
        """Takes the edges of ``average``, and how they usually show."""
        import numpy as np

        self._take_edges(average)
        if len(self._where) < LEAST_EDGES:
            return
        shown = []
        for grey, fine, coarse in looks:
            self.levels(grey)
            shown.append(self._measure(fine, coarse))
        self._usual = np.median(shown, axis=0)
        self.known = bool(self._usual[1] >= KNOWN)

    def edges(self, fine: "NDArray[Any]", coarse: "NDArray[Any]", slack: float) -> Why | None:
        """What the edges tell, once they are known; None where they show, or none last here."""
        if not self.known:
            return None
        self._now = self._measure(fine, coarse)
        strength, agreement, detail, steep = self._now / self._usual / slack
        if agreement < OTHER:
            return "covered" if min(detail, steep) < WEAK else "turned"
        if strength < WEAK:
            return "covered" if strength < GONE else "fog"
        measurable = self._usual[2] * (self._mean + 10) > ROUNDING / 2
        return "blurred" if measurable and detail < WEAK * min(1.0, strength) else None

    def follow(self, average: "NDArray[Any]", passed_s: float) -> None:
        """What is usual rises with what is seen, and hardly falls."""
        import numpy as np

        self._passed_s += passed_s
        if self._passed_s > SLOWLY_S / 10:
            self._passed_s = 0.0
            self._take_edges(average)
        if self.known:
            rate = np.where(self._now > self._usual, passed_s / RISE_S, passed_s / FALL_S)
            self._usual += np.minimum(rate, 1) * (self._now - self._usual)

    def _take_edges(self, average: "NDArray[Any]") -> None:
        import numpy as np

        slopes = _slopes(average)[self._coarse]
        steep = np.hypot(slopes[:, 0], slopes[:, 1])
        chosen = np.argsort(steep)[-max(LEAST_EDGES, int(EDGES * len(steep))) :]
        self._where, self._slope, self._steep = self._coarse[chosen], slopes[chosen], steep[chosen] + 1e-3

    def _measure(self, fine: "NDArray[Any]", coarse: "NDArray[Any]") -> "NDArray[Any]":
        """How strong the known edges are, how they agree (1 the same, 0 by chance), fine detail, any edges.

        All but the agreement are in levels, by brightness: who dims the light makes no fog.
        """
        import numpy as np

        here = coarse[self._where]
        along = (here * self._slope).sum(1) / self._steep
        agreement = np.average(along / (np.hypot(*here.T) + 1e-3), weights=np.sqrt(self._steep))
        steep = np.quantile(np.hypot(*coarse[self._coarse].T), 1 - EDGES)
        detail = max(0.05, float(fine[self._inside].mean()) - ROUNDING)
        measured: NDArray[Any] = np.array([max(0.0, float(np.median(along))), 0.0, detail, steep])
        measured /= self._mean + 10
        measured[1] = max(0.0, float(agreement))
        return measured


def _masks(zones: Sequence[Sequence[Corner]]) -> "list[NDArray[Any]]":
    import cv2
    import numpy as np

    masks = [np.ones((HEIGHT, WIDTH), np.uint8)]
    for corners in zones:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        polygon = np.array([[x * (WIDTH - 1), y * (HEIGHT - 1)] for x, y in corners])
        cv2.fillPoly(mask, [np.rint(polygon).astype(np.int32)], 1)
        masks.append(mask)
    return masks


def _detail(grey: "NDArray[Any]") -> "NDArray[Any]":
    """How much each pixel stands out from its neighbours: 20 at most, or one passing car counts for all."""
    import cv2
    import numpy as np

    return np.minimum(np.abs(cv2.Laplacian(grey, cv2.CV_16S)), 20).ravel()


def _slopes(grey: "NDArray[Any]") -> "NDArray[Any]":
    """The gradient of the coarse picture: (pixel, [across, down])."""
    import cv2
    import numpy as np

    size = (WIDTH // COARSE, HEIGHT // COARSE)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    across, down = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
    return np.stack([across.ravel(), down.ravel()], 1)
