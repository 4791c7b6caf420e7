"""The link to a drone in the air is lost: its last position, and how long ago."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field

from agent.domain.contracts import SourceRule
from agent.domain.durations import Duration
from agent.domain.findings import Cleared, Evaluator, Finding, Point, for_duration
from agent.domain.observations import Observation, Tick
from firmware_bridge.drone_readings import Drone


class DroneLost(SourceRule):
    """A finding while a drone that was armed in its last message has been silent for ``after``.

    A drone that landed and was switched off is not lost, unless ``on_ground`` is set. Messages of the radio
    itself or of another system are no sign of life.
    """

    value_kind: ClassVar[str | None] = "drone"
    flood_label: ClassVar[str | None] = "drones not heard"

    kind: Literal["drone_lost"] = "drone_lost"
    system: int | None = Field(default=None, ge=1, le=255)
    """The drone's MAVLink system number; all drones received, if not set."""
    after: Duration = timedelta(seconds=10)
    on_ground: bool = False

    @property
    def rediscovery_time(self) -> timedelta:
        return self.after

    def start(self) -> Evaluator:
        return self.resume({})

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        last_heard: dict[int, tuple[Drone, Observation]] = {}
        placed: dict[int, tuple[Drone, float]] = {}
        for key, found in active.items():
            if found.memo is not None and found.since_s is not None and self.system in (None, int(key)):
                last = Drone(system=int(key), **found.memo["drone"])
                last_heard[last.system] = (last, Observation(self.source, found.since, found.since_s, last))
                if last.lat is not None:
                    placed[last.system] = (last, found.since_s - found.memo["placed_s"])

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            drone, now_s = observation.value, observation.mono_s
            if isinstance(drone, Drone) and observation.source == self.source and drone.state == "live":
                if self.system in (None, drone.system):
                    last_heard[drone.system] = (drone, observation)
                    if drone.lat is not None:
                        placed[drone.system] = (drone, now_s)
                    yield Cleared(str(drone.system))
            elif isinstance(drone, Tick):
                for system, (last, at) in last_heard.items():
                    quiet = timedelta(seconds=now_s - at.mono_s)
                    if quiet > self.after and (last.armed or self.on_ground):
                        yield self._finding(last, at, placed.get(system), now_s)

        return evaluate

    def _finding(
        self, last: Drone, at: Observation, placed: tuple[Drone, float] | None, now_s: float
    ) -> Finding:
        text = f"drone {last.system} not heard {for_duration(now_s - at.mono_s)}"
        doing = [word for word in (last.mode, _percent(last)) if word is not None]
        text += f"; it was in {', '.join(doing)}" if doing else ""
        point = None
        if placed is not None:
            where, placed_s = placed
            height = "" if where.height_m is None else f" {where.height_m:.0f} m above home"
            text += f"; last position{height}, {int(now_s - placed_s)} s old"
            point = point_of(where, round(now_s - placed_s, 1))
        return Finding(
            key=str(last.system),
            text=text,
            since=at.at,
            since_s=at.mono_s,
            source=self.source,
            label=last.vehicle,
            point=point,
            lasted_s=now_s - at.mono_s,
            memo={"drone": _known(last, placed), "placed_s": at.mono_s - placed[1] if placed else 0.0},
        )


def point_of(drone: Drone, age_s: float | None = None) -> Point | None:
    """The position that a drone sent ``age_s`` ago, as a point; None where it is unknown."""
    if drone.lat is None or drone.lon is None:
        return None
    return Point(drone.lat, drone.lon, drone.error_m, "drone", f"drone {drone.system}", age_s)


def _known(last: Drone, placed: tuple[Drone, float] | None) -> dict[str, Any]:
    """The fields of a lost drone that its text needs."""
    known: dict[str, Any] = {
        "vehicle": last.vehicle, "mode": last.mode, "armed": last.armed, "battery_pct": last.battery_pct,
    }  # fmt: skip
    if placed is not None:
        at = placed[0]
        known |= {"lat": at.lat, "lon": at.lon, "height_m": at.height_m, "error_m": at.error_m}
    return known


def _percent(drone: Drone) -> str | None:
    return None if drone.battery_pct is None else f"battery {drone.battery_pct} %"
