"""What hardware says on a wire, in words of its own: the vocabulary of ``firmware_bridge``.

A value is a fact that a checksum or the receiver's own flag vouches for. What is not known is ``None``,
and absent in JSON; a reading that failed is no reading. Units are SI and stand in the field's name,
positions are WGS-84 degrees. This file imports nothing of ours.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from firmware_bridge.drone_readings import Capture, Drone, StatusText


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """Where a GNSS receiver says that it is, one per epoch; ``mode`` "none" has no position.

    ``time`` is the receiver's own UTC; ``rollover_weeks`` were added to it because it lay before the date
    that the source is told no time can be (below 0: too far ahead). ``error_m`` is the receiver's own
    horizontal estimate (1 sigma), absent where it gives none. ``satellites`` are those used, absent where
    a fix would be one out of none; ``satellites_seen`` those above the horizon,
    and ``cn0_dbhz`` the mean carrier to noise density of those received. ``held``: the position is not
    measured but kept, by a timing receiver that was told where it stands.
    """

    kind: Literal["fix"] = "fix"
    mode: Literal["none", "2d", "3d"]
    lat: float | None = None
    lon: float | None = None
    time: datetime | None = None
    alt_m: float | None = None
    satellites: int | None = None
    satellites_seen: int | None = None
    hdop: float | None = None
    error_m: float | None = None
    speed_mps: float | None = None
    course_deg: float | None = None
    cn0_dbhz: float | None = None
    rollover_weeks: int | None = None
    held: Literal[True] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GnssState:
    """What a receiver notices around it, where it can tell: each epoch in which it speaks of it."""

    kind: Literal["gnss_state"] = "gnss_state"
    jamming: Literal["ok", "warning", "critical"] | None = None
    spoofing: Literal["none", "indicated", "affirmed"] | None = None
    antenna: Literal["ok", "short", "open"] | None = None
    jamming_pct: float | None = None
    """How strong a continuous tone in the band is, 0 to 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One measured quantity, such as ``depth_below_transducer`` 4.2 m."""

    kind: Literal["reading"] = "reading"
    quantity: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A two-state input such as ``panic_button``; ``event`` numbers a press that waits for an answer."""

    kind: Literal["switch"] = "switch"
    name: str
    on: bool
    event: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vessel:
    """What one AIS message says of its sender, a vessel or another station, by its ``mmsi``.

    ``message`` is the message's type; 0 is a call for help by radio (DSC), whose ``text`` is what happened.
    A report of the position also carries the name, call sign and type of ship, where a message before told
    them; one of these carries no position. ``own`` is the boat on which we are. ``distress`` is a beacon that
    calls for help; with ``test`` it only tries whether it could. ``error_m`` is 10 where the sender calls its
    position accurate. ``turn_deg_min`` is above 0 to starboard.
    """

    kind: Literal["vessel"] = "vessel"
    mmsi: int
    message: int
    station: Literal["class_a", "class_b", "base_station", "aid", "aircraft", "beacon"] | None = None
    own: bool | None = None
    distress: Literal["sart", "mob", "epirb", "dsc"] | None = None
    test: bool | None = None
    lat: float | None = None
    lon: float | None = None
    error_m: float | None = None
    alt_m: float | None = None
    speed_mps: float | None = None
    course_deg: float | None = None
    heading_deg: float | None = None
    turn_deg_min: float | None = None
    status: str | None = None
    name: str | None = None
    callsign: str | None = None
    imo: int | None = None
    ship_type: str | None = None
    length_m: int | None = None
    beam_m: int | None = None
    draught_m: float | None = None
    destination: str | None = None
    eta: str | None = None
    """As sent: month, day, hour and minute UTC, such as 05-15T14:00Z."""
    mothership: int | None = None
    aid: str | None = None
    """What an aid to navigation is, such as port_hand_mark."""
    virtual: bool | None = None
    off_position: bool | None = None
    """The aid is not where it belongs."""
    time: datetime | None = None
    text: str | None = None
    """A safety message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadarTarget:
    """What a radar tracks under a ``number``: from the boat, or where it is. In ``closest_in_s`` it will be
    ``closest_m`` away; below 0 that is past."""

    kind: Literal["radar_target"] = "radar_target"
    number: int
    state: Literal["tracking", "acquiring", "lost"] | None = None
    distance_m: float | None = None
    bearing_deg: float | None = None
    bearing_relative_deg: float | None = None
    speed_mps: float | None = None
    course_deg: float | None = None
    closest_m: float | None = None
    closest_in_s: float | None = None
    lat: float | None = None
    lon: float | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineState:
    """How well a serial line reads, now and then: counts since the line was opened.

    ``good`` and ``bad`` count packets by protocol (bad: wrong checksum or content that cannot be), ``lost``
    those that never came, by their numbers, ``skipped_bytes`` what belonged to no packet. ``trouble`` is what
    else keeps it from being understood. It says how the line is, and is no sign of life.
    """

    kind: Literal["line_state"] = "line_state"
    good: dict[str, int] = field(default_factory=dict)
    bad: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    skipped_bytes: int = 0
    baud: int | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardState:
    """What a sensor board says of itself, told where it changed. It is no sign of life.

    ``boot`` counts its starts, ``restarts`` those that were noticed since the line was opened. ``failed``
    are sensors that it calls broken, ``refused`` outputs that it can't switch; ``hears`` is whether it
    answers what it is asked.
    """

    kind: Literal["board_state"] = "board_state"
    firmware: str | None = None
    hardware: str | None = None
    uid: str | None = None
    protocol: int | None = None
    boot: int | None = None
    restarts: int = 0
    failed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    hears: bool | None = None


Value = (
    Fix
    | GnssState
    | Reading
    | Switch
    | Vessel
    | RadarTarget
    | LineState
    | BoardState
    | Drone
    | StatusText
    | Capture
)
