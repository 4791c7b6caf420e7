"""Can each zone be seen now? Each second a small grey picture is held against what was learnt of this view.

A view is known by its lasting edges: the steepest places of an average picture. How they show against the
brightness tells fog, dirt and covers; whether they are there at all tells a turned camera; single pixels that
no longer tremble tell a frozen one. All is learnt anew at each start, from `LEARN_LOOKS` good looks: a camera
that starts in fog knows no better view. Pure: frames and monotonic times go in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from agent.domain.observations import BlindZone, View
from agent.domain.zones import Corner
from models.detection import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

Why = Literal["dark", "over_exposed", "fog", "blurred", "covered", "turned", "frozen", "flat"]

EVERY_S = 1.0
WIDTH, HEIGHT, COARSE = 320, 180, 4
"""The grey picture; edges are sought in one that is so much smaller: wind that shakes the mast moves none."""
LEARN_LOOKS = 10
PICTURE = "picture"
"""The name of the one zone of a camera that has none."""

DARK, BRIGHT, BRIGHT_SHARE = 16, 250, 0.7
"""Dark: 95 % of a zone are darker than the one; over-exposed: that share is brighter than the other."""
FLAT = 8
"""A picture with fewer levels between its darkest and brightest twentieth shows nothing at all."""
EDGES, LEAST_EDGES = 0.15, 12
"""The steepest share of an area that it is known by, and how many places that must be."""
KNOWN = 0.5
"""Where edges agree less than this with those just learnt, none last (water, sky): the picture decides."""
OTHER = 0.45
"""Less than this share of the usual agreement: it is another view, or none."""
WEAK, GONE = 0.3, 0.03
"""Edges, or fine detail, with less than this share of their usual strength: fog or dirt; or all but none."""
BACK = 1.3
"""What was blind must pass its limit by this factor to be seen again."""
ROUNDING = 0.6
"""Levels of detail that grey without any has, because levels are whole numbers."""
STILL_SHARE = 0.002
"""Frozen when fewer pixels change by 2 levels. Of live sensors it was never below 0.13."""

HOLD_S: dict[Why, float] = {
    "dark": 4, "over_exposed": 4, "flat": 4, "covered": 4, "fog": 8, "blurred": 8, "turned": 8, "frozen": 10,
}  # fmt: skip
"""How long it must be so before it is told; a frozen picture counts from its last change."""
CLEAR_S = 2.0
EDGES_TELL: frozenset[Why | None] = frozenset({"fog", "blurred", "covered", "turned"})
SLOWLY_S, RISE_S, FALL_S = 600.0, 300.0, 43_200.0
"""How fast the average picture follows, and its usual strength: fog that creeps in does not become usual."""


class VisibilitySettings(BaseModel):
    """Whether it is watched that the camera can see."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    watch: bool = True
    moves: bool = False
    """On a boat, a drone, a mast that turns: no view is the right one, and only what needs none is judged."""


