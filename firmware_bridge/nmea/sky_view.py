"""The satellites above the horizon and their C/N0, from rounds of GSV. Pure."""

from dataclasses import dataclass

SKY_EPOCHS = 10
"""What was said of the sky counts so long."""


@dataclass(slots=True)
class GsvRound:
    """One round of GSV: a constellation's satellites, on one signal."""

    epoch: int
    seen: int
    heard: int = 0
    cn0_sum: int = 0
