"""Victron's VE.Direct, text mode: chargers, battery monitors and inverters report their state each second.

    CR LF PID TAB 0xA042 CR LF FW TAB 123 CR LF V TAB 12530 … CR LF Checksum TAB <one byte>

Numbers are integers in mV, mA, W, and so on (`QUANTITIES`); ``---`` is unknown. Receive-only.
Source: Victron Energy, VE.Direct protocol, 3.33.
"""

import re
from collections.abc import Mapping
from typing import ClassVar, Literal

from firmware_bridge.readings import Reading, Switch, Value
from firmware_bridge.serial.line import SerialLine

# label: quantity, unit, factor, least, most
QUANTITIES: dict[str, tuple[str, str, float, float, float]] = {
    "V": ("battery_voltage", "V", 0.001, -1.0, 500.0),
    "VS": ("starter_voltage", "V", 0.001, -1.0, 500.0),
    "VM": ("midpoint_voltage", "V", 0.001, -1.0, 500.0),
    "VPV": ("panel_voltage", "V", 0.001, 0.0, 600.0),
    "I": ("battery_current", "A", 0.001, -3000.0, 3000.0),
    "IL": ("load_current", "A", 0.001, 0.0, 500.0),
    "P": ("battery_power", "W", 1.0, -100_000.0, 100_000.0),
    "PPV": ("panel_power", "W", 1.0, 0.0, 50_000.0),
    "T": ("battery_temperature", "degC", 1.0, -60.0, 150.0),
    "SOC": ("state_of_charge", "percent", 0.1, 0.0, 100.0),
    "TTG": ("time_to_go", "s", 60.0, 0.0, 30 * 86_400.0),
    "CE": ("consumed_charge", "Ah", 0.001, -100_000.0, 100_000.0),
    "AC_OUT_V": ("output_voltage", "V", 0.01, 0.0, 300.0),
    "AC_OUT_I": ("output_current", "A", 0.1, 0.0, 500.0),
    "CS": ("charger_state", "code", 1.0, 0.0, 255.0),
    "ERR": ("charger_error", "code", 1.0, 0.0, 255.0),
    "AR": ("alarm_reasons", "code", 1.0, 0.0, 65_535.0),
    "WARN": ("warning_reasons", "code", 1.0, 0.0, 65_535.0),
}
SWITCHES = {"LOAD": "load", "Alarm": "alarm", "Relay": "relay"}
_BLOCK = re.compile(rb"(?:\r\n[A-Za-z0-9_#]{1,9}\t[ -~]{0,40})+\r\nChecksum\t")
NOT_KNOWN = {("TTG", "-1")}
"""Values that mean unknown: no time to go while the battery charges."""


class VeDirectDecoder:
    """Blocks with a valid checksum in, values out."""

    framings = ("vedirect",)

    def __init__(self) -> None:
        self.bad = 0

    def feed(self, block: bytes) -> list[Value]:
        """The values of a block. Invalid content is counted, not reported; the sum of a block is a weak
        check.
        """
        fields = [line.partition("\t")[::2] for line in block.decode("ascii", "replace").split("\r\n")[1:]]
        if not _BLOCK.fullmatch(block) or len(dict(fields)) < len(fields):
            self.bad += 1
            return []
        values: list[Value] = []
        for label, text in fields:
            if text == "---" or (label, text) in NOT_KNOWN:
                continue
            if label in SWITCHES and text in ("ON", "OFF"):
                values.append(Switch(name=SWITCHES[label], on=text == "ON"))
            elif label in QUANTITIES:
                reading = _reading(label, text)
                values += [reading] if reading else []
                self.bad += reading is None
            else:
                self.bad += label in SWITCHES
        return values

    def pause(self) -> list[Value]:
        """Nothing is held back."""
        return []

    def replies(self) -> bytes:
        """Nothing: receive-only."""
        return b""


def _reading(label: str, text: str) -> Reading | None:
    """A number in its range, or None."""
    quantity, unit, factor, least, most = QUANTITIES[label]
    if len(text) > 10 or not text.lstrip("+-").isascii() or not text.lstrip("+-").isdecimal():
        return None
    value = round(int(text) * factor, 3)
    return Reading(quantity=quantity, value=value, unit=unit) if least <= value <= most else None


def encode(fields: dict[str, str]) -> bytes:
    """A block on the wire; ``fields`` by their labels, as text."""
    text = b"".join(f"\r\n{label}\t{value}".encode() for label, value in fields.items()) + b"\r\nChecksum\t"
    return text + bytes((-sum(text) & 0xFF,))


class VeDirect(SerialLine):
    """A device of Victron Energy on a VE.Direct cable."""

    value_kinds: ClassVar[frozenset[str] | None] = frozenset({"reading", "switch"})
    names_by_kind: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "reading": tuple(quantity for quantity, *_ in QUANTITIES.values()),
        "switch": tuple(SWITCHES.values()),
    }

    kind: Literal["vedirect"] = "vedirect"
    baud: int = 19200

    def decoder(self) -> VeDirectDecoder:
        return VeDirectDecoder()
