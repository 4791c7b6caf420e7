"""MAVLink 1 and 2 from a ground station's radio: frames in; vehicles, texts, pictures, radio quality out.

    FE length seq sys comp id payload crc          FD length incompat compat seq sys comp id(3) payload crc
    vehicle: a system whose HEARTBEAT has an autopilot, and is no ground station, tracker, gimbal or ADS-B
    51/68:   the radio itself (SiK); its RADIO_STATUS is no sign of life of any vehicle

Receive-only. `mavlink_dialect` has the fields (50 ms, 14 MB, at the first frame).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, get_args

from pydantic import Field

from firmware_bridge.drone_readings import Capture, StatusText, TextSeverity
from firmware_bridge.loop_clock import loop_s
from firmware_bridge.mavlink import autopilot
from firmware_bridge.mavlink.radio import RADIO, radio_readings
from firmware_bridge.mavlink.signing import ReplayWindow, Signatures, read_key, replay_window
from firmware_bridge.mavlink.vehicle import HELD, Vehicle
from firmware_bridge.mavlink_dialect import dialect
from firmware_bridge.readings import Value
from firmware_bridge.secret import Secret
from firmware_bridge.serial.framings import mavlink_ids
from firmware_bridge.serial.line import SerialLine
from firmware_bridge.serial.line_decoder import LineDecoder

LOST_AFTER_S = 5.0
AUTOPILOT = 1
TEXT_LONGEST = 50
SEVERITIES: tuple[TextSeverity, ...] = get_args(TextSeverity)


@dataclass(slots=True)
class _SequenceCount:
    """The sequence numbers of one component; the counts are recent, the decoder's ``lost`` is the total."""

    last: int
    came: int = 0
    lost: int = 0


@dataclass(slots=True)
class _PartialText:
    """A text whose pieces still arrive; a piece may end within a letter."""

    number: int
    severity: TextSeverity
    received: bytes = b""
    pieces: int = 0

    def status_text(self, source: tuple[int, int]) -> StatusText:
        text = "".join(one for one in self.received.decode("utf-8", "replace") if one.isprintable())
        return StatusText(system=source[0], component=source[1], severity=self.severity, text=text)


