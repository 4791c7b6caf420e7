"""What hardware says on a wire. `Line` lists all kinds of serial source that a configuration can name."""

from typing import Annotated

from pydantic import Field

from firmware_bridge.nmea import Nmea
from firmware_bridge.sensor_board import SensorBoard

Line = Annotated[Nmea | SensorBoard, Field(discriminator="kind")]
