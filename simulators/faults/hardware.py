"""Faults of simulated hardware: the sensor board, the GNSS receiver, the drone, the boat."""

from typing import Any, ClassVar, Literal

from firmware_bridge.sensors.sensor_board import QUANTITIES
from simulators.faults.fault import Fault, FaultStep, hardware_of, line_of
from simulators.faults.line import Counted, add, remove
from simulators.receiver import FAULTS
from simulators.stage import Stage

SILENT_S = 2.0
"""A receiver that sends once a second is silent after this time."""


class _Hardware(Fault):
    """The proof counts the bytes on the line while the fault is on; only an open line has any."""

    subject = "source"
    proof = "bytes of the hardware on a line that the agent had open"
    attribute: ClassVar[str]

    def apply(self, hardware: Any, step: FaultStep) -> None:
        raise NotImplementedError

    def heal(self, hardware: Any, step: FaultStep) -> None:
        raise NotImplementedError

    async def begin(self, stage: Stage, step: FaultStep) -> None:
        hardware = hardware_of(stage, step, self.attribute)
        line = line_of(stage, step)
        step.before.update(sent=Counted(), received=Counted(), open=line.is_open, bytes=line.bytes_to_agent)
        add(line, step.before["sent"])
        add(line, step.before["received"], from_agent=True)
        self.apply(hardware, step)

    async def end(self, stage: Stage, step: FaultStep) -> None:
        self.heal(hardware_of(stage, step, self.attribute), step)
        step.before["open_after"] = line_of(stage, step).is_open
        for counted in ("sent", "received"):
            remove(line_of(stage, step), step.before[counted])

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return bool(step.before["sent"].bytes)


class BoardDeaf(_Hardware):
    kind = "board.deaf"
    state = "deaf"
    text = "the {subject} receives nothing"
    proof = "bytes of the agent that the board did not take"
    source_kinds = frozenset({"sensor_board"})
    attribute = "deaf"

    def apply(self, hardware: Any, step: FaultStep) -> None:
        hardware.deaf = True

    def heal(self, hardware: Any, step: FaultStep) -> None:
        hardware.deaf = False

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return bool(step.before["received"].bytes)


class BoardReset(_Hardware):
    kind = "board.reset"
    text = "the {subject} restarts"
    proof = "the board's boot number rose, and it spoke on a line that the agent had open"
    instant = True
    source_kinds = frozenset({"sensor_board"})
    attribute = "reset"

    def apply(self, hardware: Any, step: FaultStep) -> None:
        step.before["boot"] = hardware.firmware.boot
        hardware.reset()

    def heal(self, hardware: Any, step: FaultStep) -> None:
        step.before["rose"] = hardware.firmware.boot > step.before["boot"]

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return bool(step.before["rose"] and step.before["open"])


class SensorFailed(_Hardware):
    kind = "board.sensor_failed"
    text = "a sensor of the {subject} fails"
    proof = "reports of the board without that value, on a line that the agent had open"
    source_kinds = frozenset({"sensor_board"})
    attribute = "firmware"

    quantity: Literal["temperature", "relative_humidity", "supply_voltage", "supply_current"] = "temperature"

    def apply(self, hardware: Any, step: FaultStep) -> None:
        step.before["key"] = next(key for key, one in QUANTITIES.items() if one[0] == self.quantity)
        hardware.firmware.measured[step.before["key"]] = None

    def heal(self, hardware: Any, step: FaultStep) -> None:
        hardware.firmware.measured.pop(step.before["key"], None)


class ReceiverFault(_Hardware):
    """One of `simulators.receiver.FAULTS`."""

    state = "receiver"
    source_kinds = frozenset({"nmea", "ubx"})
    attribute = "fail"
    proof = "epochs of the faulty receiver on a line that the agent had open"

    def apply(self, hardware: Any, step: FaultStep) -> None:
        hardware.fail(self.kind.partition(".")[2])

    def heal(self, hardware: Any, step: FaultStep) -> None:
        hardware.heal()


class ReceiverSilence(ReceiverFault):
    kind = "receiver.silence"
    text = "the {subject} sends nothing"
    proof = "it had sent, and then sent nothing for two seconds on a line that the agent had open"

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        before = step.before
        long_enough = step.ended_s - step.began_s >= SILENT_S
        return bool(before["open_after"] and before["bytes"] and not before["sent"].bytes and long_enough)


_RECEIVER = {
    "no_fix": "the {subject} has lost the satellites",
    "cold": "the {subject} starts cold: no satellites, no time",
    "frozen": "the {subject} repeats one epoch with its time",
    "stuck": "the {subject} repeats one position",
    "jump": "the position of the {subject} jumps by 2 km",
    "jam": "the {subject} is jammed",
    "spoof": "the {subject} is spoofed",
    "antenna": "the antenna of the {subject} is broken",
    "rollover": "the week number of the {subject} rolls over",
    "date_back": "the date of the {subject} is a day back",
    "leap_second": "the {subject} reports a leap second",
}


class DroneOutOfReach(_Hardware):
    kind = "drone.out_of_reach"
    state = "reach"
    text = "the drone is out of reach of the {subject}"
    proof = "the radio spoke, and passed on no message of the drone"
    source_kinds = frozenset({"mavlink"})
    attribute = "radio"

    def apply(self, hardware: Any, step: FaultStep) -> None:
        hardware.radio.far = True
        step.before["passed_on"] = hardware.radio.sent

    def heal(self, hardware: Any, step: FaultStep) -> None:
        hardware.radio.far = False
        step.before["passed_on"] -= hardware.radio.sent

    def took_effect(self, stage: Stage, step: FaultStep) -> bool:
        return bool(step.before["sent"].bytes) and not step.before["passed_on"]


class BoatNoBottom(_Hardware):
    kind = "boat.no_bottom"
    state = "bottom"
    text = "the sounder finds no bottom"
    proof = "sentences of the boat on a line that the agent had open"
    source_kinds = frozenset({"nmea"})
    attribute = "bottom"

    def apply(self, hardware: Any, step: FaultStep) -> None:
        hardware.bottom = False

    def heal(self, hardware: Any, step: FaultStep) -> None:
        hardware.bottom = True


def _receiver_fault(name: str) -> type[Fault]:
    fields = {"kind": f"receiver.{name}", "text": _RECEIVER[name], "__module__": __name__}
    return type(f"Receiver{name.title().replace('_', '')}", (ReceiverFault,), fields)


HARDWARE_FAULTS: tuple[type[Fault], ...] = (
    BoardDeaf, BoardReset, SensorFailed,
    ReceiverSilence, *(_receiver_fault(name) for name in FAULTS if name != "silence"),
    DroneOutOfReach, BoatNoBottom,
)  # fmt: skip