class MavlinkDecoder:
    """Reports a `Drone` at each heartbeat and each position, ``lost`` after ``lost_after_s`` without a
    message.

    ``bad`` counts frames that are not signed with the ``key``, where there is one, or not newer than those
    in ``window``; ``lost`` missing frames, by the sequence numbers of all components.
    """

    framings = ("mavlink",)

    def __init__(
        self,
        key: bytes | None = None,
        lost_after_s: float = LOST_AFTER_S,
        clock: Callable[[], float] = loop_s,
        window: ReplayWindow | None = None,
    ) -> None:
        self.bad = self.lost = 0
        self._signatures = (
            Signatures(key, window.streams_of(key) if window else None) if key is not None else None
        )
        self._lost_after_s, self._clock = lost_after_s, clock
        self._links: dict[tuple[int, int], _SequenceCount] = {}
        self._vehicles: dict[int, Vehicle] = {}
        self._texts: dict[tuple[int, int], _PartialText] = {}

    def feed(self, frame: bytes) -> list[Value]:
        """The values of a frame, and of vehicles that fell silent."""
        at = 2 if frame[0] == 0xFE else 4
        number = frame[5] if frame[0] == 0xFE else int.from_bytes(frame[7:10], "little")
        if self._signatures is not None and number not in RADIO and not self._signatures.accepts(frame):
            self.bad += 1
            return self._newly_lost()
        source = frame[at + 1], frame[at + 2]
        message = _codec().decode(bytearray(frame)) if number in _wanted() else None
        vehicle = self._vehicles.get(source[0])
        ours = vehicle is not None and vehicle.known and vehicle.component == source[1]
        if (
            ours
            and message is not None
            and message.get_type() == "HEARTBEAT"
            and not autopilot.is_vehicle(message)
        ):
            return self._newly_lost()  # a router's heartbeat under the vehicle's number
        self._count(frame[at], source)
        if vehicle is not None and ours:
            vehicle.duplicates.number(frame[at], self._clock())
        return ([] if message is None else self._take(message)) + self._newly_lost()

    @property
    def trouble(self) -> str | None:
        """Vehicles that can't be distinguished."""
        now_s = self._clock()
        doubled = [
            str(system) for system, vehicle in self._vehicles.items() if vehicle.duplicates.detected(now_s)
        ]
        return (
            "; ".join(f"two vehicles are system {system}: give each its own number" for system in doubled)
            or None
        )

    @property
    def silent_at_s(self) -> float:
        """When the next vehicle will have been silent for too long."""
        known = (one for one in self._vehicles.values() if one.known and not one.lost)
        return min((one.received_s + self._lost_after_s for one in known), default=math.inf)

    def pause(self) -> list[Value]:
        """Texts that may be incomplete, and vehicles that fell silent."""
        texts: list[Value] = [text.status_text(source) for source, text in self._texts.items()]
        self._texts.clear()
        return texts + self._newly_lost()

    def replies(self) -> bytes:
        """Nothing: receive-only."""
        return b""

    def _count(self, sequence: int, source: tuple[int, int]) -> None:
        link = self._links.setdefault(source, _SequenceCount((sequence - 1) & 0xFF))
        gap = (sequence - link.last - 1) & 0xFF
        gap = gap if gap < 128 else 0  # a repeated or late frame
        link.last, link.came, link.lost = sequence, link.came + 1, link.lost + gap
        self.lost += gap
        if link.came + link.lost > 1000:
            link.came, link.lost = link.came // 2, link.lost // 2

    def _take(self, message: Any) -> list[Value]:
        system = message.get_srcSystem()
        match message.get_type():
            case "STATUSTEXT":
                return self._text(message)
            case "RADIO_STATUS" | "RADIO":
                return radio_readings(message)
            case "CAMERA_FEEDBACK":
                return [Capture(system=system, **autopilot.read_feedback(message))]
            case "CAMERA_IMAGE_CAPTURED":
                taken = message.capture_result == 1
                return [Capture(system=system, **autopilot.read_captured(message))] if taken else []
            case kind:
                vehicle = self._vehicle_of(message, kind)
                return [] if vehicle is None else self._update(vehicle, message)

    def _vehicle_of(self, message: Any, kind: str) -> Vehicle | None:
        """The vehicle that sent the message. Before its first heartbeat, its autopilot is taken to be
        component 1.
        """
        system, component = message.get_srcSystem(), message.get_srcComponent()
        vehicle = self._vehicles.get(system)
        if kind == "HEARTBEAT":
            if not autopilot.is_vehicle(message):
                if vehicle is not None and vehicle.component == component:
                    del self._vehicles[system]
                return None
            if vehicle is None or not (vehicle.known or vehicle.component == component):
                vehicle = self._vehicles[system] = Vehicle(system, component)
            vehicle.known |= vehicle.component == component
        elif vehicle is None and component == AUTOPILOT:
            vehicle = self._vehicles[system] = Vehicle(system, component)
        if vehicle is None or component == vehicle.component or kind in autopilot.OF_ANY_COMPONENT:
            return vehicle
        return None

    def _update(self, vehicle: Vehicle, message: Any) -> list[Value]:
        now_s = self._clock()
        due = vehicle.take(message, now_s)
        if message.get_srcComponent() == vehicle.component:
            due |= vehicle.lost
            vehicle.received_s, vehicle.lost = now_s, False
        if not due:
            return []
        if vehicle.duplicates.detected(now_s):
            vehicle.held.clear()
            return []  # a report would mix both vehicles
        link = self._links[(vehicle.system, vehicle.component)]
        drone = vehicle.drone(now_s, round(100 * link.lost / (link.came + link.lost), 1))
        vehicle.held.append(drone)
        if not vehicle.known:
            del vehicle.held[:-HELD]
            return []
        values: list[Value] = [*vehicle.held]
        vehicle.held.clear()
        return values

    def _newly_lost(self) -> list[Value]:
        """Each vehicle without a message for too long, once."""
        now_s = self._clock()
        values: list[Value] = []
        for vehicle in self._vehicles.values():
            if vehicle.duplicates.detected(now_s):
                continue
            if vehicle.known and not vehicle.lost and now_s - vehicle.received_s > self._lost_after_s:
                vehicle.lost = True
                values.append(vehicle.drone(now_s))
        return values

    def _text(self, message: Any) -> list[Value]:
        """A text in one piece, or with its last piece; a missing piece is marked '…'."""
        source = (message.get_srcSystem(), message.get_srcComponent())
        piece = message._text_raw.split(b"\0")[0]
        more = message.id and len(piece) == TEXT_LONGEST
        values: list[Value] = []
        held = self._texts.pop(source, None)
        if held is not None and (held.number != message.id or message.chunk_seq < held.pieces):
            values.append(held.status_text(source))
            held = None
        text = held or _PartialText(message.id, SEVERITIES[min(message.severity, 7)])
        text.received += piece if message.chunk_seq == text.pieces else "…".encode() + piece
        text.pieces = message.chunk_seq + 1
        if not more:
            return [*values, text.status_text(source)]
        self._texts[source] = text
        return values


@cache
def _wanted() -> frozenset[int]:
    """The ids of the messages that are decoded."""
    names = {
        *autopilot.MESSAGE_FIELDS,
        "STATUSTEXT",
        "RADIO_STATUS",
        "RADIO",
        "CAMERA_FEEDBACK",
        "CAMERA_IMAGE_CAPTURED",
    }
    return frozenset(number for number, kind in dialect().mavlink_map.items() if kind.msgname in names)


@cache
def _codec() -> Any:
    return dialect().MAVLink(None)


class Mavlink(SerialLine):
    """A telemetry radio, or an autopilot on a cable. With a ``key`` only signed frames count."""

    value_kinds: ClassVar[frozenset[str] | None] = frozenset({"drone", "status_text", "capture", "reading"})
    names_by_kind: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "reading": ("radio_rssi", "radio_noise", "radio_remote_rssi", "radio_remote_noise")
    }
    receive_only: ClassVar[bool] = True

    kind: Literal["mavlink"] = "mavlink"
    baud: int = 57600
    lost_after_s: float = Field(default=LOST_AFTER_S, ge=1, le=3600)
    key: Secret | None = None

    def secret_origin(self) -> str:
        """Nowhere: the key only checks signatures."""
        return ""

    def decoder(self) -> MavlinkDecoder:
        return MavlinkDecoder(
            None if self.key is None else read_key(self.key), self.lost_after_s, window=replay_window()
        )

    def line_decoder(self) -> LineDecoder:
        if not mavlink_ids():
            raise OSError("the MAVLink tables are not installed: pip install pymavlink")
        return super().line_decoder()
