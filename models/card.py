"""A model's card: origin, licence, input, labels, and measured accuracy and latency."""

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.detection import Detect
from models.labels import ALLOWED, UNREDACTED_LABELS, plain
from models.proof import Proof
from models.session import Loaded, Provider, Session, open_session

IDENTIFYING = re.compile(
    r"(?<![a-z])(faces?|facial|embeddings?|re-?id|gait|iris|plate.?(text|number)|ocr|voice|speaker|emotion"
    r"|ethnic\w*|race|gender|age.?group|arcface|facenet|osnet|lprnet|landmarks?)(?![a-z])",
    re.IGNORECASE,
)
"""Names of networks and outputs that identify or classify people. Such a network is refused: there is no
such code. Labels are checked against a list of things instead (`models.labels`)."""


class Input(BaseModel):
    """The network's input picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=32, le=4096)
    height: int = Field(ge=32, le=4096)
    resize: Literal["letterbox", "stretch"]


class Card(BaseModel):
    """The fields of every card; a format adds how the outputs are decoded (`models.Format` lists the
    formats).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    aliases: tuple[str, ...] = ()
    weights: Path
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    origin: str
    licence: str
    input: Input
    labels: tuple[str, ...] = Field(min_length=1)
    people: tuple[str, ...] = ()
    """The labels that mean people, where their names don't show it, such as [cyclist]."""
    accuracy: dict[str, Any] = Field(default_factory=dict)
    latency: dict[str, Any] = Field(default_factory=dict)
    """Measured, by machine; milliseconds on one thread."""
    proof: Proof | None = None
    providers: tuple[Provider, ...] = ("cpu",)
    """Execution providers in order of preference: the first that this machine has is used."""
    score: float = Field(default=0.4, ge=0, le=1)
    """The confidence threshold."""

    @field_validator("labels")
    @classmethod
    def _nobody_identified(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        for label in labels:
            if (word := plain(label)) not in ALLOWED:
                near = difflib.get_close_matches(word, sorted(ALLOWED), n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(
                    f"the label {label[:60]!r} is not on the list of things in models/labels.py{hint}"
                    " (ringpost runs no model that identifies or classifies people)"
                )
        return labels

    @model_validator(mode="after")
    def _people_are_labels(self) -> Self:
        if unknown := sorted(set(self.people) - set(self.labels)):
            raise ValueError(f"people: {', '.join(unknown)} is not among its labels")
        if things := sorted(one for one in self.people if plain(one) in UNREDACTED_LABELS):
            raise ValueError(f"people: {', '.join(things)} is a thing, whose box is not redacted")
        return self

    @field_validator("name")
    @classmethod
    def _nobody_recognised(cls, name: str) -> str:
        if IDENTIFYING.search(name):
            raise ValueError(f"{name!r} identifies or classifies people: ringpost does not run such a model")
        return name

    def at(self, score: float) -> "Card":
        """The same model with another threshold."""
        return self.model_copy(update={"score": score})

    def on(self, providers: tuple[Provider, ...]) -> "Card":
        """The same model on other providers."""
        return self.model_copy(update={"providers": providers})

    def open(self) -> Session:
        """The network. ValueError where it is damaged, another, or has outputs that identify people."""
        sizes = {"H": self.input.height, "W": self.input.width}
        session = open_session(self.weights, self.sha256, providers=self.providers, sizes=sizes)
        for name in session.outputs:
            if IDENTIFYING.search(name):
                raise ValueError(
                    f"{self.name}: the output {name!r} identifies or classifies people:"
                    " ringpost does not run it"
                )
        return session

    def proven(self, detect: Detect, prove: Callable[[], None], session: Session) -> Loaded:
        """``detect``, warmed up, once ``prove`` and the card's self-test succeed. ValueError names the
        model.
        """
        try:
            prove()
            if self.proof is not None:
                self.proof.check(detect, self.score)
        except (ValueError, IndexError, TypeError) as error:
            raise ValueError(f"{self.name}: {error}") from error
        return Loaded(detect, session)

    def load(self) -> Loaded:
        """Loads the weights; each format implements this. OSError or ValueError with the reason."""
        raise NotImplementedError(f"{self.name} has no format")
