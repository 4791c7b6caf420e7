"""One change that a push makes, and the guard on it: the signatures that it needs."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Guard: TypeAlias = Literal["free", "guarded", "picture"]
"""free: one key whose role covers the path. guarded: as many distinct keys as the roles document demands.
picture: guarded, and a privacy officer is one of the signers."""


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """A changed, added or removed part of the configuration; ``path`` is dotted, such as
    ``rules.quiet.severity``."""

    path: str
    guard: Guard
