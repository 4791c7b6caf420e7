"""The content of one NMEA epoch so far. Pure."""

from dataclasses import dataclass, field

from firmware_bridge.wgs84 import Position


@dataclass(slots=True)
class NmeaEpoch:
    """The combined content of the sentences of one epoch."""

    ms: int | None = None
    """Time of day."""
    positions: list[Position] = field(default_factory=list)
    rejected: bool = False
    reported: bool = False
    kinds: set[bytes] = field(default_factory=set)
    """The kinds of sentence that have reported whether there is a fix."""
    sentences: list[tuple[bytes, bytes, list[bytes]]] = field(default_factory=list)
    """Those sentences: talker, kind and fields."""
    leading: list[bytes] = field(default_factory=list)
    """The kinds that came before the first of those."""
    repeatable: dict[bytes, float] = field(default_factory=dict)
    """Values that a sentence without a time repeats: knots of RMC, HDOP of GGA."""
    dimension: int = 0
    listed: int = 0
    """Satellites listed in GSA."""
    gsa_count: int = 0
    """The number of GSA sentences."""
    alt_m: float | None = None
    satellites: int | None = None
    hdop: float | None = None
    speed_mps: float | None = None
    course_deg: float | None = None
