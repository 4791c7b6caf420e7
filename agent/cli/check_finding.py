"""One result of ``check --env``."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """One result: ``wrong``, or a fact."""

    wrong: bool
    text: str
