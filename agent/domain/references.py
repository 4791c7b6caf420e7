"""What a rule refers to in the rest of the configuration, each reference under the rule's own key for it.

`agent.domain.contracts.RulePart` returns these. `agent.config.model` checks them; its errors name that key.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple


class Keyed(NamedTuple):
    """A name, such as a zone's or a label, and the rule's key where it stands."""

    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Channel:
    """One quantity (of readings) or one switch of a source."""

    key: str
    kind: Literal["reading", "switch"]
    name: str


@dataclass(frozen=True, slots=True)
class SourceReference:
    """A source that a rule listens to."""

    key: str
    source: str
    kinds: tuple[str, ...] = ()
    """Kinds of value, such as ``fix``, of which the source must tell one; empty: any source will do."""
    channel: Channel | None = None
    """The quantity or switch that the source must be able to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraReference:
    """The camera whose sightings or views a rule judges."""

    key: str = "camera"
    camera: str
    zones: tuple[Keyed, ...] = ()
    """Must be zones of the camera."""
    labels: tuple[Keyed, ...] = ()
    """Must be labels that the camera's detector looks for, and that its model knows."""
    min_score: tuple[str, float] | None = None
    """Key and value of the lowest score that counts, where the configuration sets it."""
    inferences_per_s: float | None = None
    """How often the camera must be looked at; None: however often it is."""
    moving_key: str | None = None
    """The key that lets the rule judge while its camera moves, where that is off; None: it judges anyway."""
    needs_coverage: bool = False
    """Whether the camera must watch what it can see (``coverage: {watch: true}``)."""
