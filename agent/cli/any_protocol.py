"""A line whose protocol is not known."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from firmware_bridge.catalogue import kinds, protocols
from firmware_bridge.gnss.gpsd import Gpsd
from firmware_bridge.serial.line import SerialLine
from firmware_bridge.serial.line_decoder import Decoder

SILENT_S = 5.0


class Anything(SerialLine):
    """A line on which any of ``names`` may be spoken; nothing is ever said to it."""

    listens_only: ClassVar[bool] = True

    kind: Literal["anything"]
    names: tuple[str, ...]

    def decoder(self) -> Decoder:
        return self.decoders()[0]

    def decoders(self) -> tuple[Decoder, ...]:
        return decoders(self.names)


def decoders(names: tuple[str, ...]) -> tuple[Decoder, ...]:
    """Those of all kinds named."""
    return tuple(decoder for name in names for decoder in protocols()[name]())


def live_line(
    source: str, names: tuple[str, ...], baud: int | None = None, silent_after_s: float = SILENT_S
) -> "Gpsd | Anything":
    """What is to be run for a device, ``tcp://host:port`` or ``gpsd://host``. ValidationError for no such."""
    if source.startswith("gpsd://"):
        return Gpsd.model_validate({"port": source, "silent_after_s": silent_after_s})
    baud = baud or usual_baud(names)
    return Anything(kind="anything", port=source, baud=baud, names=names, silent_after_s=silent_after_s)


def usual_baud(names: Sequence[str]) -> int | None:
    """The speed of a protocol that has one, such as a radio's; None where it is to be found out."""
    baud = kinds()[names[0]].model_fields["baud"].default if len(names) == 1 else None
    return int(baud) if baud is not None else None
