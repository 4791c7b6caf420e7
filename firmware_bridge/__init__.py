"""What hardware says on a wire. `Line` lists all kinds of serial source that a configuration can name."""

from collections.abc import Callable
from typing import Annotated, get_args

from pydantic import Field

from firmware_bridge.line import Decoder
from firmware_bridge.mavlink import Mavlink
from firmware_bridge.nmea import Nmea
from firmware_bridge.sensor_board import SensorBoard
from firmware_bridge.ubx import Ubx
from firmware_bridge.vedirect import VeDirect

Line = Annotated[Mavlink | Nmea | SensorBoard | Ubx | VeDirect, Field(discriminator="kind")]


def protocols() -> dict[str, Callable[[], tuple[Decoder, ...]]]:
    """Each kind's name, and what makes its decoders; times are left as recorded."""
    kinds = get_args(get_args(Line)[0])
    return {
        kind.model_fields["kind"].default: kind.model_construct(not_before=None).decoders for kind in kinds
    }
