"""The configuration section ``detector`` of a camera: model, labels, confidence threshold, tiles."""

from collections.abc import Iterable
from pathlib import Path
from typing import Self

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

import models
from agent.privacy.redaction import REDACTION_MIN_SCORE, detects_people
from agent.vision.closer_look import LIMIT, RegionMode
from agent.vision.inference_pool import SHARED_POOL
from firmware_bridge.secret import beside
from models.card import Card
from models.detection import Detect, Detection
from models.session import Loaded, Provider
from models.tiles import Pattern, inference_count, tiled

log = structlog.get_logger()

LOAD_S, COMPILE_S = 60.0, 600.0
"""How long a network may take to load; some accelerators compile it for minutes the first time."""
REDACTION_LOAD_S = 15.0
"""How long a picture to be released waits while another thread loads its detector."""


def max_load_s(providers: Iterable[Provider]) -> float:
    """The time limit in seconds for loading a network on ``providers``; after that it hangs."""
    return LOAD_S if set(providers) <= {"cpu"} else COMPILE_S


class DetectorSettings(BaseModel):
    """The detector of one camera; ``score`` is the confidence threshold, ``labels`` None means all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "default"
    labels: tuple[str, ...] | None = Field(default=None, max_length=200)
    score: float = Field(default=0.4, ge=0.05, le=1)
    tiles: Pattern = "1x1"
    """Columns and rows of tiles beside the whole picture, for small objects; each tile costs an inference."""
    overlap: float = Field(default=0.2, ge=0, le=0.5)
    """Overlap of neighbouring tiles, as a share of a tile."""
    verify_model: str | None = None
    """The model of the second look at critical alerts (`agent.evidence.second_look`). Default: the same."""
    regions: RegionMode = "auto"
    """Whether parts of the frame are examined at full resolution too, in idle core time; off with tiles."""
    providers: tuple[Provider, ...] = ()
    """Execution providers in order of preference, such as [openvino, cpu]. Default: those of the card."""

    @field_validator("model", "verify_model")
    @classmethod
    def _beside(cls, model: str | None, info: ValidationInfo) -> str | None:
        """A card file is relative to the configuration file, as all paths."""
        return str(beside(Path(model), info)) if model is not None and models.is_path(model) else model

    def loads_as(self, other: "DetectorSettings") -> bool:
        """Whether the loaded detector is the same: labels and threshold select from what it finds."""
        live = ("labels", "score", "regions", "verify_model")
        return self.model_copy(update={key: getattr(other, key) for key in live}) == other

    @model_validator(mode="after")
    def _either(self) -> Self:
        if self.regions == "always" and inference_count(self.tiles) > 1:
            raise ValueError(
                "regions: always and tiles exclude each other: tiles show all of the frame already"
            )
        return self

    def card(self) -> Card:
        """The card of the model. OSError: not found; ValueError: not a valid card."""
        return models.find(self.model)

    def verifying(self) -> "DetectorSettings":
        """The detector of the second look: untiled, at the same threshold."""
        return self.model_copy(update={"model": self.verify_model or self.model, "tiles": "1x1"})

    def load_untiled(self) -> Detect:
        """The detector without tiles. OSError: it can't load."""
        return self._loaded(0.9 * self.max_load_s())[1]

    def load(self) -> tuple[Detect, bool]:
        """The detector at redaction's threshold, and whether it detects people. OSError: it can't load."""
        card, loaded = self._loaded(0.9 * self.max_load_s())
        if loaded.note:
            log.warning("provider_missing", model=card.name, note=loaded.note)
        log.info(
            "detector_loaded",
            model=card.name,
            runs_on=loaded.runs_on,
            inferences_per_frame=inference_count(self.tiles),
        )
        return tiled(loaded, self.tiles, self.overlap), detects_people(card)

    def max_load_s(self) -> float:
        """The time limit of `load` in seconds."""
        try:
            providers = self.providers or self.card().providers
        except (OSError, ValueError):
            return LOAD_S
        return max_load_s(providers)

    def finder(self) -> Detect:
        """The untiled detector for the redaction pass. OSError: why there is none."""
        card, loaded = self._loaded(REDACTION_LOAD_S)
        if not detects_people(card):
            raise OSError(f"detector {self.model}: it detects no people")
        return loaded

    def _loaded(self, within_s: float) -> tuple[Card, Loaded]:
        try:
            card = self.card().at(min(self.score, REDACTION_MIN_SCORE))
            card = card.on(self.providers or card.providers)
            return card, SHARED_POOL.load(card, within_s)
        except ValueError as error:
            raise OSError(f"detector {self.model}: {error}") from error

    def wanted(self, seen: tuple[Detection, ...]) -> tuple[Detection, ...]:
        """The detections with a configured label, at any confidence."""
        return tuple(found for found in seen if self.labels is None or found.label in self.labels)

    def remark(self) -> str | None:
        """A note on the cost of tiles or regions, for ``ringpost check``."""
        count = inference_count(self.tiles)
        if count > 1:
            return f"tiles {self.tiles} cost {count} inferences per frame (see detect_ms in health)"
        if self.regions == "always":
            return (
                f"regions: always costs up to {LIMIT} more inferences per frame, and half of the core time at"
                " most (see regions in health)"
            )
        return None
