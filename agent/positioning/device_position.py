"""Where the device is, as far as it knows: from the receivers in their rank, or as it was surveyed. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agent.domain.observations import Observation
from agent.positioning.fix_gate import Receiver
from agent.positioning.fix_quality import LATE, NO_FIX, Positioning, TimedFix, error_of
from firmware_bridge.readings import Fix, GnssState
from firmware_bridge.wgs84 import distance_m

STALE_S = 15.0
"""A position that is older is no longer where the device is, but where it was."""
RETURN_S = 30.0
"""A better receiver must be well this long before it is used again."""
ANNOUNCED_S = 60.0
"""So long a position says that it now comes from another receiver; always, while that only stands in."""
NOWHERE_S = 15.0
ANY_SPEED_MPS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionSettings:
    """The parts of a configuration that say how the device's own position is found; WGS-84, m/s."""

    positioning: Positioning
    surveyed: tuple[float, float] | None = None
    """Latitude and longitude of a fixed post."""
    top_speed_mps: float = ANY_SPEED_MPS
    sources: tuple[str, ...] = ()
    """Names in the order of the configuration: the rank of receivers that `Positioning` does not list."""


@dataclass(frozen=True, slots=True)
class Switched:
    """Another receiver is used now."""

    to: str
    before: str
    why: str


