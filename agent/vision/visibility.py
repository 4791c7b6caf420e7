"""Visibility of each zone: once a second a small grey picture is compared with the learnt view.

A view is described by its lasting edges: the steepest places of an average picture (`view_edges`). Their
strength by the brightness reveals fog, dirt and covers; their absence reveals a turned camera; pixels without
noise reveal a frozen one. The view is learnt again at each start, from `LEARN_FRAMES` good frames: a camera
that starts in fog has no better view to compare with. Pure: frames and monotonic times go in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from agent.domain.observations import BlindZone, SeenObject, View
from agent.domain.zones import Corner
from agent.vision.view_edges import (
    AVERAGE_S,
    HEIGHT,
    WIDTH,
    BlindReason,
    ViewArea,
    coarse_gradient,
    fine_detail,
    object_mask,
    zone_masks,
)
from models.detection import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray


CHECK_EVERY_S = 1.0
LEARN_FRAMES = 10
PICTURE = "picture"
"""Name of the zone of a camera without configured zones: the whole picture."""

FLAT_LEVELS = 8
"""A picture with fewer levels between its darkest and brightest 5 % shows nothing."""
RECOVERY_FACTOR = 1.3
"""Hysteresis: a blind zone must exceed its limits by this factor to count as seen again."""
FROZEN_SHARE = 0.002
"""Frozen: a smaller share of pixels changes by 2 levels. Live sensors were never below 0.13."""

HOLD_S: dict[BlindReason, float] = {
    "dark": 4, "over_exposed": 4, "flat": 4, "covered": 4, "fog": 8, "blurred": 8, "turned": 8, "frozen": 10,
}  # fmt: skip
"""Hold time of each reason before it is reported; for a frozen picture from its last change."""
CLEAR_S = 2.0
"""Hold time before a blind zone is reported as seen again."""
EDGE_REASONS: frozenset[BlindReason | None] = frozenset({"fog", "blurred", "covered", "turned"})


class VisibilitySettings(BaseModel):
    """The configuration section ``coverage``: whether visibility is monitored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    watch: bool = True
    moves: bool = False
    """For a boat, a drone or a turning mast: no view is learnt; only reasons that need none are detected."""


