"""Somebody jams or deceives a GNSS receiver, or its antenna is broken: as it says, or as its signals show."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from statistics import median
from typing import ClassVar, Literal

from pydantic import Field

from agent.domain.contracts import SourceRule
from agent.domain.durations import Duration
from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.observations import Observation
from agent.rules.hold_timer import Since, hold_timer
from firmware_bridge.readings import Fix, GnssState

NORMAL_S = 600.0
"""What signals are usually like is the median of so long."""
LEAST = 60
"""So many fixes must have told of their signals before a usual level is known."""
WELL = ("ok", "none")


class Interference(SourceRule):
    """Findings while a receiver tells of jamming, spoofing, or an antenna that is shorted or open.

    Many receivers tell nothing of the kind. For them a fall of all signals together by ``signal_drop_db``,
    for ``signal_hold`` (a bridge is no jammer), is a finding of its own; ``null`` turns that off.
    """

    value_kind: ClassVar[str | None] = "fix"

    kind: Literal["interference"] = "interference"
    hold: Duration = timedelta(seconds=3)
    signal_drop_db: float | None = Field(default=10.0, gt=0, le=60)
    signal_hold: Duration = timedelta(seconds=30)

    @property
    def rediscovery_time(self) -> timedelta:
        return self.hold

    def start(self) -> Evaluator:
        return self.resume({})

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        held = {name: hold_timer(self.hold) for name in ("jamming", "spoofing", "antenna")}
        fallen = hold_timer(self.signal_hold)
        before = active["signal"].memo if "signal" in active else None
        usual = _Usual(before["usual_dbhz"] if before else None)

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            value = observation.value
            if observation.source != self.source:
                return
            if isinstance(value, GnssState):
                states = {"jamming": value.jamming, "spoofing": value.spoofing, "antenna": value.antenna}
                for name, lasts in held.items():
                    state = states[name]
                    if state is None:
                        continue
                    since = lasts(state not in WELL, observation)
                    if state in WELL:
                        yield Cleared(name)
                    elif since is not None:
                        yield self._finding(name, f"{name} {state}", since)
            elif isinstance(value, Fix) and value.cn0_dbhz is not None and self.signal_drop_db is not None:
                level = usual.level
                drop_db = usual.hear(value.cn0_dbhz, self.signal_drop_db, observation.mono_s)
                if drop_db is None or level is None:
                    return
                since = fallen(drop_db >= self.signal_drop_db, observation)
                if drop_db < self.signal_drop_db:
                    yield Cleared("signal")
                elif since is not None:
                    found = self._finding("signal", f"all signals fell by {drop_db:.0f} dB", since)
                    yield replace(found, memo={"usual_dbhz": level})

        return evaluate

    def _finding(self, key: str, text: str, since: Since) -> Finding:
        return Finding(
            key=key, text=f"{self.source}: {text}", since=since[0], since_s=since[1], source=self.source
        )


class _Usual:
    """What signals are usually like; what lies far under that does not become usual."""

    def __init__(self, level: float | None) -> None:
        """``level`` where a judge before knew it."""
        self._levels: deque[tuple[float, float]] = deque()
        self._before = level

    @property
    def level(self) -> float | None:
        """The usual level in dBHz; None until enough was heard."""
        if len(self._levels) >= LEAST:
            return median(one for _, one in self._levels)
        return self._before

    def hear(self, level: float, limit: float, now_s: float) -> float | None:
        """How far a level lies under the usual one; None where that is not known yet."""
        while self._levels and now_s - self._levels[0][0] > NORMAL_S and len(self._levels) > LEAST:
            self._levels.popleft()
        usual = self.level
        fall = None if usual is None else usual - level
        if (fall is None or fall < limit) and not (self._levels and now_s - self._levels[-1][0] < 1.0):
            self._levels.append((now_s, level))
        return fall
