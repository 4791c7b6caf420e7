"""A drone in the air is not heard any more: where it was last, and how long ago."""

from collections.abc import Iterable
from datetime import timedelta
from typing import ClassVar, Literal

from agent.durations import Duration
from agent.observations import Observation, Tick
from agent.parts import Finding, Judge, Over, Point, RulePart
from firmware_bridge.readings import Drone


class DroneLost(RulePart):
    """A finding while nothing came of a drone for ``after`` that was armed when it was last heard.

    One that landed and was switched off is not lost, unless ``on_ground`` says so. What the radio itself or
    another system says is no sign of life.
    """

    hears: ClassVar[str | None] = "drone"

    kind: Literal["drone_lost"] = "drone_lost"
    source: str
    system: int | None = None
    """The drone's MAVLink system number; each that is heard, if it is not set."""
    after: Duration = timedelta(seconds=10)
    on_ground: bool = False

    def start(self) -> Judge:
        heard: dict[int, tuple[Drone, Observation]] = {}
        placed: dict[int, tuple[Drone, float]] = {}

        def judge(observation: Observation) -> Iterable[Finding | Over]:
            drone, now_s = observation.value, observation.mono_s
            if isinstance(drone, Drone) and observation.source == self.source and drone.state == "live":
                if self.system in (None, drone.system):
                    heard[drone.system] = (drone, observation)
                    if drone.lat is not None:
                        placed[drone.system] = (drone, now_s)
                    yield Over(str(drone.system))
            elif isinstance(drone, Tick):
                for system, (last, at) in heard.items():
                    quiet = timedelta(seconds=now_s - at.mono_s)
                    if quiet > self.after and (last.armed or self.on_ground):
                        yield self._finding(last, at, placed.get(system), now_s)

        return judge

    def _finding(
        self, last: Drone, at: Observation, placed: tuple[Drone, float] | None, now_s: float
    ) -> Finding:
        text = f"drone {last.system} not heard for {int(now_s - at.mono_s)} s"
        doing = [word for word in (last.mode, _percent(last)) if word is not None]
        text += f"; it was in {', '.join(doing)}" if doing else ""
        point = None
        if placed is not None:
            where, placed_s = placed
            height = "" if where.height_m is None else f" {where.height_m:.0f} m above home"
            text += f"; last position{height}, {int(now_s - placed_s)} s old"
            point = point_of(where)
        return Finding(
            key=str(last.system),
            text=text,
            since=at.at,
            since_s=at.mono_s,
            source=self.source,
            label=last.vehicle,
            point=point,
        )


def point_of(drone: Drone) -> Point | None:
    """Where it is, or was."""
    if drone.lat is None or drone.lon is None:
        return None
    return Point(drone.lat, drone.lon, drone.error_m, "gnss")


def _percent(drone: Drone) -> str | None:
    return None if drone.battery_pct is None else f"battery {drone.battery_pct} %"
