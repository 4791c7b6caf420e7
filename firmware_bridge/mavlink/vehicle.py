"""The state of one MAVLink vehicle, assembled from its messages. Pure: time is an argument of the calls."""

from dataclasses import dataclass
from typing import Any, Literal

from firmware_bridge.drone_readings import Drone
from firmware_bridge.mavlink.autopilot import MESSAGE_FIELDS, Fields

FRESH_S = {
    "position": 3.0,
    "fix_position": 3.0,
    "fix": 5.0,
    "attitude": 3.0,
    "gimbal": 3.0,
    "estimate": 10.0,
}
"""Older groups are stale; a group that is not listed stays valid until it is replaced."""
POSITIONS = ("fix_position", "position")
"""The later group is the better."""
POSITION_EVERY_MS = 45
"""The minimum interval of positions: a vehicle on a cable may send more than needed."""
REBOOT_MS = 1000
HELD = 20
FIRST_S = 5.0
"""A vehicle with a position has this long to report its receiver's or estimator's state."""
CLOCKS = 2
"""The time since boot must continue this often where another boot left off."""
SEQUENCES = 3
"""A frame must continue this often where another sender's numbers left off."""
APART = 8
"""Frames that only overtake each other are closer than this."""
DOUBLED_S = 30.0
"""Two vehicles under one number are reported for this long after the last sign of both."""


class DuplicateCheck:
    """Detects two vehicles under one system number.

    Two autopilots, each with the maker's number, have two clocks since boot and two counts of frames:
    messages continue now the one, now the other. A vehicle that restarts switches only once.
    """

    def __init__(self) -> None:
        self.since_s: float | None = None
        """The time of the last detection."""
        self._received_s = 0.0
        self._clocks: list[tuple[int, float]] = []  # boot time and time of receipt, the newest first
        self._back = 0
        self._counts: list[int] = []
        self._crossed = 0

    def number(self, sequence: int, now_s: float) -> None:
        """Records a frame of the vehicle."""
        if now_s - self._received_s > DOUBLED_S:
            self.since_s, self._clocks, self._back, self._counts, self._crossed = None, [], 0, [], 0
        self._received_s = now_s
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
        else:  # frames were lost, or another sender begins
            self._counts = [sequence, *counts[:1]]
            self._crossed = max(0, self._crossed - 1) if len(counts) > 1 else 0

    def clock(self, boot_ms: int, now_s: float) -> None:
        """Records the vehicle's time since boot."""
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

    def detected(self, now_s: float) -> bool:
        """Whether two vehicles were detected recently."""
        return self.since_s is not None and now_s - self.since_s <= DOUBLED_S


@dataclass(frozen=True, slots=True)
class _Group:
    """``fields``, at the vehicle's time since its boot and at ours."""

    boot_ms: int
    received_s: float
    fields: Fields


