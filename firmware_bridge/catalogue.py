"""All kinds of serial source. A configuration names one of `Line`; importing this module registers each
kind.
"""

from collections.abc import Callable
from typing import Annotated, Any, get_args

from pydantic import Field

from firmware_bridge.ais.ais import Ais
from firmware_bridge.gnss.gpsd import Gpsd
from firmware_bridge.gnss.ubx import Ubx
from firmware_bridge.mavlink.mavlink import Mavlink
from firmware_bridge.nmea.nmea import Nmea
from firmware_bridge.sensors.modbus import Modbus
from firmware_bridge.sensors.sensor_board import SensorBoard
from firmware_bridge.sensors.vedirect import VeDirect
from firmware_bridge.serial.line import SerialLine
from firmware_bridge.serial.line_decoder import Decoder

Line = Annotated[
    Ais | Gpsd | Mavlink | Modbus | Nmea | SensorBoard | Ubx | VeDirect, Field(discriminator="kind")
]


def kinds() -> dict[str, type[SerialLine]]:
    """Each kind of serial line, by its name."""
    listed = get_args(get_args(Line)[0])
    return {kind.model_fields["kind"].default: kind for kind in listed if issubclass(kind, SerialLine)}


def protocols() -> dict[str, Callable[[], tuple[Decoder, ...]]]:
    """The decoder factory of each kind, by its name. Receiver times stay as recorded."""
    recorded: dict[str, Any] = {"not_before": None}
    return {name: kind.model_construct(**recorded).decoders for name, kind in kinds().items()}
