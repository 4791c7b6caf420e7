"""Interference at a GNSS receiver: jamming, spoofing, an antenna fault, or a drop of all signals."""

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

BASELINE_S = 600.0
"""The usual signal level is the median over this time."""
MIN_SAMPLES = 60
"""So many fixes with a signal level are needed before the usual level is known."""
NORMAL_STATES = ("ok", "none")


class Interference(SourceRule):
    """Findings while a receiver reports jamming, spoofing, or an antenna that is shorted or open.

    Many receivers report none of these. For them a drop of all signals by ``signal_drop_db`` for
    ``signal_hold`` (longer than under a bridge) is a finding of its own; ``null`` disables it.
    """

    value_kind: ClassVar[str | None] = "fix"

    kind: Literal["interference"] = "interference"
    hold: Duration = timedelta(seconds=3)
    signal_drop_db: float | None = Field(default=10.0, gt=0, le=60)
    signal_hold: Duration = timedelta(seconds=30)

    @property
    def rediscovery_time(self) -> timedelta:
        return self.hold

    @property
    def look_back(self) -> timedelta:
        return timedelta(seconds=BASELINE_S) + self.signal_hold

    def start(self) -> Evaluator:
        return self.resume({})

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        held = {name: hold_timer(self.hold) for name in ("jamming", "spoofing", "antenna")}
        fallen = hold_timer(self.signal_hold)
        before = active["signal"].memo if "signal" in active else None
        baseline = _SignalBaseline(before["usual_dbhz"] if before else None)

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            value = observation.value
            if observation.source != self.source:
                return
            if isinstance(value, GnssState):
                states = {"jamming": value.jamming, "spoofing": value.spoofing, "antenna": value.antenna}
                for name, timer in held.items():
                    state = states[name]
                    if state is None:
                        continue
                    since = timer(state not in NORMAL_STATES, observation)
                    if state in NORMAL_STATES:
                        yield Cleared(name)
                    elif since is not None:
                        yield self._finding(name, f"{name} {state}", since)
            elif isinstance(value, Fix) and value.cn0_dbhz is not None and self.signal_drop_db is not None:
                level = baseline.level
                drop_db = baseline.drop_db(value.cn0_dbhz, self.signal_drop_db, observation.mono_s)
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


class _SignalBaseline:
    """The usual signal level; levels far below it do not enter it."""

    def __init__(self, level: float | None) -> None:
        """``level``: the usual level of the evaluator before, if known."""
        self._levels: deque[tuple[float, float]] = deque()
        self._before = level

    @property
    def level(self) -> float | None:
        """The usual level in dBHz; None until there are enough samples."""
        if len(self._levels) >= MIN_SAMPLES:
            return median(level for _, level in self._levels)
        return self._before

    def drop_db(self, level: float, limit: float, now_s: float) -> float | None:
        """How far ``level`` is below the usual one, in dB; None while that is unknown."""
        while self._levels and now_s - self._levels[0][0] > BASELINE_S and len(self._levels) > MIN_SAMPLES:
            self._levels.popleft()
        usual = self.level
        fall = None if usual is None else usual - level
        if (fall is None or fall < limit) and not (self._levels and now_s - self._levels[-1][0] < 1.0):
            self._levels.append((now_s, level))
        return fall