class Vehicle:
    """``component`` of ``system`` is its autopilot; reports before its first heartbeat are ``held``,
    because only the heartbeat shows whether it is a vehicle.
    """

    def __init__(self, system: int, component: int) -> None:
        self.system, self.component = system, component
        self.known = self.lost = False
        self.received_s = 0.0
        self.held: list[Drone] = []
        self.duplicates = DuplicateCheck()
        self._boot_ms = 0
        self._reported_ms = -POSITION_EVERY_MS
        self._groups: dict[str, _Group] = {}
        self._blind = False  # the newest position was invalid
        self._first: tuple[int, float] | None = None  # the first position, by both clocks

    def take(self, message: Any, now_s: float) -> bool:
        """Adds one of the messages in `MESSAGE_FIELDS`; true where the vehicle must be reported now."""
        boot_ms = getattr(message, "time_boot_ms", None)
        if boot_ms is not None and message.get_srcComponent() == self.component:
            self.duplicates.clock(boot_ms, now_s)
            if boot_ms < self._boot_ms - REBOOT_MS:
                self._groups = {group: one for group, one in self._groups.items() if group == "heartbeat"}
                self._first = None
            self._boot_ms = boot_ms
        kind = message.get_type()
        for group, extract in MESSAGE_FIELDS[kind]:
            fields = extract(message)
            if group == "position":
                self._blind = not fields
                self._first = self._first or (self._boot_ms, now_s)
            if group == "estimate" and not fields:
                self._groups.pop(group, None)  # the estimator stopped
                continue
            if fields or group not in POSITIONS:
                # each battery counts by itself; the last position is kept for when the vehicle is lost
                name = f"battery {message.id}" if group == "battery" else group
                self._groups[name] = _Group(self._boot_ms, now_s, fields)
        if kind == "GLOBAL_POSITION_INT":
            due = not 0 <= self._boot_ms - self._reported_ms < POSITION_EVERY_MS
            self._reported_ms = self._boot_ms if due else self._reported_ms
            return due
        return kind == "HEARTBEAT" or (kind == "GPS_RAW_INT" and not self.has("position", now_s))

    def has(self, group: str, now_s: float) -> bool:
        """Whether the group was received, and is fresh."""
        state = self._groups.get(group)
        return state is not None and self._age_s(state, now_s) <= FRESH_S.get(group, float("inf"))

    def drone(self, now_s: float, loss_pct: float | None = None) -> Drone:
        """The present state."""
        fields: Fields = {}
        for group in ("heartbeat", "home", "fix", "attitude", "gimbal"):
            if self.has(group, now_s):
                fields |= self._groups[group].fields
        fields |= self._battery() | self._where(now_s)
        if fields.pop("of_vehicle", False):
            if "yaw_deg" in fields:
                fields["gimbal_yaw_deg"] = round((fields["gimbal_yaw_deg"] + fields["yaw_deg"]) % 360, 2)
            else:
                del fields["gimbal_yaw_deg"]
        state: Literal["live", "lost"] = "lost" if self.lost else "live"
        return Drone(system=self.system, state=state, loss_pct=loss_pct, **fields)

    def _battery(self) -> Fields:
        """The first battery's values, but of several batteries the charge of the lowest."""
        packs = [one.fields for name, one in sorted(self._groups.items()) if name.startswith("battery ")]
        power = [one.fields for name, one in self._groups.items() if name == "power"]
        fields: Fields = {}
        for one in reversed(power + packs[:1]):
            fields |= one
        charges = [one["battery_pct"] for one in power + packs if "battery_pct" in one]
        return fields | ({"battery_pct": min(charges)} if charges else {})

    def _where(self, now_s: float) -> Fields:
        """The position, if it is valid now; of a lost vehicle the last known one, with its age."""
        for group in reversed(POSITIONS):
            if self.lost and group in self._groups:
                age_s = self._age_s(self._groups[group], now_s)
                return self._groups[group].fields | {"position_age_s": round(age_s, 1)}
            if self.has(group, now_s) and (group != "position" or self._valid(now_s)):
                return self._groups[group].fields
        return {}

    def _valid(self, now_s: float) -> bool:
        """The estimator takes precedence over one receiver; without an estimator the receiver decides."""
        if self._blind:
            return False
        if self.has("estimate", now_s):
            return bool(self._groups["estimate"].fields["absolute"])
        if self.has("fix", now_s):
            return bool(self._groups["fix"].fields["fix"] != "none")
        if "fix" in self._groups or self._first is None:
            return True
        since_ms, since_s = self._first  # without a receiver it may use dead reckoning from anywhere
        return max(now_s - since_s, (self._boot_ms - since_ms) / 1000) >= FIRST_S

    def _age_s(self, group: _Group, now_s: float) -> float:
        """The age by our clock and by the vehicle's: a recording runs at any speed."""
        return max(now_s - group.received_s, (self._boot_ms - group.boot_ms) / 1000)
