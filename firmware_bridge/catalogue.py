"""All kinds of serial source: `Line` is what a configuration can name; importing this registers each kind."""

from collections.abc import Callable
from typing import Annotated, Any, get_args

from pydantic import Field

from firmware_bridge.ais import Ais
from firmware_bridge.gpsd import Gpsd
from firmware_bridge.mavlink import Mavlink
from firmware_bridge.modbus import Modbus
from firmware_bridge.nmea import Nmea
from firmware_bridge.sensor_board import SensorBoard
from firmware_bridge.serial.line import Decoder, SerialLine
from firmware_bridge.ubx import Ubx
from firmware_bridge.vedirect import VeDirect

Line = Annotated[
    Ais | Gpsd | Mavlink | Modbus | Nmea | SensorBoard | Ubx | VeDirect, Field(discriminator="kind")
]


def kinds() -> dict[str, type[SerialLine]]:
    """Each kind of serial line, by its name."""
    listed = get_args(get_args(Line)[0])
    return {kind.model_fields["kind"].default: kind for kind in listed if issubclass(kind, SerialLine)}


def protocols() -> dict[str, Callable[[], tuple[Decoder, ...]]]:
    """Each kind's name, and what makes its decoders; times are left as recorded."""
    recorded: dict[str, Any] = {"not_before": None}
    return {name: kind.model_construct(**recorded).decoders for name, kind in kinds().items()}
