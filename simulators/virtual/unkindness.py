"""What a broker may do that no client can prevent; each by chance, each counted."""

import random
from collections import Counter
from typing import Literal, TypeAlias, get_args

Unkind: TypeAlias = Literal["drop_after_acknowledgement", "reorder", "late_will", "refuse", "quota"]
UNKIND: tuple[Unkind, ...] = get_args(Unkind)

SERVER_UNAVAILABLE, QUOTA_EXCEEDED = 0x88, 0x97
MOST_DELAY_S = 2.0
"""How much later a reordered message is handed on; those of one publisher keep their order."""
LATE_WILL_S = 30.0


class Unkindness:
    """Chances from 0 to 1 by kind."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"{seed}/broker")
        self._chances: dict[str, float] = {}

    def set(self, how: str, chance: float) -> None:
        """ValueError for an unknown kind."""
        if how not in UNKIND:
            raise ValueError(f"unknown unkindness {how!r}; known: {', '.join(UNKIND)}")
        self._chances[how] = chance

    def happens(self, how: Unkind, struck: Counter[str]) -> bool:
        """Draws, and counts it in ``struck``."""
        chance = self._chances.get(how, 0.0)
        if not chance or self._random.random() >= chance:
            return False
        struck[how] += 1
        return True

    def delay_s(self) -> float:
        return self._random.uniform(0.05, MOST_DELAY_S)