class DevicePosition:
    """Hears fixes; says where the device is, how old that is, and how much it is worth."""

    def __init__(self, settings: PositionSettings) -> None:
        self._receivers: dict[str, Receiver] = {}
        self._current: str | None = None
        self._switched: tuple[Switched, float] | None = None
        self._began_s: float | None = None
        self.configure(settings)

    def configure(self, settings: PositionSettings) -> None:
        """New settings are in force; what receivers said that are still there is kept."""
        self._positioning, self._surveyed = settings.positioning, settings.surveyed
        self._top_mps = settings.top_speed_mps
        self._rank = list(dict.fromkeys((*self._positioning.receivers, *settings.sources)))
        for source in set(self._receivers) - set(self._rank):
            del self._receivers[source]
        if self._current not in self._receivers:
            self._current = self._switched = None

    def hear(self, observation: Observation) -> float | None:
        """Takes a fix, or what a receiver noticed. How many metres it jumped, where that was believed."""
        value, now_s = observation.value, observation.mono_s
        self._began_s = now_s if self._began_s is None else self._began_s
        if not isinstance(value, Fix | GnssState):
            return None
        receiver = self._receivers.setdefault(observation.source, Receiver())
        if isinstance(value, GnssState):
            receiver.notice(value, now_s)
            return None
        return receiver.hear(observation, value, self._positioning, self._top_mps)

    def doubt(self, source: str) -> str | None:
        """Why what ``source`` said last does not hold; None where it does."""
        receiver = self._receivers[source]
        return LATE if receiver.late else receiver.fault

    def choose(self, now_s: float) -> Switched | None:
        """Which receiver is used from now on; says so where that changes."""
        ranked = self._ranked()
        fresh = [name for name in ranked if self._receivers[name].fresh(now_s)]
        current = self._current
        if current is None:
            self._current = next(iter(fresh or ranked), None)
            return None
        if current in fresh:
            better = fresh[: fresh.index(current)]
            wanted = next((name for name in better if self._steady(name, now_s)), current)
            why = f"{wanted} is well again"
        else:
            wanted = next(iter(fresh), current)
            why = f"{current}: {self._why(current, now_s)}"
        if wanted == current:
            return None
        switched = Switched(wanted, current, why)
        self._current, self._switched = wanted, (switched, now_s)
        return switched

    def _steady(self, name: str, now_s: float) -> bool:
        since_s = self._receivers[name].good_since_s
        return since_s is not None and now_s - since_s >= RETURN_S

    def _ranked(self) -> list[str]:
        """Receivers, best first; those that nobody ranked in the order in which they were heard."""
        return sorted(
            self._receivers,
            key=lambda name: self._rank.index(name) if name in self._rank else len(self._rank),
        )

    def _why(self, name: str, now_s: float) -> str:
        receiver = self._receivers[name]
        return "silent" if receiver.silent(now_s) else receiver.fault or NO_FIX

    def _told(self, now_s: float) -> tuple[TimedFix, str] | None:
        """The position that holds, and its trust; what is poor is better than what is stale."""
        if self._current is None:
            return None
        receiver = self._receivers[self._current]
        good, last = receiver.good, receiver.last
        if good is not None and now_s - good.mono_s <= STALE_S:
            return good, "good"
        if last is not None and now_s - last.mono_s <= STALE_S and not receiver.jumps:
            return last, "low"
        newest = good or last
        return None if newest is None else (newest, "old")

    def position(self, now_s: float) -> dict[str, Any] | None:
        """The fields of ``position``; None where nothing is known."""
        if self._surveyed is not None:
            return self._surveyed_position(self._surveyed, now_s)
        if self._current is None:
            return None
        receiver = self._receivers[self._current]
        newest = receiver.newest
        if newest is None:
            return None
        fields: dict[str, Any] = {"source": self._current, "mode": newest.mode}
        told = self._told(now_s)
        if told is None:
            fields |= _fields(newest)
        elif newest.mode == "none":
            where = told[0].fix
            fields |= {
                "lat": where.lat,
                "lon": where.lon,
                "time": newest.time,
                "satellites": newest.satellites,
            }
        else:
            fields |= _fields(told[0].fix)
        if told is not None:
            fields |= {"age_s": round(now_s - told[0].mono_s, 1), "trust": told[1]}
        if receiver.fault is not None:
            fields["why"] = receiver.fault
        if self._switched is not None:
            switched, when_s = self._switched
            if self._current != self._ranked()[0] or now_s - when_s <= ANNOUNCED_S:
                fields["switched_from"] = switched.before
        return fields | {"stale_after_s": STALE_S}

    def _surveyed_position(self, surveyed: tuple[float, float], now_s: float) -> dict[str, Any]:
        """A post is where it was surveyed; the receiver only checks that."""
        fields: dict[str, Any] = {"source": "place", "mode": "surveyed", "trust": "good", "age_s": 0.0}
        fields |= {"lat": surveyed[0], "lon": surveyed[1]}
        told = self._told(now_s)
        if told is not None:
            heard, trust = told
            fields["gnss"] = {
                "source": self._current,
                "mode": heard.fix.mode,
                "off_m": round(distance_m(surveyed, heard.position), 1),
                "age_s": round(now_s - heard.mono_s, 1),
                "trust": trust,
            }
        return fields

    def mark(self, now_s: float) -> tuple[Any, ...]:
        """What a position is told at once for when it changes."""
        if self._surveyed is not None or self._current is None:
            return ("surveyed" if self._surveyed else None,)
        newest, told = self._receivers[self._current].newest, self._told(now_s)
        return self._current, newest.mode if newest else None, told[1] if told else None

    def place(self, now_s: float) -> Mapping[str, Any] | None:
        """The point of an alert that has none of its own, with a radius that holds."""
        if self._surveyed is not None:
            return {"lat": self._surveyed[0], "lon": self._surveyed[1], "error_m": None, "how": "surveyed"}
        told = self._told(now_s)
        if told is None or self._current is None:
            return None
        heard, trust = told
        error_m, age_s = heard.error_m, round(now_s - heard.mono_s, 1)
        place = {"lat": heard.fix.lat, "lon": heard.fix.lon, "error_m": error_m, "how": "gnss"}
        if heard is not self._receivers[self._current].good:
            place["trust"] = "low"
        if trust == "old" or self._lost():
            error_m = round((error_m or 0.0) + self._top_mps * age_s, 1)
            place |= {"error_m": error_m, "how": "last_known", "age_s": age_s}
        return place

    def _lost(self) -> bool:
        newest = self._receivers[self._current].newest if self._current else None
        return newest is None or newest.mode == "none"

    def receivers(self, now_s: float) -> list[dict[str, Any]]:
        """How each does, best first, for ``health``."""
        return [
            {"source": name, "used": name == self._current, **self._receivers[name].fields(now_s)}
            for name in self._ranked()
        ]

    def troubles(self, now_s: float) -> list[str]:
        """Why the device is degraded: no position, a receiver that stands in, what receivers notice."""
        troubles = [
            f"{name}: {trouble}"
            for name in self._ranked()
            for trouble in self._receivers[name].troubles(now_s)
        ]
        ranked = self._ranked()
        if self._current is None or self._surveyed is not None:
            return troubles
        receiver = self._receivers[self._current]
        since_s = receiver.good.mono_s if receiver.good is not None else self._began_s or now_s
        if now_s - since_s > NOWHERE_S:
            troubles.append(f"position: {self._why(self._current, now_s)} for {int(now_s - since_s)} s")
        elif self._current != ranked[0]:
            best = self._receivers[ranked[0]]
            why = self._why(ranked[0], now_s) if not best.fresh(now_s) else "well again, waiting"
            troubles.append(f"position: from {self._current}; {ranked[0]}: {why}")
        return troubles


def _fields(fix: Fix) -> dict[str, Any]:
    """A fix as ``position`` tells it, with an error that says where it is from."""
    error_m, error_from = error_of(fix)
    fields = asdict(fix) | {"error_m": error_m, "error_from": error_from}
    del fields["kind"], fields["mode"]
    return fields