class VisibilityMonitor:
    """Call `check` with a frame about once a second; it gives the blind zones with their reasons."""

    def __init__(self, zones: Mapping[str, Sequence[Corner]], settings: VisibilitySettings) -> None:
        self._corners = _corners(zones)
        self._zones = {name: _ZoneHysteresis() for name in self._corners}
        self._settings = settings
        self._checked_s: float | None = None
        self._changed_s = 0.0
        self._sample: Any = None
        self._learning: list[NDArray[Any]] = []
        self._areas: list[ViewArea] = []
        """The whole picture first, then each zone."""
        self._new_areas: list[ViewArea] = []
        """Those of zones that were added since the view was learnt."""
        self._average: Any = None

    def change(self, zones: Mapping[str, Sequence[Corner]], settings: VisibilitySettings) -> None:
        """Other zones or settings. The learnt view and the state of unchanged zones stay."""
        before, self._corners = self._corners, _corners(zones)
        if settings.moves != self._settings.moves:
            self._average, self._areas, self._learning, self._new_areas = None, [], [], []
        self._settings = settings
        if self._corners == before:
            return
        kept = [name for name, corners in self._corners.items() if before.get(name) == corners]
        self._zones = {
            name: self._zones[name] if name in kept else _ZoneHysteresis() for name in self._corners
        }
        if not self._areas:
            return
        known = dict(zip(before, self._areas[1:], strict=True))
        masks = dict(zip(self._corners, zone_masks(list(self._corners.values()))[1:], strict=True))
        areas = {name: known[name] if name in kept else ViewArea(masks[name]) for name in self._corners}
        self._areas = [self._areas[0], *areas.values()]
        if self._average is not None:
            self._new_areas = [area for area in self._areas if area in self._new_areas] + [
                area for name, area in areas.items() if name not in kept
            ]
            self._learning = []

    def due(self, now_s: float) -> bool:
        """Whether the next check is due."""
        return self._settings.watch and (
            self._checked_s is None or now_s - self._checked_s >= CHECK_EVERY_S * 0.95
        )

    def check(
        self, frame: Frame, now_s: float, *, learn: bool = True, objects: Sequence[SeenObject] = ()
    ) -> View:
        """The visibility in ``frame``; ``now_s`` is its monotonic time. ``learn``: the frame is intact.
        ``objects`` in it are no covers."""
        import cv2
        import numpy as np

        passed_s = 0.0 if self._checked_s is None else now_s - self._checked_s
        self._checked_s = now_s
        small = cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
        reasons = self.reasons(grey, passed_s, learn, objects)
        if self._frozen(frame, now_s):
            reasons = [reason or "frozen" for reason in reasons]
        return self.report(reasons, now_s)

    def report(self, reasons: "Sequence[BlindReason | None]", now_s: float) -> View:
        """The visibility, after hold times, where each zone in its order is blind for a reason or not."""
        for zone, reason in zip(self._zones.values(), reasons, strict=True):
            zone.update(reason, self._changed_s if reason == "frozen" else now_s, now_s)
        blind = [
            BlindZone(zone=name, why=zone.reported, for_s=round(now_s - zone.since_s, 1))
            for name, zone in self._zones.items()
            if zone.reported is not None
        ]
        return View(zones=tuple(self._zones), blind=tuple(blind))

    def _frozen(self, frame: Frame, now_s: float) -> bool:
        """Whether nothing has changed since the last check, not even the noise of the sensor."""
        import numpy as np

        rows, columns = max(1, frame.shape[0] // HEIGHT), max(1, frame.shape[1] // WIDTH)
        sample = frame[rows // 2 :: rows, columns // 2 :: columns, 1].astype(np.int16)
        before, self._sample = self._sample, sample
        comparable = before is not None and before.shape == sample.shape
        if comparable and np.count_nonzero(np.abs(sample - before) >= 2) < FROZEN_SHARE * sample.size:
            return True
        self.picture_changed(now_s)
        return False

    def picture_changed(self, now_s: float) -> None:
        """The picture is not frozen at ``now_s``."""
        self._changed_s = now_s

    def reasons(
        self, grey: "NDArray[Any]", passed_s: float, learn: bool = True, objects: Sequence[SeenObject] = ()
    ) -> "list[BlindReason | None]":
        """Why each zone is blind by this grey picture alone, or None; without hold time."""
        import numpy as np

        if not self._areas:
            self._areas = [ViewArea(mask) for mask in zone_masks(list(self._corners.values()))]
        hidden = object_mask([one.box for one in objects])
        occupied = {PICTURE, *(zone for one in objects for zone in one.zones)}
        for area, name in zip(self._areas, (PICTURE, *self._corners), strict=True):
            area.leave_out(hidden, name in occupied)
        reasons = [area.check_brightness(grey) for area in self._areas]
        if reasons[0] is None and self._areas[0].span < FLAT_LEVELS:
            reasons[0] = "flat"
        if self._average is None:
            if learn and reasons[0] is None and not self._settings.moves:
                self._learn(grey)
        else:
            fine, coarse = fine_detail(grey), coarse_gradient(grey)
            for index, area in enumerate(self._areas):
                zones = list(self._zones.values())
                blind = any(
                    zone.reported in EDGE_REASONS for zone in (zones[index - 1 : index] if index else zones)
                )
                reasons[index] = reasons[index] or area.check_edges(
                    fine, coarse, RECOVERY_FACTOR if blind else 1.0
                )
            if learn and not any(reasons):
                self._follow(grey if hidden is None else np.where(hidden, self._average, grey), passed_s)
                if self._new_areas:
                    self._learn_new(grey)
        return [reason or reasons[0] for reason in reasons[1:]]

    def _learn(self, grey: "NDArray[Any]") -> None:
        """Learns the view from the first good frames, if they agree on its edges."""
        average = self._learn_areas(grey, self._areas)
        if average is not None and self._areas[0].known:
            self._average = average

    def _learn_new(self, grey: "NDArray[Any]") -> None:
        """Learns the areas of added zones from good frames; the view stays as it was learnt."""
        if self._learn_areas(grey, self._new_areas) is not None:
            self._new_areas = []

    def _learn_areas(self, grey: "NDArray[Any]", areas: Sequence[ViewArea]) -> "NDArray[Any] | None":
        """Takes one more good frame to learn ``areas`` from; their average once there are enough."""
        import numpy as np

        self._learning.append(grey)
        if len(self._learning) < LEARN_FRAMES:
            return None
        average: NDArray[Any] = np.median(np.stack(self._learning), axis=0).astype(np.float32)
        samples = [(one, fine_detail(one), coarse_gradient(one)) for one in self._learning]
        self._learning = []
        for area in areas:
            area.learn(average, samples)
        return average

    def _follow(self, grey: "NDArray[Any]", passed_s: float) -> None:
        """Follows the slow change of daylight."""
        self._average += min(1.0, passed_s / AVERAGE_S) * (grey - self._average)
        for area in self._areas:
            area.follow(self._average, passed_s)


def _corners(zones: Mapping[str, Sequence[Corner]]) -> dict[str, Sequence[Corner]]:
    """The corners of each zone; of the whole picture where there are none."""
    return dict(zones) or {PICTURE: [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]}


@dataclass(slots=True)
class _ZoneHysteresis:
    """The reported state of one zone, with hold times in both directions."""

    reported: BlindReason | None = None
    reason: BlindReason | None = None
    since_s: float = 0.0
    """Since when the zone has been blind for any reason."""
    reason_since_s: float = 0.0
    """Since when it has been blind for the present reason."""
    clear_since_s: float | None = None

    def update(self, reason: BlindReason | None, began_s: float, now_s: float) -> None:
        """Takes the reason of one check, None for a visible zone; ``began_s``: since when it holds."""
        if reason is None:
            self.clear_since_s = now_s if self.clear_since_s is None else self.clear_since_s
            if self.reported is None or now_s - self.clear_since_s >= CLEAR_S:
                self.reason = self.reported = None
            return
        self.clear_since_s = None
        if self.reason is None:
            self.since_s = began_s
        if reason != self.reason:
            self.reason, self.reason_since_s = reason, began_s
        if self.reported == "frozen" != reason and now_s - self.reason_since_s >= CLEAR_S:
            # the picture changes again, so it is certainly not frozen any more
            self.reported, self.since_s = None, self.reason_since_s
        held = now_s - self.reason_since_s >= HOLD_S[reason]
        if held or (self.reported is None and now_s - self.since_s >= max(HOLD_S.values())):
            self.reported = reason
