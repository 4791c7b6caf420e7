"""Can each zone be seen now? Each second a small grey picture is held against what was learnt of this view.

A view is known by its lasting edges: the steepest places of an average picture. How they show against the
brightness tells fog, dirt and covers; whether they are there at all tells a turned camera; single pixels that
no longer tremble tell a frozen one. All is learnt anew at each start, from `LEARN_LOOKS` good looks: a camera
that starts in fog knows no better view. Pure: frames and monotonic times go in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from agent.domain.observations import BlindZone, View
from agent.domain.zones import Corner
from agent.vision.view_edges import HEIGHT, SLOWLY_S, WIDTH, Why, _Area, _detail, _masks, _slopes
from models.detection import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray


EVERY_S = 1.0
LEARN_LOOKS = 10
PICTURE = "picture"
"""The name of the one zone of a camera that has none."""

FLAT = 8
"""A picture with fewer levels between its darkest and brightest twentieth shows nothing at all."""
BACK = 1.3
"""What was blind must pass its limit by this factor to be seen again."""
STILL_SHARE = 0.002
"""Frozen when fewer pixels change by 2 levels. Of live sensors it was never below 0.13."""

HOLD_S: dict[Why, float] = {
    "dark": 4, "over_exposed": 4, "flat": 4, "covered": 4, "fog": 8, "blurred": 8, "turned": 8, "frozen": 10,
}  # fmt: skip
"""How long it must be so before it is told; a frozen picture counts from its last change."""
CLEAR_S = 2.0
EDGES_TELL: frozenset[Why | None] = frozenset({"fog", "blurred", "covered", "turned"})


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
