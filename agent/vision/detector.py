"""A camera's detector, as a technician configures it: which model, for what, how sure, in how many tiles."""

from collections.abc import Iterable
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

import models
from agent.privacy.redaction import REDACTION_MIN_SCORE, detects_people
from agent.vision.inference_pool import SHARED
from firmware_bridge.secret import beside
from models.card import Card
from models.detection import Detect, Detection
from models.session import Loaded, Provider
from models.tiles import Pattern, looks, tiled

log = structlog.get_logger()

LOAD_S, COMPILE_S = 60.0, 600.0
"""How long a network may take until it is ready; some accelerators compile it for minutes, the first time."""
FIND_S = 15.0
"""How long a picture that is to leave waits for somebody else to load its detector."""


def load_s(providers: Iterable[Provider]) -> float:
    """How long a network may take until it is ready on ``providers``; longer, and it hangs."""
    return LOAD_S if set(providers) <= {"cpu"} else COMPILE_S


class DetectorSettings(BaseModel):
    """Which model looks, for what, and how sure it must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "default"
    labels: tuple[str, ...] | None = None
    score: float = Field(default=0.4, ge=0.05, le=1)
    tiles: Pattern = "1x1"
    """Columns and rows that are looked at beside the whole, for small things; each costs a look."""
    overlap: float = Field(default=0.2, ge=0, le=0.5)
    """Share of a tile that its neighbour has too."""
    providers: tuple[Provider, ...] = ()
    """Where it runs, in order of preference, such as [openvino, cpu]; else as its card says."""

    @field_validator("model")
    @classmethod
    def _beside(cls, model: str, info: ValidationInfo) -> str:
        """A card's file is relative to the configuration, as all paths are."""
        return str(beside(Path(model), info)) if models.is_path(model) else model

    def card(self) -> Card:
        """Its model's card. OSError where there is none, ValueError where it is no card."""
        return models.find(self.model)

    def load(self) -> tuple[Detect, bool]:
        """The detector, as unsure as covering people wants it; whether it knows people. OSError: why not."""
        card, loaded = self._loaded(0.9 * self.load_s())
        if loaded.note:
            log.warning("provider_missing", model=card.name, note=loaded.note)
        log.info(
            "detector_loaded",
            model=card.name,
            runs_on=loaded.runs_on,
            looks_a_frame=looks(self.tiles),
        )
        return tiled(loaded, self.tiles, self.overlap), detects_people(card)

    def load_s(self) -> float:
        """How long `load` may take."""
        try:
            providers = self.providers or self.card().providers
        except (OSError, ValueError):
            return LOAD_S
        return load_s(providers)

    def finder(self) -> Detect:
        """What finds people in a picture that is to leave, one look at a time. OSError: why there is none."""
        card, loaded = self._loaded(FIND_S)
        if not detects_people(card):
            raise OSError(f"detector {self.model}: it knows no people")
        return loaded

    def _loaded(self, within_s: float) -> tuple[Card, Loaded]:
        try:
            card = self.card().at(min(self.score, REDACTION_MIN_SCORE))
            card = card.on(self.providers or card.providers)
            return card, SHARED.load(card, within_s)
        except ValueError as error:
            raise OSError(f"detector {self.model}: {error}") from error

    def wanted(self, seen: tuple[Detection, ...]) -> tuple[Detection, ...]:
        """What is looked for, however unsure."""
        return tuple(one for one in seen if self.labels is None or one.label in self.labels)

    def remark(self) -> str | None:
        """What should be said aloud of its cost."""
        if looks(self.tiles) == 1:
            return None
        return f"tiles {self.tiles} make {looks(self.tiles)} looks of each frame (health tells detect_ms)"
