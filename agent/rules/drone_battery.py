"""The battery of a drone in the air is low."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from agent.domain.contracts import SourceRule
from agent.domain.durations import Duration
from agent.domain.findings import Cleared, Evaluator, Finding
from agent.domain.observations import Observation
from agent.rules.drone_lost import point_of
from firmware_bridge.drone_readings import Drone
from firmware_bridge.wgs84 import distance_m


class DroneBattery(SourceRule):
    """A finding while a battery has been under ``below_pct``, or under ``below_v``, for ``hold``.

    It clears once the value is back by the hysteresis, or the drone is disarmed; ``on_ground`` includes
    disarmed drones. A drone that reports neither value, or is lost, changes nothing.
    """

    value_kind: ClassVar[str | None] = "drone"
    flood_label: ClassVar[str | None] = "drones with a low battery"

    kind: Literal["drone_battery"] = "drone_battery"
    system: int | None = Field(default=None, ge=1, le=255)
    """The drone's MAVLink system number; all drones received, if not set."""
    below_pct: float = Field(default=25, ge=0, le=100)
    hysteresis_pct: float = Field(default=5, ge=0, le=100)
    below_v: float | None = Field(default=None, gt=0, le=1000)
    hysteresis_v: float = Field(default=0.4, ge=0, le=100)
    """The voltage of a battery rises when its load falls, without being charged."""
    hold: Duration = timedelta(seconds=5)
    on_ground: bool = False

    @model_validator(mode="after")
    def _can_be_low(self) -> Self:
        if self.below_pct == 0 and self.below_v is None:
            raise ValueError("no battery is below 0 %: set below_pct above 0, or below_v")
        return self

    @property
    def rediscovery_time(self) -> timedelta:
        return self.hold

    def start(self) -> Evaluator:
        return self.resume({})

    def resume(self, active: Mapping[str, Finding]) -> Evaluator:
        low: dict[int, tuple[datetime, float]] = {
            int(key): (found.since, found.since_s or 0.0) for key, found in active.items()
        }

        def evaluate(observation: Observation) -> Iterable[Finding | Cleared]:
            drone = observation.value
            if not isinstance(drone, Drone) or observation.source != self.source or drone.state != "live":
                return
            if self.system not in (None, drone.system):
                return
            was_low = drone.system in low
            reason = self._reason(drone, was_low)
            if (drone.armed or self.on_ground) and reason:
                since, since_s = low.setdefault(drone.system, (observation.at, observation.mono_s))
                if observation.mono_s - since_s >= self.hold.total_seconds():
                    yield Finding(
                        key=str(drone.system),
                        text=f"drone {drone.system}: battery {reason}{_mode_and_distance(drone)}",
                        since=since,
                        since_s=since_s,
                        source=self.source,
                        label=drone.vehicle,
                        point=point_of(drone),
                    )
            elif reason == "" or drone.armed is False:
                low.pop(drone.system, None)
                yield Cleared(str(drone.system))

        return evaluate

    def _reason(self, drone: Drone, was_low: bool) -> str | None:
        """Which value is too low; "" where none is, None where the drone reports none."""
        limit_pct = self.below_pct + (self.hysteresis_pct if was_low else 0)
        if drone.battery_pct is not None and drone.battery_pct < limit_pct:
            return f"{drone.battery_pct} %, below {self.below_pct:g} %"
        limit_v = (self.below_v or 0) + (self.hysteresis_v if was_low else 0)
        if self.below_v is not None and drone.battery_v is not None and drone.battery_v < limit_v:
            return f"{drone.battery_v:g} V, below {self.below_v:g} V"
        known = drone.battery_pct is not None or (self.below_v is not None and drone.battery_v is not None)
        return "" if known else None


def _mode_and_distance(drone: Drone) -> str:
    """The mode and the distance from home, as far as known."""
    mode = "" if drone.mode is None else f"; {drone.mode}"
    if drone.lat is None or drone.lon is None or drone.home_lat is None or drone.home_lon is None:
        return mode
    home_m = distance_m((drone.home_lat, drone.home_lon), (drone.lat, drone.lon))
    return f"{mode}, {home_m:.0f} m from home"
