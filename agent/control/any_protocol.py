"""A serial line whose protocol is unknown: all candidate decoders run on it."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from firmware_bridge.catalogue import kinds, protocols
from firmware_bridge.gnss.gpsd import Gpsd
from firmware_bridge.serial.line import SerialLine
from firmware_bridge.serial.line_decoder import Decoder

SILENCE_TIMEOUT_S = 5.0


class AnyProtocolLine(SerialLine):
    """A line that is decoded by all protocols of ``names``; receive-only."""

    receive_only: ClassVar[bool] = True

    kind: Literal["anything"]
    names: tuple[str, ...]

    def decoder(self) -> Decoder:
        return self.decoders()[0]

    def decoders(self) -> tuple[Decoder, ...]:
        return decoders_of(self.names)


def decoders_of(names: tuple[str, ...]) -> tuple[Decoder, ...]:
    """The decoders of all named protocols."""
    return tuple(decoder for name in names for decoder in protocols()[name]())


def live_line(
    source: str, names: tuple[str, ...], baud: int | None = None, silent_after_s: float = SILENCE_TIMEOUT_S
) -> "Gpsd | AnyProtocolLine":
    """A source for a device, ``tcp://host:port`` or ``gpsd://host``. ValidationError for others."""
    if source.startswith("gpsd://"):
        return Gpsd.model_validate({"port": source, "silent_after_s": silent_after_s})
    baud = baud or default_baud(names)
    return AnyProtocolLine(
        kind="anything", port=source, baud=baud, names=names, silent_after_s=silent_after_s
    )


def default_baud(names: Sequence[str]) -> int | None:
    """The default baud rate of a single protocol; None where it must be detected."""
    baud = kinds()[names[0]].model_fields["baud"].default if len(names) == 1 else None
    return int(baud) if baud is not None else None
