"""One MAVLink vehicle, put together of what its messages say. Pure: time comes in with the calls."""

from dataclasses import dataclass
from typing import Any, Literal

from firmware_bridge.drone_readings import Drone
from firmware_bridge.mavlink.autopilot import SAYS, Fields

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
FIRST_S = 5.0
"""A vehicle that tells a position has so long to tell what its receiver or its estimator makes of it."""
CLOCKS = 2
"""So often time must have gone on where another boot had left it."""
SEQUENCES = 3
"""So often a frame must have gone on where another sender's numbers had been."""
APART = 8
"""Frames that only overtake each other are nearer than this."""
DOUBLED_S = 30.0
"""Two vehicles of one number are told to be that for so long after the last sign of both."""


class Twins:
    """Whether two vehicles speak under one system number.

    Two autopilots, each with the maker's number, have two clocks since boot and two counts of frames: what
    comes goes on now where the one was, now where the other was. A vehicle that restarts does so once.
    """

    def __init__(self) -> None:
        self.since_s: float | None = None
        """When that showed last."""
        self._heard_s = 0.0
        self._clocks: list[tuple[int, float]] = []  # boot and when it was heard, the last first
        self._back = 0
        self._counts: list[int] = []
        self._crossed = 0

    def number(self, sequence: int, now_s: float) -> None:
        """A frame of the vehicle came."""
        if now_s - self._heard_s > DOUBLED_S:
            self.since_s, self._clocks, self._back, self._counts, self._crossed = None, [], 0, [], 0
        self._heard_s = now_s
        counts = self._counts
        if counts and (sequence - counts[0]) & 0xFF in (0, 1):
            counts[0] = sequence
        elif (
            len(counts) > 1
            and (sequence - counts[1]) & 0xFF == 1
            and APART < (counts[0] - sequence) & 0xFF < 256 - APART
        ):
            self._counts = [sequence, counts[0]]
            self._crossed += 1
            if self._crossed >= SEQUENCES:
                self.since_s = now_s
        else:  # some were lost, or another sender begins
            self._counts = [sequence, *counts[:1]]
            self._crossed = max(0, self._crossed - 1) if len(counts) > 1 else 0

    def clock(self, boot_ms: int, now_s: float) -> None:
        """The vehicle told its time since boot."""
        for place, (before_ms, at_s) in enumerate(self._clocks):
            if (
                abs(boot_ms - before_ms - 1000 * (now_s - at_s)) <= REBOOT_MS
                or 0 <= boot_ms - before_ms <= REBOOT_MS
            ):
                self._clocks.pop(place)
                self._back += place
                if place and self._back >= CLOCKS:
                    self.since_s = now_s
                break
        else:
            self._back = 0
        self._clocks = [(boot_ms, now_s), *self._clocks[:1]]

    def shows(self, now_s: float) -> bool:
        return self.since_s is not None and now_s - self.since_s <= DOUBLED_S


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
        self.twins = Twins()
        self._boot_ms = 0
        self._told_ms = -POSITION_EVERY_MS
        self._said: dict[str, _Said] = {}
        self._blind = False  # the newest position was none
        self._first: tuple[int, float] | None = None  # when a position was told first, by both clocks

    def take(self, message: Any, now_s: float) -> bool:
        """Takes what one of the messages in `SAYS` says; true where it is one to tell of the vehicle at."""
        boot_ms = getattr(message, "time_boot_ms", None)
        if boot_ms is not None and message.get_srcComponent() == self.component:
            self.twins.clock(boot_ms, now_s)
            if boot_ms < self._boot_ms - REBOOT_MS:
                self._said = {group: one for group, one in self._said.items() if group == "heartbeat"}
                self._first = None
            self._boot_ms = boot_ms
        kind = message.get_type()
        for group, says in SAYS[kind]:
            fields = says(message)
            if group == "position":
                self._blind = not fields
                self._first = self._first or (self._boot_ms, now_s)
            if group == "estimate" and not fields:
                self._said.pop(group, None)  # it does not say any more
                continue
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
        if self.has("fix", now_s):
            return bool(self._said["fix"].fields["fix"] != "none")
        if "fix" in self._said or self._first is None:
            return True
        since_ms, since_s = self._first  # one without a receiver may reckon from anywhere
        return max(now_s - since_s, (self._boot_ms - since_ms) / 1000) >= FIRST_S

    def _age_s(self, said: _Said, now_s: float) -> float:
        """By our clock and by its own: a recording runs at any speed."""
        return max(now_s - said.heard_s, (self._boot_ms - said.boot_ms) / 1000)
