"""A camera's detector, as a technician configures it: which model, for what, how sure, in how many tiles."""

from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

import models
from agent.vision.pool import SHARED
from agent.vision.privacy import LEAST_SCORE, knows_people
from firmware_bridge.secret import beside
from models.card import Card
from models.detection import Detect, Detection
from models.session import Provider
from models.tiles import Pattern, looks, tiled

log = structlog.get_logger()


class Watching(BaseModel):
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
        try:
            card = self.card().at(min(self.score, LEAST_SCORE))
            loaded = SHARED.load(card.on(self.providers or card.providers))
        except ValueError as error:
            raise OSError(f"detector {self.model}: {error}") from error
        if note := getattr(loaded, "note", ""):
            log.warning("provider_missing", model=card.name, note=note)
        log.info(
            "detector_loaded",
            model=card.name,
            runs_on=getattr(loaded, "runs_on", "cpu"),
            looks_a_frame=looks(self.tiles),
        )
        return tiled(loaded, self.tiles, self.overlap), knows_people(card)

    def wanted(self, seen: tuple[Detection, ...]) -> tuple[Detection, ...]:
        """What is looked for, however unsure."""
        return tuple(one for one in seen if self.labels is None or one.label in self.labels)

    def remark(self) -> str | None:
        """What should be said aloud of its cost."""
        if looks(self.tiles) == 1:
            return None
        return f"tiles {self.tiles} make {looks(self.tiles)} looks of each frame (health tells detect_ms)"
