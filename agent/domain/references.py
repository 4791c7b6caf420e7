"""References of a rule to the rest of the configuration, each with the key of the rule that holds it.

`agent.domain.contracts.RulePart` returns these. `agent.config` checks them; its errors name that key.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple


class Keyed(NamedTuple):
    """A name, such as a zone or a label, and the key of the rule that holds it."""

    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Channel:
    """One quantity of readings, or one switch, of a source."""

    key: str
    kind: Literal["reading", "switch"]
    name: str


@dataclass(frozen=True, slots=True)
class SourceReference:
    """A source whose values a rule uses."""

    key: str
    source: str
    kinds: tuple[str, ...] = ()
    """Kinds of value, such as ``fix``, of which the source must provide one; empty: any source will do."""
    channel: Channel | None = None
    """The quantity or switch that the source must be able to provide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraReference:
    """The camera whose sightings or views a rule evaluates."""

    key: str = "camera"
    camera: str
    zones: tuple[Keyed, ...] = ()
    """Must be zones of the camera."""
    labels: tuple[Keyed, ...] = ()
    """Must be labels that the camera's detector is set to, and that its model knows."""
    min_score: tuple[str, float] | None = None
    """Key and value of the lowest score that counts, where the configuration sets it."""
    inferences_per_s: float | None = None
    """The inference rate that the rule needs; None: any."""
    moving_key: str | None = None
    """The key that enables the rule while its camera moves, where that is off; None: always enabled."""
    needs_coverage: bool = False
    """Whether the camera must monitor its visibility (``coverage: {watch: true}``)."""
