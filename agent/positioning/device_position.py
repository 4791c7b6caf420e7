"""The device's own position: from the best receiver, or as surveyed. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agent.domain.observations import Observation
from agent.positioning.fix_gate import FixGate
from agent.positioning.fix_quality import LATE, NO_FIX, Positioning, TimedFix, error_of
from firmware_bridge.readings import Fix, GnssState
from firmware_bridge.wgs84 import distance_m

STALE_S = 15.0
"""An older position is stale: the last known one."""
SWITCH_BACK_S = 30.0
"""A receiver of higher rank must deliver accepted fixes this long before it is used again."""
ANNOUNCE_SWITCH_S = 60.0
"""A position carries ``switched_from`` this long; always, while a receiver of lower rank is used."""
NO_POSITION_S = 15.0
"""Without an accepted fix for this long, the device is degraded."""
CURRENT_S = 2.0
"""A fix up to this old is where the device is now; receivers give one a second."""
DEFAULT_TOP_SPEED_MPS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionSettings:
    """The settings for the device's own position; WGS-84, m/s."""

    positioning: Positioning
    surveyed: tuple[float, float] | None = None
    """Latitude and longitude of a fixed post, in degrees."""
    top_speed_mps: float = DEFAULT_TOP_SPEED_MPS
    sources: tuple[str, ...] = ()
    """Source names in configured order: the rank of receivers that `Positioning` does not list."""


@dataclass(frozen=True, slots=True)
class ReceiverSwitch:
    """The change to another receiver, and its reason."""

    selected: str
    previous: str
    reason: str


