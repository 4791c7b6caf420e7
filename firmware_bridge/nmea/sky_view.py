"""One round of GSV sentences: the satellites above the horizon and their C/N0."""

from dataclasses import dataclass

SKY_EPOCHS = 10
"""The number of epochs for which GSV data stays valid."""


@dataclass(slots=True)
class GsvRound:
    """One round of GSV: a constellation's satellites, on one signal."""

    epoch: int
    seen: int
    received: int = 0
    cn0_sum: int = 0