class VisibilityMonitor:
    """``look`` at a frame about once a second; it says for each zone whether it can be seen."""

    def __init__(self, zones: Mapping[str, Sequence[Corner]], watchfulness: VisibilitySettings) -> None:
        corners = dict(zones) or {PICTURE: [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]}
        self._zones = {name: _Zone() for name in corners}
        self._corners = list(corners.values())
        self._watchfulness = watchfulness
        self._last_s: float | None = None
        self._changed_s = 0.0
        self._sample: Any = None
        self._learning: list[NDArray[Any]] = []
        self._areas: list[_Area] = []
        """The whole picture, then each zone."""
        self._average: Any = None

    def due(self, now_s: float) -> bool:
        """Whether it is time to look again."""
        return self._watchfulness.watch and (self._last_s is None or now_s - self._last_s >= EVERY_S * 0.95)

    def look(self, frame: Frame, now_s: float, *, learn: bool = True) -> View:
        """What can be seen in ``frame``; ``now_s`` is its monotonic time. ``learn``: it is not damaged."""
        import cv2
        import numpy as np

        passed_s = 0.0 if self._last_s is None else now_s - self._last_s
        self._last_s = now_s
        small = cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        whys = self.judge(np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8), passed_s, learn)
        if self._frozen(frame, now_s):
            whys = [why or "frozen" for why in whys]
        for zone, why in zip(self._zones.values(), whys, strict=True):
            zone.settle(why, self._changed_s if why == "frozen" else now_s, now_s)
        blind = [
            BlindZone(zone=name, why=zone.told, for_s=round(now_s - zone.since_s, 1))
            for name, zone in self._zones.items()
            if zone.told is not None
        ]
        return View(zones=tuple(self._zones), blind=tuple(blind))

    def _frozen(self, frame: Frame, now_s: float) -> bool:
        """Whether nothing has changed since the look before, not even the noise of the sensor."""
        import numpy as np

        rows, columns = max(1, frame.shape[0] // HEIGHT), max(1, frame.shape[1] // WIDTH)
        sample = frame[rows // 2 :: rows, columns // 2 :: columns, 1].astype(np.int16)
        before, self._sample = self._sample, sample
        comparable = before is not None and before.shape == sample.shape
        if comparable and np.count_nonzero(np.abs(sample - before) >= 2) < STILL_SHARE * sample.size:
            return True
        self._changed_s = now_s
        return False

    def judge(self, grey: "NDArray[Any]", passed_s: float, learn: bool = True) -> "list[Why | None]":
        """Why each zone can't be seen by this grey picture alone, or None."""
        if not self._areas:
            self._areas = [_Area(mask) for mask in _masks(self._corners)]
        whys = [area.levels(grey) for area in self._areas]
        if whys[0] is None and self._areas[0].span < FLAT:
            whys[0] = "flat"
        if self._average is None:
            if learn and whys[0] is None and not self._watchfulness.moves:
                self._learn(grey)
        else:
            fine, coarse = _detail(grey), _slopes(grey)
            for index, area in enumerate(self._areas):
                zones = list(self._zones.values())
                blind = any(
                    zone.told in EDGES_TELL for zone in (zones[index - 1 : index] if index else zones)
                )
                whys[index] = whys[index] or area.edges(fine, coarse, BACK if blind else 1.0)
            if learn and not any(whys):
                self._follow(grey, passed_s)
        return [why or whys[0] for why in whys[1:]]

    def _learn(self, grey: "NDArray[Any]") -> None:
        """The first good looks make the view, if they agree on what is there."""
        import numpy as np

        self._learning.append(grey)
        if len(self._learning) < LEARN_LOOKS:
            return
        average = np.median(np.stack(self._learning), axis=0).astype(np.float32)
        looks = [(one, _detail(one), _slopes(one)) for one in self._learning]
        self._learning = []
        for area in self._areas:
            area.know(average, looks)
        if self._areas[0].known:
            self._average = average

    def _follow(self, grey: "NDArray[Any]", passed_s: float) -> None:
        """Goes with the light of the day."""
        self._average += min(1.0, passed_s / SLOWLY_S) * (grey - self._average)
        for area in self._areas:
            area.follow(self._average, passed_s)


@dataclass(slots=True)
class _Zone:
    """What is told of a zone: hysteresis in time."""

    told: Why | None = None
    why: Why | None = None
    since_s: float = 0.0
    """Since when it can't be seen, and since when that is for this reason."""
    why_s: float = 0.0
    clear_s: float | None = None

    def settle(self, why: Why | None, began_s: float, now_s: float) -> None:
        """What is so must last before it is told, and so must its end."""
        if why is None:
            self.clear_s = now_s if self.clear_s is None else self.clear_s
            if self.told is None or now_s - self.clear_s >= CLEAR_S:
                self.why = self.told = None
            return
        self.clear_s = None
        if self.why is None:
            self.since_s = began_s
        if why != self.why:
            self.why, self.why_s = why, began_s
        if self.told == "frozen" != why and now_s - self.why_s >= CLEAR_S:  # it moves again, that is sure
            self.told, self.since_s = None, self.why_s
        lasted = now_s - self.why_s >= HOLD_S[why]
        if lasted or (self.told is None and now_s - self.since_s >= max(HOLD_S.values())):
            self.told = why


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
