"""The verdict of the second look at an alert, and the score that it leaves. Pure."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Verified: TypeAlias = bool | Literal["not_in_time"]
"""Whether the second look agreed; ``not_in_time``: it could not be had before the alert had to be sent."""
NOT_IN_TIME: Literal["not_in_time"] = "not_in_time"
TRUST = 0.5
"""How much of the doubt that is left a sure second look removes: the same pixels, often the same network."""


@dataclass(frozen=True, slots=True)
class SecondLook:
    """What it took: milliseconds, the best score, how many looks, and the model's name."""

    ms: float
    score: float
    looks: int
    model: str

    def fields(self) -> dict[str, Any]:
        """For the message."""
        return {
            "ms": round(self.ms, 1),
            "score": round(self.score, 3),
            "looks": self.looks,
            "model": self.model,
        }


def combined_score(first: float, second: float) -> float:
    """The score that is told where the second look agreed.

    Of the doubt that the first one left, half of the second score is removed: 0.5 and 0.6 make 0.65. Only
    two independent looks would remove all of it (0.8).
    """
    return first + (1 - first) * TRUST * second
