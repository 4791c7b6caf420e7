"""The values that hardware reports: the vocabulary of ``firmware_bridge``.

A value is a fact that a checksum or the receiver's own validity flag confirms. An unknown field is ``None``,
and absent in JSON; a failed reading is reported as missing, never as a value. Units are SI and part of the
field's name, positions are WGS-84 degrees. Imports nothing of ours but `drone_readings`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from firmware_bridge.drone_readings import Capture, Drone, StatusText


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """The position that a GNSS receiver reports, one for each epoch; ``mode`` "none" has no position.

    ``time`` is the receiver's own UTC; ``rollover_weeks`` were added to it because it lay before the
    configured earliest date (below 0: too far ahead). ``error_m`` is the receiver's own horizontal
    estimate (1 sigma), absent where it reports none. ``satellites`` are those used, absent where a
    receiver claims a fix from none; ``satellites_seen`` those above the horizon, and ``cn0_dbhz`` the mean
    carrier to noise density of those received. ``held``: the position is not measured but kept by a timing
    receiver that was given its location.
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
    """A receiver's report on jamming, spoofing and its antenna, in each epoch that has one."""

    kind: Literal["gnss_state"] = "gnss_state"
    jamming: Literal["ok", "warning", "critical"] | None = None
    spoofing: Literal["none", "indicated", "affirmed"] | None = None
    antenna: Literal["ok", "short", "open"] | None = None
    jamming_pct: float | None = None
    """The strength of a continuous tone in the band, 0 to 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One measured quantity, such as ``depth_below_transducer`` 4.2 m."""

    kind: Literal["reading"] = "reading"
    quantity: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A two-state input such as ``panic_button``; ``event`` numbers a press that awaits an
    acknowledgement.
    """

    kind: Literal["switch"] = "switch"
    name: str
    on: bool
    event: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vessel:
    """The content of one AIS message about its sender, a vessel or another station, by its ``mmsi``.

    ``message`` is the message's type; 0 is a distress call by radio (DSC), whose ``text`` is the nature of
    distress. A position report also carries the name, call sign and type of ship from an earlier message;
    a static report carries no position. ``own`` marks our own boat. ``distress`` is a beacon in distress;
    ``test`` marks a test of the beacon. ``error_m`` is 10 where the sender flags its position as accurate.
    ``turn_deg_min`` is above 0 to starboard.
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
    """The type of an aid to navigation, such as port_hand_mark."""
    virtual: bool | None = None
    off_position: bool | None = None
    """The aid is away from its charted position."""
    time: datetime | None = None
    text: str | None = None
    """A safety message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadarTarget:
    """A target that a radar tracks under a ``number``: relative to the boat, or as a position. It is
    ``closest_m`` away at its closest approach, ``closest_in_s`` from now; below 0 that is past.
    """

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
    """The quality of a serial line, sent periodically: counts since the line was opened.

    ``good`` and ``bad`` count packets by protocol (bad: wrong checksum or invalid content), ``lost``
    missing sequence numbers, ``skipped_bytes`` the bytes outside any packet. ``trouble`` describes any
    other fault that prevents decoding. It describes the line and is no sign of life.
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
    """The state that a sensor board reports about itself, sent when it changes. It is no sign of life.

    ``boot`` counts its starts, ``restarts`` those observed since the line was opened. ``failed`` are
    sensors that it reports broken, ``refused`` outputs that it can't switch; ``hears`` is whether it
    answers requests.
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
