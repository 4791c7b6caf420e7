"""Which zones of a camera are blind, why and since when: for ``health`` and for the rule `blind`. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent.domain.observations import Observation, View
from agent.vision.visibility import PICTURE

NO_FRAME_S = 10.0
"""Without a `View` for this long all zones of a camera are blind."""
NO_FRAME_REASON = "no_picture"


@dataclass(frozen=True, slots=True)
class BlindPeriod:
    """Why a zone is blind, and since when: by the system clock and the monotonic clock."""

    reason: str
    since: datetime
    since_s: float


class VisibilityState:
    """The visibility of one camera: pass its observations and Ticks to `on_observation`."""

    def __init__(self, zones: Sequence[str] = ()) -> None:
        self.zones = tuple(zones) or (PICTURE,)
        self._last: tuple[datetime, float] | None = None
        self._blind: dict[str, BlindPeriod] = {}

    def on_observation(self, observation: Observation) -> None:
        """The first observation starts the wait for a `View`; only a `View` ends it."""
        at, now_s, view = observation.at, observation.mono_s, observation.value
        if isinstance(view, View):
            self._last = at, now_s
            self.zones = view.zones
            self._blind = {
                zone.zone: BlindPeriod(zone.why, at - timedelta(seconds=zone.for_s), now_s - zone.for_s)
                for zone in view.blind
            }
        self._last = self._last or (at, now_s)

    def blind(self, now_s: float) -> Mapping[str, BlindPeriod]:
        """The blind zones at ``now_s``."""
        if self._last is not None and now_s - self._last[1] > NO_FRAME_S:
            return {zone: BlindPeriod(NO_FRAME_REASON, *self._last) for zone in self.zones}
        return self._blind

    def fields(self, now_s: float) -> dict[str, Any]:
        """The fields of ``health``: seen zones, and blind ones with reason and start."""
        blind = self.blind(now_s)
        return {
            "seen": [zone for zone in self.zones if zone not in blind],
            "blind": [
                {"zone": zone, "why": period.reason, "since": period.since} for zone, period in blind.items()
            ],
        }

    def reason(self, now_s: float) -> str | None:
        """One line for ``status``; None where all zones are seen, or the camera is reported as silent."""
        blind = {
            zone: period for zone, period in self.blind(now_s).items() if period.reason != NO_FRAME_REASON
        }
        if not blind:
            return None
        first = min(blind.values(), key=lambda period: period.since)
        reasons = ", ".join(sorted({period.reason for period in blind.values()}))
        return f"blind in {', '.join(blind)} ({reasons}) since {first.since:%Y-%m-%d %H:%M:%SZ}"