class DevicePosition:
    """Takes fixes; gives the device's position, its age and its trust."""

    def __init__(self, settings: PositionSettings) -> None:
        self._gates: dict[str, FixGate] = {}
        self._current: str | None = None
        self._switched: tuple[ReceiverSwitch, float] | None = None
        self._started_s: float | None = None
        self.configure(settings)

    def configure(self, settings: PositionSettings) -> None:
        """New settings. The state of receivers that are still configured is kept."""
        self._positioning, self._surveyed = settings.positioning, settings.surveyed
        self._top_mps = settings.top_speed_mps
        self._rank = list(dict.fromkeys((*self._positioning.receivers, *settings.sources)))
        for source in set(self._gates) - set(self._rank):
            del self._gates[source]
        if self._current not in self._gates:
            self._current = self._switched = None

    def on_observation(self, observation: Observation) -> float | None:
        """Takes a fix or a receiver's state. Returns the length in metres of a jump that was confirmed."""
        value, now_s = observation.value, observation.mono_s
        self._started_s = now_s if self._started_s is None else self._started_s
        if not isinstance(value, Fix | GnssState):
            return None
        gate = self._gates.setdefault(observation.source, FixGate())
        if isinstance(value, GnssState):
            gate.add_state(value, now_s)
            return None
        return gate.add_fix(observation, value, self._positioning, self._top_mps)

    def rejection(self, source: str) -> str | None:
        """Why the last fix of ``source`` was rejected; None where it was accepted."""
        gate = self._gates[source]
        return LATE if gate.late else gate.rejection

    def select_receiver(self, now_s: float) -> ReceiverSwitch | None:
        """Selects the receiver to use from now on. Returns the switch where that changes."""
        ranked = self._ranked()
        fresh = [name for name in ranked if self._gates[name].fresh(now_s)]
        current = self._current
        if current is None:
            self._current = next(iter(fresh or ranked), None)
            return None
        if current in fresh:
            better = fresh[: fresh.index(current)]
            selected = next((name for name in better if self._steady(name, now_s)), current)
            reason = f"{selected} has recovered"
        else:
            selected = next(iter(fresh), current)
            reason = f"{current}: {self._failure(current, now_s)}"
        if selected == current:
            return None
        switch = ReceiverSwitch(selected, current, reason)
        self._current, self._switched = selected, (switch, now_s)
        return switch

    def _steady(self, name: str, now_s: float) -> bool:
        since_s = self._gates[name].accepted_since_s
        return since_s is not None and now_s - since_s >= SWITCH_BACK_S

    def _ranked(self) -> list[str]:
        """The receivers, best first; unranked ones last, in the order of their first fix."""
        return sorted(
            self._gates,
            key=lambda name: self._rank.index(name) if name in self._rank else len(self._rank),
        )

    def _failure(self, name: str, now_s: float) -> str:
        gate = self._gates[name]
        return "silent" if gate.silent(now_s) else gate.rejection or NO_FIX

    def _best_fix(self, now_s: float) -> tuple[TimedFix, str] | None:
        """The fix to report, and its trust; a fresh rejected fix comes before a stale accepted one."""
        if self._current is None:
            return None
        gate = self._gates[self._current]
        accepted, latest = gate.accepted, gate.latest
        if accepted is not None and now_s - accepted.mono_s <= STALE_S:
            return accepted, "good"
        if latest is not None and now_s - latest.mono_s <= STALE_S and not gate.jumped:
            return latest, "low"
        newest = accepted or latest
        return None if newest is None else (newest, "old")

    def position(self, now_s: float) -> dict[str, Any] | None:
        """The fields of the ``position`` message; None where no position is known."""
        if self._surveyed is not None:
            return self._surveyed_position(self._surveyed, now_s)
        if self._current is None:
            return None
        gate = self._gates[self._current]
        newest = gate.newest
        if newest is None:
            return None
        fields: dict[str, Any] = {"source": self._current, "mode": newest.mode}
        best = self._best_fix(now_s)
        if best is None:
            fields |= _fields(newest)
        elif newest.mode == "none":
            known = best[0].fix
            fields |= {
                "lat": known.lat,
                "lon": known.lon,
                "time": newest.time,
                "satellites": newest.satellites,
            }
        else:
            fields |= _fields(best[0].fix)
        if best is not None:
            fields |= {"age_s": round(now_s - best[0].mono_s, 1), "trust": best[1]}
        if gate.rejection is not None:
            fields["why"] = gate.rejection
        fields |= gate.jump(now_s)
        if self._switched is not None:
            switch, switched_s = self._switched
            if self._current != self._ranked()[0] or now_s - switched_s <= ANNOUNCE_SWITCH_S:
                fields["switched_from"] = switch.previous
        return fields | {"stale_after_s": STALE_S}

    def _surveyed_position(self, surveyed: tuple[float, float], now_s: float) -> dict[str, Any]:
        """The position of a surveyed post; a receiver is reported only as a check of it."""
        fields: dict[str, Any] = {"source": "place", "mode": "surveyed", "trust": "good", "age_s": 0.0}
        fields |= {"lat": surveyed[0], "lon": surveyed[1]}
        best = self._best_fix(now_s)
        if best is not None:
            timed, trust = best
            fields["gnss"] = {
                "source": self._current,
                "mode": timed.fix.mode,
                "off_m": round(distance_m(surveyed, timed.position), 1),
                "age_s": round(now_s - timed.mono_s, 1),
                "trust": trust,
            }
        return fields

    def change_key(self, now_s: float) -> tuple[Any, ...]:
        """Receiver, mode and trust: when this value changes, a position is reported at once."""
        if self._surveyed is not None or self._current is None:
            return ("surveyed" if self._surveyed else None,)
        newest, best = self._gates[self._current].newest, self._best_fix(now_s)
        jumped_m = self._gates[self._current].jump(now_s).get("jumped_m")
        return self._current, newest.mode if newest else None, best[1] if best else None, jumped_m

    def alert_point(self, now_s: float) -> Mapping[str, Any] | None:
        """The device's position as the point of an alert, with a radius that grows with its age."""
        if self._surveyed is not None:
            return {"lat": self._surveyed[0], "lon": self._surveyed[1], "error_m": None, "how": "surveyed"}
        best = self._best_fix(now_s)
        if best is None or self._current is None:
            return None
        timed, trust = best
        error_m, age_s = timed.error_m, round(now_s - timed.mono_s, 1)
        point = {"lat": timed.fix.lat, "lon": timed.fix.lon, "error_m": error_m, "how": "gnss"}
        if timed is not self._gates[self._current].accepted:
            point["trust"] = "low"
        point |= self._gates[self._current].jump(now_s)
        if trust == "old" or self._without_fix():
            error_m = round((error_m or 0.0) + self._top_mps * age_s, 1)
            point |= {"error_m": error_m, "how": "last_known", "age_s": age_s}
        elif age_s > CURRENT_S and error_m is not None and timed.fix.speed_mps is not None:
            # The newer fixes were rejected: a boat at 6 m/s that is jammed is 18 m further after 3 s.
            point |= {"error_m": round(error_m + timed.fix.speed_mps * age_s, 1), "age_s": age_s}
        return point

    def _without_fix(self) -> bool:
        newest = self._gates[self._current].newest if self._current else None
        return newest is None or newest.mode == "none"

    def receivers(self, now_s: float) -> list[dict[str, Any]]:
        """The state of each receiver, best first, for ``health``."""
        return [
            {"source": name, "used": name == self._current, **self._gates[name].fields(now_s)}
            for name in self._ranked()
        ]

    def troubles(self, now_s: float) -> list[str]:
        """Why the device is degraded: no position, a receiver of lower rank in use, receiver faults."""
        troubles = [
            f"{name}: {trouble}" for name in self._ranked() for trouble in self._gates[name].troubles(now_s)
        ]
        ranked = self._ranked()
        if self._current is None or self._surveyed is not None:
            return troubles
        gate = self._gates[self._current]
        since_s = gate.accepted.mono_s if gate.accepted is not None else self._started_s or now_s
        if now_s - since_s > NO_POSITION_S:
            failure = self._failure(self._current, now_s)
            troubles.append(f"position: {failure} for {int(now_s - since_s)} s")
        elif self._current != ranked[0]:
            best = self._gates[ranked[0]]
            state = self._failure(ranked[0], now_s) if not best.fresh(now_s) else "recovered, waiting"
            troubles.append(f"position: from {self._current}; {ranked[0]}: {state}")
        return troubles


def _fields(fix: Fix) -> dict[str, Any]:
    """A fix as fields of ``position``, with its error and the origin of that."""
    error_m, error_from = error_of(fix)
    fields = asdict(fix) | {"error_m": error_m, "error_from": error_from}
    del fields["kind"], fields["mode"]
    return fields
