"""Which zones of a camera are blind, and since when: for ``health``, and for the rule `blind`. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent.domain.observations import Observation, View
from agent.vision.visibility import PICTURE

NO_PICTURE_S = 10.0
"""A camera of which nothing came for so long sees nothing, whatever it saw last."""
NO_PICTURE = "no_picture"


@dataclass(frozen=True, slots=True)
class BlindPeriod:
    """Why a zone can't be seen, and since when, by both clocks."""

    why: str
    since: datetime
    since_s: float


class VisibilityState:
    """One camera's: ``hear`` what it says, and Ticks; ask which zones are ``blind``."""

    def __init__(self, zones: Sequence[str] = ()) -> None:
        self.zones = tuple(zones) or (PICTURE,)
        self._last: tuple[datetime, float] | None = None
        self._blind: dict[str, BlindPeriod] = {}

    def hear(self, observation: Observation) -> None:
        """Anything begins the wait for the first picture; only a `View` ends it."""
        at, now_s, view = observation.at, observation.mono_s, observation.value
        if isinstance(view, View):
            self._last = at, now_s
            self.zones = view.zones
            self._blind = {
                one.zone: BlindPeriod(one.why, at - timedelta(seconds=one.for_s), now_s - one.for_s)
                for one in view.blind
            }
        self._last = self._last or (at, now_s)

    def blind(self, now_s: float) -> Mapping[str, BlindPeriod]:
        """The zones that can't be seen at ``now_s``."""
        if self._last is not None and now_s - self._last[1] > NO_PICTURE_S:
            return {zone: BlindPeriod(NO_PICTURE, *self._last) for zone in self.zones}
        return self._blind

    def fields(self, now_s: float) -> dict[str, Any]:
        """For ``health``: which zones are seen, and which are not, why and since when."""
        blind = self.blind(now_s)
        return {
            "seen": [zone for zone in self.zones if zone not in blind],
            "blind": [{"zone": zone, "why": one.why, "since": one.since} for zone, one in blind.items()],
        }

    def reason(self, now_s: float) -> str | None:
        """One line for ``status``; None where all is seen, or where it is already said that nothing comes."""
        blind = {zone: one for zone, one in self.blind(now_s).items() if one.why != NO_PICTURE}
        if not blind:
            return None
        first = min(blind.values(), key=lambda one: one.since)
        whys = ", ".join(sorted({one.why for one in blind.values()}))
        return f"blind in {', '.join(blind)} ({whys}) since {first.since:%Y-%m-%d %H:%M:%SZ}"
