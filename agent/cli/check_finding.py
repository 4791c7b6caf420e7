"""One result of ``check --env``."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EnvironmentFinding:
    """``text`` names the place in the configuration; ``wrong`` is False for a plain fact."""

    wrong: bool
    text: str
