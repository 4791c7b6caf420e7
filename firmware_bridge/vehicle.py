"""One MAVLink vehicle, put together of what its messages say. Pure: time comes in with the calls."""

from dataclasses import dataclass
from typing import Any, Literal

from firmware_bridge.autopilot import SAYS, Fields
from firmware_bridge.readings import Drone

FRESH_S = {
    "position": 3.0,
    "fix_position": 3.0,
    "fix": 5.0,
    "attitude": 3.0,
    "gimbal": 3.0,
    "estimate": 10.0,
}
"""What is older than this says nothing about now; what is not listed holds until it is said otherwise."""
POSITIONS = ("fix_position", "position")
"""The later one is the better."""
POSITION_EVERY_MS = 45
"""A vehicle on a cable may send more positions than anybody needs."""
REBOOT_MS = 1000
HELD = 20


@dataclass(frozen=True, slots=True)
class _Said:
    """``fields``, at the vehicle's time since its boot and at ours."""

    boot_ms: int
    heard_s: float
    fields: Fields


class Vehicle:
    """``system``'s ``component`` is its autopilot; what it says before its first heartbeat is ``held``, for
    only that tells whether it is a vehicle at all."""

    def __init__(self, system: int, component: int) -> None:
        self.system, self.component = system, component
        self.known = self.lost = False
        self.heard_s = 0.0
        self.held: list[Drone] = []
        self._boot_ms = 0
        self._told_ms = -POSITION_EVERY_MS
        self._said: dict[str, _Said] = {}
        self._blind = False  # the newest position was none

    def take(self, message: Any, now_s: float) -> bool:
        """Takes what one of the messages in `SAYS` says; true where it is one to tell of the vehicle at."""
        boot_ms = getattr(message, "time_boot_ms", None)
        if boot_ms is not None and message.get_srcComponent() == self.component:
            if boot_ms < self._boot_ms - REBOOT_MS:
                self._said = {group: one for group, one in self._said.items() if group == "heartbeat"}
            self._boot_ms = boot_ms
        kind = message.get_type()
        for group, says in SAYS[kind]:
            fields = says(message)
            if group == "position":
                self._blind = not fields
            if fields or group not in POSITIONS:
                # each battery counts by itself; the last position is kept for when the vehicle is lost
                name = f"battery {message.id}" if group == "battery" else group
                self._said[name] = _Said(self._boot_ms, now_s, fields)
        if kind == "GLOBAL_POSITION_INT":
            due = not 0 <= self._boot_ms - self._told_ms < POSITION_EVERY_MS
            self._told_ms = self._boot_ms if due else self._told_ms
            return due
        return kind == "HEARTBEAT" or (kind == "GPS_RAW_INT" and not self.has("position", now_s))

    def has(self, group: str, now_s: float) -> bool:
        """Whether that was said, and is fresh."""
        said = self._said.get(group)
        return said is not None and self._age_s(said, now_s) <= FRESH_S.get(group, float("inf"))

    def drone(self, now_s: float, loss_pct: float | None = None) -> Drone:
        """What is known of it now."""
        fields: Fields = {}
        for group in ("heartbeat", "home", "fix", "attitude", "gimbal"):
            if self.has(group, now_s):
                fields |= self._said[group].fields
        fields |= self._battery() | self._where(now_s)
        if fields.pop("of_vehicle", False):
            if "yaw_deg" in fields:
                fields["gimbal_yaw_deg"] = round((fields["gimbal_yaw_deg"] + fields["yaw_deg"]) % 360, 2)
            else:
                del fields["gimbal_yaw_deg"]
        state: Literal["live", "lost"] = "lost" if self.lost else "live"
        return Drone(system=self.system, state=state, loss_pct=loss_pct, **fields)

    def _battery(self) -> Fields:
        """The first battery's, but of several the charge of the lowest."""
        packs = [one.fields for name, one in sorted(self._said.items()) if name.startswith("battery ")]
        power = [one.fields for name, one in self._said.items() if name == "power"]
        fields: Fields = {}
        for one in reversed(power + packs[:1]):
            fields |= one
        charges = [one["battery_pct"] for one in power + packs if "battery_pct" in one]
        return fields | ({"battery_pct": min(charges)} if charges else {})

    def _where(self, now_s: float) -> Fields:
        """The position, if it is valid now; where the vehicle is lost, the last that was, with its age."""
        for group in reversed(POSITIONS):
            if self.lost and group in self._said:
                age_s = self._age_s(self._said[group], now_s)
                return self._said[group].fields | {"position_age_s": round(age_s, 1)}
            if self.has(group, now_s) and (group != "position" or self._valid(now_s)):
                return self._said[group].fields
        return {}

    def _valid(self, now_s: float) -> bool:
        """The estimator may know better than one receiver; where it says nothing, the receiver decides."""
        if self._blind:
            return False
        if self.has("estimate", now_s):
            return bool(self._said["estimate"].fields["absolute"])
        return not self.has("fix", now_s) or self._said["fix"].fields["fix"] != "none"

    def _age_s(self, said: _Said, now_s: float) -> float:
        """By our clock and by its own: a recording runs at any speed."""
        return max(now_s - said.heard_s, (self._boot_ms - said.boot_ms) / 1000)
