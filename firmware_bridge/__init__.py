"""What hardware says on a wire. `Line` lists all kinds of serial source that a configuration can name."""

from collections.abc import Callable
from typing import Annotated, get_args

from pydantic import Field

from firmware_bridge.line import Decoder
from firmware_bridge.nmea import Nmea
from firmware_bridge.sensor_board import SensorBoard

Line = Annotated[Nmea | SensorBoard, Field(discriminator="kind")]


def protocols() -> dict[str, Callable[[], Decoder]]:
    """Each kind's name, and what makes a decoder of it."""
    kinds = get_args(get_args(Line)[0])
    return {kind.model_fields["kind"].default: kind.model_construct().decoder for kind in kinds}
